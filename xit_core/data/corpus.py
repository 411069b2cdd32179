"""The text that an encoder is pretrained on, without repeated lines and without evaluation texts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from ..design.scales import Pretraining, Scale
from ..design.tasks import TARGETS, TASKS, TEXT, languages
from ..machine.places import mirror_dir
from . import formats, reading, real
from .mirror import from_mirror, manifest
from .overlap import CHUNK, Held, units

LEFT_OUT = ("panx_train", "tydiqa_train_contexts")  # sources: the target tasks' own training text
LEAST_UNITS = 3  # a line has at least this many units
Texts = dict[str, list[str]]  # language -> lines


def strings(value) -> Iterator[str]:
    """Every text in a row: its strings, and each list of strings (the tokens of a sentence) joined into one
    text.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(strings, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(strings, value))
        yield " ".join(item for item in value if isinstance(item, str))


def evaluated(s: Scale) -> tuple[Held, int]:
    """The text of the evaluation sets, and the number of splits that it comes from.

    With a mirror these are all of its evaluation splits; without one, those of the target tasks.
    """
    if mirror_dir():
        splits = [
            key
            for key in manifest(mirror_dir())
            if key[0] != "pretrain_text" and not key[2].startswith("train")
        ]
        parts = (part.rows for key in splits for part in from_mirror(*key))
    else:
        splits = [(TASKS[name], lang) for name in TARGETS for lang in languages(TASKS[name], s)]
        parts = (reading.examples(task, "validation", lang, s)[0] for task, lang in splits)
    return Held(text for rows in parts for row in rows for text in strings(row)), len(splits)


def gather(s: Scale, p: Pretraining) -> tuple[Texts, list[dict], dict]:
    """Lines by language in the order of their source, at most `p.rows` each; what was read; and the corpus
    card.

    Removed are:
    - lines of fewer than LEAST_UNITS units;
    - lines that occurred before, in training or in the part held out for measuring the masked LM;
    - lines of the sources in LEFT_OUT;
    - lines that contain an evaluation text of SHORT units or more, or a GRAM-gram of one;
    - lines that say no more than a shorter evaluation text.
    """
    held, splits = evaluated(s)
    texts, records, card = {}, [], {}
    for lang in languages(TEXT, s):
        parts = real.parts(TEXT, "train", lang, s)
        details = [
            {"source": item.source, "revision": item.revision, "stand_in": item.stand_in, "note": item.note}
            for item in parts
        ]
        lines = [
            (item, row.get("source", ""))
            for part in parts
            for row in part.rows
            for item in row["text"].split("\n")
        ]
        texts[lang], card[lang] = clean_lines(lines, held, measured_lines(lang, s), p.rows)
        records += [{"lang": lang, "rows": len(texts[lang])} | entry for entry in details]
    grams = sum(map(len, held.grams.values()))
    details = {
        "evaluation": {"splits": splits, "texts": held.texts, "grams": grams},
        "sources": origins(),
        "languages": card,
    }
    return texts, records, details


def origins() -> list[dict[str, str]]:
    """What a mirror states about the sources of its text: repository, commit, licence; [] where it states
    nothing.
    """
    file = mirror_dir() and mirror_dir() / "pretrain_text/SOURCES.csv"
    return formats.read_rows(file) if file and file.is_file() else []


def measured_lines(lang: str, s: Scale) -> Iterator[str]:
    """The lines that the masked LM is measured on."""
    for part in real.parts(TEXT, "validation", lang, s):
        yield from (line for row in part.rows for line in row["text"].split("\n"))


def clean_lines(
    lines: list[tuple[str, str]], held: Held, apart: Iterable[str], most: int = 0
) -> tuple[list[str], dict]:
    """The lines that may be trained on, at most `most` of them (0 = all), and their card.

    `lines`: each with the name of its source.
    `apart`: lines that are held out, which training text may not repeat.
    """
    previous = {" ".join(units(line)) for line in apart}
    removed, selected = Counter(dict.fromkeys(("no text", "left out", "repeated", "evaluated"), 0)), []
    for start in range(0, len(lines), CHUNK):
        chunk = [(*pair, units(pair[0])) for pair in lines[start : start + CHUNK]]
        for (line, source, words), bad in zip(
            chunk, held.within([words for *_, words in chunk]), strict=True
        ):
            if reason := why(words, source, bad, previous):
                removed[reason] += 1
            else:
                selected.append((line, source, len(words)))
    if most and len(selected) > most:
        selected = [selected[i] for i in np.sort(np.random.default_rng(0).permutation(len(selected))[:most])]
    card = {
        "read": len(lines),
        "kept": len(selected),
        "bytes": sum(len(line.encode()) for line, *_ in selected),
    }
    card |= {"words": sum(n for *_, n in selected), "removed": dict(removed)}
    return [line for line, *_ in selected], card | {
        "sources": dict(Counter(source for _, source, _ in selected))
    }


def why(words: list[str], source: str, bad: bool, known: set[str]) -> str:
    """Why a line is left out; "" for a line that is kept, which is then added to `known`."""
    if len(words) < LEAST_UNITS:
        return "no text"
    if source in LEFT_OUT:
        return "left out"
    if bad:
        return "evaluated"
    text = " ".join(words)
    if text in known:
        return "repeated"
    known.add(text)
    return ""
