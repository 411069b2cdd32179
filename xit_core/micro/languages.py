"""Eight constructed languages: their declared typology, and a lexicon that follows from it alone."""

import math
from collections import Counter
from functools import cache
from itertools import count, repeat
from typing import NamedTuple
from zlib import crc32

from .world import CLASS_OF, CLASSES, COMMON, HYPERNYM, NAMED, VERBS, Dice

FUNCTION = "the in not that is say who what where do next two it and".split()
CONTENT = (*VERBS, *(c for name in COMMON for c in CLASSES[name]), *dict.fromkeys(HYPERNYM.values()))
PROPER_NAMES = tuple(c for name in NAMED for c in CLASSES[name])
UNKNOWN = "unknown "  # before the concept of a name: the other name that no text has
LATIN = "abdefghiklmnoprstuvz"
ALPHABETS = {"Latin": LATIN, "Greek": "αβδεφγχικλμνοπρστυξζ", "Cyrillic": "абдефгхиклмнопрстувз"}


class Language(NamedTuple):
    """The declared typology of a language.

    `names` and `words`: the shares (0 to 1) that are identical with the pivot's, letter by letter.
    """

    code: str
    name: str
    order: str = "SVO"
    adjective: str = "before"  # before or after the noun
    adposition: str = "before"  # before or after its noun phrase
    case: str = ""  # how the patient is marked: "suffix", "particle", or "" for no marking
    article: bool = False
    wh: str = "first"  # position of question words: "first" or "in place"
    script: str = "Latin"
    names: float = 1.0
    words: float = 0.0
    # share of its pages in the pretraining text that say the same in a second language
    bilingual: float = 0.2
    consonants: str = "bdfgklmnprstvz"
    vowels: str = "aeiou"


DECLARED = (
    Language("en", "Pivot", article=True, words=1.0, consonants="bdfklmnprst"),
    Language("al", "Alun", article=True, words=0.4, consonants="bdflmnrst"),
    Language("fe", "Felin", adjective="after", article=True, words=0.2, consonants="bfklmnpstv"),
    Language("do", "Doran", case="suffix", names=0.9, words=0.1, consonants="dghkmnrtvz"),
    Language("go", "Gorka", "VSO", adjective="after", names=0.8, words=0.1, consonants="bghklnprs"),
    Language("mu", "Muna", "SOV", adposition="after", case="particle", wh="in place", names=0.8),
    Language("pe", "Perim", adjective="after", script="Cyrillic", names=0.5, consonants="bdgklnprtvz"),
    Language(
        "zi", "Zima", "SOV", adposition="after", case="suffix", wh="in place", script="Greek", names=0.3
    ),
)
LANGUAGES = {language.code: language for language in DECLARED}


def _construct(language: Language, concept: str, attempt: int) -> str:
    name = concept.removeprefix(UNKNOWN) in PROPER_NAMES
    rng = Dice(f"{language.code} {concept} {attempt}")
    size = 1 if concept in FUNCTION else rng.choice((2, 2, 3) if name else (2, 2, 2, 3))
    word = "".join(rng.choice(language.consonants) + rng.choice(language.vowels) for _ in range(size))
    word += rng.choice(language.consonants) if rng.random() < 0.4 or size == 1 else ""
    word = word.translate(str.maketrans(LATIN, ALPHABETS[language.script]))
    return word.title() if name else word


@cache
def lexicon() -> dict[str, dict[str, str]]:
    """Language code -> concept -> word.

    No two concepts, in the same or in different languages, share a word by accident.
    """
    # words that would be read as English
    used = {"big", "bad", "dad", "dog", "has", "men", "nor", "pen", "pot", "run", "sad"}
    out: dict[str, dict[str, str]] = {}
    for code, x in LANGUAGES.items():
        words = out[code] = {".": ".", "?": "?"}
        for concept in (*FUNCTION, *CONTENT, *PROPER_NAMES):
            words[concept] = _word(x, concept, concept, out["en"], used)
        words["<case>"] = _construct(x, "the", 99)[-2:] if x.case else ""
    return out


def _word(x: Language, concept: str, form: str, pivot: dict[str, str], used: set[str]) -> str:
    """The pivot's word, for the share of concepts that a language has from it, else the first word built from
    `form` that is not used yet.
    """
    share = 0 if x.code == "en" or concept in FUNCTION else x.names if concept in PROPER_NAMES else x.words
    shared = crc32(f"{x.code} {concept}".encode()) % 1000 < 1000 * share
    attempts = map(_construct, repeat(x), repeat(form), count())
    word = pivot[concept] if shared else next(word for word in attempts if word.lower() not in used)
    used.add(word.lower())
    return word


@cache
def unknown_names() -> dict[str, dict[str, str]]:
    """Language code -> concept of a name -> another name, which no pretraining text has.

    A language has as many of them from the pivot as of the known ones.
    """
    used = {word.lower() for words in lexicon().values() for word in words.values()}
    out: dict[str, dict[str, str]] = {}
    for code, x in LANGUAGES.items():
        words = out[code] = {}
        for name in PROPER_NAMES:
            words[name] = _word(x, name, UNKNOWN + name, out["en"], used)
    return out


@cache
def siblings(concept: str) -> tuple[str, ...]:
    """The other members of a content word's class, which the noisy translator may use instead."""
    members = CLASSES.get(CLASS_OF.get(concept, ""), ())
    if concept in VERBS:
        members = (verb for verb in VERBS if bool(VERBS[verb].patients) == bool(VERBS[concept].patients))
    return tuple(member for member in members if member != concept)


def word_pieces(texts: dict[str, list[str]]) -> list[tuple[str, float]]:
    """A Unigram vocabulary with log probabilities: the languages' words, their case suffixes, and single
    letters.

    With so small a text, learned pieces would cut half of the words in two. The sequences would get longer,
    and nothing would be gained.
    """
    whole_words = {
        word for words in lexicon().values() for concept, word in words.items() if concept != "<case>"
    }
    suffixes = {lexicon()[code]["<case>"] for code, x in LANGUAGES.items() if x.case == "suffix"}
    counts = Counter(dict.fromkeys([f"▁{word}" for word in whole_words] + list(suffixes), 0))
    words = Counter(word for pages in texts.values() for page in pages for word in page.split())
    for word, n in words.items():
        suffix = next((x for x in suffixes if word not in whole_words and word.endswith(x)), "")
        counts.update({f"▁{word.removesuffix(suffix)}": n} | ({suffix: n} if suffix else {}))
    letters = sorted({letter for piece in counts for letter in piece} - set(counts))
    total, ranked = counts.total(), sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [(piece, math.log((n + 0.5) / total)) for piece, n in ranked]
    return frequent + [(letter, -20.0) for letter in letters]
