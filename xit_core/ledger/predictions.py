"""The predictions of a run, one for each instance; they stay on the machine that made them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..design.run import Run
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import runs_dir
from .results import command, read

PLAIN = ("task", "lang", "id")  # columns of the predictions that hold text, not JSON


def predictions_place(run: Run) -> Path:
    """The Parquet file for the predictions of a run, whether or not it exists."""
    return runs_dir() / run.scale.name / "predictions" / f"{run.id}.parquet"


def predictions_file(run: Run) -> Path | None:
    """The file of a run's predictions; None when this machine has none."""
    return next(iter(predictions_files(run)), None)


def predictions_files(run: Run) -> list[Path]:
    """The files of a run's predictions; two if machines with and without Parquet share a folder."""
    return [
        file
        for file in (predictions_place(run), predictions_place(run).with_suffix(".jsonl"))
        if file.is_file()
    ]


@contextmanager
def restored_on_error(runs: Iterable[Run]) -> Iterator[None]:
    """Within the block predictions of some runs may be written anew; where it raises, they are as before."""
    before = {file: file.read_bytes() for run in runs for file in predictions_files(run)}
    try:
        yield
    except BaseException:
        for file in (file for run in runs for file in predictions_files(run) if file not in before):
            file.unlink()
        for file, content in before.items():
            files.write_whole(file, lambda part, content=content: part.write_bytes(content))
        raise


def write_predictions(run: Run, predictions: list[dict]) -> str:
    """Write the predictions of a run as Parquet: one row an instance, with task, lang, id and prediction.

    Columns other than these three hold JSON, so that one table can hold labels, the tags of a sentence or
    rankings. Without pyarrow the same table is written as JSON lines. Returns the sha256 of the content,
    which does not depend on the version of the library that wrote it.
    Raises: Bad when the file cannot be written, for example because the disk is full.
    """
    columns = list(dict.fromkeys([*PLAIN, "prediction", *(name for row in predictions for name in row)]))
    table = {
        column: [
            row.get(column) if column in PLAIN else json.dumps(row.get(column), ensure_ascii=False)
            for row in predictions
        ]
        for column in columns
    }
    suffix, store = table_writer()
    files.write_whole(predictions_place(run).with_suffix(suffix), lambda part: store(table, part))
    return table_hash(table)


def table_hash(table: dict[str, list]) -> str:
    """The sha256 of the content of a table."""
    return hashlib.sha256(json.dumps(table, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def table_writer() -> tuple[str, Callable[[dict[str, list], Path], object]]:
    """How this machine writes a table of strings: the file suffix, and the function that writes it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        return ".jsonl", write_lines
    return ".parquet", lambda table, file: parquet.write_table(
        pa.table({c: pa.array(cells, pa.string()) for c, cells in table.items()}), file
    )


def write_lines(table: dict[str, list], file: Path) -> None:
    """Write a table as JSON lines, where Parquet is not installed."""
    rows = (
        json.dumps(dict(zip(table, cells, strict=True)), ensure_ascii=False)
        for cells in zip(*table.values(), strict=True)
    )
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8", newline="\n")


def predictions(run: Run) -> list[dict]:
    """The predictions of a run, checked against the hash in its row.

    Raises: Bad when they are damaged or not on this machine; the ledger is copied between machines, but
    predictions are not.
    """
    row = read(run) or {}
    again = f"`{command(run)}{' --again' if row else ''}` makes them"
    wanted, wrong = row.get("provenance", {}).get("predictions_sha256"), ""
    for file in predictions_files(run):
        try:
            return unpacked(
                files.read_foreign(file, predictions_table, again), wanted, f"{file}: damaged", again
            )
        except Bad as error:
            wrong = wrong or str(error)
    raise Bad(
        wrong
        or f"{run.id}: no predictions at {predictions_place(run)}; XIT_RUNS names their folder, or {again}"
    )


def predictions_table(file: Path) -> dict[str, list]:
    """The columns of a file of predictions.

    Raises: ValueError, or what the library raises, for a damaged one.
    """
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        return {
            column: [row[column] for row in rows] for column in (rows[0] if rows else (*PLAIN, "prediction"))
        }
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(file) as stream:
        table = stream.read()
    if other := [column.name for column in table.schema if str(column.type) != "string"]:
        raise ValueError(f"column {other[0]!r} is no text")
    return table.to_pydict()


def unpacked(table: dict[str, list], wanted: str | None, where: str, again: str) -> list[dict]:
    """The rows of a table of predictions, with JSON decoded.

    Raises: Bad for content with another hash than `wanted`, a missing column, or invalid JSON.
    """
    if wanted and table_hash(table) != wanted:
        raise Bad(f"{where} (other predictions than the ledger's row names by predictions_sha256); {again}")
    if missing := [column for column in (*PLAIN, "prediction") if column not in table]:
        raise Bad(f"{where} (no column {missing[0]!r}); {again}")
    rows = (dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True))
    try:
        return [
            {column: cell if column in PLAIN else json.loads(cell) for column, cell in row.items()}
            for row in rows
        ]
    except (ValueError, TypeError) as error:
        raise Bad(f"{where} ({error}); {again}") from None
