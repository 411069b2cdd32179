"""The published ledger: volumes, each of two files beside the folders of working rows.

A volume is used whole or, if any of it is damaged, not at all. The first line of <study>-<scale>.jsonl has
the fields that all rows share and the hashes of everything else. Then comes a line for each part that several
rows refer to, then a line for each row (`factored`). <study>-<scale>.parquet has the rows' items, one number
for each instance.
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
# fields of a row that go into the Parquet file where they are lists of floats
ITEMS = ("items", "abroad")
HEADER = {
    "format": int, "study": str, "scale": str, "rows": int, "mark": str, "lines": str, "items": str,
    "shared": dict, "sha256": str,
}  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """An undamaged volume whose rows are not decoded yet.

    `lines`: for each id, the names of the fields that are in the Parquet file, and the row's text.
    """

    file: Path
    scale: str
    mark: str
    shared: str
    parts: dict[str, str]
    lines: dict[str, tuple[list[str], str]]
    parquet: bytes
    advice: str  # what to do if it cannot be decoded

    def row(self, run_id: str) -> dict:
        """A row as in the file of its run; it has no object in common with another row.

        Raises: Bad when it needs Parquet and that is not installed.
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
        """The fields of the Parquet file: name -> id -> array.

        Raises: Bad for a damaged file, or without Parquet.
        """
        return files.read_foreign(items_of(self.file), lambda file: arrays(self.parquet, file), self.advice)


def arrays(content: bytes, file: Path) -> dict[str, dict]:
    """The lists in the content of a Parquet file: field -> id -> array.

    Raises: Bad where Parquet is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise Bad(f"{file}: rows cannot be read here with their items; {PARQUET}") from None
    table, lists = parquet.read_table(pa.BufferReader(content)).combine_chunks(), {}
    ids = table["id"].to_pylist()
    for name in ITEMS:
        column = table[name].combine_chunks()
        ends, values = column.offsets.to_numpy(), column.values.to_numpy()
        valid = column.is_valid().to_pylist()
        lists[name] = {run_id: values[ends[i] : ends[i + 1]] for i, run_id in enumerate(ids) if valid[i]}
    return lists


# -- which there are -----------------------------------------------------------------------------------------


def volume_file(study: str, scale: str) -> Path:
    """The .jsonl file for the volume of a study at a scale, whether or not it exists."""
    return results_dir() / f"{study}-{scale}.jsonl"


def items_of(file: Path) -> Path:
    """The Parquet file of a volume."""
    return file.with_suffix(".parquet")


def scale_of(file: Path) -> str:
    """The scale in the name of a volume's file; "" for a file of another name."""
    name = NAME.fullmatch(file.name)
    return name[2] if name else ""


def volume_files(scale: str | None) -> list[Path]:
    """The .jsonl files of the volumes of a scale, or of all; a lone .parquet also counts as a volume.

    Raises: Bad for a folder that cannot be read.
    """
    top = results_dir()
    try:
        paths = [path for path in top.iterdir() if scale_of(path)] if top.is_dir() else []
    except OSError as error:
        message = f"{top}: the ledger cannot be read ({error.strerror})"
        raise Bad(f"{message}; make it a readable folder, or name another with XIT_RESULTS") from None
    return sorted(
        {path.with_suffix(".jsonl") for path in paths if scale_of(path) in ((scale,) if scale else SCALES)}
    )


def volumes(scale: str | None) -> Iterator[Volume]:
    """The volumes of a scale, or of all scales.

    Raises: Bad for a damaged volume.
    """
    return map(open_volume, volume_files(scale))


def holding(scale: str, run_id: str) -> list[Volume]:
    """The volumes that have a row: one or none.

    Raises: Bad when a volume of the scale is damaged, because the row may be in it.
    """
    return [volume for volume in volumes(scale) if run_id in volume.lines]


def open_volume(file: Path) -> Volume:
    """The volume in a file, cached until one of its two files changes.

    Raises: Bad that names the file, what is wrong, and what to do.
    """
    volume = _opened(file, _stamp(file), _stamp(items_of(file)))
    if isinstance(volume, str):
        raise Bad(volume)
    return volume


@lru_cache(maxsize=32)
def _opened(file: Path, *stamps: tuple) -> Volume | str:
    """The volume in a file, or the message that says what is wrong with it."""
    try:
        return load_volume(file)
    except Bad as error:
        return str(error)


def _stamp(file: Path) -> tuple:
    """A value that changes when a file is replaced or edited; () while there is none."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


# -- one of them ---------------------------------------------------------------------------------------------


def load_volume(file: Path, advice: str = RESTORE_VOLUME) -> Volume:
    """Read a volume from its .jsonl file and the .parquet file beside it.

    Raises: Bad with `advice` for a damaged or unreadable file.
    """
    try:
        head, _, body = volume_bytes(file, advice).decode("utf-8").replace("\r\n", "\n").partition("\n")
        header = files.parsed(head)
        beside = isinstance(header, dict) and header.get("items")
        items = volume_bytes(items_of(file), advice) if beside else b""
        wrong = files.misfit(header, HEADER) or files.hash_mismatch(header)
        wrong = wrong or unlike(file, header, body, items)
    except Bad:  # it names its file, which may be the one beside this one
        raise
    except UnicodeError as error:
        wrong = f"no UTF-8 text: {error.reason}"
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    if wrong:
        raise Bad(f"{file}: damaged ({wrong}); {advice}")
    parts, lines = divided(body)
    shared = json.dumps(header["shared"])
    return Volume(file, header["scale"], header["mark"], shared, parts, lines, items, advice)


def volume_bytes(file: Path, advice: str) -> bytes:
    """The bytes of a file of a volume.

    Raises: Bad with `advice` when it is missing or cannot be read.
    """
    if file.exists() and not file.is_file():
        raise Bad(f"{file}: no file of the ledger; take it away and {advice}")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise Bad(f"{file}: damaged (the file is gone, and the one beside it is there); {advice}") from None
    except OSError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it readable, or {advice}") from None


def unlike(file: Path, header: dict, body: str, items: bytes) -> str:
    """How a volume differs from what its first line says; "" when it does not."""
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
    """The lines of a volume after the first: parts by name and rows by id, both as text."""
    parts, lines = {}, {}
    for line in body.split("\n")[:-1]:
        head, _, text = line.partition(',"is":')
        record = json.loads(head + "}")
        if "part" in record:
            parts[record["part"]] = text[:-1]
        else:
            lines[record["id"]] = record["beside"], text[:-1]
    return parts, lines
