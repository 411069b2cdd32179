"""The things that exist and what they tend to do: concepts, preferences, scripts, and events drawn from them.

Nothing here knows a language. A concept's key is its gloss; the first of a list is the most frequent (Zipf).
"""

from __future__ import annotations

import random
from bisect import bisect
from functools import cache
from itertools import accumulate
from typing import NamedTuple
from zlib import crc32

CLASSES: dict[str, tuple[str, ...]] = {
    "role": ("farmer", "teacher", "baker", "singer", "doctor", "fisher", "guard", "priest"),
    "animal": ("dog", "horse", "bird", "cow", "fox"),
    "food": ("bread", "apple", "cheese", "soup", "cake"),
    "text": ("book", "letter", "song"),
    "instrument": ("drum", "flute"),
    "object": ("basket", "knife", "coat", "lamp", "rope"),
    "place": ("house", "market", "school", "river", "kitchen", "field", "temple", "forest"),
    "person": tuple(f"Person{i}" for i in range(16)),
    "family": tuple(f"Family{i}" for i in range(6)),
    "town": tuple(f"Town{i}" for i in range(10)),
    "guild": tuple(f"Guild{i}" for i in range(6)),
    "adjective": ("big", "old", "good", "clean", "happy", "rich", "small", "young", "bad", "dirty", "sad", "poor"),
    "time": ("today", "yesterday", "often"),
}
HYPERNYM = {"animal": "creature", "food": "meal", "text": "work", "instrument": "thing", "object": "thing"}
NAMED = ("person", "family", "town", "guild")


class Verb(NamedTuple):
    """What a verb takes: classes of its patient ("" = none), where it happens, who is known for it."""

    patients: tuple[str, ...] = ()
    place: str = ""
    role: str = ""


VERBS: dict[str, Verb] = {
    "see": Verb(("person", "animal", "object")),
    "eat": Verb(("food",), "kitchen"),
    "buy": Verb(("food", "object"), "market"),
    "love": Verb(("person", "animal"), "house"),
    "find": Verb(("animal", "object"), "forest"),
    "help": Verb(("person", "role"), "house"),
    "read": Verb(("text",), "school", "teacher"),
    "cook": Verb(("food",), "kitchen", "baker"),
    "call": Verb(("person", "role"), "house"),
    "sleep": Verb((), "house"),
    "feed": Verb(("animal",), "field", "farmer"),
    "sell": Verb(("food", "object"), "market"),
    "carry": Verb(("object", "food"), "field"),
    "lose": Verb(("animal", "object"), "forest"),
    "laugh": Verb((), "market"),
    "catch": Verb(("animal",), "river", "fisher"),
    "chase": Verb(("animal", "person"), "field", "guard"),
    "write": Verb(("text",), "school", "teacher"),
    "play": Verb(("instrument",), "temple", "singer"),
    "sing": Verb((), "temple", "singer"),
    "hate": Verb(("person", "animal"), "house"),
    "break": Verb(("object", "instrument"), "house"),
    "repair": Verb(("object", "instrument"), "house"),
    "heal": Verb(("person", "role"), "house", "doctor"),
    "pray": Verb((), "temple", "priest"),
    "swim": Verb((), "river", "fisher"),
    "cry": Verb((), "house"),
    "hurt": Verb(("person", "animal"), "field"),
    "wake": Verb((), "house"),
    "wash": Verb(("object", "animal"), "river"),
}
PAIRS = ["buy sell", "love hate", "find lose", "help hurt", "laugh cry", "sleep wake", "break repair"]
PAIRS += ["big small", "old young", "good bad", "clean dirty", "happy sad", "rich poor"]
OPPOSITE = {a: b for pair in PAIRS for a, b in (pair.split(), reversed(pair.split()))}
# Steps of a script: verb, agent, patient. A and B are two characters, other patients are classes of things.
SCRIPTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "cooking": (("buy", "A", "food"), ("cook", "A", "food"), ("eat", "B", "food")),
    "rescue": (("lose", "A", "animal"), ("find", "B", "animal"), ("feed", "B", "animal")),
    "lesson": (("write", "A", "text"), ("call", "A", "B"), ("read", "B", "text")),
    "repair": (("carry", "A", "object"), ("break", "A", "object"), ("repair", "B", "object")),
    "music": (("call", "A", "B"), ("sing", "A", ""), ("play", "B", "instrument")),
    "hunt": (("see", "A", "animal"), ("chase", "A", "animal"), ("catch", "B", "animal")),
    "quarrel": (("hate", "A", "B"), ("hurt", "A", "B"), ("cry", "B", "")),
    "illness": (("help", "A", "B"), ("heal", "A", "B"), ("laugh", "B", "")),
    "night": (("pray", "A", ""), ("sleep", "A", ""), ("wake", "B", "")),
    "laundry": (("swim", "A", ""), ("wash", "A", "object"), ("sell", "B", "object")),
}
CLASS_OF = {concept: name for name, members in CLASSES.items() for concept in members}


class Thing(NamedTuple):
    """Somebody or something: a concept, perhaps with an adjective and a second name (family name of a person)."""

    head: str
    adjective: str = ""
    family: str = ""


class Event(NamedTuple):
    """Who did what to whom, where, when; `verb` "be" says that the agent has the property in `time`'s place."""

    verb: str
    agent: Thing
    patient: Thing | None = None
    place: Thing | None = None
    time: str = ""
    negated: bool = False


@cache
def _weights(n: int) -> tuple[float, ...]:
    return tuple(accumulate(1 / (rank + 4) for rank in range(n)))


def pick(rng: random.Random, options: tuple | list):
    """One of `options`, the first more often than the last (Zipf-Mandelbrot, offset 4)."""
    weights = _weights(len(options))
    return options[bisect(weights, rng.random() * weights[-1])]


@cache
def _fold(agent: str, verb: str, patient: str) -> bool:
    verb = min(verb, OPPOSITE.get(verb, verb))
    patient = HYPERNYM.get(CLASS_OF.get(patient, ""), patient)
    return crc32(f"{agent} {verb} {patient}".encode()) % 4 == 0


def belongs(event: Event, split: str) -> bool:
    """Whether an event may be told in a split: a quarter of (agent, verb or opposite, kind of patient) is held out."""
    return _fold(event.agent.head, event.verb, event.patient.head if event.patient else "") == (split != "train")


def thing(rng: random.Random, kind: str, adjectives: float = 0.3) -> Thing:
    """A thing of a class; names never have an adjective."""
    head = pick(rng, CLASSES[kind])
    if kind in NAMED or rng.random() >= adjectives:
        return Thing(head)
    return Thing(head, pick(rng, CLASSES["adjective"]))


def place(rng: random.Random, verb: str, towns: float = 0.4) -> Thing:
    """Where it happens: a town, or (mostly) the place that the verb prefers."""
    if rng.random() < towns:
        return Thing(pick(rng, CLASSES["town"]))
    usual = VERBS[verb].place
    return Thing(usual if usual and rng.random() < 0.85 else pick(rng, CLASSES["place"]))


def _agent(rng: random.Random, verb: str) -> Thing:
    if rng.random() < 0.6:
        return Thing(pick(rng, CLASSES["person"]))
    known = VERBS[verb].role
    return Thing(known) if known and rng.random() < 0.8 else thing(rng, "role", 0.15)


def event(
    rng: random.Random, split: str, *, verbs=tuple(VERBS), agent: Thing | None = None, kinds=(), detail: float = 0.5
) -> Event:
    """An event of a split; `detail`: the chance of a place and of a time; `kinds`: classes the patient may be of."""
    while True:
        verb = pick(rng, verbs)
        takes = [k for k in VERBS[verb].patients if k in kinds] if kinds else VERBS[verb].patients
        who = agent or _agent(rng, verb)
        whom = thing(rng, pick(rng, takes)) if takes else None
        told = Event(verb, who, whom)
        if belongs(told, split) and not (whom and whom.head == who.head):
            break
    where = place(rng, verb) if rng.random() < detail else None
    return told._replace(place=where, time=pick(rng, CLASSES["time"]) if rng.random() < detail else "")


def cast(rng: random.Random, n: int = 2) -> list[Thing]:
    """`n` different characters: people with names."""
    return [Thing(head) for head in rng.sample(CLASSES["person"], n)]


def play(rng: random.Random, script: str, people: list[Thing]) -> list[Event]:
    """The three events of a script with these characters; things keep their identity through the story."""
    bound = {"A": people[0], "B": people[1]}
    out = []
    for verb, agent, patient in SCRIPTS[script]:
        if patient and patient not in bound:
            bound[patient] = thing(rng, patient, 0.2)
        out.append(Event(verb, bound[agent], bound.get(patient), place(rng, verb) if rng.random() < 0.4 else None))
    return out


def story(rng: random.Random, split: str, n: int, *, detail: float = 0.5, scripts: float = 0.5) -> list[Event]:
    """`n` events with different verbs around two or three characters; a script begins some of the stories."""
    people = cast(rng, rng.choice((2, 3)))
    out: list[Event] = []
    if rng.random() < scripts:
        played = play(rng, rng.choice(tuple(SCRIPTS)), people)
        out = played[:n] if all(belongs(e, split) for e in played) else []
    while len(out) < n:
        new = event(rng, split, agent=rng.choice(people), detail=detail)
        if new.verb not in {e.verb for e in out}:
            out.append(new)
    return out
