"""Taking over what another machine finished: all of it, or nothing if a row contradicts the ledger."""

import shutil
from pathlib import Path

from ..design.scales import OWN_FILE, SCALES, know_own, known_own, name_own
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import executed_dir
from . import volumes
from .results import ADVICE, ELSEWHERE, ROW, checked, differ, held, rows, run_of_row, write

COPY_VOLUME = "copy it again; nothing was merged"


def merge(folder: Path) -> tuple[int, int, int]:
    """Copy what another machine finished into this ledger.

    Files are looked for at any depth: rows *.json and executed notebooks *.ipynb in folders named like a
    scale, and published rows in <study>-<scale>.jsonl.xz. All new rows become working rows. An existing
    notebook is not replaced; of several of one name the first is copied. Scales with an encoder of the other
    user's own are known here afterwards, too.
    Returns (rows copied, rows that were here already, notebooks copied).
    Raises: Bad, before anything is written, for a row that contradicts one here or belongs to no run that
    this version makes, and for a volume in another form.
    """
    if not folder.is_dir():
        raise Bad(f"no folder {folder}; name the one that holds {volumes.NAMES_OF_FILES}")
    folder = folder.resolve()
    paths = sorted(path for path in folder.rglob("*.*") if not hidden(path.relative_to(folder)))
    volumes.refuse_other_forms(paths)
    own = {name: told for path in paths if path.name == OWN_FILE for name, told in know_own(path).items()}
    incoming, books = rows_in(folder, paths), notebooks_in(paths)
    if not incoming and not books:
        rows_are = f"rows are {volumes.NAMES_OF_FILES}, of {', '.join(SCALES)}"
        raise Bad(f"{folder} holds no row and no notebook; {rows_are}")
    new = [row for row in incoming if not held(row)]
    same_instances(new)
    copied = {target: book for target, book in books.items() if not target.exists()}
    name_own(own | known_own())
    for row in new:
        write(row)
    for target, book in copied.items():
        files.write_whole(target, lambda part, book=book: shutil.copyfile(book, part), ELSEWHERE)
    return len(new), len(incoming) - len(new), len(copied)


def rows_in(folder: Path, paths: list[Path]) -> list[dict]:
    """The rows in these files of a folder, each run's once.

    Raises: Bad for a damaged one, and for two that contradict each other.
    """
    working = [path for path in paths if path.parent.name in SCALES and path.suffix == ".json"]
    published = [path for path in paths if volumes.scale_of(path) in SCALES]
    batches = [([foreign(file)], file) for file in working]
    batches += [(foreign_rows(file), file) for file in published]
    incoming: dict[str, dict] = {}
    for row, file in ((row, file) for batch, file in batches for row in batch):
        if differ(row, incoming.setdefault(row["id"], row)):
            raise Bad(f"{file}: another file of {folder} has other scores for this run; nothing was merged")
    return [*incoming.values()]


def notebooks_in(paths: list[Path]) -> dict[Path, Path]:
    """Where each executed notebook among these files is to be copied: target -> the first file of its name.

    Raises: Bad for a damaged one.
    """
    books = [path for path in paths if path.parent.name in SCALES and path.suffix == ".ipynb"]
    books = [path for path in books if not path.name.endswith(".failed.ipynb") and path.stem != "analysis"]
    for book in books:
        notebook(book)
    return {executed_dir() / path.parent.name / path.name: path for path in reversed(books)}


def notebook(file: Path) -> None:
    """Check that a file is a notebook.

    Raises: Bad when it is not.
    """
    advice = "nothing was merged: copy it again, or take it away"
    if not file.is_file():
        raise Bad(f"{file}: no file; {advice}")
    files.load(file, {"cells": list, "metadata": dict}, advice)


def hidden(path: Path) -> bool:
    """Whether a path is hidden, so not the project's: some systems leave `._x.json` beside `x.json`."""
    return any(part.startswith(".") for part in path.parts)


def same_instances(new: list[dict]) -> None:
    """Check that new rows were scored on the same evaluation rows as the ledger's, as paired tests need.

    Raises: Bad when they were not.
    """
    digests: dict[tuple, tuple[str, str]] = {}
    for old in (row for name in sorted({row["scale"] for row in new}) for row in rows(name)):
        for part, digest in instance_hashes(old).items():
            digests.setdefault((old["scale"], *part), (digest, old["id"]))
    for row in new:
        for part, digest in instance_hashes(row).items():
            other, run = digests.setdefault((row["scale"], *part), (digest, row["id"]))
            if digest != other:
                message = f"{row['id']} was scored on other rows of {'/'.join(part)} than {run}"
                raise Bad(f"{message}; nothing was merged: make both from the same data")


def instance_hashes(row: dict) -> dict[tuple[str, str], str]:
    """The hashes of the evaluation rows that a run read, by (task, language)."""
    parts = row["provenance"].get("data", [])
    return {
        (part["task"], part["lang"]): part.get("sha256", "")
        for part in parts
        if part["split"] == "validation"
    }


def foreign_rows(file: Path) -> list[dict]:
    """The rows of another machine's volume.

    Raises: Bad for a row that is damaged or that this version would not make.
    """
    volume_rows = volumes.load_volume(file, COPY_VOLUME).rows()
    for row in volume_rows:
        if reason := files.misfit(row, ROW) or files.hash_mismatch(row) or other_recipe(row):
            message = f"{row['id']} is no row of a run as this version makes it: {reason}"
            raise Bad(f"{file}: {message}; nothing was merged")
    return volume_rows


def other_recipe(row: dict) -> str:
    """Why a row is of no run that this version makes; "" when it is of one."""
    return "" if run_of_row(row) else "its recipe, data or encoder is another"


def foreign(file: Path) -> dict:
    """The row in a file of another machine's ledger.

    Raises: Bad when it is damaged, or this version would give its run another id.
    """
    try:
        row = checked(file)
        reason = other_recipe(row)
    except Bad as error:
        reason = str(error).removeprefix(f"{file}: ").removesuffix(f"; {ADVICE}")
    if reason:
        raise Bad(f"{file}: no row of a run as this version makes it: {reason}; nothing was merged")
    return row
