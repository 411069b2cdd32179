"""The published ledger: volumes, each one file beside the folders of working rows.

<study>-<scale>.jsonl.xz is text of one line after another, compressed (`xz -dc` shows it). A volume is used
whole or, if any of it is damaged, not at all. The first line has the fields that all rows share and the hash
of everything else. Then comes a line for each part that several rows refer to, then a line for each row
(`factored`).
"""

import hashlib
import json
import lzma
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..design.scales import SCALES
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import factored

FORMAT = 2
ENDING = ".jsonl.xz"
NAME = re.compile(rf"([a-z0-9_]+)-(.+){re.escape(ENDING)}")
OTHER_FORM = re.compile(r"[a-z0-9_]+-(.+)\.(?:jsonl|parquet)")  # unpacked, or of an earlier version
NAMES_OF_FILES = f"<scale>/<run>.json or <study>-<scale>{ENDING}"  # those of a ledger, for messages
RESTORE_VOLUME = "restore it from git"
MOST_MEMORY = 1 << 28  # bytes that unpacking may take; what is written here takes a thirtieth of them
HEADER = {
    "format": int, "study": str, "scale": str, "rows": int, "mark": str, "lines": str, "shared": dict,
    "sha256": str,
}  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """An undamaged volume whose rows are not decoded yet. `lines`: for each id, the row's text."""

    file: Path
    mark: str
    shared: str
    parts: dict[str, str]
    lines: dict[str, str]

    def row(self, run_id: str) -> dict:
        """A row as in the file of its run; it has no object in common with another row."""
        line = self.lines[run_id]
        return {"id": run_id} | factored.unfactored(line, self.mark, self.shared, self.parts)

    def rows(self, only: Collection[str] | None = None) -> list[dict]:
        """Every row, or those of certain ids, sorted by id."""
        return [self.row(run_id) for run_id in self.lines if only is None or run_id in only]


# -- which there are -----------------------------------------------------------------------------------------


def volume_file(study: str, scale: str) -> Path:
    """The file for the volume of a study at a scale, whether or not it exists."""
    return results_dir() / f"{study}-{scale}{ENDING}"


def scale_of(file: Path) -> str:
    """The scale in the name of a volume's file; "" for a file of another name, which is no volume."""
    name = NAME.fullmatch(file.name)
    return name[2] if name else ""


def volume_files(scale: str | None) -> list[Path]:
    """The volumes of a scale, or of all.

    Raises: Bad for a folder that cannot be read, or a volume in another form.
    """
    top = results_dir()
    try:
        paths = [*top.iterdir()] if top.exists() else []
    except OSError as error:
        message = f"{top}: the ledger cannot be read ({error.strerror})"
        raise Bad(f"{message}; make it a readable folder, or name another with XIT_RESULTS") from None
    refuse_other_forms(paths)
    return sorted(path for path in paths if scale_of(path) in ((scale,) if scale else SCALES))


def refuse_other_forms(paths: list[Path]) -> None:
    """Check that no file is a volume in another form, whose rows would be missing without a word.

    Raises: Bad for the first such file.
    """
    for path in sorted(paths):
        if (name := OTHER_FORM.fullmatch(path.name)) and name[1] in SCALES:
            message = f"{path}: a volume is needed as <study>-<scale>{ENDING}"
            raise Bad(f"{message}; compress it with xz, publish its rows again, or take it away")


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
    """The volume in a file, cached until the file changes.

    Raises: Bad that names the file, what is wrong, and what to do.
    """
    volume = _opened(file, _stamp(file))
    if isinstance(volume, str):
        raise Bad(volume)
    return volume


@lru_cache(maxsize=32)
def _opened(file: Path, stamp: tuple) -> Volume | str:
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
    """Read a volume.

    Raises: Bad with `advice` for a damaged or unreadable file.
    """
    head, _, body = volume_text(file, advice).partition("\n")
    try:
        header = files.parsed(head)
        wrong = files.misfit(header, HEADER) or files.hash_mismatch(header) or unlike(file, header, body)
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    if wrong:
        raise Bad(f"{file}: damaged ({wrong}); {advice}")
    return Volume(file, header["mark"], json.dumps(header["shared"]), *divided(body))


def volume_text(file: Path, advice: str = RESTORE_VOLUME) -> str:
    """The text of a volume.

    Raises: Bad with `advice` when it cannot be read.
    """
    if file.exists() and not file.is_file():
        raise Bad(f"{file}: no file of the ledger; take it away and {advice}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it readable, or {advice}") from None
    return files.read_foreign(file, lambda _: unpacked(content), advice)


def unpacked(content: bytes) -> str:
    """The text in the content of a volume's file.

    Raises: LZMAError, EOFError or ValueError when it is not one whole compressed text and nothing else.
    """
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)
    text = stream.decompress(content)
    if not stream.eof:
        raise EOFError("it has no end")
    if stream.unused_data:
        raise ValueError("there is more after its end")
    return text.decode()


def unlike(file: Path, header: dict, body: str) -> str:
    """How a volume differs from what its first line says; "" when it does not."""
    if header["format"] != FORMAT:
        return f"it has form {header['format']}, and this version of xit reads form {FORMAT}"
    if file.name != (name := f"{header['study']}-{header['scale']}{ENDING}"):
        return f"it is the volume {name}"
    if hashlib.sha256(body.encode()).hexdigest() != header["lines"]:
        return "its lines are not those of the hash in its first line"
    return ""


def divided(body: str) -> tuple[dict[str, str], dict[str, str]]:
    """The lines of a volume after the first: parts by name and rows by id, both as text."""
    parts, lines = {}, {}
    for line in body.split("\n")[:-1]:
        head, _, text = line.partition(',"is":')
        record = json.loads(head + "}")
        if "part" in record:
            parts[record["part"]] = text[:-1]
        else:
            lines[record["id"]] = text[:-1]
    return parts, lines
