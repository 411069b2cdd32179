"""Files of encoded rows, which all runs and processes share. The least recently used go first."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ..machine.places import runs_dir
from .features import Encoded

FORM = "begins with its hash"  # format of the files; those of another format have other names
MOST = 2 << 30  # bytes of all files together


def folder() -> Path:
    """The folder of the files, whether or not it exists."""
    return runs_dir() / "encoded"


def shared(key: list, make: Callable[[], Encoded]) -> Encoded:
    """The rows that `make` encodes, mapped from the file of an earlier call with an equal `key`.

    `key`: all that the result depends on. Raises: Bad when the file cannot be written.
    """
    file = folder() / f"{hashlib.sha256(json.dumps([FORM, *key]).encode()).hexdigest()}.npy"
    with suppress(OSError, ValueError):  # not there yet, or damaged
        found = Encoded.read(file)
        os.utime(file)
        return found
    found = make()
    found.write(file)
    prune()
    return found


def stored() -> Iterator[tuple[float, int, Path]]:
    """When each file was used last, its bytes, and its path."""
    for file in folder().glob("*.npy"):
        with suppress(FileNotFoundError):  # another process prunes too
            found = file.stat()
            yield found.st_mtime, found.st_size, file


def prune(most: int = MOST) -> dict[str, int]:
    """Delete files until the others have at most `most` bytes; return how many files and bytes went and stay.

    Who has a file mapped keeps its rows.
    """
    kept, deleted = [], []
    for _, size, file in sorted(stored(), reverse=True):
        if sum(kept) + size > most:
            file.unlink(missing_ok=True)
            deleted.append(size)
        else:
            kept.append(size)
    return {"deleted": len(deleted), "freed": sum(deleted), "kept": len(kept), "bytes": sum(kept)}
