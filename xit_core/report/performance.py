"""Kept measurements -> the tables and the roofline of the chapter on performance, as Markdown."""

from pathlib import Path

from ..ledger import measurements
from . import estimate as study
from . import plots
from .chapters import figure, markdown_table, small

NONE = "*Not measured yet on any device.*\n"
ARITHMETIC_WARNING = (
    "```{warning}\nNo GPU was measured: the table holds arithmetic only, which no training reaches.\n```\n\n"
)


def training_tables(out: Path) -> str:
    """A table a device and scale, and the roofline."""
    kept = measurements.kept_measurements("train")
    tables = "".join(f"### {_title(told)}\n\n{_records(told)}" for told in kept)
    drawn = figure(out, None, "roofline", plots.roofline(kept)) if kept else NONE
    return (
        tables
        + drawn
        + "".join(
            f"*Left out: {Path(line.split(': ')[0]).name} is damaged.*\n"
            for line in measurements.survey_measurements()[1]
        )
    )


def retrieval_tables() -> str:
    """A table a device."""
    kept = measurements.kept_measurements("retrieval")
    return "".join(f"### {_title(told)}\n\n{_records(told)}" for told in kept) or NONE


def study_hours() -> str:
    """GPU-hours of the study: measured rates where there are some, the arithmetic roof beside them, and which
    is which.
    """
    records = study.measure()
    head = ["", "unit", "at the measured rates", "arithmetic roof, not measured"]
    lines = [[r["name"], r["unit"], _value(r["value"]), _value(r["baseline_value"])] for r in records]
    measured = any(r["value"] is not None for r in records)
    return ("" if measured else ARITHMETIC_WARNING) + markdown_table(head, lines)


def _title(told: dict) -> str:
    return f"{told['device']}" + (f", scale `{told['scale']}`" if told["scale"] else "")


def _records(told: dict) -> str:
    """When and with what it was measured, then a line a number: ours, and each baseline with our ratio to
    it."""
    packages = ", ".join(f"{name} {version}" for name, version in told.get("packages", {}).items())
    commit = (told.get("commit") or "none")[:10] + ("" if told.get("clean") else " with changes")
    beside = list(dict.fromkeys(r["baseline"] for r in told["records"] if r["baseline"]))
    lines: dict[tuple, list[str]] = {}
    for r in told["records"]:
        cells = lines.setdefault((r["name"], r["unit"]), [_value(r["value"]), *["–"] * 2 * len(beside)])
        if r["baseline"]:
            at = 1 + 2 * beside.index(r["baseline"])
            cells[at : at + 2] = _value(r["baseline_value"]), _value(r["ratio"])
    head = ["", "unit", "this package", *(word for name in beside for word in (name, "ratio"))]
    text = markdown_table(head, [[*key, *cells] for key, cells in lines.items()])
    return f"{told.get('date', 'no date')}, commit {commit}; {packages}.\n\n" + small(text)


def _value(x: float | None) -> str:
    if x is None:
        return "–"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:,.2f}"
