"""Telling events in a language: word order, case, questions, tags; and the noisy translator."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from xit_core.micro.languages import LANGUAGES, Language, lexicon, siblings
from xit_core.micro.world import CLASS_OF, Event, Thing

TRANSLATION_ERROR = 0.1  # chance, per content word, that the noisy translator says another word of its class
UPOS = [
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
]
ENTITY = {"person": "PER", "family": "PER", "guild": "ORG", "town": "LOC"}


class Token(NamedTuple):
    """One word to be said: its concept, part of speech, supertag, entity tag, the part it plays, case-marked or not."""

    concept: str
    upos: str
    supertag: str
    entity: str = "O"
    part: str = ""
    marked: bool = False


Tokens = tuple[Token, ...]


@cache
def phrase(code: str, thing: Thing, part: str = "") -> Tokens:
    """A noun phrase; part "patient" is case-marked where the language marks case."""
    if thing.head == "it":
        return (Token("it", "PRON", "NP", part=part),)
    language = LANGUAGES[code]
    marked = part == "patient" and language.case == "suffix"
    kind = CLASS_OF.get(thing.head, "")
    if kind in ENTITY:
        tokens = [Token(thing.head, "PROPN", "NP", f"B-{ENTITY[kind]}", part, marked)]
        if thing.family:
            tokens.append(Token(thing.family, "PROPN", "NP\\NP", f"I-{ENTITY[kind]}", part))
    else:
        tokens = [Token(thing.head, "NOUN", "N" if language.article else "NP", part=part, marked=marked)]
        if thing.adjective:
            tag = tokens[0].supertag
            slash, at = ("/", 0) if language.adjective == "before" else ("\\", 1)
            upos = "NUM" if thing.adjective == "two" else "ADJ"
            tokens.insert(at, Token(thing.adjective, upos, tag + slash + tag, part=part))
        if language.article:
            tokens.insert(0, Token("the", "DET", "NP/N"))
    if part == "patient" and language.case == "particle":
        tokens.append(Token("<case>", "ADP", "NP\\NP"))
    return tuple(tokens)


@cache
def located(code: str, place: Thing, first: bool) -> Tokens:
    """An adpositional phrase; `first` says that it stands before what it modifies."""
    modifier = "S/S" if first else "S\\S"
    inner = phrase(code, place, "place")
    if LANGUAGES[code].adposition == "before":
        return (Token("in", "ADP", f"({modifier})/NP"), *inner)
    return (*inner, Token("in", "ADP", f"({modifier})\\NP"))


@cache
def _verb(code: str, verb: str, arity: int, negated: bool) -> Tokens:
    order = LANGUAGES[code].order
    one = "S/NP" if order == "VSO" else "S\\NP"
    tag = one if arity < 2 else f"({one})\\NP" if order == "SOV" else f"({one})/NP"
    said = (Token(verb, "AUX" if verb == "is" else "VERB", tag),)
    if not negated:
        return said
    no = Token("not", "PART", "(S\\NP)\\(S\\NP)" if order == "SOV" else "(S\\NP)/(S\\NP)")
    return (*said, no) if order == "SOV" else (no, *said)


def clause(code: str, event: Event, ask: str = "", fronted: str = "") -> Tokens:
    """An event without its full stop. `ask` (agent, patient, place) makes that part a question word; `fronted`
    (time, place) moves an adjunct to the beginning, which changes the order of words and not what is said."""
    language = LANGUAGES[code]
    parts = {
        "S": phrase(code, event.agent, "agent"),
        "V": _verb(code, event.verb, 2 if event.patient else 1, event.negated),
        "O": phrase(code, event.patient, "patient") if event.patient else (),
    }
    late = language.order != "SOV"
    where = located(code, event.place, fronted == "place" or not late) if event.place else ()
    when = (Token(event.time, "ADV", "S/S" if fronted == "time" or not late else "S\\S"),) if event.time else ()
    before: Tokens = ()
    if ask:
        word = (Token({"agent": "who", "patient": "what", "place": "where"}[ask], "PRON", "NP", part=ask),)
        parts["S"], parts["O"] = (word if ask == "agent" else parts["S"]), (word if ask == "patient" else parts["O"])
        where = word if ask == "place" else where
        if language.wh == "first":
            before = word
            parts["S"], parts["O"] = (() if ask == "agent" else parts["S"]), (() if ask == "patient" else parts["O"])
            where = () if ask == "place" else where
    if fronted == "place" and ask != "place":
        before, where = before + where, ()
    if fronted == "time":
        before, when = before + when, ()
    core = [parts[letter] for letter in language.order]
    core = [*core, where, when] if late else [core[0], where, when, *core[1:]]
    return before + tuple(token for group in core for token in group)


def attribute(code: str, thing: Thing, adjective: str) -> Tokens:
    """That a thing has a property: subject, copula, adjective, in the language's order."""
    parts = {
        "S": phrase(code, thing, "agent"),
        "V": (Token("is", "AUX", "(S\\NP)/(S\\NP)" if LANGUAGES[code].order != "SOV" else "(S\\NP)\\(S\\NP)"),),
        "O": (Token(adjective, "ADJ", "S\\NP"),),
    }
    return tuple(token for letter in LANGUAGES[code].order for token in parts[letter])


def both(code: str, first: Event, verb: str) -> Tokens:
    """Two clauses with one subject: somebody does something and "it" does something else."""
    return (*clause(code, first), Token("and", "CCONJ", "conj"), *clause(code, Event(verb, Thing("it"))))


def reported(code: str, speaker: Thing, event: Event) -> Tokens:
    """Somebody says that something happened."""
    order = LANGUAGES[code].order
    said = Token("say", "VERB", "(S/NP)/S" if order == "VSO" else "(S\\NP)/S")
    who = phrase(code, speaker, "agent")
    start = (said, *who) if order == "VSO" else (*who, said)
    return (*start, Token("that", "SCONJ", "S/S"), *clause(code, event))


def ended(tokens: Tokens, mark: str = ".") -> Tokens:
    """With its full stop or question mark."""
    return (*tokens, Token(mark, "PUNCT", "."))


class Teller:
    """Words for tokens in one language; with `error` > 0 it is the noisy translator (its own dice: `seed`)."""

    def __init__(self, code: str, seed: str = "", error: float = 0.0):
        self.code, self.error = code, error
        self.language: Language = LANGUAGES[code]
        self.words = lexicon()[code]
        self.rng = random.Random(f"translator {code} {seed}") if error else None

    def word(self, token: Token) -> str:
        """The word, with its case suffix."""
        concept = token.concept
        if self.rng and (others := siblings(concept)) and self.rng.random() < self.error:
            concept = self.rng.choice(others)
        return self.words[concept] + self.words["<case>"] if token.marked else self.words[concept]

    def list(self, tokens: Tokens) -> list[str]:
        """The words of a sentence."""
        return [self.word(token) for token in tokens]

    def say(self, event: Event, ask: str = "", fronted: str = "") -> str:
        """An event as a sentence, or as a question about one of its parts."""
        return " ".join(self.list(ended(clause(self.code, event, ask, fronted), "?" if ask else ".")))

    def story(self, events: list[Event]) -> str:
        """Events one after the other."""
        return " ".join(self.say(event) for event in events)
