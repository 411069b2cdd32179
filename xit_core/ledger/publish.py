"""Publishing working rows: a study's finished runs at a scale become a volume, one file kept in git."""

import hashlib
import json
import lzma
from dataclasses import dataclass
from pathlib import Path

from ..design import studies
from ..design.scales import SCALES, scale_of
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import factored, results, volumes

OTHER = "other"  # the volume of rows that belong to no study


@dataclass(frozen=True)
class Published:
    """A published volume: its file, its number of rows, and a line for each kind of rows left out."""

    file: Path
    rows: int
    left_out: list[str]

    def __str__(self) -> str:
        return f"{self.rows:,} rows: {self.file.stat().st_size:,} bytes in {self.file}"


def publish_study(study: str, scale: str) -> Published:
    """Write a volume of all rows of a study at a scale, published and working; working rows are not deleted.

    Raises: Bad, before anything is written, for several studies, rows that contradict each other, a damaged
    volume, or no row.
    """
    if "," in study:
        raise Bad(f"--study {study}: each study has a volume of its own; publish one after the other")
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
        return set(ids).difference(*(members_if_any(name, scale, ids) for name in studies.STUDIES))
    return {run.id for run in studies.runs(study, scale_of(scale))}.intersection(ids)


def members_if_any(study: str, scale: str, ids: list[str]) -> set[str]:
    """The same of a known study; none where it needs tasks that the scale does not have."""
    try:
        return members(study, scale, ids)
    except Bad:
        return set()


# -- writing -------------------------------------------------------------------------------------------------


def write_volume(study: str, scale: str, rows: list[dict]) -> Path:
    """Write a volume, read it back to check it, then replace the existing one; return its file.

    A file with the same text is not replaced. It keeps its time, so no analysis becomes outdated.
    Raises: Bad when it cannot be written.
    """
    file, text = volumes.volume_file(study, scale), volume_text(study, scale, rows)

    def make(draft: Path) -> None:
        draft.write_bytes(lzma.compress(text.encode()))
        same(volumes.load_volume(draft).rows(), rows, file)

    return file if there(text, file) else files.write_whole(file, make, results.ELSEWHERE)


def there(text: str, file: Path) -> bool:
    """Whether a volume's file has this text already."""
    try:
        return volumes.volume_text(file) == text
    except Bad:
        return False


def same(found: list[dict], rows: list[dict], file: Path) -> None:
    """Check that the rows read back are exactly those that were written.

    Raises: Bad when they are not.
    """
    if [factored.text_of(row) for row in found] != [factored.text_of(row) for row in rows]:
        raise Bad(f"{file}: not written: read back, the rows are not the same; please report this")


def volume_text(study: str, scale: str, rows: list[dict]) -> str:
    """The lines of a volume; the first has the hash of the others."""
    ids = [row["id"] for row in rows]
    content = factored.factored([{field: row[field] for field in row if field != "id"} for row in rows])
    lines = [f'{{"part":{json.dumps(name)},"is":{part}}}\n' for name, part in content.parts.items()]
    own = zip(ids, content.lines, strict=True)
    lines += [f'{{"id":{json.dumps(run_id)},"is":{line}}}\n' for run_id, line in own]
    body = "".join(lines)
    header = {
        "format": volumes.FORMAT, "study": study, "scale": scale, "rows": len(rows), "mark": content.mark,
        "lines": hashlib.sha256(body.encode()).hexdigest(), "shared": content.shared,
    }  # fmt: skip
    return f"{factored.text_of(files.sealed(header))}\n{body}"


def scales_with_rows(study: str) -> list[str]:
    """The scales with rows of a study, published or working.

    Raises: Bad for a damaged volume, an unknown study, or none.
    """

    if study != OTHER:
        studies.names_of(study)

    def ids(name: str) -> list[str]:
        working = [file.stem for file in results.row_files(name)]
        return working + [run_id for volume in volumes.volumes(name) for run_id in volume.lines]

    if names := [name for name in SCALES if (found := ids(name)) and members_if_any(study, name, found)]:
        return names
    raise Bad(f"no row of the study {study!r} in {results_dir()}; name another ledger with XIT_RESULTS")
