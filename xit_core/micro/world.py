"""The things of the micro-world and what they tend to do: concepts, preferences, scripts, and events drawn
from them.

Nothing here depends on a language. A concept's key is its gloss. The first concept of a list is the most
frequent (Zipf).
"""

from itertools import accumulate
from random import Random
from typing import NamedTuple
from zlib import crc32

COMMON = {
    "role": "farmer teacher baker singer doctor fisher guard priest", "animal": "dog horse bird cow fox",
    "food": "bread apple cheese soup cake", "text": "book letter song", "instrument": "drum flute",
    "object": "basket knife coat lamp rope", "place": "house market school river kitchen field temple forest",
    "adjective": "big old good clean happy rich small young bad dirty sad poor",
    "time": "today yesterday often",
}  # fmt: skip
NAMED = {"person": 16, "family": 6, "town": 10, "guild": 6}
CLASSES = {name: tuple(members.split()) for name, members in COMMON.items()}
CLASSES |= {name: tuple(f"{name.title()}{i}" for i in range(n)) for name, n in NAMED.items()}
HYPERNYM = {"animal": "creature", "food": "meal", "text": "work", "instrument": "thing", "object": "thing"}
CLASS_OF = {concept: name for name, members in CLASSES.items() for concept in members}


class Verb(NamedTuple):
    """What a verb takes: classes of its patient ("" = none), its usual place, and the role known for it."""

    patients: str = ""
    place: str = ""
    role: str = ""


USUAL = {  # the fields of each verb, separated by commas
    "see": "person animal object", "eat": "food, kitchen", "buy": "food object, market",
    "love": "person animal, house",
    "find": "animal object, forest", "help": "person role, house", "read": "text, school, teacher",
    "cook": "food, kitchen, baker",
    "call": "person role, house", "sleep": ", house", "feed": "animal, field, farmer",
    "sell": "food object, market",
    "carry": "object food, field", "lose": "animal object, forest", "laugh": ", market",
    "catch": "animal, river, fisher",
    "chase": "animal person, field, guard", "write": "text, school, teacher",
    "play": "instrument, temple, singer",
    "sing": ", temple, singer", "hate": "person animal, house", "break": "object instrument, house",
    "repair": "object instrument, house", "heal": "person role, house, doctor", "pray": ", temple, priest",
    "swim": ", river, fisher", "cry": ", house", "hurt": "person animal, field", "wake": ", house",
    "wash": "object animal, river",
}  # fmt: skip
VERBS = {verb: Verb(*usual.split(", ")) for verb, usual in USUAL.items()}
PAIRS = ["buy sell", "love hate", "find lose", "help hurt", "laugh cry", "sleep wake", "break repair"]
PAIRS += ["big small", "old young", "good bad", "clean dirty", "happy sad", "rich poor"]
OPPOSITE = {a: b for pair in PAIRS for a, b in (pair.split(), reversed(pair.split()))}
ZIPF = list(accumulate(1 / (rank + 4) for rank in range(len(VERBS))))
# Each script has three steps of verb, agent and patient. A and B are two characters, "-" is no patient, and
# other patients are classes of things.
SCRIPTS = (
    "buy A food, cook A food, eat B food", "lose A animal, find B animal, feed B animal",
    "write A text, call A B, read B text",
    "carry A object, break A object, repair B object", "call A B, sing A -, play B instrument",
    "see A animal, chase A animal, catch B animal", "hate A B, hurt A B, cry B -",
    "help A B, heal A B, laugh B -",
    "pray A -, sleep A -, wake B -", "swim A -, wash A object, sell B object",
)  # fmt: skip


class Dice(Random):
    """Random numbers that a row is drawn with. The same seed always gives the same ones.

    `shift`: how far the row is from the usual domain, from 0 (not at all) to 1. In such a share of the draws
    rare and frequent words change places, and such a share of the times, places and properties that would not
    be said is said.
    """

    def __init__(self, seed: str | float | None = None, shift: float = 0.0):
        super().__init__(seed)
        self.shift = shift

    def more(self, chance: float) -> float:
        """The chance of a detail that is said with this chance in the usual domain."""
        return chance + (1 - chance) * self.shift


class Thing(NamedTuple):
    """A person or thing: a concept, perhaps with an adjective and a second name.

    The second name is the family name of a person.
    """

    head: str
    adjective: str = ""
    family: str = ""


class Event(NamedTuple):
    """Who did what to whom, where and when. The verb "is" says that the agent has the property `patient`."""

    verb: str
    agent: Thing
    patient: Thing | None = None
    place: Thing | None = None
    time: str = ""
    negated: bool = False

    @property
    def kind(self) -> str:
        """The class of the patient; "" where there is none, or where only its hypernym is said."""
        return CLASS_OF.get(self.patient.head, "") if self.patient else ""


def pick(rng: Dice, options: tuple | list):
    """One of `options`; earlier ones are more frequent (Zipf-Mandelbrot, offset 4)."""
    if rng.shift and rng.random() < rng.shift:
        options = options[::-1]
    return rng.choices(options, cum_weights=ZIPF[: len(options)])[0]


def belongs(event: Event, split: str) -> bool:
    """Whether an event may be told in a split.

    A quarter of the combinations (agent, verb or its opposite, kind of patient) is held out of training.
    """
    verb = min(event.verb, OPPOSITE.get(event.verb, event.verb))
    patient = HYPERNYM.get(event.kind, event.patient.head if event.patient else "")
    return (crc32(f"{event.agent.head} {verb} {patient}".encode()) % 4 == 0) == (split != "train")


def thing(rng: Dice, kind: str, adjectives: float = 0.3) -> Thing:
    """A random thing of a class; names never have an adjective."""
    head = pick(rng, CLASSES[kind])
    plain = kind in NAMED or rng.random() >= rng.more(adjectives)
    return Thing(head, "" if plain else pick(rng, CLASSES["adjective"]))


def place(rng: Dice, verb: str) -> Thing:
    """A random place of an event: a town, or (mostly) the place that the verb prefers."""
    if rng.random() < 0.4:
        return thing(rng, "town")
    usual = VERBS[verb].place
    return Thing(usual if usual and rng.random() < 0.85 else pick(rng, CLASSES["place"]))


def _agent(rng: Dice, verb: str) -> Thing:
    if rng.random() < 0.6:
        return thing(rng, "person")
    typical = VERBS[verb].role
    return Thing(typical) if typical and rng.random() < 0.8 else thing(rng, "role", 0.15)


def event(
    rng: Dice, split: str, *, verbs=tuple(VERBS), agent: Thing | None = None, kind="", detail: float = 0.5
) -> Event:
    """A random event of a split.

    `detail`: the chance of a place, and of a time; `kind`: the class that the patient must be of.
    """
    while True:
        verb = pick(rng, [option for option in verbs if kind in VERBS[option].patients] if kind else verbs)
        kinds = [kind] if kind else VERBS[verb].patients.split()
        candidate = Event(verb, agent or _agent(rng, verb), thing(rng, pick(rng, kinds)) if kinds else None)
        if belongs(candidate, split) and not (
            candidate.patient and candidate.patient.head == candidate.agent.head
        ):
            detail = rng.more(detail)
            location = place(rng, verb) if rng.random() < detail else None
            return candidate._replace(
                place=location, time=pick(rng, CLASSES["time"]) if rng.random() < detail else ""
            )


def cast(rng: Dice, n: int) -> list[Thing]:
    """`n` different characters, who are people with names."""
    return [Thing(head) for head in rng.sample(CLASSES["person"], n)]


def play(rng: Dice, script: str, people: list[Thing]) -> list[Event]:
    """The three events of a script with these characters. Things keep their identity through the story."""
    bound = {"A": people[0], "B": people[1], "-": None}
    events = []
    for verb, agent, patient in map(str.split, script.split(",")):
        if patient not in bound:
            bound[patient] = thing(rng, patient, 0.2)
        events.append(
            Event(verb, bound[agent], bound[patient], place(rng, verb) if rng.random() < 0.4 else None)
        )
    return events


def story(rng: Dice, split: str, n: int, *, detail: float = 0.5, scripts: float = 0.5) -> list[Event]:
    """`n` events with different verbs around two or three characters. Some stories begin with a script."""
    people = cast(rng, rng.choice((2, 3)))
    played = play(rng, rng.choice(SCRIPTS), people) if rng.random() < scripts else []
    events = played[:n] if all(belongs(e, split) for e in played) else []
    while len(events) < n:
        new = event(rng, split, agent=rng.choice(people), detail=detail)
        if new.verb not in {e.verb for e in events}:
            events.append(new)
    return events
