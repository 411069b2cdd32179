"""Published values with their sources, and what data sets say of themselves."""

import csv
from functools import lru_cache

from ..design.scales import PIVOT
from ..design.tasks import TASKS
from ..machine.places import PACKAGE

# -- checked claims ------------------------------------------------------------------------------------------


@lru_cache
def csv_table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a table of the package: "published" (values, sources) or "sizes" (what data sets say of
    themselves).
    """
    with open(PACKAGE / f"{name}.csv", encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def claimed(name: str) -> float | None:
    """The number under test, as the study documents state it; None where they state none."""
    text = next((r["claimed"] for r in csv_table("published") if r["claim"] == name and r["claimed"]), "")
    return float(text) if "." in text else int(text) if text else None


def stated(data: str, item: str) -> str:
    """What a task's data set says of itself (sizes.csv); "" where no public source says it."""
    names = (data, "/".join(TASKS[data].config(PIVOT))) if data in TASKS else (data,)
    return next((r["value"] for r in csv_table("sizes") if r["data"] in names and r["item"] == item), "")
