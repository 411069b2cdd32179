"""Eight constructed languages: declared typology, and a lexicon that follows from it and from nothing else."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from xit_core.micro.world import CLASS_OF, CLASSES, HYPERNYM, NAMED, VERBS

FUNCTION = ["the", "in", "not", "that", "is", "say", "who", "what", "where", "do", "next", "two", "it", "and"]
CONTENT = (*VERBS, *(c for name, members in CLASSES.items() if name not in NAMED for c in members))
CONTENT = (*CONTENT, *dict.fromkeys(HYPERNYM.values()))
NAMES = tuple(c for name in NAMED for c in CLASSES[name])
LATIN = "abdefghiklmnoprstuvz"
SCRIPTS = {"Latin": LATIN, "Greek": "αβδεφγχικλμνοπρστυξζ", "Cyrillic": "абдефгхиклмнопрстувз"}


@dataclass(frozen=True)
class Language:
    """Declared typology. Shares are 0..1; `names` and `words`: identical with the pivot's, letter by letter."""

    code: str
    name: str
    order: str = "SVO"
    adjective: str = "before"  # the noun
    adposition: str = "before"  # its noun phrase
    case: str = ""  # marks the patient: "suffix", "particle" or not at all
    article: bool = False
    wh: str = "first"  # question words: "first" or "in place"
    script: str = "Latin"
    names: float = 1.0
    words: float = 0.0
    bilingual: float = 0.2  # share of its pages in the pretraining text that tell the same in a second language
    consonants: str = "bdfgklmnprstvz"
    vowels: str = "aeiou"


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "Pivot", article=True, words=1.0, consonants="bdfklmnprst"),
        Language("al", "Alun", article=True, words=0.4, consonants="bdflmnrst"),
        Language("fe", "Felin", adjective="after", article=True, words=0.2, consonants="bfklmnpstv"),
        Language("do", "Doran", case="suffix", names=0.9, words=0.1, consonants="dghkmnrtvz"),
        Language("go", "Gorka", "VSO", adjective="after", names=0.8, words=0.1, consonants="bghklnprs"),
        Language("mu", "Muna", "SOV", adposition="after", case="particle", wh="in place", names=0.8),
        Language("pe", "Perim", adjective="after", script="Cyrillic", names=0.5, consonants="bdgklnprtvz"),
        Language("zi", "Zima", "SOV", adposition="after", case="suffix", wh="in place", script="Greek", names=0.3),
    )
}


def _construct(language: Language, concept: str, attempt: int) -> str:
    rng = random.Random(f"{language.code} {concept} {attempt}")
    size = 1 if concept in FUNCTION else rng.choice((2, 2, 3) if concept in NAMES else (2, 2, 2, 3))
    word = "".join(rng.choice(language.consonants) + rng.choice(language.vowels) for _ in range(size))
    word += rng.choice(language.consonants) if rng.random() < 0.4 or size == 1 else ""
    word = word.translate(str.maketrans(LATIN, SCRIPTS[language.script]))
    return word.title() if concept in NAMES else word


def _shares(language: Language, concept: str) -> bool:
    share = language.names if concept in NAMES else language.words if concept in CONTENT else 0.0
    return crc32(f"{language.code} {concept}".encode()) % 1000 < 1000 * share


@cache
def lexicon() -> dict[str, dict[str, str]]:
    """Language code -> concept -> word. No two concepts, in whatever languages, have the same word by accident."""
    used = {"big", "bad", "dad", "dog", "has", "men", "nor", "pen", "pot", "run", "sad"}  # would be read as English
    out: dict[str, dict[str, str]] = {}
    for code, language in LANGUAGES.items():
        words = out[code] = {".": ".", "?": "?"}
        for concept in (*FUNCTION, *CONTENT, *NAMES):
            if code != "en" and _shares(language, concept):
                words[concept] = out["en"][concept]
                continue
            attempt = 0
            while (word := _construct(language, concept, attempt)).lower() in used:
                attempt += 1
            used.add(word.lower())
            words[concept] = word
        words["<case>"] = _construct(language, "the", 99)[-2:] if language.case else ""
    return out


@cache
def siblings(concept: str) -> tuple[str, ...]:
    """The other members of a content word's class: what the noisy translator may say instead."""
    if concept in VERBS:
        takes = VERBS[concept].patients
        return tuple(v for v in VERBS if v != concept and bool(VERBS[v].patients) == bool(takes))
    members = CLASSES.get(CLASS_OF.get(concept, ""), ())
    return tuple(c for c in members if c != concept)


def pieces(texts: dict[str, list[str]]) -> list[tuple[str, float]]:
    """A Unigram vocabulary with its log probabilities: the languages' words, their case suffixes, and single letters.

    Learned pieces cut half of the words of so small a text in two; the sequences get longer and nothing is gained.
    """
    known = {word for words in lexicon().values() for concept, word in words.items() if concept != "<case>" and word}
    suffixes = {lexicon()[code]["<case>"] for code, x in LANGUAGES.items() if x.case == "suffix"}
    counts = Counter(dict.fromkeys([*(f"▁{word}" for word in sorted(known)), *sorted(suffixes)], 0))
    for word, n in Counter(word for pages in texts.values() for page in pages for word in page.split()).items():
        stem, end = next(((word[: -len(x)], x) for x in suffixes if word not in known and word.endswith(x)), (word, ""))
        counts.update({f"▁{stem}": n} | ({end: n} if end else {}))
    known_letters = sorted({letter for piece in counts for letter in piece} - set(counts))
    total = counts.total()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(p, math.log((n + 0.5) / total)) for p, n in ranked] + [(letter, -20.0) for letter in known_letters]
