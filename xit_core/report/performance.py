"""The tables and the roofline of the chapter on performance, from the stored measurements, as Markdown."""

from collections import Counter
from functools import partial
from pathlib import Path

from ..design import studies
from ..design.run import PRETRAINED, SINGLE, Run
from ..design.scales import PAPER, PIVOT, Scale
from ..design.tasks import nine
from ..ledger import measurements
from . import estimate, plots
from .figures import figure
from .markdown import left_out, markdown_table, number, small

NONE = "*Not measured yet on any device.*\n"
ARITHMETIC_WARNING = (
    "```{warning}\nNo GPU was measured: the table holds arithmetic only, which no training reaches.\n```\n\n"
)


def training_tables(out: Path) -> str:
    """One table per device and scale, and the roofline."""
    measured = measurements.kept_measurements("train")
    draw, title = partial(plots.roofline, measured), reached(measured)
    chart = figure(out, None, "roofline", draw, title=title) if measured else NONE
    return tables("train") + chart + left_out(measurements.survey_measurements()[1])


def reached(measured: list[dict]) -> str:
    """The fastest task of this package beside the fastest matmul, on each device; "" without measurements."""
    told = []
    for kept in measured:
        values = {row["name"]: row["value"] for row in kept["records"]}
        speeds = [value for name, value in values.items() if name.endswith(": achieved")]
        if speeds and "matmul ceiling" in values:
            told.append(f"{max(speeds):,.0f} of {values['matmul ceiling']:,.0f} GFLOP/s on {kept['device']}")
    return f"The fastest task reaches {'; '.join(told)}." if told else ""


def tables(what: str) -> str:
    """A table for each device and scale; "" where nothing was measured."""
    return "".join(f"### {_title(kept)}\n\n{_records(kept)}" for kept in measurements.kept_measurements(what))


def kills(out: Path) -> str:
    """What came of the kills that tools/kills.py made, per device, and a figure of all of them."""
    measured = measurements.kept_measurements("kills")
    totals = [
        m | {"records": [row for row in m["records"] if row["unit"] != "s" or " | " not in row["name"]]}
        for m in measured
    ]
    tables = "".join(f"{_title(total)}: {_records(total)}" for total in totals)
    counts = Counter[str]()
    for row in (row for total in totals for row in total["records"]):
        counts[row["name"]] += int(row["value"])
    title = f"{counts['kills']} kills cost {counts['finished runs lost']} finished runs and left "
    title += f"{counts['processes left behind']} processes behind."
    return (tables + figure(out, None, "kills", partial(plots.kills, measured), title=title)) or NONE


def paper_hours() -> str:
    """GPU-hours of the paper, at the measured rates and at the arithmetic roof, with a warning if no GPU was
    measured.
    """
    records = estimate.measure()
    head = ["", "unit", "at the measured rates", "arithmetic roof, not measured"]
    lines = [
        [record["name"], record["unit"], _value(record["value"]), _value(record["baseline_value"])]
        for record in records
    ]
    measured = any(record["value"] is not None for record in records)
    return ("" if measured else ARITHMETIC_WARNING) + markdown_table(head, lines)


def next_runs() -> str:
    """What each group of claims would cost at the scale of the paper: its runs, and their GPU-hours. It says
    which tasks are not counted, because no source states their rows.
    """
    lines = [
        [group, len(runs), *(number(hours) for hours in estimate.hours(runs))]
        for group, runs in groups().items()
    ]
    head = ["claims", "runs", "GPU-hours at measured rates", "at the arithmetic roof, not measured"]
    unknown = " and ".join(f"`{name}`" for name, tokens in sorted(estimate.trainings().items()) if not tokens)
    left = f"Not counted: the steps of {unknown}, of which no source states the rows.\n" if unknown else ""
    return markdown_table(head, lines) + left


FIRST, THEN, LAST = "1 to 3", "4 to 8", "9 and 10, and the full dose of 4"
NO_CLAIM = "none: tasks that are not English"


def groups(scale: Scale = PAPER) -> dict[str, list[Run]]:
    """The runs of the study at a scale, by the claims that need them first."""
    found: dict[str, list[Run]] = {FIRST: [], THEN: [], LAST: [], NO_CLAIM: []}
    for run in studies.runs(studies.MAIN, scale):
        found[group(run)].append(run)
    return {name: runs for name, runs in found.items() if runs}


def group(run: Run) -> str:
    """Which claims need a run of the main study first."""
    source = run.added
    single = source in nine(run.scale) or run.steps == SINGLE and source not in studies.mixed()
    if run.lang == PIVOT and source in ("", PRETRAINED, *studies.MIXED):
        return FIRST
    if source in studies.OTHER_LANGUAGES:
        return NO_CLAIM
    return THEN if run.lang == PIVOT and single else LAST


def _title(told: dict) -> str:
    return f"{told['device']}" + (f", scale `{told['scale']}`" if told["scale"] else "")


def _records(told: dict) -> str:
    """When and with what it was measured, then one line per number: ours, and each baseline with our ratio
    to it.
    """
    packages = ", ".join(f"{name} {version}" for name, version in told.get("packages", {}).items())
    commit = (told.get("commit") or "none")[:10] + ("" if told.get("clean") else " with changes")
    baselines = list(dict.fromkeys(record["baseline"] for record in told["records"] if record["baseline"]))
    lines: dict[tuple, list[str]] = {}
    for record in told["records"]:
        cells = lines.setdefault(
            (record["name"], record["unit"]), [_value(record["value"]), *["–"] * 2 * len(baselines)]
        )
        if record["baseline"]:
            column = 1 + 2 * baselines.index(record["baseline"])
            cells[column : column + 2] = _value(record["baseline_value"]), _value(record["ratio"])
    head = ["", "unit", "this package", *(title for name in baselines for title in (name, "ratio"))]
    text = markdown_table(head, [[*key, *cells] for key, cells in lines.items()])
    return f"{told.get('date', 'no date')}, commit {commit}; {packages}.\n\n" + small(text)


def _value(x: float | None) -> str:
    if x is None:
        return "–"
    if x == round(x):  # a count
        return f"{x:,.0f}"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:,.2f}"
