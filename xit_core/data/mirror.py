"""Rows in a mirror of the hub (XIT_MIRROR), checked against its manifest."""

import re
from functools import lru_cache
from pathlib import Path

from ..machine.errors import Bad
from ..machine.places import mirror_dir
from . import formats
from .local import Part, file_hash

SQUEEZED = ".jsonl.xz"  # the form of a parcel's files, for a machine that cannot read Parquet


# -- a mirror ------------------------------------------------------------------------------------------------


# the columns that a manifest must have
COLUMNS = ("repo", "config", "split", "rows", "sha256", "complete", "commit", "note")
OPTIONAL = ("source", "path", "licence")
ALLOWED = {  # column -> pattern, and the same in words
    "rows": (r"\d{1,15}", "a whole number, digits only"),
    "sha256": (r"[0-9a-fA-F]{64}", "64 hexadecimal digits"),
    "complete": ("yes|partial|derived", "yes, partial or derived"),
    "repo": (r"[^/.\s][^/\s]*(/[^/.\s][^/\s]*)?", "name or owner/name, without spaces"),
    "config": (r"[^/\s]+", "a name, without spaces"),
    "split": (r"[^/\s]+", "a name, without spaces"),
}


def manifest(mirror: Path) -> dict[tuple[str, str, str], dict]:
    """The lines of the mirror's manifest by repository, config and split.

    Raises: Bad naming file, line and column.
    """
    file = mirror / "MANIFEST.csv"
    with formats.readable(file):
        return _manifest(file, file.stat().st_mtime_ns, file.stat().st_size)


@lru_cache(maxsize=2)
def _manifest(file: Path, _stamp: int, _size: int) -> dict[tuple[str, str, str], dict]:
    rows, entries = formats.read_rows(file), {}
    if missing := [name for name in COLUMNS if rows and name not in rows[0]]:
        raise Bad(f"{file}: no column {missing[0]!r} in its header; needed: {', '.join(COLUMNS)}")
    if not rows:
        raise Bad(f"{file}: it lists nothing; needed: a header with {', '.join(COLUMNS)}, and a line a split")
    for number, row in ((number, row) for number, row in enumerate(rows) if any(row.values())):
        if broken := [column for column, value in row.items() if "\n" in value]:
            raise Bad(f"{file}: row {number}, column {broken[0]!r}: a line break; a quote is open: mend it")
        for column, (pattern, allowed) in ALLOWED.items():
            if not re.fullmatch(pattern, row[column], re.ASCII):
                raise Bad(
                    f"{file}: row {number}, column {column!r}: got {row[column]!r:.60}; allowed: {allowed}"
                )
        key = (row["repo"], row["config"], row["split"])
        if key in entries:
            raise Bad(f"{file}: row {number}: {'/'.join(key)} stands there twice; keep one line")
        entries[key] = dict.fromkeys(OPTIONAL, "") | row | {"sha256": row["sha256"].lower()}
    return entries


def mirror_file(mirror: Path, entry: dict) -> Path:
    """The path at which the mirror holds the split that a line of its manifest describes.

    The file is Parquet, JSON lines, or the original under its own name. Where there is none, it is the path
    at which one is expected.
    """
    forms = [
        mirror / entry["repo"] / entry["config"] / f"{entry['split']}{ending}"
        for ending in (".parquet", SQUEEZED)
    ]
    if present := [file for file in forms if file.is_file()]:
        return present[0]
    return forms[0].parents[1] / Path(entry["path"]).name if entry.get("path") else forms[0]


def stands_in(entry: dict) -> bool:
    """Whether what a line of the manifest describes is not the declared split itself."""
    return "STAND-IN" in entry["note"] or entry["complete"] == "derived"


def from_mirror(repository: str, config: str, split: str) -> list[Part]:
    """Rows of one split of the mirror; [] where its manifest does not list the split.

    Raises: Bad when the file is not the one that the manifest describes.
    """
    mirror = mirror_dir()
    entry = manifest(mirror).get((repository, config, split))
    if entry is None:
        return []
    file = mirror_file(mirror, entry)
    digest = file_hash(file) if file.is_file() else "no file"
    if digest != entry["sha256"]:
        mismatch = f"{file}: sha256 {digest[:12]}, the manifest says {entry['sha256'][:12]}"
        raise Bad(f"{mismatch}; the mirror is damaged: copy this file again")
    stand_in = stands_in(entry)
    complete = entry["complete"] == "yes"
    note = entry["note"] if stand_in or not complete else ""
    rows = formats.read_rows(file)
    # for an original file the manifest counts its lines
    if len(rows) != int(entry["rows"]) and not entry["path"].endswith(file.name):
        raise Bad(
            f"{file}: {len(rows)} rows, the manifest says {entry['rows']}; mend its line, or copy both again"
        )
    return [Part(rows, f"{repository}/{config}/{split}", entry["commit"][:40], stand_in, complete, note)]
