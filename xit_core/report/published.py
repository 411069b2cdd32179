"""Published values with their sources, and what the data sets state about themselves."""

import csv
from functools import lru_cache

from ..design.scales import PIVOT
from ..design.tasks import TASKS
from ..machine.errors import Bad
from ..machine.places import PACKAGE

# -- checked claims ------------------------------------------------------------------------------------------


@lru_cache
def csv_table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of one of the package's tables: "published" (values and sources) or "sizes" (what the data sets
    state about themselves).
    """
    with open(PACKAGE / f"{name}.csv", encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def claimed(name: str) -> float | None:
    """The number under test, as the study documents state it; None when they state no number."""
    text = next(
        (row["claimed"] for row in csv_table("published") if row["claim"] == name and row["claimed"]), ""
    )
    return float(text) if "." in text else int(text) if text else None


def stated(data: str, item: str) -> str:
    """What a task's data set states about itself (sizes.csv); "" when no public source states it."""
    names = (data, "/".join(TASKS[data].config(PIVOT))) if data in TASKS else (data,)
    return next(
        (row["value"] for row in csv_table("sizes") if row["data"] in names and row["item"] == item), ""
    )


def stated_count(data: str, item: str) -> int | None:
    """A number that a task's data set states about itself; None when no public source states it.

    Raises: Bad for a line of sizes.csv that has no whole number there.
    """
    text = stated(data, item)
    if text and not text.isdecimal():
        raise Bad(f"sizes.csv: {data}, {item}: got {text!r}; allowed: a whole number; mend that line")
    return int(text) if text else None
