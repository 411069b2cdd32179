"""What data a scale reads, what of them is there, and how to get the rest.

Row counts are those of the data sets' own metadata (sizes.csv).
"""

import csv
from functools import lru_cache

from .config import PACKAGE, mirror_dir
from .config import scale as scale_of
from .data import manifest
from .tasks import MICRO_VERSION, TASKS, Task, languages

KEYS = ("task", "split", "source", "revision", "expected_rows", "rows", "sha256", "stand_in", "licence", "state")


@lru_cache
def sizes() -> dict[tuple[str, str], int]:
    """Rows of every split as its publisher counts them, by "repository/config" and split."""
    with open(PACKAGE / "sizes.csv", newline="") as file:
        return {(r["data"], r["item"]): int(r["value"]) for r in csv.DictReader(file) if r["unit"] == "rows"}


def rows_of(task: Task, split: str, lang: str = "en") -> int | None:
    """Published rows of a task's split (several are joined with commas); None where nobody states it."""
    counts = [sizes().get(("/".join(task.config(lang)), part)) for part in split.split(",")]
    return None if None in counts else sum(counts)


def wanted(task: Task, scale_name: str) -> list[tuple[str, str, str]]:
    """What a scale reads, as (repository, config, split): English training rows, and validation rows of every language."""
    train = [(*task.config("en"), s) for s in task.train.split(",")] if task.train_on == task.name else []
    langs = languages(task.name, scale_of(scale_name))
    return list(dict.fromkeys(train + [(*task.config(lang), s) for lang in langs for s in task.validation.split(",")]))


def presence(scale_name: str) -> list[dict]:
    """One line for every split that a scale reads: expected rows, what is there, and its state.

    Raises: Bad for an unknown scale, or a mirror without a manifest.
    """
    if scale_of(scale_name).world == "micro":
        made = ("micro-world", MICRO_VERSION, None, None, None, "", "Apache-2.0", "generated when needed")
        pairs = [(t, s) for t in TASKS.values() for s in ("train", "validation") if s == "validation" or t.train_on == t.name]
        lines = [(t.name, s, *made) for t, s in pairs]
    else:
        mirror = mirror_dir()
        lines = [_line(t, *key, manifest(mirror) if mirror else {}) for t in TASKS.values() for key in wanted(t, scale_name)]
    return [dict(zip(KEYS, line, strict=True)) for line in lines]


def _line(task: Task, repository: str, config: str, split: str, held: dict) -> tuple:
    found, source = held.get((repository, config, split), {}), f"{repository}/{config}"
    rows, state = None, "missing: add it to the mirror" if held else "on the hub: fetched when needed, or set XIT_MIRROR"
    notes = [found["note"]] if found.get("note", "").startswith("STAND-IN") else []
    notes += [s for s in task.stand_ins if held and s.endswith("/" + split.partition("_")[0])]
    if found:
        rows, state = int(found["rows"]), {"yes": "complete"}.get(found["complete"], found["complete"])
    told = ("; ".join(notes), found.get("licence", task.licence), state)
    return (task.name, split, source, task.revision, sizes().get((source, split)), rows, found.get("sha256"), *told)
