"""Rows in a folder of the user's (XIT_LOCAL)."""

import hashlib
import itertools
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..machine.errors import Bad
from ..machine.places import local_dir
from . import formats


class Part(NamedTuple):
    """Rows of one split and where they came from. `revision`: the commit, or the sha256 of a file of the
    user's.
    """

    rows: list[dict]
    source: str
    revision: str
    stand_in: bool  # not the declared data set's split
    complete: bool
    note: str = ""  # a caveat to show with the number


def file_hash(file: Path) -> str:
    """Content hash of a file, taken once a process unless the file changes."""
    stat = file.stat()
    return _sha256(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sha256(file: Path, _stamp: int, _size: int) -> str:
    with formats.readable(file), open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- a folder of the user's ----------------------------------------------------------------------------------


# of a file in parts, as the datasets library names them
SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?")
# words that people write for a split, and words of a file's name that say nothing of it
ALIASES = {
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("training", "trn", "tr"), "train"),
    **dict.fromkeys(("testing", "tst"), "test"),
}
KINDS_OF_FILE = {
    "gz",
    "bz2",
    "xz",
    "zst",
    "zip",
    "lz4",
    "txt",
    "jsonl",
    "json",
    "ndjson",
    "csv",
    "tsv",
    "parquet",
    "arrow",
    "xlsx",
}
NO_DATA = re.compile(
    r"\..*|(readme|licen[cs]e|notice|sources|changelog)\b.*|.*\.(md|rst|pdf|html|lock|py)", re.I
)


def from_local(repository: str, config: str, split: str) -> list[Part]:
    """Rows of the user's own copy of a split; [] where there is none.

    That is XIT_LOCAL/<repository>/<config>/<split>.<ending>, compressed or not, or in parts
    <split>-00000-of-00002.<ending>.
    Raises: Bad when there are several copies, one that cannot be read or holds nothing, or (where the split
    is missing) a file that looks like it under another name: it would be left aside unseen.
    """
    folder = local_dir() and local_dir() / repository / config
    if not folder or not os.path.lexists(folder):
        return []
    there = data_files(folder)
    if broken := [f for f in there if is_split(f.name, split) and not f.is_file()]:
        raise Bad(
            f"{broken[0]}: no file (a folder, or a link to nothing); put the split there as a file, or take "
            "it away"
        )
    files, strays = (
        copies(there, split),
        [f for f in there if says_split(f.name, split) and not is_split(f.name, split)],
    )
    if strays and not files:
        endings = ", ".join(formats.READERS)
        raise Bad(
            f"{strays[0]} lies there and is not read; name it {split} with one of the endings {endings}, or "
            "take it away"
        )
    if not files:
        return []
    parts = [formats.read_rows(file) for file in files]
    if empty := [file for file, rows in zip(files, parts, strict=True) if not rows]:
        raise Bad(f"{empty[0]}: it holds no rows; take it away, or put the whole file there")
    rows = [row for some in parts for row in some]
    note = f"{', '.join(f.name for f in strays)} beside it: not read" if strays else ""
    name = files[0].name if len(files) == 1 else f"{split}-*-of-*{formats.data_ending(files[0].name)}"
    revision = (
        file_hash(files[0])
        if len(files) == 1
        else hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()
    )
    return [Part(rows, f"local/{repository}/{config}/{name}", revision, False, True, note)]


def data_files(folder: Path) -> list[Path]:
    """What lies in a folder and may be data, by name.

    Raises: Bad for what is no folder, such as a link to one that is not there.
    """
    with formats.readable(folder):
        return sorted(path for path in folder.iterdir() if not NO_DATA.fullmatch(path.name))


def misplaced(top: str, pattern: str, needed: str, right: str = "") -> None:
    """Raise Bad where a folder of original files has them, but not where they are read (`right`: there, for
    another split).
    """
    folder = local_dir()
    if folder and (
        found := sorted(f for f in (folder / top).rglob(pattern) if not right or not f.match(right))
    ):
        raise Bad(f"{found[0]} lies there and is not read; needed: XIT_LOCAL/{needed}, not compressed")


def is_split(name: str, split: str) -> bool:
    """Whether a file's name is that of a split, or of a part of it."""
    rest = (
        formats.stem(name).removeprefix(split)
        if formats.data_ending(name) and name.startswith(split)
        else None
    )
    return rest is not None and (not rest or bool(SHARD.fullmatch(rest)))


def says_split(name: str, split: str) -> bool:
    """Whether a name says a split in any words: "dev.jsonl" and "Validation.zip" are like "validation"."""
    return name_words(split) <= name_words(name)


def name_words(name: str) -> set[str]:
    """The words of a file name, each in the form that splits are called by; endings do not count."""
    found = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    return {ALIASES.get(word, word) for word in found} - KINDS_OF_FILE


def copies(there: list[Path], split: str) -> list[Path]:
    """The files of a split: one, or all of its parts in order.

    Raises: Bad for several copies, or for parts of which one is missing.
    """
    found: dict[tuple, dict[int, Path]] = {}
    for file in (f for f in there if f.is_file() and is_split(f.name, split)):
        part = SHARD.fullmatch(formats.stem(file.name).removeprefix(split))
        number, of = (int(part[1]), int(part[2])) if part else (0, None)
        key = (file.name[len(formats.stem(file.name)) :], of)
        if number in found.setdefault(key, {}):
            raise Bad(f"{found[key][number]}: {file.name} is there too; keep one of them")
        found[key][number] = file
    if len(found) > 1:
        one, other, *_ = (next(iter(parts.values())) for parts in found.values())
        raise Bad(f"{one}: {other.name} is there too; keep one of them")
    for (_, of), parts in found.items():
        if of is not None and (len(parts) != of or max(parts) >= of):
            gone = next(k for k in itertools.count() if k not in parts)
            raise Bad(
                f"{next(iter(parts.values()))}: part {gone} of {of} is missing, or one too many; copy all "
                "parts again"
            )
        return [parts[k] for k in sorted(parts)]
    return []


def from_own_files(rows: list[dict], source: str, files: list[Path], note: str = "") -> Part:
    """Rows of original files of the user's, with the hash of all of them."""
    revision = hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()
    return Part(rows, f"local/{source}", revision, False, True, note)
