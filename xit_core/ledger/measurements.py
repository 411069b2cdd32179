"""Measurements of speed and memory that `xit bench --keep` wrote: one file a device and benchmark."""

from pathlib import Path

from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir

KEYS = ("name", "unit", "value", "baseline", "baseline_value", "ratio")
VALUE = (float, type(None))
MEASUREMENT = {
    "what": str, "scale": str, "device": str, "date?": str, "commit?": (str, type(None)), "clean?": bool,
    "packages?": {"*": str}, "records": [
        {"name": str, "unit": str, "value": VALUE, "baseline": str, "baseline_value": VALUE, "ratio": VALUE}
    ],
}  # fmt: skip


def record(
    name: str, unit: str, value: float | None, baseline: str = "", baseline_value: float | None = None
) -> dict:
    """One measured number, and the same of a baseline where there is one."""
    ratio = value / baseline_value if value is not None and baseline_value else None
    return dict(zip(KEYS, (name, unit, value, baseline, baseline_value, ratio), strict=True))


def folder() -> Path:
    """Where they are kept."""
    return results_dir() / "bench"


def kept_measurements(what: str = "train") -> list[dict]:
    """What `keep` wrote about one benchmark, every device and scale; damaged files are left out."""
    return [told for told in survey_measurements()[0] if told["what"] == what]


def survey_measurements() -> tuple[list[dict], list[str]]:
    """All that `keep` wrote, and a line for each damaged file."""
    found, damaged = [], []
    for path in sorted(p for p in folder().glob("*.json") if not p.name.startswith(".")):
        try:
            found.append(files.load(path, MEASUREMENT, "restore it from git, or measure again with --keep"))
        except Bad as error:
            damaged.append(str(error))
    return found, damaged
