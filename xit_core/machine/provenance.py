"""Which code made a number: the commit of the project's own tree, or none, and the versions of its
packages."""

import os
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .places import PACKAGE, ROOT

WRITTEN = ("book/results", "book/executed")  # by runs: a study takes its last analysis away before it starts
PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "papermill")


def described() -> str:
    """The package's version and, in a checkout, the commit: what a report of a fault should name."""
    try:
        number = version("xit")
    except PackageNotFoundError:  # a tree that was not installed
        number = "of a tree that is not installed"
    found = commit()
    at = (
        f" (commit {found['commit'][:10]}{'' if found['clean'] else ', with changes'})"
        if found["commit"]
        else ""
    )
    return f"xit {number}{at}"


def versions() -> dict[str, str]:
    """Of the packages that are installed: a machine that only trains has neither datasets nor papermill."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def commit() -> dict:
    """The commit, and whether the tree was clean but for what runs write.

    None and not clean where the code is not of a git checkout of its own: installed, copied into another
    repository, or without git. Clean means that no file differs or is new, and none is kept from git's eyes
    (ignored, `assume-unchanged`).
    """
    top = git("rev-parse", "--show-toplevel")
    own = top and (Path(top) / "xit_core").resolve() == PACKAGE and git("ls-files", "xit_core/__init__.py")
    sha = git("rev-parse", "--verify", "-q", "HEAD") if own else None
    return {"commit": sha or "", "clean": bool(sha) and not any(changes())}


def changes() -> tuple[str | None, ...]:
    """What differs from the commit: what git says, files that it is told not to look at, and ignored code."""
    places = [".", *(f":(exclude){place}" for place in WRITTEN)]
    status = git("status", "--porcelain", "--untracked-files=all", "--ignore-submodules=none", "--", *places)
    marked = git("ls-files", "-v", "--", *places)
    unseen = [line for line in (marked or "").splitlines() if line[0] != "H"]
    ignored = git("ls-files", "--others", "--", "xit_core/*.py", "notebooks/*.ipynb")
    return ("no answer" if None in (status, marked, ignored) else status), "\n".join(unseen), ignored


def git(*words: str) -> str | None:
    """What git says of the project's tree, whatever the environment and the person's settings say; None when
    it cannot.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(ROOT), "-c", "core.fsmonitor=false", "-c", "core.quotePath=true", *words]
    with suppress(OSError):
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="surrogateescape", env=env, check=False
        )
        return done.stdout.rstrip("\n") if done.returncode == 0 else None
    return None
