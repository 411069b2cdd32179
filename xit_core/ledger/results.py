"""The ledger: one JSON file for each finished run, written once, never edited.

A row is a working one, <scale>/<run>.json, or published with the others of its study (`volumes`), or both.
Rows and executed notebooks are copied between machines as files. Predictions and checkpoints stay on the
machine that made them.
"""

import gc
import json
import os
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from ..design.run import Run
from ..design.scales import SCALES
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import volumes

RUN_FIELDS = tuple(f.name for f in fields(Run))
# fields that must be equal in two executions of one run; times and machines may differ
SAME = ("id", "scores", "items")

ELSEWHERE = "name another folder for the ledger with XIT_RESULTS or XIT_EXECUTED"
ADVICE = "delete the file, and the run is made again, or restore it from git"
SCORE = {"lang": str, "metric": str, "protocol": str, "value": float, "n": int}
ROW = {
    "id": str, "path": str, "scale": str, "seed": int, "model": str, "method": str, "lang": str, "size": int,
    "steps": str, "source": str, "on": str, "phase": int, "scores": [SCORE], "items": [float],
    "provenance": dict, "sha256": str,
}  # fmt: skip


@dataclass(frozen=True)
class Survey:
    """The contents of the ledger: rows of this version, a line for each damaged file, those files, and the
    ids of outdated rows, which are of another recipe or of a task or scale that no longer exists."""

    rows: list[dict]
    damaged: list[str]
    files: list[Path]
    outdated: list[str]

    @property
    def left_out(self) -> str:
        """How many rows are left out and why, as text; "" when all are used."""
        counts = {"damaged": len(self.damaged), "of another recipe": len(self.outdated)}
        return ", ".join(f"{n} {why}" for why, n in counts.items() if n)


def row_file(run: Run) -> Path:
    """The file for the working row of a run, whether or not it exists."""
    return results_dir() / run.scale.name / f"{run.id}.json"


def home(run: Run) -> Path:
    """The file that has a run's row, or the one that it will be written to.

    Raises: Bad for a damaged volume.
    """
    path = row_file(run)
    return (
        path
        if path.exists()
        else next((volume.file for volume in volumes.holding(run.scale.name, run.id)), path)
    )


def write(row: dict) -> Path:
    """Write the row of a finished run atomically, and return the file that has it.

    A row that is there already and agrees is not changed.
    Raises: Bad when the ledger has other scores under this id, or cannot be written.
    """
    path = results_dir() / row["scale"] / f"{row['id']}.json"
    if held(row):
        return path if path.exists() else volumes.holding(row["scale"], row["id"])[0].file
    return write_file(path, json.dumps(files.sealed(row), indent=1, sort_keys=True) + "\n")


def write_file(path: Path, content: str) -> Path:
    """Write a file of the ledger atomically, and return its path.

    Raises: Bad when it cannot be written.
    """
    return files.write_text(path, content, ELSEWHERE)


def held(row: dict) -> bool:
    """Whether the ledger has the row.

    Raises: Bad when the ledger has other scores under its id, or the file is damaged.
    """
    old = known(row["scale"], row["id"])
    if old and differ(old, json.loads(json.dumps(row))):
        published = volumes.holding(row["scale"], row["id"])
        named = published[0].file.name if published else f"{row['id']}.json"
        advice = "name another with XIT_RESULTS" if published else "delete the file"
        message = f"{named}: the ledger holds other scores for {row['id']} and is never overwritten"
        raise Bad(f"{message}; {advice} to repeat it")
    return old is not None


def known(scale: str, run_id: str) -> dict | None:
    """The row of a run, published or working; None when there is none.

    Raises: Bad when it is damaged, or its published and working copies contradict each other.
    """
    path = results_dir() / scale / f"{run_id}.json"
    copies = [(volume.row(run_id), volume.file) for volume in volumes.holding(scale, run_id)]
    copies += [(checked(path), path)] if path.exists() else []
    for row, file in copies[1:]:
        if differ(copies[0][0], row):
            raise Bad(contradicted(file, copies[0][1]))
    return copies[0][0] if copies else None


def contradicted(file: Path, other: Path) -> str:
    """The message for a file whose row contradicts the one in another file."""
    return f"{file}: other scores than {other.name} has for this run; take away the one that is wrong"


def differ(one: dict, other: dict) -> bool:
    """Whether two rows of the same run disagree in a field of SAME."""
    return any(one[field] != other[field] for field in SAME)


def checked(file: Path) -> dict:
    """The row in a file of a ledger, fully checked.

    Raises: Bad that names the file, what is wrong with it, and what to do.
    """
    if file.exists() and not file.is_file() or file.suffix != ".json":
        raise Bad(
            f"{file}: no file of the ledger: neither a folder nor a pipe is one, and names end in .json; "
            "take it away"
        )
    row = files.load(file, ROW, ADVICE)
    if (row["scale"], row["id"]) != (file.parent.name, file.stem):
        raise Bad(f"{file}: damaged (it is the row {row['scale']}/{row['id']}); {ADVICE}")
    return row


def run_of_row(row: dict) -> Run | None:
    """The run of a row; None where this version makes no run with its id.

    Such a row is of another recipe, or of a task that no longer exists.
    """
    try:
        run = Run(**{name: row[name] for name in RUN_FIELDS})
    except (Bad, KeyError):  # a row of before it had all fields
        return None
    return run if run.id == row["id"] else None


def command(run: Run) -> str:
    """The command line that makes a run."""
    values = {"scale": run.scale.name, "seed": run.seed} | run.changed
    changed = {name: values[name] for name in run.named if name in values and name != "path"}
    options = (f"--{name} {shlex.quote(str(value))}" for name, value in changed.items())
    return " ".join([f'xit run "{run.path}"', *options])


def read(run: Run) -> dict | None:
    """The ledger's row of a run, or None while the run is not finished.

    Raises: Bad when the row is damaged or contradicts a copy of it.
    """
    return known(run.scale.name, run.id)


def finished(run: Run) -> bool:
    """Whether the ledger has an undamaged row of a run."""
    try:
        if not row_file(run).exists():
            return bool(volumes.holding(run.scale.name, run.id))
        return read(run) is not None
    except Bad:
        return False


def rows(scale: str | None = None, only: Collection[str] | None = None) -> list[dict]:
    """Every row of the ledger that `survey` uses, of one scale or all, sorted by scale and id.

    Raises: Bad for a damaged volume, without which a whole study would be missing.
    """
    return whole(scale, only).rows


def whole(scale: str | None = None, only: Collection[str] | None = None) -> Survey:
    """What `survey` finds. Raises: Bad, as `rows`."""
    surveyed = survey(scale, only)
    for line, file in zip(surveyed.damaged, surveyed.files, strict=True):
        if volumes.scale_of(file):
            raise Bad(line)
    return surveyed


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let Python's garbage collector wait: it looks through all rows again whenever a quarter more have come,
    which takes as long as reading them, and finds nothing, for rows refer to nothing in circles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collector_paused()
def survey(scale: str | None = None, only: Collection[str] | None = None) -> Survey:
    """The ledger of a scale, or of all scales: the rows in use, and what is left out and why.

    `only`: the ids that are needed. Other published rows are not decoded, which takes most of the time; every
    file is checked all the same, and every working row is read.
    Raises: Bad when a folder of the ledger cannot be read.
    """
    surveyed, copies = Survey([], [], [], []), {}
    for row, file in every(scale, only, surveyed):
        copies.setdefault((row["scale"], f"{row['id']}.json"), []).append((row, file))
    for (row, first), *more in (copies[key] for key in sorted(copies)):
        if different := [file for other, file in more if differ(row, other)]:
            surveyed.damaged.append(contradicted(different[0], first))
            surveyed.files.append(different[0])
        else:
            surveyed.rows.append(row) if run_of_row(row) else surveyed.outdated.append(row["id"])
    return surveyed


def every(scale: str | None, only: Collection[str] | None, found: Survey) -> Iterator[tuple[dict, Path]]:
    """Each row of the ledger with its file, published rows first; damaged files are added to `found`."""
    working = row_files(scale)
    wanted = None if only is None else {*only, *(file.stem for file in working)}
    for file in volumes.volume_files(scale) + working:
        try:
            for row in volumes.open_volume(file).rows(wanted) if volumes.scale_of(file) else [checked(file)]:
                yield row, file
        except Bad as error:
            if volumes.scale_of(file) or file.parent.name in SCALES:  # else it need not be a row
                found.damaged.append(str(error))
                found.files.append(file)


def row_files(scale: str | None) -> list[Path]:
    """The files of working rows in the ledger of a scale, or of all scales.

    Raises: Bad for a folder that cannot be read, which would otherwise look empty.
    """
    top = results_dir()
    try:
        names = (
            [scale] if scale else sorted(path.name for path in top.iterdir()) if os.path.lexists(top) else []
        )
        folders = [top / name for name in names if os.path.lexists(top / name) and not name.startswith(".")]
        listed = [folder for folder in folders if folder.name in SCALES or folder.is_dir()]
        paths = [path for folder in listed for path in folder.iterdir()]
    except OSError as error:
        message = f"{error.filename}: the ledger cannot be read ({error.strerror})"
        raise Bad(f"{message}; make it a readable folder, or name another with XIT_RESULTS") from None
    return sorted(path for path in paths if path.suffix.lower() == ".json" and not path.name.startswith("."))


def scales() -> list[str]:
    """The scales that the ledger has files of, in the order of their declaration. Raises: Bad as `survey`."""
    return [name for name in SCALES if volumes.volume_files(name) or row_files(name)]
