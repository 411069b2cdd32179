"""Locks that one process at a time can hold, even on a file system that cannot lock files."""

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from .errors import Bad


def locked(path: Path) -> IO | None:
    """The open file, locked by this process until it is closed or the process dies; None if it is taken.

    Raises: Bad when the file cannot be written; Unlockable when the file system has no locks.
    """
    try:
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise Bad(
            f"cannot write {path} ({error.strerror}); make it writable or name another folder"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except OSError as error:
        file.close()
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
            return None
        raise Unlockable(f"{path}: the file system of its folder has no locks ({error.strerror})") from None


class Unlockable(Bad):
    """The file system has no `flock`, as is the case for some network file systems."""


class Owned:
    """A substitute for a lock: a file that only one process can create, and that it deletes afterwards."""

    def __init__(self, path: Path):
        """Raises: Bad while the file exists, with the process that made it."""
        self.path = path
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        except FileExistsError:
            raise Bad(
                f"{path} is held by {_owner(path)}; wait for it or, if that is gone, delete this file"
            ) from None

    def close(self) -> None:
        """Release the lock."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Owned":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _owner(path: Path) -> str:
    try:
        return (
            " ".join(path.read_text(encoding="utf-8", errors="replace").split())
            or "a process that is starting"
        )
    except OSError:
        return "a process that has just ended"
