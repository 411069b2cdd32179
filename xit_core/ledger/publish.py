"""Working rows -> volumes: what a study finished at a scale, as two files that are kept in git."""

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

OTHER = "other"  # the volume of rows that are of no study


@dataclass(frozen=True)
class Published:
    """What was done: the volume's files, how many rows it has, and a line for each kind of rows left out."""

    files: list[Path]
    rows: int
    left_out: list[str]

    def __str__(self) -> str:
        sizes = " and ".join(f"{file.stat().st_size:,} bytes in {file}" for file in self.files)
        return f"{self.rows:,} rows: {sizes}"


def publish_study(study: str, scale: str) -> Published:
    """Put every row of a study at a scale into its volume: those in it, and working ones, which stay.

    Raises: Bad, before anything is written, for rows that contradict each other, a damaged volume, or no row.
    """
    rows, left = gathered(scale)
    wanted = members(study, scale, [*rows])
    gone = sorted(x for x in rows if not results.run_of_row(rows[x]))
    aside = sorted(x for x in rows if x not in wanted and x not in gone and not volumes.holding(scale, x))
    told = [rows[x] for x in sorted(wanted - set(gone))]
    left += left_out_lines(gone, "of another recipe, or of a task that is gone")
    left += left_out_lines(aside, f"of no run of {study}: `xit results publish --study {OTHER}`")
    if not told:
        none = f"no row of the study {study!r} at scale {scale!r} in {results_dir()}"
        raise Bad(f"{'; '.join([none, *left])}; `xit study {study} --scale {scale}` makes them")
    return Published(write_volume(study, scale, told), len(told), left)


def left_out_lines(ids: list[str], why: str) -> list[str]:
    """A line for rows that are left out; none for none."""
    shown = ", ".join(ids[:3]) + ", ..." * (len(ids) > 3)
    return [f"{len(ids)} rows are left out: {why} ({shown})"] if ids else []


def gathered(scale: str) -> tuple[dict[str, dict], list[str]]:
    """Every row of a scale by its id, published or working; a line for each damaged working row.

    Raises: Bad for two that contradict each other, and for a damaged volume.
    """
    rows, left = {}, []
    for volume in volumes.volumes(scale):
        for row in volume.rows():
            agreed(row, rows.setdefault(row["id"], row), volume.file)
    for file in results.row_files(scale):
        try:
            row = results.checked(file)
        except Bad as error:
            left.append(f"left out: {error}")
        else:
            agreed(row, rows.setdefault(row["id"], row), file)
    return rows, left


def agreed(row: dict, other: dict, file: Path) -> None:
    """Raise Bad when two rows of a run say different things."""
    if results.differ(row, other):
        raise Bad(f"{file}: other scores for {row['id']} than in the published ledger; nothing was published")


def members(study: str, scale: str, ids: list[str]) -> set[str]:
    """Which of these rows are of a study; of "other": of none.

    Raises: Bad for an unknown study or scale.
    """
    if study == OTHER:
        return set(ids).difference(*(members(name, scale, ids) for name in studies.STUDIES))
    return {run.id for run in studies.runs(study, scale_of(scale))}.intersection(ids)


# -- writing -------------------------------------------------------------------------------------------------


def write_volume(study: str, scale: str, rows: list[dict]) -> list[Path]:
    """Write a volume, and read it back before it takes the place of the one that is there.

    Raises: Bad when it cannot be written, or Parquet is not installed.
    """
    file, lists = volumes.volume_file(study, scale), lists_of(rows)

    def make(aside: Path) -> list[str]:
        made = aside / file.name
        items = parquet(volumes.items_of(made), lists) if lists else ""
        made.write_text(volume_text(study, scale, rows, lists, items), encoding="utf-8", newline="\n")
        same(volumes.load_volume(made).rows(), rows, file)
        return [p.name for p in (volumes.items_of(made), made) if p.exists() and not there(p, file.parent)]

    files.write_together(file.parent, make, str(file), results.ELSEWHERE)
    if not lists:
        volumes.items_of(file).unlink(missing_ok=True)
    return [p for p in (file, volumes.items_of(file)) if p.exists()]


def there(made: Path, folder: Path) -> bool:
    """Whether a file with this content is in its place: it keeps its time, so no analysis is outdated."""
    old = folder / made.name
    return old.is_file() and old.read_bytes() == made.read_bytes()


def same(found: list[dict], rows: list[dict], file: Path) -> None:
    """Raise Bad unless what is read back is what was written, to the bit."""
    if [factored.text_of(row) for row in found] != [factored.text_of(row) for row in rows]:
        raise Bad(f"{file}: not written: read back, the rows are not the same; please report this")


def lists_of(rows: list[dict]) -> dict[str, dict[str, list[float]]]:
    """What of rows goes into the Parquet file, by id and field."""
    found = {
        row["id"]: {name: row[name] for name in volumes.ITEMS if are_numbers(row.get(name))} for row in rows
    }
    return {run_id: lists for run_id, lists in found.items() if lists}


def are_numbers(value: object) -> bool:
    """Whether a value is a list of floats, and of nothing else, that Parquet gives back as they are."""
    return (
        isinstance(value, list) and value != [] and all(type(x) is float and math.isfinite(x) for x in value)
    )


def volume_text(study: str, scale: str, rows: list[dict], lists: dict[str, dict], items: str) -> str:
    """The lines of a volume, the first one with the hashes of the others and of the Parquet file."""
    beside = {row["id"]: [*lists.get(row["id"], ())] for row in rows}
    left = [{k: of for k, of in row.items() if k not in ("id", *beside[row["id"]])} for row in rows]
    told = factored.factored(left)
    heads = [f'{{"part":{json.dumps(name)},"is":{part}}}\n' for name, part in told.parts.items()]
    for (x, names), line in zip(beside.items(), told.lines, strict=True):
        heads.append(f'{{"id":{json.dumps(x)},"beside":{factored.text_of(names)},"is":{line}}}\n')
    body = "".join(heads)
    header = {
        "format": volumes.FORMAT, "study": study, "scale": scale, "rows": len(rows), "mark": told.mark,
        "lines": hashlib.sha256(body.encode()).hexdigest(), "items": items, "shared": told.shared,
    }  # fmt: skip
    return f"{factored.text_of(files.sealed(header))}\n{body}"


def parquet(file: Path, lists: dict[str, dict[str, list[float]]]) -> str:
    """Write the items of rows, the same bytes for the same items; return their hash.

    Raises: Bad where Parquet is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as library
    except ImportError:
        raise Bad(f"{file.name}: no items can be published here; {volumes.PARQUET}") from None
    kind = pa.list_(pa.float64())
    told = {name: pa.array([of.get(name) for of in lists.values()], kind) for name in volumes.ITEMS}
    table = pa.table({"id": pa.array(lists, pa.string())} | told)
    library.write_table(table, file, compression="zstd", compression_level=19, use_dictionary=False)
    return files.sha256(file)


def scales_with_rows(study: str) -> list[str]:
    """The scales with rows of a study, published or working.

    Raises: Bad for a damaged volume, an unknown study, or none.
    """

    def there(name: str) -> list[str]:
        working = [file.stem for file in results.row_files(name)]
        return working + [x for volume in volumes.volumes(name) for x in volume.lines]

    if found := [name for name in SCALES if members(study, name, there(name))]:
        return found
    raise Bad(f"no row of the study {study!r} in {results_dir()}; name another ledger with XIT_RESULTS")
