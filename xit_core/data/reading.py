"""Examples of a task: rows are read, checked, counted and hashed. Rows that are dropped are counted too."""

import contextlib
import hashlib
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from ..design.languages import NAMES
from ..design.readers import MISPLACED, SCENES, Note, Wrong
from ..design.scales import PIVOT, Scale
from ..design.tasks import EVERY, TARGETS, TASKS, TEXT, Task, languages, train_languages
from ..machine.errors import Absent, Bad
from ..machine.places import local_dir, mirror_dir
from . import overlap, worlds
from .local import Part

# "de", "german" and "deu" -> "de"
CODES = {word.lower(): code for code, names in NAMES.items() for word in (code, *names.split())}
LABELLED = 20  # from this many evaluation rows on, a single label for all of them means placeholders
TYPES = {
    "a": str, "b": str, "question": str, "context": str, "mention": str, "tokens": list, "tags": list,
    "scene": list,
    "choices": list,
    "sentences": list, "label": int,
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """The record of what a run read: rows, their content hash, and where they came from.

    `counts`: the number of rows by what happened to them (why a row gave no example, or what was mended in
    one).
    `dropped`: how many of them gave no example.
    `stand_in`: whether the rows are not from the declared data set's split.
    """

    task: str
    split: str
    lang: str
    rows: int
    dropped: int
    sha256: str
    source: str
    revision: str
    stand_in: bool
    licence: str
    counts: dict[str, int]
    note: str


def examples(
    task: Task, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT
) -> tuple[list[dict], list[dict]]:
    """Examples of one task, split ("train" or "validation") and language, and the record of what was read.

    Each example has an "id": the row's own, or its number among the examples. The record is a list of `Seen`
    objects as dictionaries, one for each source of rows.
    `n`: at most so many examples of each source, the same ones for every seed; 0 = all. Of rows in machine
    translation, so many of all languages together.
    `data_lang`: "mt" for the rows in machine translation.
    Training rows with the text of an evaluation row are dropped before a sample is drawn.

    Raises: Bad when the rows cannot be had, or when one of them is not what the task declares (naming source,
    row and field).
    """
    given = (task, split, lang, scale, n, data_lang)
    # generated rows are always the same; files may change
    rows, seen = generated(*given) if scale.world.made else read(*given)
    return [*rows], [*seen]


@lru_cache(maxsize=256)  # a notebook reads the same rows for every seed of its runs
def generated(
    task: Task, split: str, lang: str, scale: Scale, n: int, data_lang: str
) -> tuple[list[dict], list[dict]]:
    """What `read` returns for generated rows; cached, so it must not be changed."""
    return read(task, split, lang, scale, n, data_lang)


def read(
    task: Task, split: str, lang: str, scale: Scale, n: int, data_lang: str
) -> tuple[list[dict], list[dict]]:
    """What `examples` returns."""
    parts = worlds.of(scale).parts(task, split, lang, scale, n, data_lang)
    evaluated, lacking = evaluated_texts(task, lang, scale, data_lang) if split == "train" else ({}, "")
    collected, records = [], []
    # a translation has a part for each of its languages: together they have as many rows as English has
    most = -(-n // len(parts)) if split == "train" and data_lang != PIVOT else n
    for number, part in enumerate(parts):
        chosen, counts = drawn(task, part, split, lang, scale, most, evaluated)
        noted = part._replace(note="; ".join(filter(None, [part.note, lacking])))
        licence = "as this package" if scale.world.made else task.licence
        records.append(record(task, split, lang, noted, [*chosen.values()], counts, licence))
        collected += [
            {"id": f"{number}-{i}" if number else str(i)} | example for i, example in chosen.items()
        ]
    if not collected:
        refuse_empty(f"{task.name}/{split}/{lang}", records)
    same_choices(f"{task.name}/{split}/{lang}", collected)
    if split != "train":
        labelled(task, lang, collected)
    return collected, records


def refuse_empty(name: str, records: list[dict]) -> None:
    """Raise Bad for a split without examples, saying what was read and why it gave none."""
    sources = ", ".join(entry["source"] for entry in records)
    reasons = "; ".join(f"{n}: {why}" for entry in records for why, n in entry["counts"].items())
    told = f"{sources} ({reasons})" if reasons else sources
    raise Bad(f"{name}: no example could be read from {told}; see `xit data`")


def training_examples(
    task: Task, scale: Scale, rows: int, data_lang: str = PIVOT
) -> tuple[list[dict], list[dict]]:
    """Training examples of a task in every language that trains it, returned as `examples` returns them.

    `rows`: rows from each source, shared out among the languages; 0 = all. `data_lang`: "mt" for the rows in
    machine translation; a task that trains on every language is never translated.
    """
    langs = train_languages(task, scale)
    wanted = PIVOT if task.train_lang == EVERY else data_lang
    parts = [examples(task, "train", lang, scale, -(-rows // len(langs)), wanted) for lang in langs]
    return [x for found, _ in parts for x in found], [entry for _, read in parts for entry in read]


def gold_pairs(
    task: Task, lang: str, scale: Scale, split: str = "validation"
) -> tuple[list[dict], list[dict]]:
    """The gold pairs that mining is scored by, returned as `examples` returns them.

    Real pools need all of their gold pairs: with a sample, true pairs would count as wrong. Generated pools
    are made to fit as many pairs as the scale evaluates.
    """
    return examples(task, split, lang, scale, scale.eval_rows if scale.world.made else 0)


def unevaluated(
    task: Task, found: list[dict], counts: Counter, evaluated: dict[str, set[int]], scale: Scale
) -> tuple[list[dict], Counter]:
    """The training examples of a task that repeat no evaluation row, and the updated counts."""
    if task.no_overlap_with and not scale.world.made:
        found, counts = without_overlap(found, counts, task.no_overlap_with, scale)
    return overlap.without_equal(found, counts, evaluated) if evaluated else (found, counts)


def without_overlap(
    found: list[dict], counts: Counter, names: tuple[str, ...], scale: Scale
) -> tuple[list[dict], Counter]:
    """The examples whose English context is not in the evaluation rows of the named tasks, and the updated
    counts.

    The counts say how many examples were removed, by task.
    """
    evaluated_in = {
        " ".join(example["context"].split()): name
        for name in names
        for example in examples(TASKS[name], "validation", PIVOT, scale)[0]
    }
    matches = [evaluated_in.get(" ".join(example["context"].split()), "") for example in found]
    counts = counts + Counter(f"context is evaluated in {name}" for name in matches if name)
    return [example for example, name in zip(found, matches, strict=True) if not name], counts


def evaluated_texts(task: Task, lang: str, scale: Scale, data_lang: str) -> tuple[dict[str, set[int]], str]:
    """The texts that no training row of a task may have, as hashes by task, and which sets are not at hand.

    They are those of evaluation rows in the language of the training rows; for rows in machine translation,
    which are in several, in every language.
    """
    texts, lacking = {}, []
    for other in overlap.compared(task):
        for code in languages(other, scale):
            if code == lang or data_lang != PIVOT:
                try:
                    found = whole_texts(other, code, scale, mirror_dir(), local_dir())
                    texts[other.name] = texts.get(other.name, set()) | found
                except Absent:
                    lacking.append(f"{other.name}/{code}")
    return texts, f"not compared with rows that are not at hand: {', '.join(lacking)}" if lacking else ""


@lru_cache(maxsize=512)
def whole_texts(
    task: Task, lang: str, scale: Scale, _mirror: Path | None, _local: Path | None
) -> frozenset[int]:
    """The whole texts of a task's evaluation rows as hashes, read once per process.

    Real sets are read whole, however many of their rows are evaluated. The folders only say which rows are
    meant.
    """
    n = scale.eval_rows if scale.world.made else 0
    parts = worlds.of(scale).parts(task, "validation", lang, scale, n)
    return frozenset(overlap.whole(row) for part in parts for row in read_part(task, part, lang, False)[0])


@lru_cache(maxsize=64)
def held_texts(lang: str, scale: Scale, _mirror: Path | None, _local: Path | None) -> overlap.Held:
    """The texts of all targets' evaluation rows in a language, of those that are at hand; read once per
    process.

    English is in the rows of retrieval tasks in every language. The folders only say which rows are meant.
    """
    texts: list[str] = []
    for task in (TASKS[name] for name in TARGETS):
        for code in languages(task, scale):
            if code == lang or lang == PIVOT and task.retrieves:
                with contextlib.suppress(Absent):
                    rows, _ = examples(task, "validation", code, scale)
                    texts += [text for row in rows for text in overlap.segments(row)]
    return overlap.Held(texts)


class Watched(dict):
    """A raw row that remembers which field was read last, so that an error can name it."""

    last = ""

    def __getitem__(self, key):
        self.last = key
        return super().__getitem__(key)


def drawn(
    task: Task, part: Part, split: str, lang: str, scale: Scale, n: int, evaluated: dict[str, set[int]]
) -> tuple[dict[int, dict], Counter]:
    """The examples that are taken of a part, by their number, and its rows by what happened to them.

    `n`, `lang`, `split`: as `examples` has them. `evaluated`: texts that no training row may have.
    """
    candidates, counts = read_part(task, part, lang, split == "train")
    if split == "train":
        candidates, counts = unevaluated(task, candidates, counts, evaluated, scale)
    indices = range(len(candidates))
    if n and len(candidates) > n and not task.expand:
        indices = sorted(random.Random(f"{task.name} {split}").sample(indices, n))
    chosen = {i: candidates[i] for i in indices}
    if split == "train" and task.role == TEXT.role and not scale.world.made:
        return overlap.without_lines(chosen, counts, held_texts(lang, scale, mirror_dir(), local_dir()))
    return chosen, counts


def record(
    task: Task, split: str, lang: str, part: Part, rows: list[dict], counts: Counter, licence: str
) -> dict:
    """What was read from a part, as a dictionary of `Seen`. `rows`: those that were taken."""
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    dropped = sum(count for reason, count in counts.items() if not isinstance(reason, Note))
    told = {str(reason): count for reason, count in counts.items()}
    origin = (part.source, part.revision, part.stand_in, licence)
    return asdict(Seen(task.name, split, lang, len(rows), dropped, digest, *origin, told, part.note))


def read_part(task: Task, part: Part, lang: str, training: bool) -> tuple[list[dict], Counter]:
    """The examples of a part, and the number of rows that gave none or were mended, by reason.

    Raises: Bad naming source, row and field.
    """
    collected, counts = [], Counter()
    for i, raw in enumerate(part.rows):
        row = Watched(raw)
        try:
            outcomes = list(task.read(row, lang))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            problem = f"got {raw[row.last]!r:.60}" if row.last in raw else "it is missing"
            allowed = f"allowed: {error}" if isinstance(error, Wrong) else f"({type(error).__name__})"
            needs = f"{task.name} needs the columns {task.columns}"
            raise Bad(f"{part.source}: row {i}, field {row.last!r}: {problem}; {allowed}; {needs}") from None
        notes, accepted = (
            [outcome for outcome in outcomes if isinstance(outcome, str)],
            [outcome for outcome in outcomes if not isinstance(outcome, str)],
        )
        if training and MISPLACED in notes:  # there is no answer span to train on
            notes, accepted = [MISPLACED], []
        for example in accepted:
            sound(task, example, f"{part.source}: row {i}")
        if accepted and not training:
            same_language(raw, lang, f"{part.source}: row {i}")
        counts.update(notes)
        collected += accepted
    return collected, counts


def same_language(raw: dict, lang: str, where: str) -> None:
    """Raise Bad for a row that names a language other than the one it would count for."""
    for field in ("language", "lang", "langs", "source_lang"):
        values = raw.get(field) if isinstance(raw.get(field), list) else [raw.get(field)]
        claimed = [name for name in values if isinstance(name, str) and lang in NAMES]
        if other := [name for name in claimed if CODES.get(name.lower(), lang) != lang]:
            raise Bad(
                f"{where}, field {field!r}: got {other[0]!r} in the rows of {lang!r}; put it with its own "
                "language"
            )


def sound(task: Task, example: dict, where: str) -> None:
    """Raise Bad for an example whose fields do not have the types and sizes that its kind needs."""
    for field, kind in TYPES.items():
        value = example.get(field, kind())
        if not isinstance(value, kind) or kind is list and not all(isinstance(item, str) for item in value):
            allowed = "list of str" if kind is list else kind.__name__
            raise Bad(
                f"{where}, field {field!r} of a {task.name} example: got {value!r:.60}; allowed: {allowed}"
            )
    if "tags" in example and len(example["tags"]) != len(example["tokens"]):
        raise Bad(
            f"{where}: {len(example['tokens'])} tokens and {len(example['tags'])} tags; every token needs "
            "one tag"
        )
    classes = len(task.labels) or (SCENES if "scene" in example else len(example.get("choices", ())))
    if "label" in example and not 0 <= example["label"] < classes:
        raise Bad(f"{where}, field 'label': got {example['label']}; allowed: 0 to {classes - 1}")


def same_choices(name: str, rows: list[dict]) -> None:
    """Raise Bad for rows of which some have more choices than others: they share a batch."""
    numbers = [len(row["choices"]) for row in rows if "choices" in row]
    if other := [i for i, number in enumerate(numbers) if number != numbers[0]]:
        told = f"example {other[0]} has {numbers[other[0]]} choices, the first has {numbers[0]}"
        raise Bad(f"{name}: {told}; allowed: as many for every row")


def labelled(task: Task, lang: str, rows: list[dict]) -> None:
    """Raise Bad for evaluation rows that all have one label, as the placeholders in released test files do.

    Source: xtreme#24.
    """
    if len(rows) >= LABELLED and len({row["label"] for row in rows if "label" in row}) == 1:
        label = rows[0]["label"]
        raise Bad(
            f"{task.name}/{lang}: all {len(rows)} evaluation rows have label {label}: placeholders; take a "
            "source with labels"
        )
