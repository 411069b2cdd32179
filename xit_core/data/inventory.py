"""What data a scale reads, which of them are present, and how to get the rest.

Row counts are those that the publishers state, or that were counted in the publishers' files (sizes.csv, with
sources).
"""

import csv
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..design.scales import PIVOT, Scale
from ..design.studies import MIXED
from ..design.tasks import EVERY, REAL_TASKS, TASKS, Task, languages, located, translation_languages
from ..design.worlds import World
from ..machine.errors import Bad
from ..machine.places import PACKAGE, local_dir, mirror_dir
from . import hub, mining_pools, originals
from .local import NO_DATA, file_hash, from_local, is_split
from .mirror import manifest, mirror_file, stands_in

# licences of data sets that are joined to others
LICENCES = {"stanfordnlp/snli": "CC BY-SA 4.0", "facebook/xnli": "CC BY-NC 4.0"}


class Place(NamedTuple):
    """Where a split is stored, and how it is read."""

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
    """Row counts of every split as its publisher states them, by "repository/config" and split."""
    with open(PACKAGE / "sizes.csv", newline="", encoding="utf-8") as file:
        return {
            (row["data"], row["item"]): int(row["value"])
            for row in csv.DictReader(file)
            if row["unit"] == "rows"
        }


def published(place: Place) -> int | None:
    """The number of rows that a split should have; None where nobody states it.

    For Universal Dependencies it is the number after XTREME's conversion.
    """
    data = [f"{place.repository}/{place.config}"]
    names = [f"ud-2.5/{place.config}", *data] if place.original == "ud" else data
    return next((n for name in names if (n := sizes().get((name, place.split))) is not None), None)


def rows_of(task: Task, split: str, lang: str = "en") -> int | None:
    """Published row count of a task's split, or of several joined with commas; None where one is unknown."""
    counts = [published(Place(*task.config(lang), part, original=task.original)) for part in split.split(",")]
    return None if None in counts else sum(counts)


def expected_examples(task: Task) -> int | None:
    """The number of examples that train a task; None where it is not known.

    It counts the labelled rows of the training splits and of the data sets joined with them.
    """
    labelled = {
        place: sizes().get((f"{place.repository}/{place.config}", f"{place.split}_labelled"))
        for place in training(task)
    }
    counts = [n or published(place) for place, n in labelled.items()]
    return None if None in counts else sum(counts)


# -- what is read --------------------------------------------------------------------------------------------


def training(task: Task) -> list[Place]:
    """The splits whose rows train a task, joined data sets last; [] if it does not train on its own rows."""
    if task.train_on != task.name:
        return []
    own = [_own(task, part, task.pivot_lang)._replace(trains=True) for part in task.train.split(",")]
    return own + [_spec(spec) for spec in task.joined]


def _own(task: Task, split: str, lang: str) -> Place:
    return Place(*task.config(lang), split, task.revision, lang, task.obtain, task.original)


def _spec(spec: str, lang: str = "en", obtain: str = "") -> Place:
    return Place(*located(spec.format(lang=lang)), lang, obtain, trains=True)


def _translated(task: Task) -> list[Place]:
    """The published machine translations of a task's training rows."""
    return [_spec(x.spec, lang, x.obtain) for x in task.translated for lang in x.langs.split()]


def translation_places(task: Task) -> list[Place]:
    """Machine translations of a task's training rows: the published ones, and the user's own."""
    places = _translated(task)
    folder = local_dir()
    own = sorted(folder.glob(f"mt/{task.name}/*")) if folder and task.train_on == task.name else []
    own = [path for path in own if path.name in translation_languages(task)]
    places += [Place("mt", f"{task.name}/{path.name}", "train", lang=path.name, trains=True) for path in own]
    if places or task.name not in MIXED:
        return places
    obtain = (
        "no translation of it has a known commit; yours goes into "
        f"XIT_LOCAL/mt/{task.name}/<language>/train.jsonl"
    )
    return [Place("mt", f"{task.name}/<language>", "train", obtain=obtain, trains=True)]


def wanted(task: Task, scale: Scale) -> list[Place]:
    """What a scale reads of a task, each split once.

    These are rows to train on, rows to evaluate in every language, and the pools or candidates searched for
    them.
    """
    langs = languages(task, scale)
    places = training(task) + translation_places(task)
    places += [_own(task, part, lang) for lang in langs for part in task.validation.split(",")]
    for lang in langs if task.pools else ():  # one file for each side; on the hub, one row of lists
        sides = [Place("bucc2018", f"{lang}-en", side, lang=lang) for side in ("source", "target")]
        hub_places = [Place("mteb/BUCC", f"{lang}-en", "test", mining_pools.POOLS, lang)]
        places += sides if mirror_dir() or mining_pools.official_pools(lang) else hub_places
    if task.candidates:
        places.append(_own(task, task.candidates, PIVOT))
    places += _beside(task)
    return list({place[:3]: place for place in reversed(places)}.values())[::-1]


def _beside(task: Task) -> list[Place]:
    """The split that completes the rows of a task, for one that has such a split."""
    return [Place(*located(task.beside[0]), obtain=task.beside[1])] if task.beside else []


def unread_files() -> list[Path]:
    """Files of XIT_LOCAL that no declared task reads, because their folder or name is wrong.

    Raises: Bad when the folder cannot be listed.
    """
    folder = local_dir()
    if not folder:
        return []
    splits: dict[tuple[str, str], set[str]] = {}
    for place in (place for name in REAL_TASKS for place in declared(TASKS[name])):
        splits.setdefault((place.repository, place.config), set()).add(place.split)
    try:
        paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if not path.is_dir()]
    except OSError as error:
        raise Bad(
            f"XIT_LOCAL={folder}: {error}; name the folder that holds your own copies of data sets, and "
            "only them"
        ) from None
    return [p for p in paths if not any(map(NO_DATA.fullmatch, p.parts)) and not _known(p, splits)]


ORIGINAL = {  # files under their publishers' own names, and files that come with them
    "ud-treebanks-v2.5": r"UD_[^/]+/(\w+-ud-(train|dev|test)\.conllu|[^/]*\.(txt|xml))",
    "ccgbank": r"data/AUTO/\d\d/wsj_\d+\.auto|(?!.*\.auto).*",
    "bucc2018": r"\w+-en\.(dev|sample|test|training)\.(\w\w|gold)",
}


def _known(path: Path, splits: dict[tuple[str, str], set[str]]) -> bool:
    """Whether a path, relative to XIT_LOCAL, is one that is read or comes with files that are."""
    *folders, name = path.parts
    if path.parts[0] in ORIGINAL:
        return bool(re.fullmatch(ORIGINAL[path.parts[0]], "/".join(path.parts[1:])))
    if path.parts[0] == "mt":
        if len(folders) != 3 or folders[1] not in TASKS or not is_split(name, "train"):
            return False
        task = TASKS[folders[1]]
        return task.train_on == task.name and folders[2] in translation_languages(task)
    return any(
        is_split(name, split) for split in splits.get(("/".join(folders[:-1]), "".join(folders[-1:])), ())
    )


def declared(task: Task) -> list[Place]:
    """Every split of a task that any scale reads."""
    langs = dict.fromkeys((*task.langs.split(), *({task.train_lang} - {EVERY})))
    places = [
        _own(task, part, lang) for lang in langs for part in f"{task.train},{task.validation}".split(",")
    ]
    places += [_spec(spec, lang) for spec in (*task.joined, *task.stand_ins) for lang in langs]
    places += _translated(task) + _beside(task)
    return places + ([_own(task, task.candidates, PIVOT)] if task.candidates else [])


# -- what is present ----------------------------------------------------------------------------------------


class Presence(NamedTuple):
    """What is there of a split: its state in words, rows and hash, what stands in for it, and its licence."""

    state: str
    rows: int | None = None
    sha256: str | None = None
    stand_in: str = ""
    licence: str = ""


def presence(scale: Scale) -> list[dict]:
    """One line for every split that a scale reads: expected rows, what is present, and its state.

    Files of a mirror are compared with its manifest; the user's files are read.

    Raises: Bad for a mirror without a manifest.
    """
    if scale.world.made:
        splits = [(TASKS[name], split) for name in scale.world.tasks for split in ("train", "validation")]
        return [
            _generated(task, split, scale.world)
            for task, split in splits
            if split == "validation" or task.train_on == task.name
        ]
    return [_line(TASKS[name], place) for name in REAL_TASKS for place in wanted(TASKS[name], scale)]


def _generated(task: Task, split: str, world: World) -> dict:
    found = Presence("generated when needed", licence="Apache-2.0")
    return _told(task, split, f"{world.name}-world", world.version, None, found)


def _line(task: Task, place: Place) -> dict:
    found = _local(place) or _mirrored(task, place) or _on_hub(place)
    if published(place) == 0:
        found = found._replace(state="there is none: the language has test rows only")
    licence = found.licence or LICENCES.get(place.repository, task.licence)
    source = f"{place.repository}/{place.config}"
    return _told(task, place.split, source, place.revision, published(place), found._replace(licence=licence))


def _told(task: Task, split: str, source: str, revision: str, expected: int | None, found: Presence) -> dict:
    return {
        "task": task.name, "split": split, "source": source, "revision": revision, "expected_rows": expected,
        "rows": found.rows, "sha256": found.sha256, "stand_in": found.stand_in, "licence": found.licence,
        "state": found.state,
    }  # fmt: skip


def _compared(rows: int, place: Place, there: str) -> str:
    total = published(place)
    if total is None:
        return f"{there}; nobody states its number of rows"
    return there if rows == total else f"{rows:,} rows where {total:,} are expected"


def _local(place: Place) -> Presence | None:
    """What the user's folder holds of a split; None where it holds nothing."""
    try:
        parts = originals.ORIGINALS[place.original](place.lang, place.split) if place.original else []
        if place.repository == "bucc2018":  # of a user's own, only the official files are read
            if mining_pools.official_pools(place.lang):
                source, target, _, part = mining_pools.bucc_pools(place.lang)
                parts = [part._replace(rows=source if place.split == "source" else target)]
        else:
            parts = parts or from_local(*place[:3])
    except Bad as error:
        return Presence(f"damaged: {error}")
    if not parts:
        return None
    state = "; ".join(filter(None, [_compared(len(parts[0].rows), place, "your own copy"), parts[0].note]))
    return Presence(state, len(parts[0].rows), parts[0].revision)


def _mirrored(task: Task, place: Place) -> Presence | None:
    """What the mirror holds of a split, and what stands in for it; None without a mirror."""
    if not (mirror := mirror_dir()):
        return None
    entry, others = manifest(mirror).get(place[:3]), _standing_in(task, place, manifest(mirror))
    if entry is None:
        instead = place.obtain or "unset XIT_MIRROR to take it from the hub"
        advice = f"{others[0]} stands in" if others else instead
        return Presence(f"missing in the mirror; {advice}", stand_in="; ".join(others))
    file = mirror_file(mirror, entry)
    if not file.is_file() or file_hash(file) != entry["sha256"]:
        problem = "not what the manifest lists" if file.is_file() else "listed, but not there"
        advice = f"damaged: {file.name} is {problem}; copy it again"
        return Presence(advice, licence=entry["licence"])
    notes = [entry["note"] or "derived"] * stands_in(entry) + others
    extent = {"yes": "complete"}.get(entry["complete"], entry["complete"])
    state = _compared(int(entry["rows"]), place, extent)
    return Presence(state, int(entry["rows"]), entry["sha256"], "; ".join(notes), entry["licence"])


def _standing_in(task: Task, place: Place, entries: dict) -> list[str]:
    """What else of a mirror trains a task where a split of its own is missing or incomplete."""
    entry = entries.get(place[:3])
    if place[:2] != task.config(place.lang) or entry and not (place.trains and entry["complete"] != "yes"):
        return []
    named = (template.format(lang=place.lang) for template in task.stand_ins)
    return [spec for spec in named if tuple(spec.rsplit("/", 2)) in entries]


def _on_hub(place: Place) -> Presence:
    if place.obtain:
        return Presence(f"missing: {place.obtain}")
    extent = f"its first {hub.PAGES:,} pages are " if place.repository.startswith("wikimedia/") else ""
    note = f"; {hub.SPLIT_WORDS}" if place.original == "ud" else ""
    size = sizes().get((f"{place.repository}/{place.config}", place.split))
    note = f", {size:,} rows{note}" if size and size != published(place) else note
    return Presence(f"on the hub: {extent}fetched when needed{note}")
