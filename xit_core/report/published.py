"""Published values with their sources, and what the data sets state about themselves."""

import csv
from functools import lru_cache

from ..design.scales import PIVOT
from ..design.tasks import TARGETS, TASKS
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


# -- claim 8 from published rows -----------------------------------------------------------------------------

SYSTEMS = ("XLM-R", "STiLTs (Phang et al., 2020)")  # without and with the best intermediate training
QUOTED = "second-hand: RemBERT v1 Table 16"  # the one table that has both systems, task by task


def published_gains() -> dict[str, float]:
    """Points that the published system with intermediate training is above XLM-R, by task of XTREME's test.

    Question answering counts as the mean of exact match and F1.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for row in csv_table("published"):
        system, _, column = row["row"].partition(" | ")
        if row["version"] == QUOTED and system in SYSTEMS and not column.startswith("Avg"):
            task = column.rsplit(" ", 1)[0]
            scores.setdefault(task, {}).setdefault(system, []).append(float(row["sourced"]))
    means = {task: [sum(of[name]) / len(of[name]) for name in SYSTEMS] for task, of in scores.items()}
    return {task: after - before for task, (before, after) in means.items()}


def consistency(name: str) -> str:
    """What published rows say of a claim, in a sentence; "" where they say nothing."""
    if name != "best":
        return ""
    gains, number = published_gains(), claimed(name)
    mean = sum(gains.values()) / len(gains)
    rest = len(TARGETS) - len(gains)
    needed = (len(TARGETS) * number - sum(gains.values())) / rest
    verdict = "Consistent with what is published" if mean > 0 else "Not consistent with what is published"
    return (
        f"*{verdict}:* on the {len(gains)} tasks of XTREME's test that one table quotes for both systems, "
        f"intermediate training is worth {mean:+.1f} points on average ({', '.join(told(gains))}). For the "
        f"{number:g} points of the claim, the other {rest} targets would have to gain {needed:.1f} each.\n\n"
    )


def told(gains: dict[str, float]) -> list[str]:
    """Gains by task as text, the largest first."""
    return [f"{task} {gain:+.1f}" for task, gain in sorted(gains.items(), key=lambda item: -item[1])]
