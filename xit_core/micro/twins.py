"""Twins of the targets: in another domain, or with rows that mislead who only looks at the words."""

from . import world
from .layout import as_xnli, asked, parts_of, two_people
from .tell import Teller
from .world import CLASSES, OPPOSITE, Dice, Event, cast, event, pick

SHIFT = 0.5  # how far the other domain is: see `Dice` and `Teller`


def xnli_adversarial(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A premise of two sentences, one of which has the words of the hypothesis, whatever the label: it says
    the same, has the roles exchanged, or is negated.
    """
    e, exchanged = two_people(rng, split, detail=0.0)
    hypothesis, label = e._replace(negated=rng.random() < 0.3), rng.randrange(3)
    said = (exchanged if label == 1 else e)._replace(negated=hypothesis.negated ^ (label == 2))
    if not said.negated:  # that something did not happen somewhere does not say that it did not happen
        said = said._replace(place=world.place(rng, e.verb), time=pick(rng, CLASSES["time"]))
    premise = rng.sample([said, _beside(rng, split, e)], 2)
    return as_xnli(premise, hypothesis, label, tell)


def _beside(rng: Dice, split: str, e: Event) -> Event:
    """Another event, which says nothing about `e`."""
    while True:
        other = event(rng, split, agent=cast(rng, 1)[0], detail=1.0)
        if other.verb not in (e.verb, OPPOSITE.get(e.verb)):
            return other


def xquad_adversarial(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A question about one of three sentences, of which another has its verb with all parts changed.

    As in Jia and Liang (2017), "Adversarial examples for evaluating reading comprehension systems".
    """
    events: list[Event] = []
    while not any(x.patient for x in events):  # what tells the two events with one verb apart
        events = world.story(rng, split, 2, detail=0.3)
    e = rng.choice([x for x in events if x.patient])
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
