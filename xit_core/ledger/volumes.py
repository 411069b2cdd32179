"""The published ledger: volumes, each two files beside the folders of working rows, whole or damaged.

The first line of <study>-<scale>.jsonl says what all rows share and the hashes of the rest; then a line a
part that several rows refer to, then a line a row (`factored`). <study>-<scale>.parquet has the items of the
rows, instance by instance.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from ..design.scales import SCALES
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import factored

FORMAT = 1
NAME = re.compile(r"([a-z0-9_]+)-(.+)\.(?:jsonl|parquet)")
RESTORE_VOLUME = "restore it from git, and the file of the same name beside it"
PARQUET = "pip install pyarrow, which reads and writes Parquet"
# fields of a row that are in the Parquet file where they are lists of numbers with a point
ITEMS = (
    "items",
    "abroad",
)
HEADER = {
    "format": int, "study": str, "scale": str, "rows": int, "mark": str, "lines": str, "items": str,
    "shared": dict, "sha256": str,
}  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """A volume, whole, its rows not decoded: `lines` has by id the fields in the Parquet file, and the
    text."""

    file: Path
    scale: str
    mark: str
    shared: str
    parts: dict[str, str]
    lines: dict[str, tuple[list[str], str]]
    parquet: bytes

    def row(self, run_id: str) -> dict:
        """A row as the file of the run said it; nothing of it is shared with another.

        Raises: Bad where it needs Parquet and that is not installed.
        """
        beside, line = self.lines[run_id]
        row = {"id": run_id} | factored.unfactored(line, self.mark, self.shared, self.parts)
        return row | {name: self.items[name][run_id].tolist() for name in beside}

    def rows(self) -> list[dict]:
        """Every row, sorted by id.

        Raises: Bad as `row`.
        """
        return [self.row(run_id) for run_id in self.lines]

    @cached_property
    def items(self) -> dict[str, dict]:
        """The fields of the Parquet file: name -> id -> array."""
        return files.read_foreign(
            items_of(self.file), lambda file: arrays(self.parquet, file), RESTORE_VOLUME
        )


def arrays(content: bytes, file: Path) -> dict[str, dict]:
    """The lists in the content of a Parquet file: field -> id -> array.

    Raises: Bad where Parquet is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise Bad(f"{file}: rows cannot be read here with their items; {PARQUET}") from None
    table, found = parquet.read_table(pa.BufferReader(content)).combine_chunks(), {}
    ids = table["id"].to_pylist()
    for name in ITEMS:
        column = table[name].combine_chunks()
        ends, values, there = (
            column.offsets.to_numpy(),
            column.values.to_numpy(),
            column.is_valid().to_pylist(),
        )
        found[name] = {x: values[ends[i] : ends[i + 1]] for i, x in enumerate(ids) if there[i]}
    return found


# -- which there are -----------------------------------------------------------------------------------------


def volume_file(study: str, scale: str) -> Path:
    """Where the ledger keeps the volume of a study at a scale."""
    return results_dir() / f"{study}-{scale}.jsonl"


def items_of(file: Path) -> Path:
    """The Parquet file of a volume."""
    return file.with_suffix(".parquet")


def scale_of(file: Path) -> str:
    """The scale in the name of a volume's file; "" where that is no such name."""
    found = NAME.fullmatch(file.name)
    return found[2] if found else ""


def volume_files(scale: str | None) -> list[Path]:
    """The volumes of a scale, or of all: the names of their .jsonl, also where only the .parquet is left.

    Raises: Bad for a folder that cannot be read.
    """
    top = results_dir()
    try:
        there = [p for p in top.iterdir() if scale_of(p)] if top.is_dir() else []
    except OSError as error:
        said = f"{top}: the ledger cannot be read ({error.strerror})"
        raise Bad(f"{said}; make it a readable folder, or name another with XIT_RESULTS") from None
    return sorted({p.with_suffix(".jsonl") for p in there if scale_of(p) in ((scale,) if scale else SCALES)})


def volumes(scale: str | None) -> Iterator[Volume]:
    """The volumes of a scale, or of all.

    Raises: Bad for a damaged one.
    """
    return map(open_volume, volume_files(scale))


def holding(scale: str, run_id: str) -> list[Volume]:
    """The volumes that have a row: one, or none.

    Raises: Bad when a volume of the scale is damaged: the row may be in it.
    """
    return [volume for volume in volumes(scale) if run_id in volume.lines]


def open_volume(file: Path) -> Volume:
    """A volume; kept, until one of its files is another.

    Raises: Bad that names the file, what is wrong, and what to do.
    """
    found = _opened(file, _stamp(file), _stamp(items_of(file)))
    if isinstance(found, str):
        raise Bad(found)
    return found


@lru_cache(maxsize=32)
def _opened(file: Path, *stamps: tuple) -> Volume | str:
    """A volume, or what is wrong with it."""
    try:
        return load_volume(file)
    except Bad as error:
        return str(error)


def _stamp(file: Path) -> tuple:
    """What tells a file from what was there before."""
    try:
        told = file.stat()
    except OSError:
        return ()
    return told.st_mtime_ns, told.st_size, told.st_ino


# -- one of them ---------------------------------------------------------------------------------------------


def load_volume(file: Path) -> Volume:
    """The volume in a file, and in the one beside it.

    Raises: Bad.
    """
    try:
        head, _, body = volume_bytes(file).decode("utf-8").replace("\r\n", "\n").partition("\n")
        header = files.parsed(head)
        items = volume_bytes(items_of(file)) if isinstance(header, dict) and header.get("items") else b""
        wrong = (
            files.misfit(header, HEADER) or files.hash_mismatch(header) or unlike(file, header, body, items)
        )
    except UnicodeError as error:
        wrong = f"no UTF-8 text: {error.reason}"
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    if wrong:
        raise Bad(f"{file}: damaged ({wrong}); {RESTORE_VOLUME}")
    parts, lines = divided(body)
    shared = json.dumps(header["shared"])
    return Volume(file, header["scale"], header["mark"], shared, parts, lines, items)


def volume_bytes(file: Path) -> bytes:
    """The bytes of a file of a volume.

    Raises: Bad.
    """
    if file.exists() and not file.is_file():
        raise Bad(f"{file}: no file of the ledger; take it away and {RESTORE_VOLUME}")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise Bad(
            f"{file}: damaged (the file is gone, and the one beside it is there); {RESTORE_VOLUME}"
        ) from None
    except OSError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it a readable file") from None


def unlike(file: Path, header: dict, body: str, items: bytes) -> str:
    """What the rest of a volume has that its first line does not say; "" for nothing."""
    if header["format"] != FORMAT:
        return f"it has form {header['format']}, and this version of xit reads form {FORMAT}"
    if file.stem != f"{header['study']}-{header['scale']}":
        return f"it is the volume {header['study']}-{header['scale']}"
    if hashlib.sha256(body.encode()).hexdigest() != header["lines"]:
        return "its lines are not those of the hash in its first line"
    if header["items"] and hashlib.sha256(items).hexdigest() != header["items"]:
        return f"{items_of(file).name} is not that of the hash in its first line"
    return ""


def divided(body: str) -> tuple[dict[str, str], dict[str, tuple[list[str], str]]]:
    """The lines of a volume after its first: parts by their names, and rows by their ids, both still text."""
    parts, lines = {}, {}
    for line in body.split("\n")[:-1]:
        head, _, text = line.partition(',"is":')
        told = json.loads(head + "}")
        if "part" in told:
            parts[told["part"]] = text[:-1]
        else:
            lines[told["id"]] = told["beside"], text[:-1]
    return parts, lines
