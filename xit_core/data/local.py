"""Rows in the user's own folder (XIT_LOCAL)."""

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
    """Rows of one split and where they came from.

    `revision`: the commit, or the sha256 of the user's file or files.
    """

    rows: list[dict]
    source: str
    revision: str
    stand_in: bool = False  # not the declared data set's split
    complete: bool = True
    note: str = ""  # a caveat to show with the number


def file_hash(file: Path) -> str:
    """The sha256 of a file's content; computed once per process unless the file changes."""
    stat = file.stat()
    return _sha256(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sha256(file: Path, _stamp: int, _size: int) -> str:
    with formats.readable(file), open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- the user's folder ---------------------------------------------------------------------------------------


# the suffix of a file that is one of several parts, as the datasets library names them
SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?")
# other words for a split, and the words of a file name that say nothing about its split
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

    The copy is XIT_LOCAL/<repository>/<config>/<split>.<ending>, compressed or not, or in parts
    <split>-00000-of-00002.<ending>.

    Raises: Bad when there are several copies, or one that cannot be read or is empty. Bad too where the split
    is missing but a file under another name looks like it: that file would otherwise be ignored silently.
    """
    folder = local_dir() and local_dir() / repository / config
    if not folder or not os.path.lexists(folder):
        return []
    files, strays = found_in(folder, split)
    if not files:
        return []
    parts = [formats.read_rows(file) for file in files]
    if empty := [file for file, rows in zip(files, parts, strict=True) if not rows]:
        raise Bad(f"{empty[0]}: it holds no rows; take it away, or put the whole file there")
    rows = [row for file_rows in parts for row in file_rows]
    note = f"{', '.join(path.name for path in strays)} beside it: not read" if strays else ""
    if len(files) == 1:
        name, revision = files[0].name, file_hash(files[0])
    else:
        name, revision = f"{split}-*-of-*{formats.data_ending(files[0].name)}", hash_of_all(files)
    return [Part(rows, f"local/{repository}/{config}/{name}", revision, note=note)]


def found_in(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """The files of a split in a folder, and those under another name that look like it.

    Both are empty where there is nothing.
    Raises: Bad for an entry under its name that is no file, several copies, or only such others.
    """
    entries = data_files(folder)
    if broken := [path for path in entries if is_split(path.name, split) and not path.is_file()]:
        raise Bad(
            f"{broken[0]}: no file (a folder, or a link to nothing); put the split there as a file, or take "
            "it away"
        )
    files = copies(entries, split)
    strays = [path for path in entries if says_split(path.name, split) and not is_split(path.name, split)]
    if strays and not files:
        endings = ", ".join(formats.READERS)
        raise Bad(
            f"{strays[0]} lies there and is not read; name it {split} with one of the endings {endings}, or "
            "take it away"
        )
    return files, strays


def hash_of_all(files: list[Path]) -> str:
    """One SHA-256 over several files: that of their own hashes."""
    return hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()


def data_files(folder: Path) -> list[Path]:
    """Files and folders in a folder that may be data, sorted by name.

    Raises: Bad for a path that is not a folder, such as a broken link.
    """
    with formats.readable(folder):
        return sorted(path for path in folder.iterdir() if not NO_DATA.fullmatch(path.name))


def misplaced(top: str, pattern: str, needed: str, right: str = "") -> None:
    """Raise Bad where a folder of original files has matching files, but not where they are read.

    `right`: a pattern of files that are in the right place, but of another split.
    """
    folder = local_dir()
    if folder and (
        strays := sorted(file for file in (folder / top).rglob(pattern) if not right or not file.match(right))
    ):
        raise Bad(f"{strays[0]} lies there and is not read; needed: XIT_LOCAL/{needed}, not compressed")


def is_split(name: str, split: str) -> bool:
    """Whether a file's name is that of a split, or of one part of it."""
    suffix = (
        formats.stem(name).removeprefix(split)
        if formats.data_ending(name) and name.startswith(split)
        else None
    )
    return suffix is not None and (not suffix or bool(SHARD.fullmatch(suffix)))


def says_split(name: str, split: str) -> bool:
    """Whether a name refers to a split in any wording: "dev.jsonl" and "Validation.zip" mean "validation"."""
    return name_words(split) <= name_words(name)


def name_words(name: str) -> set[str]:
    """The words of a file name, with split names in their standard form and without file endings."""
    words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    return {ALIASES.get(word, word) for word in words} - KINDS_OF_FILE


def copies(there: list[Path], split: str) -> list[Path]:
    """The files of a split: one, or all of its parts in order.

    Raises: Bad for several copies, or when a part is missing.
    """
    groups: dict[tuple, dict[int, Path]] = {}
    for file in (path for path in there if path.is_file() and is_split(path.name, split)):
        part = SHARD.fullmatch(formats.stem(file.name).removeprefix(split))
        number, total = (int(part[1]), int(part[2])) if part else (0, None)
        key = (file.name[len(formats.stem(file.name)) :], total)
        if number in groups.setdefault(key, {}):
            raise Bad(f"{groups[key][number]}: {file.name} is there too; keep one of them")
        groups[key][number] = file
    if len(groups) > 1:
        first, second, *_ = (next(iter(parts.values())) for parts in groups.values())
        raise Bad(f"{first}: {second.name} is there too; keep one of them")
    for (_, total), parts in groups.items():
        if total is not None and (len(parts) != total or max(parts) >= total):
            lost = next(k for k in itertools.count() if k not in parts)
            raise Bad(
                f"{next(iter(parts.values()))}: part {lost} of {total} is missing, or one too many; copy all "
                "parts again"
            )
        return [parts[k] for k in sorted(parts)]
    return []


def from_own_files(rows: list[dict], source: str, files: list[Path]) -> Part:
    """A Part of rows from the user's original files, with one hash over all of them."""
    return Part(rows, f"local/{source}", hash_of_all(files))
