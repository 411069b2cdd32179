"""Taking in what another machine finished: all of it or, if a row contradicts, nothing."""

import shutil
from pathlib import Path

from ..design.scales import SCALES
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import executed_dir
from . import volumes
from .results import ADVICE, ELSEWHERE, ROW, checked, differ, flaw, held, rows, run_of_row, write


def merge(folder: Path) -> tuple[int, int, int]:
    """Take what another machine finished into this ledger: (rows that came in, rows that were there,
    notebooks that came in).

    At any depth, what lies in a folder named like a scale counts: *.json are rows, *.ipynb executed
    notebooks; and published rows, <study>-<scale>.jsonl. What comes in are working rows. A notebook that is
    here stays.
    Raises: Bad, before anything is written, for a row that contradicts one here or is of no run that this
    version makes.
    """
    if not folder.is_dir():
        raise Bad(f"no folder {folder}; name the one that holds <scale>/<run>.json or <study>-<scale>.jsonl")
    folder = folder.resolve()
    there = [p for p in folder.rglob("*.*") if not hidden(p.relative_to(folder))]
    found = sorted(p for p in there if p.parent.name in SCALES)
    published = sorted({p.with_suffix(".jsonl") for p in there if volumes.scale_of(p) in SCALES})
    came: dict[str, dict] = {}
    told = [([foreign(file)], file) for file in found if file.suffix == ".json"]
    told += [(foreign_rows(file), file) for file in published]
    for row, file in ((row, file) for some, file in told for row in some):
        if differ(row, came.setdefault(row["id"], row)):
            raise Bad(f"{file}: another file of {folder} has other scores for this run; nothing was merged")
    new = [row for row in came.values() if not held(row)]
    same_instances(new)
    books = [
        p
        for p in found
        if p.suffix == ".ipynb" and not p.name.endswith(".failed.ipynb") and p.stem != "analysis"
    ]
    if not came and not books:
        names = "<scale>/<run>.json and <study>-<scale>.jsonl"
        raise Bad(f"{folder} holds no row and no notebook; rows are {names}, of {', '.join(SCALES)}")
    for book in books:
        notebook(book)
    books = [(p, to) for p in books if not (to := executed_dir() / p.parent.name / p.name).exists()]
    for row in new:
        write(row)
    for book, to in books:
        files.write_whole(to, lambda part, book=book: shutil.copyfile(book, part), ELSEWHERE)
    return len(new), len(came) - len(new), len(books)


def notebook(file: Path) -> None:
    """Raise Bad unless a file is a notebook."""
    advice = "nothing was merged: copy it again, or take it away"
    if not file.is_file():
        raise Bad(f"{file}: no file; {advice}")
    files.load(file, {"cells": list, "metadata": dict}, advice)


def hidden(path: Path) -> bool:
    """Whether a file is none of the project's: other systems leave `._x.json` beside `x.json`."""
    return any(part.startswith(".") for part in path.parts)


def same_instances(new: list[dict]) -> None:
    """Paired tests need identical evaluation rows; refuse others.

    Raises: Bad.
    """
    known: dict[tuple, tuple[str, str]] = {}
    for here in (row for name in sorted({row["scale"] for row in new}) for row in rows(name)):
        for part, digest in instance_hashes(here).items():
            known.setdefault((here["scale"], *part), (digest, here["id"]))
    for row in new:
        for part, digest in instance_hashes(row).items():
            other, run = known.setdefault((row["scale"], *part), (digest, row["id"]))
            if digest != other:
                said = f"{row['id']} was scored on other rows of {'/'.join(part)} than {run}"
                raise Bad(f"{said}; nothing was merged: make both from the same data")


def instance_hashes(row: dict) -> dict[tuple[str, str], str]:
    """The hash of the evaluation rows that a run read, by task and language."""
    read = row["provenance"].get("data", [])
    return {(x["task"], x["lang"]): x.get("sha256", "") for x in read if x["split"] == "validation"}


def foreign_rows(file: Path) -> list[dict]:
    """The rows of another machine's volume.

    Raises: Bad as `foreign`.
    """
    found = volumes.load_volume(file).rows()
    for row in found:
        if why := files.misfit(row, ROW) or files.hash_mismatch(row) or flaw(row) or other_recipe(row):
            said = f"{row['id']} is no row of a run as this version makes it: {why}"
            raise Bad(f"{file}: {said}; nothing was merged")
    return found


def other_recipe(row: dict) -> str:
    """What is wrong with a row of no run of this version; "" for nothing."""
    return "" if run_of_row(row) else "its recipe, data or encoder is another"


def foreign(file: Path) -> dict:
    """The row in a file of another machine's ledger.

    Raises: Bad unless it is whole and this version would give its run the same id.
    """
    try:
        row = checked(file)
        why = other_recipe(row)
    except Bad as error:
        why = str(error).removeprefix(f"{file}: ").removesuffix(f"; {ADVICE}")
    if why:
        raise Bad(f"{file}: no row of a run as this version makes it: {why}; nothing was merged")
    return row
