"""Measurements of speed and memory that `xit bench --keep` wrote: one file for each device and benchmark."""

from pathlib import Path

from ..machine import files
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
    """A measured number with that of a baseline, if there is one, and their ratio."""
    ratio = value / baseline_value if value is not None and baseline_value else None
    return dict(zip(KEYS, (name, unit, value, baseline, baseline_value, ratio), strict=True))


def folder() -> Path:
    """The folder of the measurements."""
    return results_dir() / "bench"


def kept_measurements(what: str = "train") -> list[dict]:
    """What `keep` wrote about one benchmark, on every device and scale, without damaged files."""
    return [measurement for measurement in survey_measurements()[0].values() if measurement["what"] == what]


def survey_measurements() -> tuple[dict[Path, dict], list[Path]]:
    """Everything that `keep` wrote, by file, and the damaged files."""
    return files.load_all(folder(), MEASUREMENT)
