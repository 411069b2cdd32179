"""Telling events in a language: word order, case, questions and tags; and the noisy translator."""

from functools import cache
from typing import NamedTuple

from .languages import LANGUAGES, lexicon, siblings, unknown_names
from .world import CLASS_OF, Dice, Event, Thing

TRANSLATION_ERROR = 0.1  # chance per content word that the noisy translator uses another word of its class
ENTITY = {"person": "PER", "family": "PER", "guild": "ORG", "town": "LOC"}
ORDER = {
    "SVO": "agent verb patient place time",
    "VSO": "verb agent patient place time",
    "SOV": "agent place time patient verb",
}


class Token(NamedTuple):
    """One word to be said.

    Its fields are the concept, part of speech, supertag, entity tag, the part it plays, and whether it is
    case-marked.
    """

    concept: str
    upos: str
    supertag: str
    entity: str = "O"
    part: str = ""
    marked: bool = False


Tokens = tuple[Token, ...]


@cache
def phrase(code: str, thing: Thing, part: str = "") -> Tokens:
    """A noun phrase, or the adjective of a property.

    If `part` is "patient", the phrase is case-marked in a language that marks case.
    """
    language, kind = LANGUAGES[code], CLASS_OF.get(thing.head, "")
    case = language.case if part == "patient" else ""
    if thing.head == "it":
        return (Token("it", "PRON", "NP", part=part),)
    if kind == "adjective":
        return (Token(thing.head, "ADJ", "S\\NP"),)
    if kind in ENTITY:
        tokens = [Token(thing.head, "PROPN", "NP", f"B-{ENTITY[kind]}", part, case == "suffix")]
        if thing.family:
            tokens.append(Token(thing.family, "PROPN", "NP\\NP", f"I-{ENTITY[kind]}", part))
    else:
        tag = "N" if language.article else "NP"
        tokens = [Token(thing.head, "NOUN", tag, part=part, marked=case == "suffix")]
        if thing.adjective:
            slash, position = ("/", 0) if language.adjective == "before" else ("\\", 1)
            tokens.insert(
                position,
                Token(
                    thing.adjective,
                    "NUM" if thing.adjective == "two" else "ADJ",
                    tag + slash + tag,
                    part=part,
                ),
            )
        if language.article:
            tokens.insert(0, Token("the", "DET", "NP/N"))
    return (*tokens, Token("<case>", "ADP", "NP\\NP")) if case == "particle" else tuple(tokens)


@cache
def _located(code: str, place: Thing, modifier: str) -> Tokens:
    inner = phrase(code, place, "place")
    if LANGUAGES[code].adposition == "before":
        return (Token("in", "ADP", f"({modifier})/NP"), *inner)
    return (*inner, Token("in", "ADP", f"({modifier})\\NP"))


@cache
def _verb(code: str, verb: str, transitive: bool, negated: bool) -> Tokens:
    final = LANGUAGES[code].order == "SOV"
    one = "S/NP" if LANGUAGES[code].order == "VSO" else "S\\NP"
    two = f"({one})\\NP" if final else f"({one})/NP"
    modifier = "(S\\NP)\\(S\\NP)" if final else "(S\\NP)/(S\\NP)"
    if verb == "is":
        return (Token("is", "AUX", modifier),)
    verb_token, negation = Token(verb, "VERB", two if transitive else one), Token("not", "PART", modifier)
    return (verb_token,) if not negated else (verb_token, negation) if final else (negation, verb_token)


def clause(code: str, event: Event, ask: str = "", fronted: str = "") -> Tokens:
    """An event as tokens without the full stop.

    `ask` (agent, patient or place) turns that part into a question word. `fronted` (time or place) moves an
    adjunct to the beginning, which changes the word order but not the meaning.
    """
    language = LANGUAGES[code]
    tag = {
        adjunct: "S/S" if adjunct == fronted or language.order == "SOV" else "S\\S"
        for adjunct in ("place", "time")
    }
    constituents = {
        "agent": phrase(code, event.agent, "agent"),
        "verb": _verb(code, event.verb, bool(event.patient), event.negated),
        "patient": phrase(code, event.patient, "patient") if event.patient else (),
        "place": _located(code, event.place, tag["place"]) if event.place else (),
        "time": (Token(event.time, "ADV", tag["time"]),) if event.time else (),
    }
    if ask:
        constituents[ask] = (
            Token({"agent": "who", "patient": "what", "place": "where"}[ask], "PRON", "NP", part=ask),
        )
    first = [ask if language.wh == "first" else "", fronted if fronted != ask else ""]
    parts = sorted(ORDER[language.order].split(), key=lambda part: first.index(part) if part in first else 2)
    return tuple(token for part in parts for token in constituents[part])


def reported(code: str, speaker: Thing, event: Event) -> Tokens:
    """A clause in which somebody says that something happened."""
    first, who = LANGUAGES[code].order == "VSO", phrase(code, speaker, "agent")
    says = (Token("say", "VERB", "(S/NP)/S"), *who) if first else (*who, Token("say", "VERB", "(S\\NP)/S"))
    return (*says, Token("that", "SCONJ", "S/S"), *clause(code, event))


def ended(tokens: Tokens, mark: str = ".") -> Tokens:
    """The tokens with a full stop or question mark at the end."""
    return (*tokens, Token(mark, "PUNCT", "."))


class Teller:
    """Turns tokens into words of one language.

    With `error` > 0 it is the noisy translator, which has its own random generator, seeded by `seed`. With
    `shift` > 0 such a share of the names is replaced by names that no other text has, by the seed the same
    ones in every language.
    """

    def __init__(self, code: str, seed: str = "", error: float = 0.0, shift: float = 0.0):
        self.code, self.seed, self.error, self.shift = code, seed, error, shift
        self.words = lexicon()[code]
        self.rng = Dice(f"translator {code} {seed}") if error else None
        if shift:
            dice = Dice(f"names {seed}")
            self.words = self.words | {
                name: word for name, word in unknown_names()[code].items() if dice.random() < shift
            }

    def into(self, code: str) -> "Teller":
        """One who says the same in another language, without error."""
        return Teller(code, self.seed, shift=self.shift)

    def word(self, token: Token) -> str:
        """The word of a token in the language."""
        concept = token.concept
        if self.rng and (others := siblings(concept)) and self.rng.random() < self.error:
            concept = self.rng.choice(others)
        return self.words[concept] + self.words["<case>"] * token.marked

    def text(self, tokens: Tokens) -> str:
        """Tokens as a text."""
        return " ".join(self.list(tokens))

    def say(self, event: Event, ask: str = "", fronted: str = "") -> str:
        """An event as a sentence, or as a question about one of its parts."""
        return self.text(ended(clause(self.code, event, ask, fronted), "?" if ask else "."))

    def story(self, events: list[Event]) -> str:
        """Events as sentences, one after the other."""
        return " ".join(self.say(event) for event in events)

    def list(self, tokens: Tokens) -> list[str]:  # defined last, because the name hides the built-in
        """Tokens as a list of words."""
        return [self.word(token) for token in tokens]
