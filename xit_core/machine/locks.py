"""A lock that one process at a time holds, also on a file system that cannot lock files."""

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from .errors import Bad


def locked(path: Path) -> IO | None:
    """The file, held by this process alone until it is closed or the process dies; None while another one
    holds it.

    Raises: Bad when it cannot be made, or (an OSError of `fcntl.flock`) `Unlockable` where the file system
    has no locks.
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
    """A file system without `flock`, as some network file systems are."""


class Owned:
    """What stands for a lock where there are none: a file that only one process can make, and that it takes
    away again.
    """

    def __init__(self, path: Path):
        """Raises: Bad while the file is there, with who made it."""
        self.path = path
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        except FileExistsError:
            raise Bad(
                f"{path} is held by {_owner(path)}; wait for it or, if that is gone, delete this file"
            ) from None

    def close(self) -> None:
        """Give the lock back."""
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
