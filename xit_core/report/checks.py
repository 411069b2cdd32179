"""The claims about data and method, each checked by code against declarations and published counts."""

from collections.abc import Callable

from ..data.inventory import expected_examples
from ..design import studies
from ..design.scales import PAPER, PIVOT
from ..design.tasks import INTERMEDIATES, TARGETS, TASKS
from .contrasts import Ledger
from .findings import Finding, check
from .published import claimed, csv_table, stated, stated_count
from .rules import RETRIEVAL

START = "FacebookAI/xlm-roberta-large"
STATED = "2020-06-30"  # claim 11 speaks of June 2020
FAMILY = {
    "qa": "question answering", "commonsense": "question answering", "tagging": "sentence tagging",
    "completion": "sentence completion", "paraphrase": "paraphrase detection",
    "nli": "natural language inference",
}  # fmt: skip


def sota(_: Ledger) -> Finding:
    """Whether XLM-R was first in more than half of the tasks of a sourced leaderboard.

    The claim stays open unless such a leaderboard is dated June 2020 or earlier.
    """
    rows = [r for r in csv_table("published") if r["claim"] == "sota" and r["date"] and r["date"] <= STATED]
    boards: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        system, column = row["row"].split(" | ")
        boards.setdefault(column, []).append((float(row["sourced"]), system))
    xlmr_first = [max(entries)[1].startswith("XLM-R") for entries in boards.values() if len(entries) > 1]
    if not xlmr_first:
        return Finding(note="no sourced leaderboard is dated June 2020 or earlier")
    return check(
        sum(xlmr_first) > len(xlmr_first) / 2, note=f"first in {sum(xlmr_first)} of {len(xlmr_first)} tasks"
    )


def most_languages(_: Ledger) -> Finding:
    """The largest number of languages of a target, which must agree with XTREME's data sets and the claim."""
    declared = {t: len(TASKS[t].langs.split()) for t in TARGETS}
    most = max(declared.values())
    agree = all(n == stated_count(t, "languages") for t, n in declared.items())
    return check(
        agree and most == claimed("languages"), most, f"{max(declared, key=declared.get)} has the most"
    )


def nine_targets(_: Ledger) -> Finding:
    """Whether the targets are the tasks that XTREME averages."""
    # XTREME's own list of tasks
    scored = {row["data"] for row in csv_table("sizes") if row["item"] == "languages"}
    return check(set(TARGETS) == scored, len(TARGETS), "the nine that XTREME's scorer averages")


def untrained(_: Ledger) -> Finding:
    """Whether the retrieval targets, and no other, are declared without training data."""
    without = [t for t in TARGETS if not TASKS[t].train_on]
    counts = [stated_count(t, "train") for t in RETRIEVAL]
    rows = None if None in counts else sum(counts)
    agrees = set(without) == set(RETRIEVAL) and rows == claimed("untrained")
    return check(agrees, rows, "declared without training data: " + ", ".join(without))


def nine_tasks(_: Ledger) -> Finding:
    """Whether the nine intermediate tasks are English and belong to the families in the claim."""
    families = {FAMILY.get(TASKS[t].genre, TASKS[t].genre) for t in INTERMEDIATES}
    english = all(TASKS[t].langs == PIVOT for t in INTERMEDIATES)
    agrees = families == set(FAMILY.values()) and english and len(INTERMEDIATES) == claimed("nine")
    return check(agrees, len(INTERMEDIATES), "; ".join(sorted(families)))


def phases(_: Ledger) -> Finding:
    """Whether the runs of the main study have the three phases."""
    numbers = {run.phase for run in studies.runs(studies.MAIN, PAPER)}
    return check(numbers == {1, 2, 3}, len(numbers), "phases of the runs of the main study")


def anli_size(_: Ledger) -> Finding:
    """Whether ANLI+ has the claimed number of training rows."""
    total = expected_examples(TASKS["anli"])
    return check(total == claimed("anli_size"), total, "ANLI rounds 1-3 + MNLI + labelled SNLI")


def mnli_size(_: Ledger) -> Finding:
    """Whether MNLI has the claimed number of training rows."""
    rows = {expected_examples(TASKS["mnli"]), stated_count("multi_nli", "train")}
    most = max(rows - {None}, default=None)
    return check(rows == {claimed("mnli_size")}, most, "the same count in GLUE and in MultiNLI")


def comes_from(origin: str, *data: str) -> Callable[[Ledger], Finding]:
    """Do the data sets state that they come from this origin?"""

    def measure(_: Ledger) -> Finding:
        origins = [stated(name, "origin") for name in data]
        if not all(origins):
            return Finding(note="no public source states the origin")
        return check(set(origins) == {origin}, note="stated by " + ", ".join(data))

    return measure


def hellaswag_source(_: Ledger) -> Finding:
    """Whether HellaSwag's training rows all come from ActivityNet videos or WikiHow, some from each."""
    counts = {origin: stated_count("hellaswag", f"train_{origin}") for origin in ("activitynet", "wikihow")}
    if None in counts.values():
        return Finding(note="no public source states the origins")
    adds_up = sum(counts.values()) == stated_count("hellaswag", "train")
    note = "training rows: {activitynet:,} of ActivityNet videos, {wikihow:,} of WikiHow".format(**counts)
    return check(adds_up and all(counts.values()), note=note)


def starting_point(_: Ledger) -> Finding:
    """Whether every run of the paper scale starts from XLM-R Large."""
    models = {run.model for run in studies.runs(studies.MAIN, PAPER)}
    agrees = PAPER.encoder.name == START and models <= {"", "random"}
    return check(agrees, note=f"{PAPER.encoder.name}; random weights only as the control")
