"""A parcel: a small mirror of what a scale's study reads.

It can be carried to a machine that has neither network nor Parquet.
"""

import csv
import json
import lzma
import os
import shutil
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from ..design import studies
from ..design.scales import Scale
from ..design.tasks import HELD_OUT, PARALLEL, TASKS, TEXT, Task, languages, located, train_languages
from ..machine.errors import Bad
from ..machine.files import write_whole
from ..machine.places import mirror_dir
from . import overlap
from .inventory import wanted
from .local import file_hash
from .mirror import SQUEEZED, from_mirror, manifest

PARCEL_BYTES = 60 << 20  # the default size limit of a parcel
SPARE = 0.9  # stretches of a text compress worse than the whole, because they repeat less
Split = tuple[str, str, str]  # repository, config, split


def pack_mirror(scale: Scale, folder: Path, most: int = PARCEL_BYTES) -> list[dict]:
    """Write a mirror of what a scale's study reads, of at most `most` bytes, and return its manifest.

    Its rows are those of the mirror in use, as compressed JSON lines. All rows of the tasks are packed. Of
    the pretraining text as much as fits is packed, and the longest languages are cut. In that text, lines
    that occur in any evaluation set of the mirror are blank.

    Raises: Bad without a mirror, for a scale that needs none, for a folder in use, and where no text would
    fit.
    """
    possible(scale, folder, most)
    entries = manifest(mirror_dir())
    text, others = splits_read(scale, entries)
    if not text and not others:
        raise Bad(f"nothing to pack for scale {scale.name!r}: {mirror_dir()} holds nothing that it reads")
    files = {key: squeezed(_rows(key), key) for key in others}
    room = most - sum(map(len, files.values()))
    if room < 0 or text and not room:
        raise Bad(
            f"{most / 2**20:.1f} MiB: the rows of the tasks alone take {(most - room) / 2**20:.1f}; allow "
            "more"
        )
    pages, notes = squeezed_text(text, entries, room) if text else ({}, {})
    lines: list[dict] = []

    def make(part: Path) -> None:
        lines.extend(
            write_split(part, entries[key], blob, notes.get(key, "")) for key, blob in (files | pages).items()
        )
        write_manifest(part / "MANIFEST.csv", lines)
        for file in (mirror_dir() / repository / "SOURCES.csv" for repository in {key[0] for key in text}):
            if file.is_file():
                shutil.copy(file, part / file.parent.name)

    write_whole(folder, make, "free some space or name another folder")
    return lines


def squeezed_text(text: list[Split], entries: dict, room: int) -> tuple[dict[Split, bytes], dict[Split, str]]:
    """Pretraining text in at most `room` bytes, and a note on each of its splits: which lines are blank."""
    held, files, notes = overlap.Held(evaluated(entries)), {}, {}
    for key in text:
        rows, blank = without(_rows(key), held, key)
        files[key], notes[key] = squeezed(rows, key), f"{blank:,} lines that evaluation sets hold are blank"
    limit = level([len(files[key]) for key in text], room)
    for key in (key for key in text if len(files[key]) > limit):
        kept = spaced_stretches(unsqueezed(files[key]), SPARE * limit / len(files[key]))
        files[key] = squeezed(kept, key)
    return files, notes


def possible(scale: Scale, folder: Path, most: int) -> None:
    """Check that a parcel can be written.

    Raises: Bad where nothing is to be packed, where the limit allows nothing, or where the folder is in use.
    """
    if most <= 0:
        raise Bad(f"{most} bytes; allowed: more than 0")
    if scale.world.made or not mirror_dir():
        raise Bad(
            f"nothing to pack for scale {scale.name!r}: take one with real data, and name their mirror with "
            "XIT_MIRROR"
        )
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise Bad(f"{folder} is in use; name a new folder")


def write_manifest(file: Path, lines: list[dict]) -> None:
    """Write the lines of a manifest as CSV."""
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def splits_read(scale: Scale, listed: dict[Split, dict]) -> tuple[list[Split], list[Split]]:
    """The splits of a manifest that a parcel holds.

    Returns the text to pretrain on, and everything else that a run of the main study reads.
    """
    tasks = {TEXT, PARALLEL}  # every encoder is evaluated on these
    tasks |= {
        task for run in studies.runs(studies.MAIN, scale) for stage in run.stages for task in stage.tasks
    }
    tasks |= {TASKS[task.train_on] for task in tasks if task.train_on}
    # its training rows are compared with their evaluation rows
    tasks |= {other for task in tasks if task.train_on == task.name for other in overlap.compared(task)}
    read = {place[:3] for task in tasks for place in wanted(task, scale)}
    read |= {key for task in tasks for key in stand_in_splits(task, scale)}
    text = stand_in_splits(TEXT, scale)
    return [key for key in listed if key in text], [key for key in listed if key in read - text]


def stand_in_splits(task: Task, scale: Scale) -> set[Split]:
    """The splits that may fill up those of a task that a scale reads."""
    langs = {*train_languages(task, scale), *languages(task, scale)}
    return {located(spec.format(lang=lang))[:3] for spec in task.stand_ins for lang in langs}


def _rows(key: Split) -> list[dict]:
    return from_mirror(*key)[0].rows


def evaluated(listed: dict[Split, dict]) -> Iterator[str]:
    """Every text of the evaluation splits of a manifest."""
    for key in listed:
        if key[0] != "pretrain_text" and not key[2].startswith("train"):
            yield from chain.from_iterable(map(strings, _rows(key)))


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


def squeezed(rows: list[dict], key: Split) -> bytes:
    """Rows of a split as JSON lines, compressed with LZMA.

    Raises: Bad for a value that JSON does not have.
    """
    try:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except TypeError as error:
        raise Bad(f"{'/'.join(key)}: not to be packed as JSON ({error}); convert that column") from None
    return lzma.compress(lines.encode(), preset=4)


def unsqueezed(blob: bytes) -> list[dict]:
    """The rows of compressed JSON lines."""
    return [json.loads(line) for line in lzma.decompress(blob).splitlines()]


def without(rows: list[dict], held: overlap.Held, key: Split) -> tuple[list[dict], int]:
    """Rows of text of a split without the lines that evaluation sets hold, and the number of such lines.

    The lines become blank, so no row changes its place.
    Raises: Bad for a row without text.
    """
    if bad := [i for i, row in enumerate(rows) if not isinstance(row.get("text"), str)]:
        raise Bad(f"{'/'.join(key)}: row {bad[0]} has no text; mend that row")
    lines = [line for row in rows for line in row["text"].split("\n")]
    blanked = held.holds(lines)
    cleaned = iter("" if blank else line for line, blank in zip(lines, blanked, strict=True))
    texts = ["\n".join(islice(cleaned, row["text"].count("\n") + 1)) for row in rows]
    return [row | {"text": text} for row, text in zip(rows, texts, strict=True)], sum(blanked)


def write_split(folder: Path, entry: dict, blob: bytes, note: str) -> dict:
    """Write a split and return its line of the manifest."""
    file = folder / entry["repo"] / entry["config"] / f"{entry['split']}{SQUEEZED}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(blob)
    n, total = len(unsqueezed(blob)), int(entry["rows"])
    notes = entry["note"], note, f"{n:,} of {total:,} rows" * (n < total)
    return entry | {"rows": n, "sha256": file_hash(file), "note": "; ".join(filter(None, notes))}


def level(sizes: list[int], room: int) -> float:
    """The size that larger splits are cut to, so that all of them fit into `room`."""
    ascending = sorted(sizes)
    for i, size in enumerate(ascending):
        if size * (len(ascending) - i) > room:
            return room / (len(ascending) - i)
        room -= size
    return float(max(ascending, default=1))


def spaced_stretches(rows: list[dict], share: float) -> list[dict]:
    """A share of the rows, in evenly spaced stretches of HELD_OUT rows.

    A row that is held out of training in the full text is also held out in the result.
    """
    stretches = [rows[i : i + HELD_OUT] for i in range(0, len(rows), HELD_OUT)]
    n = max(1, int(len(stretches) * min(1, share)))
    return list(chain.from_iterable(stretches[i * len(stretches) // n] for i in range(n)))
