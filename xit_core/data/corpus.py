"""The text that an encoder is pretrained on: no repeated line, and nothing that an evaluation set holds."""

import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from ..design.scales import Pretraining, Scale
from ..design.tasks import TARGETS, TASKS, TEXT, languages
from ..machine.places import mirror_dir
from . import formats, reading, real
from .mirror import from_mirror, manifest

LEFT_OUT = ("panx_train", "tydiqa_train_contexts")  # the targets' own training text
GRAM = 13  # units that a line and an evaluation text may not have in common
SHORT = 5  # an evaluation text of fewer units only rules out the line that says no more than it
LEAST_UNITS = 3  # units of a line
CHUNK = 20_000  # lines hashed at a time
PRIME = np.uint64(0x100000001B3)  # of the rolling hash
UNSPACED = [
    (0xE00, 0xEFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
]
Texts = dict[str, list[str]]  # language -> lines


def _spelled() -> dict[int, str]:
    """What becomes of each character: what is no letter, mark or digit separates; a letter of a script
    without spaces is a unit of its own (Thai, Lao, Burmese, Khmer, kana, Chinese)."""
    alone = {c: f" {chr(c)} " for first, last in UNSPACED for c in range(first, last + 1)}
    between = {c: " " for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c))[0] not in "LMN"}
    return alone | between


SPELLED = _spelled()


def units(text: str) -> list[str]:
    """Words in lower case, without punctuation; in scripts without spaces, characters."""
    return text.lower().translate(SPELLED).split()


def windows(lines: list[list[str]]) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield for n = 1 to GRAM the hashes of all runs of n units within a line, the line of each, and whether
    it is all of it.

    Shapes: three arrays (runs,) for each n.
    """
    sizes = np.array([len(x) for x in lines])
    each = np.fromiter(map(hash, chain.from_iterable(lines)), np.int64, sizes.sum()).view(np.uint64)
    line, rolled = np.repeat(np.arange(len(lines)), sizes), each
    for n in range(1, GRAM + 1):
        inside = np.flatnonzero(line[: len(rolled)] == line[n - 1 :])
        yield n, rolled[inside], line[inside], sizes[line[inside]] == n
        rolled = rolled[:-1] * PRIME + each[n:]


class Held:
    """What the evaluation sets hold: hashes of their texts of fewer than GRAM units, and of all GRAM-grams of
    the longer ones.
    """

    def __init__(self, texts: Iterable[str]):
        found: dict[int, list[np.ndarray]] = {n: [np.empty(0, np.uint64)] for n in range(1, GRAM + 1)}
        distinct = list(dict.fromkeys(texts))
        for at in range(0, len(distinct), CHUNK):
            for n, rolled, _, whole in windows([*map(units, distinct[at : at + CHUNK])]):
                found[n].append(np.unique(rolled if n == GRAM else rolled[whole]))
        self.texts, self.grams = (
            len(distinct),
            {n: np.unique(np.concatenate(parts)) for n, parts in found.items()},
        )

    def within(self, lines: list[list[str]]) -> np.ndarray:
        """Whether each line (as units) holds an evaluation text or a GRAM-gram of one. Shapes: -> (lines,)
        bool.
        """
        bad = np.zeros(len(lines), bool)
        for n, rolled, line, whole in windows(lines):
            rolled, line = (rolled[whole], line[whole]) if n < SHORT else (rolled, line)
            bad[line[_contained(rolled, self.grams[n])]] = True
        return bad


def _contained(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    at = np.searchsorted(ordered, values)
    return (
        ordered[np.minimum(at, len(ordered) - 1)] == values if len(ordered) else np.zeros(len(values), bool)
    )


def strings(value) -> Iterator[str]:
    """Every text in a row: its strings, and lists of strings (the tokens of a sentence) as one text too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(strings, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(strings, value))
        yield " ".join(x for x in value if isinstance(x, str))


def evaluated(s: Scale) -> tuple[Held, int]:
    """What evaluation sets hold, and of how many splits: all that the mirror has, or without one the targets'
    own.
    """
    if mirror_dir():
        listed = [
            key
            for key in manifest(mirror_dir())
            if key[0] != "pretrain_text" and not key[2].startswith("train")
        ]
        parts = (part.rows for key in listed for part in from_mirror(*key))
    else:
        listed = [(TASKS[name], lang) for name in TARGETS for lang in languages(TASKS[name], s)]
        parts = (reading.examples(task, "validation", lang, s)[0] for task, lang in listed)
    return Held(text for rows in parts for row in rows for text in strings(row)), len(listed)


def gather(s: Scale, p: Pretraining) -> tuple[Texts, list[dict], dict]:
    """Lines by language in the order of their source, at most `p.rows` each; what was read; and the card of
    the corpus.

    Left out are lines of under LEAST units, lines said before (in training or in the part held out for
    measuring the masked LM), lines of LEFT_OUT, and lines with an evaluation text of SHORT units or more, or
    a GRAM-gram of one, in them.
    """
    held, splits = evaluated(s)
    texts, seen, card = {}, [], {}
    for lang in languages(TEXT, s):
        parts = real.parts(TEXT, "train", lang, s)
        told = [
            {"source": x.source, "revision": x.revision, "stand_in": x.stand_in, "note": x.note}
            for x in parts
        ]
        lines = [
            (x, row.get("source", "")) for part in parts for row in part.rows for x in row["text"].split("\n")
        ]
        texts[lang], card[lang] = clean_lines(lines, held, measured_lines(lang, s), p.rows)
        seen += [{"lang": lang, "rows": len(texts[lang])} | each for each in told]
    grams = sum(map(len, held.grams.values()))
    told = {
        "evaluation": {"splits": splits, "texts": held.texts, "grams": grams},
        "sources": origins(),
        "languages": card,
    }
    return texts, seen, told


def origins() -> list[dict[str, str]]:
    """What a mirror says of the sources of its text: repository, commit, licence."""
    file = mirror_dir() and mirror_dir() / "pretrain_text/SOURCES.csv"
    return formats.read_rows(file) if file and file.is_file() else []


def measured_lines(lang: str, s: Scale) -> Iterator[str]:
    """The lines that the masked LM is measured on."""
    for part in real.parts(TEXT, "validation", lang, s):
        yield from (line for row in part.rows for line in row["text"].split("\n"))


def clean_lines(
    lines: list[tuple[str, str]], held: Held, apart: Iterable[str], most: int = 0
) -> tuple[list[str], dict]:
    """The lines (with the name of their source) that may be trained on, at most `most` (0 = all), and their
    card.
    """
    known = {" ".join(units(line)) for line in apart}
    removed, kept = Counter(dict.fromkeys(("no text", "left out", "repeated", "evaluated"), 0)), []
    for at in range(0, len(lines), CHUNK):
        some = [(*each, units(each[0])) for each in lines[at : at + CHUNK]]
        for (line, source, words), bad in zip(some, held.within([words for *_, words in some]), strict=True):
            if reason := why(words, source, bad, known):
                removed[reason] += 1
            else:
                kept.append((line, source, len(words)))
    if most and len(kept) > most:
        kept = [kept[i] for i in np.sort(np.random.default_rng(0).permutation(len(kept))[:most])]
    told = {"read": len(lines), "kept": len(kept), "bytes": sum(len(line.encode()) for line, *_ in kept)}
    told |= {"words": sum(n for *_, n in kept), "removed": dict(removed)}
    return [line for line, *_ in kept], told | {"sources": dict(Counter(source for _, source, _ in kept))}


def why(words: list[str], source: str, bad: bool, known: set[str]) -> str:
    """Why a line is left out; "" for one that is kept, which `known` then holds."""
    if len(words) < LEAST_UNITS:
        return "no text"
    if source in LEFT_OUT:
        return "left out"
    if bad:
        return "evaluated"
    said = " ".join(words)
    if said in known:
        return "repeated"
    known.add(said)
    return ""
