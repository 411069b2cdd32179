"""The ledger: one JSON a finished run, written once, never edited; read back as one tidy frame.

Rows and executed notebooks travel between machines as files; predictions and checkpoints stay where they were made.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from .config import PIVOT, SCALES, Bad, Run, Score, executed_dir, results_dir, runs_dir

if TYPE_CHECKING:
    import pandas

FIELDS = ("id", "path", "source", "on", "seed", "scale", "model", "method", "size", "phase")
RUN = tuple(f.name for f in fields(Run))
SAME = ("id", "scores", "items")  # what two executions of one run must agree on; times and machines may differ


def row(scores: list[Score], x: dict[str, list[float]], predictions: list[dict], seen: list[dict], protocols=(), **more) -> dict:
    """What a run adds to the ledger, less its provenance.

    items[i] = sum over languages of x[lang][i] / (languages * rows): they add up to the headline where that is a mean over
    rows, and stand for it in intervals where it is not (tagging, BUCC); "abroad" are the same over the languages other than
    the pivot. `protocols`: the same predictions scored under further protocols, kept apart.
    """
    items, abroad = shares(x), shares({lang: values for lang, values in x.items() if lang != PIVOT})
    told, also = ([asdict(score) | {"value": round(score.value, 6)} for score in some] for some in (scores, protocols))
    return {"scores": told, "items": items, "abroad": abroad, "predictions": predictions, "protocols": also, "seen": seen} | more


def shares(x: dict[str, list[float]]) -> list[float]:
    """What each row adds to the mean over languages of the mean over rows."""
    items = [0.0] * max(map(len, x.values()), default=0)
    for values in x.values():
        for i, value in enumerate(values):
            items[i] += value / (len(x) * len(values))
    return [round(value, 6) for value in items]


def place(run: Run) -> Path:
    """Where the ledger keeps a run."""
    return results_dir() / run.scale / f"{run.id}.json"


def write(row: dict) -> Path:
    """Write a finished run, whole or not at all.

    A run that is there already stays as it is, if it says the same.
    Raises: Bad when the ledger holds other scores under this id, or cannot be written.
    """
    path = results_dir() / row["scale"] / f"{row['id']}.json"
    if held(row):
        return path
    text = json.dumps(row, indent=1, sort_keys=True, allow_nan=False)
    return whole(path, lambda part: part.write_text(text + "\n"))


def held(row: dict) -> bool:
    """Whether the ledger has the row.

    Raises: Bad when it holds other scores under its id.
    """
    path = results_dir() / row["scale"] / f"{row['id']}.json"
    if not path.exists():
        return False
    old = json.loads(path.read_text())
    if differ(old, json.loads(json.dumps(row))):
        raise Bad(f"{path.name}: the ledger holds other scores for this run and is never overwritten; delete the file to repeat it")
    return True


def differ(one: dict, other: dict) -> bool:
    return any(one[k] != other[k] for k in SAME)


def whole(path: Path, make: Callable[[Path], object]) -> Path:
    """A file of the ledger, made whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as aside:
            make(part := Path(aside, path.name))
            os.replace(part, path)
    except OSError as error:
        advice = "name another folder with XIT_RESULTS or XIT_EXECUTED"
        raise Bad(f"cannot write the ledger in {path.parent} ({error.strerror}); {advice}") from None
    return path


def merge(folder: Path) -> tuple[int, int, int]:
    """Take what another machine finished into this ledger: (rows that came in, rows that were there, notebooks that came in).

    At any depth, what lies in a folder named like a scale counts: *.json are rows, *.ipynb executed notebooks. A notebook that
    is here already stays.
    Raises: Bad, before anything is written, for a row that contradicts one here or is of no run that this version makes.
    """
    if not folder.is_dir():
        raise Bad(f"no folder {folder}; name the one that holds <scale>/<run>.json")
    files = sorted(p for p in folder.rglob("*.*") if p.parent.name in SCALES and not p.name.startswith("."))
    came: dict[str, dict] = {}
    for file in (p for p in files if p.suffix == ".json"):
        row = foreign(file)
        if differ(row, came.setdefault(row["id"], row)):
            raise Bad(f"{file}: another file of {folder} has other scores for this run; nothing was merged")
    new = [row for row in came.values() if not held(row)]
    same_instances(new)
    books = [p for p in files if p.suffix == ".ipynb" and not p.name.endswith(".failed.ipynb") and p.stem != "analysis"]
    books = [(p, to) for p in books if not (to := executed_dir() / p.parent.name / p.name).exists()]
    for row in new:
        write(row)
    for book, to in books:
        whole(to, lambda part, book=book: shutil.copyfile(book, part))
    return len(new), len(came) - len(new), len(books)


def same_instances(new: list[dict]) -> None:
    """Check that rows were scored on the very instances that the others of their scale, here or new, were: pairs are compared.

    Raises: Bad.
    """
    known: dict[tuple, tuple[str, str]] = {}
    for here in (row for name in sorted({row["scale"] for row in new}) for row in rows(name)):
        for part, digest in instances(here).items():
            known.setdefault((here["scale"], *part), (digest, here["id"]))
    for row in new:
        for part, digest in instances(row).items():
            other, run = known.setdefault((row["scale"], *part), (digest, row["id"]))
            if digest != other:
                said = f"{row['id']} was scored on other rows of {'/'.join(part)} than {run}"
                raise Bad(f"{said}; nothing was merged: make both from the same data")


def instances(row: dict) -> dict[tuple[str, str], str]:
    """The hash of the evaluation rows that a run read, by task and language."""
    read = row["provenance"].get("data", [])
    return {(x["task"], x["lang"]): x["sha256"] for x in read if x["split"] == "validation"}


def foreign(file: Path) -> dict:
    """The row in a file of another machine's ledger.

    Raises: Bad unless it is whole and this version would give its run the same id.
    """
    try:
        row = json.loads(file.read_text())
        run = Run(**{k: row[k] for k in RUN})
        known = run.id == row["id"] == file.stem and run.scale == file.parent.name and {*SAME, *FIELDS, "provenance"} <= {*row}
    except (ValueError, KeyError, TypeError):  # Bad is a ValueError
        known = False
    if not known:
        raise Bad(f"{file}: no row of a run as this version makes it (its recipe, data and encoder); nothing was merged")
    return row


def checkpoint(run: Run) -> Path:
    """The folder of a stage run's encoder."""
    return runs_dir() / run.scale / run.id


def beside(run: Run) -> Path:
    """Where the predictions of a run are, instance by instance."""
    return runs_dir() / run.scale / "predictions" / f"{run.id}.parquet"


def kept(run: Run) -> Path | None:
    """The file of a run's predictions; None when they are not here."""
    return next((p for p in (beside(run), beside(run).with_suffix(".jsonl")) if p.is_file()), None)


def keep(run: Run, predictions: list[dict]) -> str:
    """Write the predictions of a run as Parquet: one row an instance with task, lang, id and what was predicted.

    The other columns hold JSON, so that one table takes a label, the tags of a sentence or a ranking. Where pyarrow is not
    installed the same table is written as JSON lines.
    Returns the sha256 of the content, which does not depend on the version of the library that wrote it.
    Raises: Bad when the disk is full.
    """
    columns = list(dict.fromkeys(["task", "lang", "id", "prediction", *(k for row in predictions for k in row)]))
    plain = ("task", "lang", "id")
    table = {c: [row.get(c) if c in plain else json.dumps(row.get(c), ensure_ascii=False) for row in predictions] for c in columns}
    partial = beside(run).with_suffix(".partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, beside(run).with_suffix(stored(table, partial)))
    except OSError as error:
        raise Bad(f"cannot write {beside(run)} ({error.strerror}); free some space or name another folder with XIT_RUNS") from None
    return hashlib.sha256(json.dumps(table, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def stored(table: dict[str, list], file: Path) -> str:
    """Write a table of strings as this machine can; the suffix of its format."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        rows = (json.dumps(dict(zip(table, cells, strict=True)), ensure_ascii=False) for cells in zip(*table.values(), strict=True))
        file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        return ".jsonl"
    parquet.write_table(pa.table({c: pa.array(cells, pa.string()) for c, cells in table.items()}), file)
    return ".parquet"


def predictions(run: Run) -> list[dict]:
    """What a run predicted, as it was kept.

    Raises: Bad when the file is not there: the ledger travels, the predictions stay on the machine that made them.
    """
    plain, file = ("task", "lang", "id"), kept(run)
    if not file:
        raise Bad(f"{run.id}: no predictions at {beside(run)}; XIT_RUNS names their folder, or run `{run.path}` again")
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    else:
        import pyarrow.parquet as parquet

        rows = parquet.read_table(file).to_pylist()
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
