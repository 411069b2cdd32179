"""What data a scale reads, what of them is there, and how to get the rest.

Row counts are those of the data sets' own metadata (splits.csv).
"""

import csv
from functools import lru_cache

from .config import PACKAGE, mirror_dir
from .config import scale as scale_of
from .tasks import MICRO_VERSION, TASKS, Task, languages

Key = tuple[str, str]  # "repository/config", split


@lru_cache
def sizes() -> dict[Key, int]:
    """Rows of every split as its publisher counts them."""
    with open(PACKAGE / "splits.csv", newline="") as file:
        return {(r["data"], r["split"]): int(r["rows"]) for r in csv.DictReader(file)}


def rows_of(task: Task, split: str, lang: str = "en") -> int | None:
    """Published rows of a task's split (several are joined with commas); None where nobody states it."""
    counts = [sizes().get(("/".join(task.config(lang)), part)) for part in split.split(",")]
    return None if None in counts else sum(counts)


def wanted(task: Task, scale_name: str) -> list[Key]:
    """The splits that a scale reads: English training rows, and validation rows of every language."""
    train = [("/".join(task.config("en")), s) for s in task.train.split(",")] if task.train_on == task.name else []
    langs = languages(task.name, scale_of(scale_name))
    held = [("/".join(task.config(lang)), s) for lang in langs for s in task.validation.split(",")]
    return list(dict.fromkeys(train + held))


def presence(scale_name: str) -> list[dict]:
    """One line for every split that a scale reads: expected rows, what is there, and its state.

    Raises: Bad for an unknown scale, or a mirror without a manifest.
    """
    if scale_of(scale_name).world == "micro":
        pairs = [(t, s) for t in TASKS.values() for s in ("train", "validation")]
        return [_made(t, s) for t, s in pairs if s == "validation" or t.train_on == t.name]
    held = manifest()
    return [_line(task, key, held) for task in TASKS.values() for key in wanted(task, scale_name)]


def manifest() -> dict[Key, dict]:
    """The mirror's own list of what it holds; empty without a mirror."""
    folder = mirror_dir()
    if not folder:
        return {}
    with open(folder / "MANIFEST.csv", newline="", encoding="utf-8") as file:
        return {(f"{r['repo']}/{r['config']}", r["split"]): r for r in csv.DictReader(file)}


def _made(task: Task, split: str) -> dict:
    return {
        "task": task.name, "split": split, "source": "micro-world", "revision": MICRO_VERSION, "expected_rows": None,
        "rows": None, "sha256": None, "stand_in": "", "licence": "Apache-2.0", "state": "generated when needed",
    }  # fmt: skip


def _line(task: Task, key: Key, held: dict[Key, dict]) -> dict:
    found = held.get(key)
    stand_ins = [s for s in task.stand_ins if held and s.endswith("/" + key[1].partition("_")[0])]
    states = {"yes": "complete", "partial": "partial", "derived": "derived"}
    missing = "missing: add it to the mirror" if held else "on the hub: fetched when needed, or set XIT_MIRROR"
    noted = found["note"] if found and found["note"].startswith("STAND-IN") else ""
    return {
        "task": task.name, "split": key[1], "source": key[0], "revision": task.revision,
        "expected_rows": sizes().get(key),
        "rows": int(found["rows"]) if found else None, "sha256": found["sha256"] if found else None,
        "stand_in": "; ".join([noted, *stand_ins] if noted else stand_ins),
        "licence": found["licence"] if found else task.licence,
        "state": states[found["complete"]] if found else missing,
    }  # fmt: skip
