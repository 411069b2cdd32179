"""Twins of the targets: in another domain, or with rows that mislead who only looks at the words."""

from ..design.tasks import NLI
from . import world
from .layout import asked, parts_of
from .tell import Teller
from .world import CLASSES, OPPOSITE, Dice, Event, belongs, cast, event, pick

SHIFT = 0.5  # how far the other domain is: see `Dice` and `Teller`


def _two_people(rng: Dice, split: str, detail: float) -> tuple[Event, Event]:
    """An event between two people, and the same with their roles exchanged; both belong to the split."""
    while True:
        e = event(rng, split, kind="person", agent=cast(rng, 1)[0], detail=detail)
        exchanged = e._replace(agent=e.patient, patient=e.agent)
        if belongs(exchanged, split):
            return e, exchanged


def xnli_adversarial(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A premise and a hypothesis whose words are as like as can be where it does not follow (roles exchanged,
    or negated), and among many others where it does.
    """
    e, exchanged = _two_people(rng, split, 0.0)
    hypothesis, label = e._replace(negated=rng.random() < 0.3), rng.randrange(3)
    if label == 0:
        said = hypothesis._replace(place=world.place(rng, e.verb), time=pick(rng, CLASSES["time"]))
        premise = [said, _beside(rng, split, e)]
        rng.shuffle(premise)
    else:
        premise = [
            exchanged._replace(negated=hypothesis.negated)
            if label == 1
            else hypothesis._replace(negated=not hypothesis.negated)
        ]
    return {
        "language": tell.code,
        "sentence1": tell.story(premise),
        "sentence2": tell.say(hypothesis),
        "gold_label": NLI[label],
    }


def _beside(rng: Dice, split: str, e: Event) -> Event:
    """Another event, which says nothing about `e`."""
    while True:
        other = event(rng, split, agent=cast(rng, 1)[0], detail=1.0)
        if other.verb not in (e.verb, OPPOSITE.get(e.verb)):
            return other


def pawsx_adversarial(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """Two sentences with the same words in another order, which say the same or have the roles exchanged."""
    e, exchanged = _two_people(rng, split, 1.0)
    label = rng.randrange(2)
    first, second = rng.sample(("", "time", "place"), 2)
    return {
        "sentence1": tell.say(e, fronted=first),
        "sentence2": tell.say(e if label else exchanged, fronted=second),
        "label": str(label),
    }


def xquad_adversarial(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A question about one of three sentences, of which another has its verb with all parts changed.

    As in Jia and Liang (2017), "Adversarial examples for evaluating reading comprehension systems".
    """
    events = world.story(rng, split, 2, detail=0.3)
    e = rng.choice(events)
    events.insert(rng.randrange(3), _misleading(rng, split, e))
    return asked(events, e, rng.choice(parts_of(e)), tell, i)


def _misleading(rng: Dice, split: str, e: Event) -> Event:
    """An event with the same verb and with every part that `e` has, but with other people and things."""
    while True:
        other = event(rng, split, verbs=(e.verb,), detail=0.0)
        other = other._replace(place=world.place(rng, e.verb) if e.place else None)
        heads = [{getattr(x, part).head for part in parts_of(x)} for x in (e, other)]
        if not heads[0] & heads[1]:
            return other
