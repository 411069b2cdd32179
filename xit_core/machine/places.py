"""The folders of the project: the package, and the folders that environment variables may name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from .errors import Bad

PACKAGE = Path(__file__).resolve().parents[1]
# otherwise the package was installed, and works in any folder
CHECKOUT = (PACKAGE.parent / "notebooks/1_pretrained.ipynb").is_file()
ROOT = PACKAGE.parent if CHECKOUT else Path.cwd()
PARTS = PACKAGE.parent if CHECKOUT else PACKAGE  # where the notebooks and the Snakefile are

# the ledger that `reading` names
NAMED: ContextVar[Path | None] = ContextVar("NAMED", default=None)


def results_dir() -> Path:
    """The ledger's folder (that of `reading`, else XIT_RESULTS, else book/results)."""
    return NAMED.get() or Path(os.environ.get("XIT_RESULTS") or published_dir())


def published_dir() -> Path:
    """The ledger that comes with the project."""
    return ROOT / "book/results"


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Within the block, the ledger is the one in `folder`; no other thread or process is affected."""
    token = NAMED.set(folder)
    try:
        yield
    finally:
        NAMED.reset(token)


def executed_dir() -> Path:
    """Where executed notebooks go (XIT_EXECUTED, else book/executed)."""
    return Path(os.environ.get("XIT_EXECUTED") or ROOT / "book/executed")


def runs_dir() -> Path:
    """Checkpoints and other working files, never committed (XIT_RUNS, else _runs)."""
    return Path(os.environ.get("XIT_RUNS") or ROOT / "_runs")


def logs_dir(scale: str) -> Path:
    """Where the processes of a study at a scale leave what they said, and notebooks that failed."""
    return runs_dir() / "logs" / scale


def mirror_dir() -> Path | None:
    """The folder of data-set repositories that replaces the hub (XIT_MIRROR); None when unset.

    Raises: Bad when it is not a mirror.
    """
    named = os.environ.get("XIT_MIRROR")
    if not named:
        return None
    if not (Path(named) / "MANIFEST.csv").is_file():
        raise Bad(
            f"XIT_MIRROR={named}: no MANIFEST.csv there; name the folder that holds the mirror, or unset it "
            "to use the hub"
        )
    return Path(named).resolve()


def local_dir() -> Path | None:
    """The user's folder of data that no hub serves at a known commit (XIT_LOCAL); None when unset.

    Such data are licensed or original files.
    Raises: Bad when it does not exist.
    """
    named = os.environ.get("XIT_LOCAL")
    if named and not Path(named).is_dir():
        raise Bad(
            f"XIT_LOCAL={named}: no such folder; name the folder that holds your own copies of data sets, "
            "or unset it"
        )
    return Path(named).resolve() if named else None
