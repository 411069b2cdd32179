"""The ledger: one JSON a finished run, written once, never edited; read back as one tidy frame."""

import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from .config import Bad, Run, results_dir

if TYPE_CHECKING:
    import pandas

FIELDS = ("id", "path", "source", "on", "seed", "scale", "model", "method", "size", "phase")
RUN = tuple(f.name for f in fields(Run))
SAME = ("id", "scores", "items")  # what two executions of one run must agree on; times and machines may differ


def place(run: Run) -> Path:
    """Where the ledger keeps a run."""
    return results_dir() / run.scale / f"{run.id}.json"


def write(row: dict) -> Path:
    """Write a finished run, whole or not at all.

    A run that is there already stays as it is, if it says the same.
    Raises: Bad when the ledger holds other scores under this id, or cannot be written.
    """
    path = results_dir() / row["scale"] / f"{row['id']}.json"
    if path.exists():
        old = json.loads(path.read_text())
        if any(old[k] != json.loads(json.dumps(row[k])) for k in SAME):
            raise Bad(
                f"{path.name}: the ledger holds other scores for this run and is never overwritten; delete the file to repeat it"
            )
        return path
    text = json.dumps(row, indent=1, sort_keys=True, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".partial", delete=False) as part:
            part.write(text + "\n")
        os.chmod(part.name, 0o644)
        os.replace(part.name, path)
    except OSError as error:
        raise Bad(f"cannot write the ledger in {path.parent} ({error.strerror}); name another folder with XIT_RESULTS") from None
    return path


def read(run: Run) -> dict | None:
    """The ledger's row of a run, or None while it is not finished."""
    path = place(run)
    return json.loads(path.read_text()) if path.is_file() else None


def rows(scale: str | None = None) -> list[dict]:
    """Every row of the ledger, of one scale or all, ordered by id; rows of a recipe that has changed since are left out."""
    found = [json.loads(p.read_text()) for p in sorted(results_dir().glob(f"{scale or '*'}/*.json"))]
    return [row for row in found if row["id"] == Run(**{k: row[k] for k in RUN}).id]


def frame(scale: str | None = None) -> "pandas.DataFrame":
    """The ledger of a scale, or of all, as `tidy` gives it."""
    return tidy(rows(scale))


def tidy(told: list[dict]) -> "pandas.DataFrame":
    """One line a score: the run's fields, `data_lang` (of its intermediate data), and lang, metric, protocol, value, n."""
    import pandas as pd

    scored = [{k: row[k] for k in FIELDS} | {"data_lang": row["lang"]} | score for row in told for score in row["scores"]]
    return pd.DataFrame(scored, columns=[*FIELDS, "data_lang", "lang", "metric", "protocol", "value", "n"])


def headline(scores: "pandas.DataFrame") -> "pandas.DataFrame":
    """One line a run: `score`, the mean over languages of the mean of the task's headline metrics, as XTREME averages.

    Source: google-research/xtreme@838c13b, evaluate.py.
    """
    from .tasks import TASKS

    keys = [*FIELDS, "data_lang"]
    wanted = [t in TASKS and m in TASKS[t].metrics for t, m in zip(scores["on"], scores["metric"], strict=True)]
    by_lang = scores.loc[wanted].groupby([*keys, "lang"], as_index=False)["value"].mean()
    return by_lang.groupby(keys, as_index=False)["value"].mean().rename(columns={"value": "score"})
