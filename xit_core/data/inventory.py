"""What data a scale reads, what of them is there, and how to get the rest.

Row counts are those that the data sets' publishers state, or that were counted in their files (sizes.csv,
with sources).
"""

import csv
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..design.scales import PIVOT, Scale
from ..design.studies import MIXED
from ..design.tasks import EVERY, TASKS, TRANSLATED, Task, languages, located
from ..machine.errors import Bad
from ..machine.places import PACKAGE, local_dir, mirror_dir
from . import hub, mining_pools, originals
from .local import NO_DATA, file_hash, from_local, is_split
from .mirror import manifest, mirror_file

PRESENCE_KEYS = (
    "task",
    "split",
    "source",
    "revision",
    "expected_rows",
    "rows",
    "sha256",
    "stand_in",
    "licence",
    "state",
)
# of what other data sets are joined with
LICENCES = {
    "stanfordnlp/snli": "CC BY-SA 4.0",
    "facebook/xnli": "CC BY-NC 4.0",
}


class Place(NamedTuple):
    """Where a split is stored, and what is read from it."""

    repository: str
    config: str
    split: str
    revision: str = ""
    lang: str = "en"
    obtain: str = ""  # how to get it when the hub has it at no known commit
    original: str = ""  # the reader of the user's original files
    trains: bool = False


@lru_cache
def sizes() -> dict[tuple[str, str], int]:
    """Rows of every split as its publisher counts them, by "repository/config" and split."""
    with open(PACKAGE / "sizes.csv", newline="", encoding="utf-8") as file:
        return {(r["data"], r["item"]): int(r["value"]) for r in csv.DictReader(file) if r["unit"] == "rows"}


def published(place: Place) -> int | None:
    """Rows that a split should have; of Universal Dependencies as XTREME converts them. None where nobody
    states it.
    """
    data = [f"{place.repository}/{place.config}"]
    names = [f"ud-2.5/{place.config}", *data] if place.original == "ud" else data
    return next((n for name in names if (n := sizes().get((name, place.split))) is not None), None)


def rows_of(task: Task, split: str, lang: str = "en") -> int | None:
    """Published rows of a task's split (several are joined with commas); None where nobody states it."""
    counts = [published(Place(*task.config(lang), part, original=task.original)) for part in split.split(",")]
    return None if None in counts else sum(counts)


def expected_examples(task: Task) -> int | None:
    """Examples that train a task: labelled rows of its training splits, and of the data sets joined with
    them.
    """
    labelled = {
        place: sizes().get((f"{place.repository}/{place.config}", f"{place.split}_labelled"))
        for place in training(task)
    }
    counts = [n or published(place) for place, n in labelled.items()]
    return None if None in counts else sum(counts)


# -- what is read --------------------------------------------------------------------------------------------


def training(task: Task) -> list[Place]:
    """The splits whose rows train a task, joined data sets last; [] where another task or none trains it."""
    if task.train_on != task.name:
        return []
    lang = PIVOT if task.train_lang == EVERY else task.train_lang
    own = [_own(task, part, lang)._replace(trains=True) for part in task.train.split(",")]
    return own + [_spec(spec) for spec in task.joined]


def _own(task: Task, split: str, lang: str) -> Place:
    return Place(*task.config(lang), split, task.revision, lang, task.obtain, task.original)


def _spec(spec: str, lang: str = "en") -> Place:
    return Place(*located(spec.format(lang=lang)), lang, trains=True)


def translation_places(task: Task) -> list[Place]:
    """Machine translations of a task's training rows: those that are published, and the user's."""
    found = [_spec(spec, lang) for spec in task.translated for lang in TRANSLATED]
    folder = local_dir()
    own = sorted(folder.glob(f"mt/{task.name}/*")) if folder and task.train_on == task.name else []
    own = [x for x in own if x.name in TRANSLATED]
    found += [Place("mt", f"{task.name}/{x.name}", "train", lang=x.name, trains=True) for x in own]
    if found or task.name not in MIXED:
        return found
    obtain = (
        "no translation of it has a known commit; yours goes into "
        f"XIT_LOCAL/mt/{task.name}/<language>/train.jsonl"
    )
    return [Place("mt", f"{task.name}/<language>", "train", obtain=obtain, trains=True)]


def wanted(task: Task, scale: Scale) -> list[Place]:
    """What a scale reads of a task: rows to train on, rows to evaluate in every language, and what is
    searched for them.
    """
    langs = languages(task, scale)
    places = training(task) + translation_places(task)
    places += [_own(task, part, lang) for lang in langs for part in task.validation.split(",")]
    for lang in langs if task.pools else ():  # a file for each side, on the hub one row of lists
        sides = [Place("bucc2018", f"{lang}-en", side, lang=lang) for side in ("source", "target")]
        whole = [Place("mteb/BUCC", f"{lang}-en", "test", mining_pools.POOLS, lang)]
        places += sides if mirror_dir() or mining_pools.official_pools(lang) else whole
    if task.candidates:
        places.append(_own(task, task.candidates, PIVOT))
    return list({place[:3]: place for place in reversed(places)}.values())[::-1]


def unread_files() -> list[Path]:
    """The files of XIT_LOCAL that no declared task reads: they are in a wrong place, or have a wrong name."""
    folder = local_dir()
    if not folder:
        return []
    splits: dict[tuple[str, str], set[str]] = {}
    for place in (place for task in TASKS.values() for place in declared(task)):
        splits.setdefault((place.repository, place.config), set()).add(place.split)
    try:
        there = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if not path.is_dir()]
    except OSError as error:
        raise Bad(
            f"XIT_LOCAL={folder}: {error}; name the folder that holds your own copies of data sets, and "
            "only them"
        ) from None
    return [
        path for path in there if not any(map(NO_DATA.fullmatch, path.parts)) and not _known(path, splits)
    ]


ORIGINAL = {  # files under their publishers' own names, and others that come with them
    "ud-treebanks-v2.5": r"UD_[^/]+/(\w+-ud-(train|dev|test)\.conllu|[^/]*\.(txt|xml))",
    "ccgbank": r"data/AUTO/\d\d/wsj_\d+\.auto|(?!.*\.auto).*",
    "bucc2018": r"\w+-en\.(dev|sample|test|training)\.(\w\w|gold)",
}


def _known(path: Path, splits: dict[tuple[str, str], set[str]]) -> bool:
    """Whether a path below XIT_LOCAL is one of those that are read."""
    *folders, name = path.parts
    if path.parts[0] in ORIGINAL:
        return bool(re.fullmatch(ORIGINAL[path.parts[0]], "/".join(path.parts[1:])))
    if path.parts[0] == "mt":
        trained = folders[1:2] and folders[1] in TASKS and TASKS[folders[1]].train_on == folders[1]
        return bool(trained) and len(folders) == 3 and folders[2] in TRANSLATED and is_split(name, "train")
    return any(
        is_split(name, split) for split in splits.get(("/".join(folders[:-1]), "".join(folders[-1:])), ())
    )


def declared(task: Task) -> list[Place]:
    """Every split that any scale reads of a task."""
    langs = dict.fromkeys((*task.langs.split(), *({task.train_lang} - {EVERY})))
    found = [
        _own(task, part, lang) for lang in langs for part in f"{task.train},{task.validation}".split(",")
    ]
    found += [_spec(spec, lang) for spec in (*task.joined, *task.stand_ins) for lang in langs]
    found += [_spec(spec, lang) for spec in task.translated for lang in TRANSLATED]
    return found + ([_own(task, task.candidates, PIVOT)] if task.candidates else [])


# -- what is there -------------------------------------------------------------------------------------------


def presence(scale: Scale) -> list[dict]:
    """One line for every split that a scale reads: expected rows, what is there, and its state.

    Files of a mirror are compared with its manifest, files of the user's are read.
    Raises: Bad for a mirror without a manifest.
    """
    world = scale.world
    if world.made:
        made = (
            f"{world.name}-world",
            world.version,
            None,
            None,
            None,
            "",
            "Apache-2.0",
            "generated when needed",
        )
        told = [(TASKS[name], split) for name in world.tasks for split in ("train", "validation")]
        lines = [(t.name, split, *made) for t, split in told if split == "validation" or t.train_on == t.name]
    else:
        lines = [_line(t, place) for t in TASKS.values() for place in wanted(t, scale)]
    return [dict(zip(PRESENCE_KEYS, line, strict=True)) for line in lines]


def _line(task: Task, place: Place) -> tuple:
    rows, sha256, stand_in, licence, state = _local(place) or _mirrored(task, place) or _on_hub(place)
    if published(place) == 0:
        state = "there is none: the language has test rows only"
    told = (task.name, place.split, f"{place.repository}/{place.config}", place.revision, published(place))
    return (*told, rows, sha256, stand_in, licence or LICENCES.get(place.repository, task.licence), state)


Presence = tuple[int | None, str | None, str, str, str]  # rows, sha256, stand-ins, licence, state


def _compared(rows: int, place: Place, there: str) -> str:
    total = published(place)
    if total is None:
        return f"{there}; nobody states its number of rows"
    return there if rows == total else f"{rows:,} rows where {total:,} are expected"


def _local(place: Place) -> Presence | None:
    """What a folder of the user's holds of a split."""
    try:
        parts = originals.ORIGINALS[place.original](place.lang, place.split) if place.original else []
        if place.repository == "bucc2018" and mining_pools.official_pools(place.lang):
            source, target, _, part = mining_pools.bucc_pools(place.lang)
            parts = [part._replace(rows=source if place.split == "source" else target)]
        parts = parts or from_local(*place[:3])
    except Bad as error:
        return None, None, "", "", f"damaged: {error}"
    if not parts:
        return None
    state = "; ".join(filter(None, [_compared(len(parts[0].rows), place, "your own copy"), parts[0].note]))
    return len(parts[0].rows), parts[0].revision, "", "", state


def _mirrored(task: Task, place: Place) -> Presence | None:
    """What the mirror holds of a split, and what stands in for it; None without a mirror."""
    if not (mirror := mirror_dir()):
        return None
    listed = manifest(mirror)
    entry = listed.get(place[:3])
    fill = [
        spec for s in task.stand_ins if tuple((spec := s.format(lang=place.lang)).rsplit("/", 2)) in listed
    ]
    if place[:2] != task.config(place.lang) or entry and not (place.trains and entry["complete"] != "yes"):
        fill = []
    if entry is None:
        how = f"{fill[0]} stands in" if fill else place.obtain or "unset XIT_MIRROR to take it from the hub"
        return None, None, "; ".join(fill), "", f"missing in the mirror; {how}"
    file = mirror_file(mirror, entry)
    if not file.is_file() or file_hash(file) != entry["sha256"]:
        what = "not what the manifest lists" if file.is_file() else "listed, but not there"
        return None, None, "", entry["licence"], f"damaged: {file.name} is {what}; copy it again"
    notes = [entry["note"]] * entry["note"].startswith("STAND-IN") + fill
    state = _compared(
        int(entry["rows"]), place, {"yes": "complete"}.get(entry["complete"], entry["complete"])
    )
    return int(entry["rows"]), entry["sha256"], "; ".join(notes), entry["licence"], state


def _on_hub(place: Place) -> Presence:
    if place.obtain:
        return None, None, "", "", f"missing: {place.obtain}"
    part = f"its first {hub.PAGES:,} pages are " if place.repository.startswith("wikimedia/") else ""
    note = f"; {hub.SPLIT_WORDS}" if place.original == "ud" else ""
    held = sizes().get((f"{place.repository}/{place.config}", place.split))
    note = f", {held:,} rows{note}" if held and held != published(place) else note
    return None, None, "", "", f"on the hub: {part}fetched when needed{note}"
