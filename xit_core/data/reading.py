"""Examples of a task: rows are read, checked, counted and hashed. A row that is dropped is counted."""

import hashlib
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass

from ..design.languages import NAMES
from ..design.readers import MISPLACED, Note, Wrong
from ..design.scales import PIVOT, Scale
from ..design.tasks import TASKS, Task
from ..machine.errors import Bad
from . import checklist, worlds
from .local import Part

EXPANDERS = {"checklist": checklist.checks}  # (templates, language, rows at most; 0 = all) -> rows
# "de", "german" and "deu" -> "de"
CODES = {word.lower(): code for code, names in NAMES.items() for word in (code, *names.split())}
LABELLED = 20  # evaluation rows that all have one label are placeholders, from so many on
TYPES = {
    "a": str, "b": str, "question": str, "context": str, "mention": str, "tokens": list, "tags": list,
    "choices": list,
    "sentences": list, "label": int,
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a run really read: rows, their content hash, where they came from. `stand_in`: not the declared
    data set's split.

    `counts`: rows by what happened to them (why a row gave no example, what was mended in one); `dropped` of
    them gave none.
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
    """Examples of one task, split ("train" or "validation") and language, and what was read (as `Seen`
    dictionaries).

    Each has an "id": the row's own, or its number among the examples. `n`: at most so many of each source of
    its rows, the same ones for every seed; 0 = all. `data_lang` "mt": the rows in machine translation.
    Raises: Bad when the rows cannot be had, or one of them is not what the task declares (names source, row
    and field).
    """
    parts = worlds.of(scale).parts(task, split, lang, scale, n, data_lang)
    kept, seen = [], []
    for number, part in enumerate(parts):
        found, counts = read_part(task, part, lang, split == "train", n)
        if split == "train" and task.no_overlap_with and not scale.world.made:
            found, counts = without_overlap(found, counts, task.no_overlap_with, scale)
        chosen = range(len(found))
        if n and len(found) > n and not task.expand:
            chosen = sorted(random.Random(f"{task.name} {split}").sample(chosen, n))
        some = [found[i] for i in chosen]
        digest = hashlib.sha256(json.dumps(some, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        dropped = sum(c for what, c in counts.items() if not isinstance(what, Note))
        licence = task.licence if not scale.world.made else "as this package"
        seen.append(asdict(Seen(
            task.name, split, lang, len(some), dropped, digest, part.source, part.revision, part.stand_in,
            licence,
            {str(k): v for k, v in counts.items()}, part.note,
        )))  # fmt: skip
        kept += [
            {"id": f"{number}-{i}" if number else str(i)} | example
            for i, example in zip(chosen, some, strict=True)
        ]
    if not kept:
        raise Bad(
            f"{task.name}/{split}/{lang}: no example could be read from "
            f"{', '.join(p.source for p in parts)}; see `xit data`"
        )
    if split != "train":
        labelled(task, lang, kept)
    return kept, seen


def gold_pairs(
    task: Task, lang: str, scale: Scale, split: str = "validation"
) -> tuple[list[dict], list[dict]]:
    """The gold pairs that mining is scored by, as `examples`: of real pools all, for with a sample of them
    true pairs would count as wrong; generated pools are made to fit as many pairs as the scale evaluates."""
    return examples(task, split, lang, scale, scale.eval_rows if scale.world.made else 0)


def without_overlap(
    found: list[dict], counts: Counter, names: tuple[str, ...], scale: Scale
) -> tuple[list[dict], Counter]:
    """The examples, less those with an English context that one of these tasks is evaluated on; counted."""
    held = {
        " ".join(e["context"].split()): name
        for name in names
        for e in examples(TASKS[name], "validation", PIVOT, scale)[0]
    }
    by = [held.get(" ".join(e["context"].split()), "") for e in found]
    counts = counts + Counter(f"context is evaluated in {name}" for name in by if name)
    return [e for e, name in zip(found, by, strict=True) if not name], counts


class Watched(dict):
    """A raw row that remembers which field was asked for last, so that an error can name it."""

    last = ""

    def __getitem__(self, key):
        self.last = key
        return super().__getitem__(key)


def read_part(task: Task, part: Part, lang: str, training: bool, n: int = 0) -> tuple[list[dict], Counter]:
    """The examples of a part, and how many rows gave none or were mended, by reason.

    Raises: Bad naming source, row and field.
    """
    found, counts = [], Counter()
    rows = expanded_rows(task, part, lang, n)
    for i, raw in enumerate(rows):
        row = Watched(raw)
        try:
            told = list(task.read(row, lang))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            said = f"got {raw[row.last]!r:.60}" if row.last in raw else "it is missing"
            allowed = f"allowed: {error}" if isinstance(error, Wrong) else f"({type(error).__name__})"
            needs = f"{task.name} needs the columns {task.columns}"
            raise Bad(f"{part.source}: row {i}, field {row.last!r}: {said}; {allowed}; {needs}") from None
        marks, good = [x for x in told if isinstance(x, str)], [x for x in told if not isinstance(x, str)]
        if training and MISPLACED in marks:  # nothing to point to
            marks, good = [MISPLACED], []
        for example in good:
            sound(task, example, f"{part.source}: row {i}")
        if good and not training:
            same_language(raw, lang, f"{part.source}: row {i}")
        counts.update(marks)
        found += good
    return found, counts


def expanded_rows(task: Task, part: Part, lang: str, n: int) -> list[dict]:
    """The rows of a part, or what is made from its templates.

    Raises: Bad for templates that are not whole.
    """
    if not task.expand:
        return part.rows
    try:
        return EXPANDERS[task.expand](part.rows, lang, n)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, NameError) as error:
        if isinstance(error, Bad):
            raise
        raise Bad(
            f"{part.source}: the templates are not whole ({type(error).__name__}: {error}); copy the file "
            "again"
        ) from None


def same_language(raw: dict, lang: str, where: str) -> None:
    """Raise Bad for a row that says itself that it is in another language than the one that it would count
    for.
    """
    for field in ("language", "lang", "langs", "source_lang"):
        values = raw.get(field) if isinstance(raw.get(field), list) else [raw.get(field)]
        words = [x for x in values if isinstance(x, str) and lang in NAMES]
        if other := [x for x in words if CODES.get(x.lower(), lang) != lang]:
            raise Bad(
                f"{where}, field {field!r}: got {other[0]!r} in the rows of {lang!r}; put it with its own "
                "language"
            )


def sound(task: Task, example: dict, where: str) -> None:
    """Raise Bad for an example whose fields do not have the types and sizes that its kind needs."""
    for field, kind in TYPES.items():
        value = example.get(field, kind())
        if not isinstance(value, kind) or kind is list and not all(isinstance(x, str) for x in value):
            allowed = "list of str" if kind is list else kind.__name__
            raise Bad(
                f"{where}, field {field!r} of a {task.name} example: got {value!r:.60}; allowed: {allowed}"
            )
    if "tags" in example and len(example["tags"]) != len(example["tokens"]):
        raise Bad(
            f"{where}: {len(example['tokens'])} tokens and {len(example['tags'])} tags; every token needs "
            "one tag"
        )
    classes = len(task.labels) or len(example.get("choices", ()))
    if "label" in example and not 0 <= example["label"] < classes:
        raise Bad(f"{where}, field 'label': got {example['label']}; allowed: 0 to {classes - 1}")


def labelled(task: Task, lang: str, rows: list[dict]) -> None:
    """Raise Bad for evaluation rows that all have one label: released test files hold placeholders
    (xtreme#24).
    """
    if len(rows) >= LABELLED and len({row["label"] for row in rows if "label" in row}) == 1:
        label = rows[0]["label"]
        raise Bad(
            f"{task.name}/{lang}: all {len(rows)} evaluation rows have label {label}: placeholders; take a "
            "source with labels"
        )
