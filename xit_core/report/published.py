"""Published values with their sources, and what the data sets state about themselves."""

import csv
from functools import lru_cache

from ..design.scales import PIVOT
from ..design.tasks import TARGETS, TASKS
from ..machine.errors import Bad
from ..machine.places import PACKAGE

UNSOURCED = "†"  # behind a number under test that no public source states

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


def is_sourced(name: str) -> bool:
    """Whether a public source states the number under test."""
    return any(row["claim"] == name and row["claimed"] and row["sourced"] for row in csv_table("published"))


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


# -- claims 8 and 11 from published rows ---------------------------------------------------------------------

REMBERT, MT5 = "second-hand: RemBERT v1 Table 16", "second-hand: mT5 README"  # tables of XTREME's test
XLMR = "XLM-R"
TRAINED = "STiLTs (Phang et al., 2020)"  # XLM-R with the best intermediate training
BEFORE = ("mBERT", "XLM", XLMR)  # what XTREME's own paper of March 2020 compares


def published_scores(table: str, systems: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Scores of systems on the tasks of XTREME's test that a table quotes for all of them: task -> system ->
    score. Question answering counts as the mean of its metrics.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for row in csv_table("published"):
        system, _, column = row["row"].partition(" | ")
        if row["version"] == table and system in systems and not column.startswith("Avg"):
            task = column.rsplit(" ", 1)[0]
            scores.setdefault(task, {}).setdefault(system, []).append(float(row["sourced"]))
    return {
        task: {name: sum(of[name]) / len(of[name]) for name in systems}
        for task, of in scores.items()
        if set(of) == set(systems)
    }


# what the tables call the targets that have training data
IN_TABLES = {
    "xnli": "XNLI", "pawsx": "PAWS-X", "udpos": "POS", "panx": "NER", "xquad": "XQuAD", "mlqa": "MLQA",
    "tydiqa": "TyDiQA-GoldP",
}  # fmt: skip


def xtreme_test(target: str) -> float | None:
    """The score of XLM-R Large on a target of XTREME's test, as a later paper quotes it; None where it does
    not.
    """
    return published_scores(REMBERT, (XLMR,)).get(IN_TABLES.get(target, ""), {}).get(XLMR)


def published_gains() -> dict[str, float]:
    """Points that XLM-R with intermediate training is above XLM-R, by task of XTREME's test."""
    scores = published_scores(REMBERT, (XLMR, TRAINED))
    return {task: of[TRAINED] - of[XLMR] for task, of in scores.items()}


def consistency(name: str) -> str:
    """What published rows say of a claim, in a sentence; "" where they say nothing."""
    says = {"best": best_consistency, "sota": sota_consistency}.get(name)
    if not says:
        return ""
    agrees, text = says()
    return f"*{'Consistent' if agrees else 'Not consistent'} with what is published:* {text}\n\n"


def best_consistency() -> tuple[bool, str]:
    """Whether the best intermediate training gains on average, as one table quotes it."""
    gains, number = published_gains(), claimed("best")
    mean = sum(gains.values()) / len(gains)
    rest = len(TARGETS) - len(gains)
    needed = (len(TARGETS) * number - sum(gains.values())) / rest
    return mean > 0, (
        f"on the {len(gains)} tasks of XTREME's test that one table quotes for both systems, "
        f"intermediate training is worth {mean:+.1f} points on average ({', '.join(told(gains))}). For the "
        f"{number:g} points of the claim, the other {rest} targets would have to gain {needed:.1f} each."
    )


def sota_consistency() -> tuple[bool, str]:
    """Whether XLM-R is first in most tasks among the systems that were published before June 2020."""
    scores = published_scores(MT5, BEFORE)
    ahead = {task: of[XLMR] - max(of[name] for name in BEFORE if name != XLMR) for task, of in scores.items()}
    first = sum(gap > 0 for gap in ahead.values())
    return first > len(ahead) / 2, (
        f"of {', '.join(BEFORE[:-1])} and {XLMR}, which XTREME's paper of March 2020 compares, {XLMR} is "
        f"first on {first} of the {len(ahead)} tasks that one table quotes for all three "
        f"({', '.join(told(ahead))}). "
        "The table is of November 2020 and has no other system of before June, so that the claim stays open."
    )


def told(gains: dict[str, float]) -> list[str]:
    """Gains by task as text, the largest first."""
    return [f"{task} {gain:+.1f}" for task, gain in sorted(gains.items(), key=lambda item: -item[1])]
