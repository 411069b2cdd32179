"""The ledger: one JSON a finished run, written once, never edited; read back as one tidy frame."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from .config import SCALES, Bad, Run, Score, results_dir, runs_dir

if TYPE_CHECKING:
    import pandas

FIELDS = ("id", "path", "source", "on", "seed", "scale", "model", "method", "size", "phase")
RUN = tuple(f.name for f in fields(Run))
SAME = ("id", "scores", "items")  # what two executions of one run must agree on; times and machines may differ


def row(scores: list[Score], x: dict[str, list[float]], predictions: list[dict], seen: list[dict], protocols=(), **more) -> dict:
    """What a run adds to the ledger, less its provenance.

    items[i] = sum over languages of x[lang][i] / (languages * rows): they add up to the headline. `protocols`: the same
    predictions scored under further protocols, kept apart from the scores.
    """
    items = [0.0] * max(map(len, x.values()), default=0)
    for values in x.values():
        for i, value in enumerate(values):
            items[i] += value / (len(x) * len(values))
    told, also = ([asdict(score) | {"value": round(score.value, 6)} for score in some] for some in (scores, protocols))
    items = [round(value, 6) for value in items]
    return {"scores": told, "items": items, "predictions": predictions, "protocols": also, "seen": seen} | more


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


def beside(run: Run) -> Path:
    """Where the predictions of a run are, instance by instance."""
    return runs_dir() / run.scale / "predictions" / f"{run.id}.parquet"


def keep(run: Run, predictions: list[dict]) -> str:
    """Write the predictions of a run as Parquet: one row an instance with task, lang, id and what was predicted.

    The other columns hold JSON, so that one table takes a label, the tags of a sentence or a ranking.
    Returns the sha256 of the content, which does not depend on the version of the library that wrote it.
    Raises: Bad when the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns = list(dict.fromkeys(["task", "lang", "id", "prediction", *(k for row in predictions for k in row)]))
    plain = ("task", "lang", "id")
    table = {c: [row.get(c) if c in plain else json.dumps(row.get(c), ensure_ascii=False) for row in predictions] for c in columns}
    try:
        beside(run).parent.mkdir(parents=True, exist_ok=True)
        partial = beside(run).with_suffix(".partial")
        parquet.write_table(pa.table({c: pa.array(cells, pa.string()) for c, cells in table.items()}), partial)
        os.replace(partial, beside(run))
    except OSError as error:
        raise Bad(f"cannot write {beside(run)} ({error.strerror}); free some space or name another folder with XIT_RUNS") from None
    return hashlib.sha256(json.dumps(table, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def predictions(run: Run) -> list[dict]:
    """What a run predicted, as it was kept.

    Raises: Bad when the file is not there: the ledger travels, the predictions stay on the machine that made them.
    """
    import pyarrow.parquet as parquet

    if not beside(run).is_file():
        raise Bad(f"{run.id}: no predictions at {beside(run)}; XIT_RUNS names their folder, or run `{run.path}` again")
    plain = ("task", "lang", "id")
    rows = parquet.read_table(beside(run)).to_pylist()
    return [{c: x if c in plain else json.loads(x) for c, x in row.items()} for row in rows]


def read(run: Run) -> dict | None:
    """The ledger's row of a run, or None while it is not finished."""
    path = place(run)
    return json.loads(path.read_text()) if path.is_file() else None


def rows(scale: str | None = None) -> list[dict]:
    """Every row of the ledger, of one scale or all, ordered by id; rows of a recipe that has changed since are left out."""
    files = sorted(p for p in results_dir().glob(f"{scale or '*'}/*.json") if p.parent.name in SCALES)
    found = [json.loads(p.read_text()) for p in files]
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
