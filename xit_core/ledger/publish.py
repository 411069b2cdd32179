"""Publishing working rows: a study's finished runs at a scale become a volume of two files kept in git."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from ..design import studies
from ..design.scales import SCALES
from ..design.scales import scale as scale_of
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import factored, results, volumes

OTHER = "other"  # the volume of rows that belong to no study


@dataclass(frozen=True)
class Published:
    """A published volume: its files, its number of rows, and a line for each kind of rows left out."""

    files: list[Path]
    rows: int
    left_out: list[str]

    def __str__(self) -> str:
        sizes = " and ".join(f"{file.stat().st_size:,} bytes in {file}" for file in self.files)
        return f"{self.rows:,} rows: {sizes}"


def publish_study(study: str, scale: str) -> Published:
    """Write a volume of all rows of a study at a scale, published and working; working rows are not deleted.

    Raises: Bad, before anything is written, for rows that contradict each other, a damaged volume, or no row.
    """
    rows, left_out = gathered(scale)
    wanted = members(study, scale, [*rows])
    outdated = sorted(run_id for run_id in rows if not results.run_of_row(rows[run_id]))
    others = sorted(set(rows) - wanted - set(outdated))
    of_other_studies = [run_id for run_id in others if not volumes.holding(scale, run_id)]
    to_publish = [rows[run_id] for run_id in sorted(wanted - set(outdated))]
    left_out += left_out_lines(outdated, "of another recipe, or of a task that is gone")
    advice = f"`xit results publish --study {OTHER}`"
    left_out += left_out_lines(of_other_studies, f"of no run of {study}: {advice}")
    if not to_publish:
        problem = f"no row of the study {study!r} at scale {scale!r} in {results_dir()}"
        raise Bad(f"{'; '.join([problem, *left_out])}; `xit study {study} --scale {scale}` makes them")
    return Published(write_volume(study, scale, to_publish), len(to_publish), left_out)


def left_out_lines(ids: list[str], why: str) -> list[str]:
    """A line about rows that are left out, in a list; [] when there are none."""
    shown = ", ".join(ids[:3]) + ", ..." * (len(ids) > 3)
    return [f"{len(ids)} rows are left out: {why} ({shown})"] if ids else []


def gathered(scale: str) -> tuple[dict[str, dict], list[str]]:
    """Every row of a scale by id, published or working, and a line for each damaged working row.

    Raises: Bad for two that contradict each other, and for a damaged volume.
    """
    rows, left_out = {}, []
    for volume in volumes.volumes(scale):
        for row in volume.rows():
            agreed(row, rows.setdefault(row["id"], row), volume.file)
    for file in results.row_files(scale):
        try:
            row = results.checked(file)
        except Bad as error:
            left_out.append(f"left out: {error}")
        else:
            agreed(row, rows.setdefault(row["id"], row), file)
    return rows, left_out


def agreed(row: dict, other: dict, file: Path) -> None:
    """Check that two rows of a run agree.

    Raises: Bad when they do not.
    """
    if results.differ(row, other):
        raise Bad(f"{file}: other scores for {row['id']} than in the published ledger; nothing was published")


def members(study: str, scale: str, ids: list[str]) -> set[str]:
    """The ids of these that belong to a study; for "other", the ids that belong to no study.

    Raises: Bad for an unknown study or scale.
    """
    if study == OTHER:
        return set(ids).difference(*(members(name, scale, ids) for name in studies.STUDIES))
    return {run.id for run in studies.runs(study, scale_of(scale))}.intersection(ids)


# -- writing -------------------------------------------------------------------------------------------------


def write_volume(study: str, scale: str, rows: list[dict]) -> list[Path]:
    """Write a volume, read it back to check it, then replace the existing one; return its files.

    Raises: Bad when it cannot be written, or Parquet is not installed.
    """
    file, lists = volumes.volume_file(study, scale), lists_of(rows)

    def make(aside: Path) -> list[str]:
        draft = aside / file.name
        items = parquet(volumes.items_of(draft), lists) if lists else ""
        draft.write_text(volume_text(study, scale, rows, lists, items), encoding="utf-8", newline="\n")
        same(volumes.load_volume(draft).rows(), rows, file)
        made = (volumes.items_of(draft), draft)
        return [path.name for path in made if path.exists() and not there(path, file.parent)]

    files.write_together(file.parent, make, str(file), results.ELSEWHERE)
    if not lists:
        volumes.items_of(file).unlink(missing_ok=True)
    return [path for path in (file, volumes.items_of(file)) if path.exists()]


def there(made: Path, folder: Path) -> bool:
    """Whether the folder has this file with the same content already.

    Such a file is not replaced. It keeps its time, so no analysis becomes outdated.
    """
    old = folder / made.name
    return old.is_file() and old.read_bytes() == made.read_bytes()


def same(found: list[dict], rows: list[dict], file: Path) -> None:
    """Check that the rows read back are exactly those that were written.

    Raises: Bad when they are not.
    """
    if [factored.text_of(row) for row in found] != [factored.text_of(row) for row in rows]:
        raise Bad(f"{file}: not written: read back, the rows are not the same; please report this")


def lists_of(rows: list[dict]) -> dict[str, dict[str, list[float]]]:
    """The fields of rows that go into the Parquet file: id -> field -> list."""
    by_id = {
        row["id"]: {name: row[name] for name in volumes.ITEMS if are_numbers(row.get(name))} for row in rows
    }
    return {run_id: lists for run_id, lists in by_id.items() if lists}


def are_numbers(value: object) -> bool:
    """Whether a value is a non-empty list of finite floats only, which Parquet gives back unchanged."""
    return (
        isinstance(value, list)
        and value != []
        and all(type(number) is float and math.isfinite(number) for number in value)
    )


def volume_text(study: str, scale: str, rows: list[dict], lists: dict[str, dict], items: str) -> str:
    """The lines of a volume; the first has the hashes of the others and of the Parquet file."""
    beside = {row["id"]: [*lists.get(row["id"], ())] for row in rows}
    remainders = [
        {field: value for field, value in row.items() if field not in ("id", *beside[row["id"]])}
        for row in rows
    ]
    content = factored.factored(remainders)
    heads = [f'{{"part":{json.dumps(name)},"is":{part}}}\n' for name, part in content.parts.items()]
    for (run_id, names), line in zip(beside.items(), content.lines, strict=True):
        heads.append(f'{{"id":{json.dumps(run_id)},"beside":{factored.text_of(names)},"is":{line}}}\n')
    body = "".join(heads)
    header = {
        "format": volumes.FORMAT, "study": study, "scale": scale, "rows": len(rows), "mark": content.mark,
        "lines": hashlib.sha256(body.encode()).hexdigest(), "items": items, "shared": content.shared,
    }  # fmt: skip
    return f"{factored.text_of(files.sealed(header))}\n{body}"


def parquet(file: Path, lists: dict[str, dict[str, list[float]]]) -> str:
    """Write the items of rows to a Parquet file and return its hash; the same items give the same bytes.

    Raises: Bad where Parquet is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as library
    except ImportError:
        raise Bad(f"{file.name}: no items can be published here; {volumes.PARQUET}") from None
    kind = pa.list_(pa.float64())
    columns = {
        name: pa.array([fields.get(name) for fields in lists.values()], kind) for name in volumes.ITEMS
    }
    table = pa.table({"id": pa.array(lists, pa.string())} | columns)
    library.write_table(table, file, compression="zstd", compression_level=19, use_dictionary=False)
    return files.sha256(file)


def scales_with_rows(study: str) -> list[str]:
    """The scales with rows of a study, published or working.

    Raises: Bad for a damaged volume, an unknown study, or none.
    """

    def there(name: str) -> list[str]:
        working = [file.stem for file in results.row_files(name)]
        return working + [run_id for volume in volumes.volumes(name) for run_id in volume.lines]

    if names := [name for name in SCALES if members(study, name, there(name))]:
        return names
    raise Bad(f"no row of the study {study!r} in {results_dir()}; name another ledger with XIT_RESULTS")
