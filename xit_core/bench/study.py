"""Where the time of a finished study went, by the rows of its ledger, beside another ledger of that study."""

from collections import Counter
from pathlib import Path

from ..design import studies
from ..design.scales import Scale, scale_of
from ..ledger import results
from ..ledger.measurements import record
from ..machine.errors import Bad
from ..machine.places import reading, results_dir

SCALE = "micro"  # the default scale
READ, TRAINED, SCORED = "reading and encoding training rows", "training", "scoring and keeping the row"
OTHER = "training, scoring and keeping the row"  # of rows that were made before parts were told apart


def measure(scale: str | Scale = SCALE, before: str = "") -> list[dict]:
    """Minutes of one process for each part of the runs of the main study, and in all.

    `before`: the folder of another ledger of the same runs, whose minutes are the baseline.
    Raises: Bad where a ledger lacks runs of the study.
    """
    s = scale_of(scale)
    ours = minutes(s, results_dir())
    if not before:
        return [record(name, "min", value) for name, value in ours.items()]
    theirs = minutes(s, Path(before))
    names = dict.fromkeys([*ours, *theirs])
    return [record(name, "min", ours.get(name), "before", theirs.get(name)) for name in names]


def minutes(s: Scale, folder: Path) -> dict[str, float]:
    """Minutes by part of the runs of the main study, the whole last, from the ledger in a folder."""
    spent: Counter[str] = Counter()
    with reading(folder):
        runs = studies.runs(studies.MAIN, s)
        rows = [results.read(run) for run in runs]
    if lacking := rows.count(None):
        raise Bad(
            f"{folder}: {lacking} of {len(runs)} runs at scale {s.name} are missing; finish the study first"
        )
    for run, row in zip(runs, rows, strict=True):
        where = {1: "start", 2: "intermediate tasks"}.get(run.phase) or (
            "retrieval targets" if run.target.retrieves else "targets"
        )
        for part, seconds in parts(row["provenance"]).items():
            spent[f"{where}: {part}"] += seconds / 60
    return {**spent, "all runs": spent.total()}


def parts(provenance: dict) -> dict[str, float]:
    """Seconds of a run by part."""
    whole, known = provenance["seconds"], provenance.get("spent")
    if known is None:
        return {OTHER: whole}
    if not known:  # nothing was trained
        return {SCORED: whole}
    return {READ: known["data"], TRAINED: known["training"], SCORED: whole - sum(known.values())}
