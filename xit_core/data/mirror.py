"""Rows in a mirror of the hub (XIT_MIRROR), checked against its manifest."""

import re
from functools import lru_cache
from pathlib import Path

from ..machine.errors import Bad
from ..machine.places import mirror_dir
from . import formats
from .local import Part, file_hash

SQUEEZED = ".jsonl.xz"  # the form of a mirror to be carried to a machine that reads no Parquet


# -- a mirror ------------------------------------------------------------------------------------------------


# that a manifest must have
COLUMNS = (
    "repo",
    "config",
    "split",
    "rows",
    "sha256",
    "complete",
    "commit",
    "note",
)
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
    """Lines of the mirror's manifest by repository, config and split.

    Raises: Bad naming file, line and column.
    """
    file = mirror / "MANIFEST.csv"
    with formats.readable(file):
        return _manifest(file, file.stat().st_mtime_ns, file.stat().st_size)


@lru_cache(maxsize=2)
def _manifest(file: Path, _stamp: int, _size: int) -> dict[tuple[str, str, str], dict]:
    rows, found = formats.read_rows(file), {}
    if missing := [name for name in COLUMNS if rows and name not in rows[0]]:
        raise Bad(f"{file}: no column {missing[0]!r} in its header; needed: {', '.join(COLUMNS)}")
    if not rows:
        raise Bad(f"{file}: it lists nothing; needed: a header with {', '.join(COLUMNS)}, and a line a split")
    for n, row in ((n, row) for n, row in enumerate(rows) if any(row.values())):
        if broken := [column for column, value in row.items() if "\n" in value]:
            raise Bad(f"{file}: row {n}, column {broken[0]!r}: a line break; a quote is open: mend it")
        for column, (pattern, allowed) in ALLOWED.items():
            if not re.fullmatch(pattern, row[column], re.ASCII):
                raise Bad(f"{file}: row {n}, column {column!r}: got {row[column]!r:.60}; allowed: {allowed}")
        key = (row["repo"], row["config"], row["split"])
        if key in found:
            raise Bad(f"{file}: row {n}: {'/'.join(key)} stands there twice; keep one line")
        found[key] = dict.fromkeys(OPTIONAL, "") | row | {"sha256": row["sha256"].lower()}
    return found


def mirror_file(mirror: Path, entry: dict) -> Path:
    """Where the mirror holds what a line of its manifest describes: as Parquet, JSON lines, or the original
    under its own name.
    """
    forms = [
        mirror / entry["repo"] / entry["config"] / f"{entry['split']}{ending}"
        for ending in (".parquet", SQUEEZED)
    ]
    if found := [file for file in forms if file.is_file()]:
        return found[0]
    return forms[0].parents[1] / Path(entry["path"]).name if entry.get("path") else forms[0]


def from_mirror(repository: str, config: str, split: str) -> list[Part]:
    """Rows of one split of the mirror; [] when it is not there.

    Raises: Bad when the file is not the one that the manifest describes.
    """
    mirror = mirror_dir()
    entry = manifest(mirror).get((repository, config, split))
    if entry is None:
        return []
    file = mirror_file(mirror, entry)
    found = file_hash(file) if file.is_file() else "no file"
    if found != entry["sha256"]:
        told = f"{file}: sha256 {found[:12]}, the manifest says {entry['sha256'][:12]}"
        raise Bad(f"{told}; the mirror is damaged: copy this file again")
    stand_in = "STAND-IN" in entry["note"] or entry["complete"] == "derived"
    whole = entry["complete"] == "yes"
    note = entry["note"] if stand_in or not whole else ""
    rows = formats.read_rows(file)
    if len(rows) != int(entry["rows"]) and not entry["path"].endswith(
        file.name
    ):  # of an original file lines are counted
        raise Bad(
            f"{file}: {len(rows)} rows, the manifest says {entry['rows']}; mend its line, or copy both again"
        )
    return [Part(rows, f"{repository}/{config}/{split}", entry["commit"][:40], stand_in, whole, note)]
