"""Which code made a score: the commit of the project's own tree, if any, and the versions of its packages."""

import ast
import hashlib
import io
import os
import subprocess
import tarfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from .places import PACKAGE, ROOT

WRITTEN = (
    "book/results",
    "book/executed",
)  # written by runs: a study deletes its last analysis before it starts
PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "papermill")


def described() -> str:
    """The package's version and, in a checkout, the commit, for bug reports."""
    try:
        number = version("xit")
    except PackageNotFoundError:  # the tree was not installed
        number = "of a tree that is not installed"
    state = commit()
    suffix = (
        f" (commit {state['commit'][:10]}{'' if state['clean'] else ', with changes'})"
        if state["commit"]
        else ""
    )
    return f"xit {number}{suffix}"


def versions() -> dict[str, str]:
    """The versions of installed PACKAGES; a machine that only trains lacks datasets and papermill."""
    installed = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def commit() -> dict:
    """The commit of the code, and whether the tree was clean except for what runs write.

    {"commit": "", "clean": False} when the code is not in a git checkout of its own: it is installed, copied
    into another repository, or git is missing. Clean means that no file is changed or new, and none is hidden
    from git (ignored, `assume-unchanged`).
    """
    top = git("rev-parse", "--show-toplevel")
    own = top and (Path(top) / "xit_core").resolve() == PACKAGE and git("ls-files", "xit_core/__init__.py")
    sha = git("rev-parse", "--verify", "-q", "HEAD") if own else None
    return {"commit": sha or "", "clean": bool(sha) and not any(changes())}


def changes() -> tuple[str | None, ...]:
    """What differs from the commit: git's status, files that git is told not to look at, and ignored code."""
    places = [".", *(f":(exclude){place}" for place in WRITTEN)]
    status = git("status", "--porcelain", "--untracked-files=all", "--ignore-submodules=none", "--", *places)
    marked = git("ls-files", "-v", "--", *places)
    unseen = [line for line in (marked or "").splitlines() if line[0] != "H"]
    ignored = git("ls-files", "--others", "--", "xit_core/*.py", "notebooks/*.ipynb")
    return ("no answer" if None in (status, marked, ignored) else status), "\n".join(unseen), ignored


def git(*words: str) -> str | None:
    """The output of a git command in the project's tree, as text; None when it fails."""
    told = answer(*words)
    return None if told is None else told.decode("utf-8", "surrogateescape").rstrip("\n")


def answer(*words: str) -> bytes | None:
    """The output of a git command in the project's tree; None when it fails.

    The environment and the user's settings do not change it.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(ROOT), "-c", "core.fsmonitor=false", "-c", "core.quotePath=true", *words]
    with suppress(OSError):
        result = subprocess.run(command, capture_output=True, env=env, check=False)
        return result.stdout if result.returncode == 0 else None
    return None


# -- has the code changed since? -----------------------------------------------------------------------------


def digests() -> dict[str, str]:
    """The digest of each module of the package as it is now, by its name, such as "model.train"."""
    files = {file.relative_to(PACKAGE): file for file in PACKAGE.rglob("*.py")}
    return {module(name): digest(file.read_bytes()) for name, file in files.items()}


@cache
def digests_of(commit: str) -> dict[str, str] | None:
    """The same at a commit; None where git does not have it."""
    archive = answer("archive", "--format=tar", commit, "xit_core")
    if archive is None:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        members = {PurePosixPath(member.name): member for member in files if member.name.endswith(".py")}
        read = {name: files.extractfile(member).read() for name, member in members.items()}
    return {module(name.relative_to("xit_core")): digest(source) for name, source in read.items()}


def module(file: PurePosixPath) -> str:
    """The name of the module in a file of the package."""
    return ".".join(file.with_suffix("").parts)


@cache
def digest(source: bytes) -> str:
    """A hash of what a module's source does: comments, docstrings and layout do not count.

    Source that is not Python counts to the letter.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).hexdigest()
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
