"""The ledger: one JSON a finished run, written once, never edited; read back as one tidy frame.

A row is working, <scale>/<run>.json, or published with the others of its study (`volumes`), or both. Rows and
executed notebooks travel between machines as files; predictions and checkpoints stay where they were made.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..design.encoders import weight_files
from ..design.run import Run
from ..design.scales import SCALES
from ..design.tasks import TASKS
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir, runs_dir
from . import volumes

if TYPE_CHECKING:
    import pandas

FIELDS = ("id", "path", "source", "on", "seed", "scale", "model", "method", "size", "phase")
RUN_FIELDS = tuple(f.name for f in fields(Run))
# what two executions of one run must agree on; times and machines may differ
SAME = (
    "id",
    "scores",
    "items",
)

ELSEWHERE = "name another folder for the ledger with XIT_RESULTS or XIT_EXECUTED"
ADVICE = "delete the file, and the run is made again, or restore it from git"
SCORE = {"lang": str, "metric": str, "protocol": str, "value": float, "n": int}
ROW = {
    "id": str, "path": str, "scale": str, "seed": int, "model": str, "method": str, "lang": str, "size": int,
    "source": str, "on": str, "phase": int, "scores": [SCORE], "items": [float], "provenance": dict,
    "sha256?": str,
}  # fmt: skip
DATA = {
    "task": str, "split": str, "lang": str, "rows?": int, "dropped?": int, "sha256?": str, "source?": str,
    "revision?": str, "stand_in?": bool, "licence?": str, "counts?": {"*": int}, "note?": str,
}  # fmt: skip
MADE = {
    "commit?": (str, type(None)), "clean?": bool, "data?": [DATA], "encoder?": {"name": str, "sha256": str},
    "device?": str, "packages?": {"*": str}, "seconds?": float, "tokens_per_second?": float,
    "predictions_sha256?": str, "recipe?": dict, "started?": str,
    "environment?": {"machine?": str, "instructions?": str, "threads?": int, "variables?": {"*": str}},
}  # fmt: skip
# The rest of a row that has no hash. All such rows are known, so any other field is damage.
REST = {
    "provenance": MADE, "protocols?": [SCORE], "abroad?": [float], "curve?": [{"step": int, "*": float}],
    "dose?": {"share?": {"*": float}, "*": float}, "language_share?": [float], "thresholds?": {"*": float},
    "layers?": [{"lang": str, "layer": int, "centred": bool, "value": float}],
    "probe?": [{"lang": str, "layer": int, "accuracy": float, "n": int}],
}  # fmt: skip


@dataclass(frozen=True)
class Survey:
    """What the ledger holds: rows of this version; a line for each damaged file, and the files; ids of rows
    of another recipe, or of a task or scale that is gone."""

    rows: list[dict]
    damaged: list[str]
    files: list[Path]
    outdated: list[str]

    @property
    def left_out(self) -> str:
        """How many rows are left out and why; "" where all are used."""
        counts = {"damaged": len(self.damaged), "of another recipe": len(self.outdated)}
        return ", ".join(f"{n} {why}" for why, n in counts.items() if n)


def run_fields(run: Run) -> dict:
    """What a row says of its run."""
    return run.named | {"id": run.id, "source": run.source, "on": run.on, "phase": run.phase}


def row_file(run: Run) -> Path:
    """Where the ledger keeps the working row of a run."""
    return results_dir() / run.scale.name / f"{run.id}.json"


def home(run: Run) -> Path:
    """The file that has a run's row, or will have it.

    Raises: Bad for a damaged volume.
    """
    path = row_file(run)
    return path if path.exists() else next((v.file for v in volumes.holding(run.scale.name, run.id)), path)


def write(row: dict) -> Path:
    """Write a finished run, whole or not at all.

    A run that is there already stays as it is, if it says the same.
    Raises: Bad when the ledger holds other scores under this id, or cannot be written.
    """
    path = results_dir() / row["scale"] / f"{row['id']}.json"
    if held(row):
        return path if path.exists() else volumes.holding(row["scale"], row["id"])[0].file
    return write_file(path, json.dumps(files.sealed(row), indent=1, sort_keys=True) + "\n")


def write_file(path: Path, content: str) -> Path:
    """A whole file of the ledger.

    Raises: Bad when it cannot be written.
    """
    return files.write_text(path, content, ELSEWHERE)


def held(row: dict) -> bool:
    """Whether the ledger has the row.

    Raises: Bad when it holds other scores under its id, or a damaged file.
    """
    old = known(row["scale"], row["id"])
    if old and differ(old, json.loads(json.dumps(row))):
        published = volumes.holding(row["scale"], row["id"])
        named = published[0].file.name if published else f"{row['id']}.json"
        advice = "name another with XIT_RESULTS" if published else "delete the file"
        said = f"{named}: the ledger holds other scores for {row['id']} and is never overwritten"
        raise Bad(f"{said}; {advice} to repeat it")
    return old is not None


def known(scale: str, run_id: str) -> dict | None:
    """The row of a run, published or working; None for none.

    Raises: Bad for a damaged one, and where they contradict each other.
    """
    path = results_dir() / scale / f"{run_id}.json"
    found = [(volume.row(run_id), volume.file) for volume in volumes.holding(scale, run_id)]
    found += [(checked(path), path)] if path.exists() else []
    for row, file in found[1:]:
        if differ(found[0][0], row):
            raise Bad(contradicted(file, found[0][1]))
    return found[0][0] if found else None


def contradicted(file: Path, other: Path) -> str:
    """The line for a row that says something else than a volume."""
    return f"{file}: other scores than {other.name} has for this run; take away the one that is wrong"


def differ(one: dict, other: dict) -> bool:
    """Whether two executions of a run disagree."""
    return any(one[k] != other[k] for k in SAME)


def checked(file: Path) -> dict:
    """The row in a file of a ledger, and all of it.

    Raises: Bad that names the file, what is wrong with it, and what to do.
    """
    if file.exists() and not file.is_file() or file.suffix != ".json":
        raise Bad(
            f"{file}: no file of the ledger: neither a folder nor a pipe is one, and names end in .json; "
            "take it away"
        )
    row = files.load(file, ROW, ADVICE)
    wrong = flaw(row)
    if (row["scale"], row["id"]) != (file.parent.name, file.stem):
        wrong = f"it is the row {row['scale']}/{row['id']}"
    if wrong:
        raise Bad(f"{file}: damaged ({wrong}); {ADVICE}")
    return row


def flaw(row: dict) -> str:
    """What is wrong with a row that has the fields of `ROW`; "" for nothing."""
    return ("" if "sha256" in row else unknown_field(row)) or files.misfit(row, REST)


def unknown_field(row: dict) -> str:
    """What is wrong with a row that has no hash; "" for nothing."""
    known = {field.removesuffix("?") for field in (*ROW, *REST)}
    if unknown := [field for field in row if field not in known]:
        return f"no row has a field {unknown[0]!r}"
    told, run = ("source", "on", "phase"), run_of_row(row)
    wrong = [
        f"field {k!r} is {row[k]!r}, needed: {getattr(run, k)!r}"
        for k in told
        if run and row[k] != getattr(run, k)
    ]
    return next(iter(wrong), "")


def run_of_row(row: dict) -> Run | None:
    """The run of a row; None where this version makes none of its id: of another recipe, or a task that is
    gone.
    """
    try:
        run = Run(**{k: row[k] for k in RUN_FIELDS})
    except Bad:
        return None
    return run if run.id == row["id"] else None


def checkpoint(run: Run) -> Path:
    """The folder of a stage run's encoder."""
    return runs_dir() / run.scale.name / run.id


def trained(run: Run) -> bool:
    """Whether a stage run's encoder is there, with all of its files."""
    folder = checkpoint(run)
    return all(file.is_file() for file in (folder / "config.json", *weight_files(folder)))


def command(run: Run) -> str:
    """The command line of a run."""
    told = {"scale": run.scale.name, "seed": run.seed} | run.changed
    changed = {k: told[k] for k in run.named if k in told and k != "path"}
    return " ".join([f'xit run "{run.path}"', *(f"--{k} {v}" for k, v in changed.items())])


def read(run: Run) -> dict | None:
    """The ledger's row of a run, or None while it is not finished.

    Raises: Bad for a damaged one.
    """
    return known(run.scale.name, run.id)


def finished(run: Run) -> bool:
    """Whether the ledger has a run's row, and a whole one."""
    try:
        if not row_file(run).exists():
            return bool(volumes.holding(run.scale.name, run.id))
        return read(run) is not None
    except Bad:
        return False


def rows(scale: str | None = None) -> list[dict]:
    """Every row of the ledger, of one scale or all, ordered by id; what `survey` leaves out is left out.

    Raises: Bad for a damaged volume: without it all of a study would be left out.
    """
    found = survey(scale)
    for line, file in zip(found.damaged, found.files, strict=True):
        if file.suffix == ".jsonl":
            raise Bad(line)
    return found.rows


def survey(scale: str | None = None) -> Survey:
    """The ledger of a scale, or of all: what is used, and what is left out and why.

    Raises: Bad for a folder of it that cannot be read.
    """
    found, told = Survey([], [], [], []), {}
    for row, file in every(scale, found):
        told.setdefault((row["scale"], f"{row['id']}.json"), []).append((row, file))
    for (row, first), *more in (told[key] for key in sorted(told)):
        if odd := [file for other, file in more if differ(row, other)]:
            found.damaged.append(contradicted(odd[0], first))
            found.files.append(odd[0])
        else:
            found.rows.append(row) if run_of_row(row) else found.outdated.append(row["id"])
    return found


def every(scale: str | None, found: Survey) -> Iterator[tuple[dict, Path]]:
    """Each row of the ledger, published ones first, with its file; what is damaged goes to `found`."""
    for file in volumes.volume_files(scale) + row_files(scale):
        try:
            for row in volumes.open_volume(file).rows() if file.suffix == ".jsonl" else [checked(file)]:
                yield row, file
        except Bad as error:
            if file.suffix == ".jsonl" or file.parent.name in SCALES:  # else it need not be a row
                found.damaged.append(str(error))
                found.files.append(file)


def row_files(scale: str | None) -> list[Path]:
    """What lies in the ledger of a scale, or of all, as a row.

    Raises: Bad for a folder that cannot be read: it would look like an empty one.
    """
    top = results_dir()
    try:
        names = [scale] if scale else sorted(p.name for p in top.iterdir()) if os.path.lexists(top) else []
        folders = [top / name for name in names if os.path.lexists(top / name) and not name.startswith(".")]
        found = [
            p for folder in folders if folder.name in SCALES or folder.is_dir() for p in folder.iterdir()
        ]
    except OSError as error:
        said = f"{error.filename}: the ledger cannot be read ({error.strerror})"
        raise Bad(f"{said}; make it a readable folder, or name another with XIT_RESULTS") from None
    return sorted(p for p in found if p.suffix.lower() == ".json" and not p.name.startswith("."))


def frame(scale: str | None = None) -> "pandas.DataFrame":
    """The ledger of a scale, or of all, as `tidy` gives it."""
    return tidy(rows(scale))


def tidy(told: list[dict]) -> "pandas.DataFrame":
    """One line a score: the run's fields, `data_lang` (of its intermediate data), and lang, metric, protocol,
    value, n.
    """
    import pandas as pd

    scored = [
        {k: row[k] for k in FIELDS} | {"data_lang": row["lang"]} | score
        for row in told
        for score in row["scores"]
    ]
    return pd.DataFrame(scored, columns=[*FIELDS, "data_lang", "lang", "metric", "protocol", "value", "n"])


def headline(scores: "pandas.DataFrame") -> "pandas.DataFrame":
    """One line a run: `score`, the mean over languages of the mean of the task's headline metrics, as XTREME
    averages.

    Source: google-research/xtreme@838c13b, evaluate.py.
    """
    keys = [*FIELDS, "data_lang"]
    wanted = [
        t in TASKS and m in TASKS[t].metrics for t, m in zip(scores["on"], scores["metric"], strict=True)
    ]
    by_lang = scores.loc[wanted].groupby([*keys, "lang"], as_index=False)["value"].mean()
    return by_lang.groupby(keys, as_index=False)["value"].mean().rename(columns={"value": "score"})
