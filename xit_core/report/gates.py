"""What must be learned before a claim about it can be tested: targets beyond random weights, stages beyond
guessing.
"""

from dataclasses import dataclass

import numpy as np

from ..design.scales import PIVOT
from ..design.tasks import TARGETS, TASKS, Task
from .contrasts import BASELINE, Entry, Ledger, Source
from .published import stated, stated_count
from .stats import LEVEL, SEEDS, Interval, Spread, own_variance, paired, two_sided

BEYOND = 5.0  # points by which the baseline must beat random weights
ENOUGH = 6  # of nine targets, and of nine intermediate tasks, that must be learned
CONSTANT = 0.99  # from this share of one answer on, a run counts as answering a constant


LEARNED = {True: "yes", False: "no", None: "not known yet"}  # the word for a gate, by whether it is passed


@dataclass(frozen=True)
class Gate:
    """Whether something has been learned, and in words what was found; None: not known yet."""

    passed: bool | None
    says: str


def target_gate(ledger: Ledger, target: str) -> Gate:
    """Whether the baseline beats random weights on a target, by BEYOND points and significantly."""
    trained, random = ledger.cells.get((*BASELINE, target), {}), ledger.control.get(target, {})
    seeds = sorted(trained.keys() & random.keys())
    if len(seeds) < SEEDS:
        return Gate(None, f"{len(seeds)} seeds with a control of random weights, {SEEDS} needed")
    gap = score_gap([trained[seed] for seed in seeds], [random[seed] for seed in seeds])
    p = two_sided(gap.above())
    return Gate(gap.mean >= BEYOND and p < LEVEL, f"{gap.mean:+.1f} points from random weights, p = {p:.2g}")


def score_gap(ours: list[Entry], theirs: list[Entry]) -> Interval:
    """The interval of the mean difference of two cells over the same seeds."""
    pairs = list(zip(ours, theirs, strict=True))
    return paired([a.score - b.score for a, b in pairs], [np.array([a.items - b.items for a, b in pairs])])


def stage_gate(ledger: Ledger, source: Source, least: int = ENOUGH) -> Gate:
    """Whether the tasks of a stage are learned: the lower bound of their own development score is above
    guessing. Of the tasks of a joint stage, `least` must be.
    """
    rows = list(ledger.stages.get(source, {}).values())
    if len(rows) < SEEDS:
        return Gate(None, f"{len(rows)} of {SEEDS} seeds trained")
    parts = [task_gate(ledger, rows, task) for task in own_tasks(rows[0])]
    passed, needed = sum(part.passed for part in parts), min(least, len(parts))
    says = (
        parts[0].says if len(parts) == 1 else f"{passed} of its {len(parts)} tasks learned, {needed} needed"
    )
    return Gate(passed >= needed, says)


def own_tasks(row: dict) -> list[Task]:
    """The tasks of a stage that have a score on their own development rows; masked LM has none."""
    return [TASKS[name] for name in row["on"].split("+") if scores_of(row, TASKS[name])]


def task_gate(ledger: Ledger, rows: list[dict], task: Task) -> Gate:
    """Whether the development score of one task of a stage is above guessing. `rows`: one for each seed."""
    scores = [scores_of(row, task) for row in rows]
    mean, low = float(np.mean([value for value, _ in scores])), lower_bound(scores)
    floor = max([guessing(ledger, task), *(guess_in(row, task) for row in rows)])
    told = f"{mean:.1f} on its own rows, lower 95 % bound {low:.1f}; guessing {floor:.1f}"
    return Gate(low > floor, told)


def scores_of(row: dict, task: Task) -> tuple[float, int] | None:
    """The score of a task on its own development rows in a stage's row, and their number; None without."""
    found = [
        (score["value"], score["n"])
        for score in row["scores"]
        if score["protocol"].startswith(f"{task.name}: ") and score["metric"] in task.metrics
    ]
    return (float(np.mean([value for value, _ in found])), found[0][1]) if found else None


def guess_in(row: dict, task: Task) -> float:
    """What the best constant answer scores on the rows of a stage's row; 0 where that is not known.

    Older rows do not say it. There, exact match and F1 that are equal to the digit are those of "no answer"
    to every question: the first answered one would bring a part of a point of F1.
    """
    values = {score["value"] for score in row["scores"] if score["protocol"].startswith(f"{task.name}: ")}
    if "guess" not in row and stated(task.name, "unanswerable") and len(values) == 1:
        return values.pop()
    return row.get("guess", {}).get(task.name, 0.0)


def lower_bound(scores: list[tuple[float, int]]) -> float:
    """The lower 95 % bound (one-sided) of a mean score over seeds, from (score, number of rows) of each.

    Rows vary at most as right and wrong answers do; their part and that of the seeds are added.
    """
    values, rows = [value for value, _ in scores], scores[0][1]
    share = np.clip(np.mean(values) / 100, 0, 1)
    sampled = Spread(100**2 * float(share * (1 - share)) / rows)
    return float(np.mean(values)) - Interval(0.0, (own_variance(values), sampled)).half(2 * LEVEL)


def guessing(ledger: Ledger, task: Task) -> float:
    """What guessing scores (0-100): one of the task's answers, or "no answer" to every question.

    Where answers are spans: what random weights reach in English on the target that is scored the same.
    """
    if chance := chance_level(task):
        return chance
    shape = (task.kind, task.metrics)
    same = [name for name in TARGETS if (TASKS[name].kind, TASKS[name].metrics) == shape]
    controls = [entry for name in same[:1] for entry in ledger.control.get(name, {}).values()]
    reached = [entry.by_language.get(PIVOT, 0.0) for entry in controls]
    return max(float(stated(task.name, "unanswerable") or 0), float(np.mean(reached or 0.0)))


def chance_level(task: Task) -> float | None:
    """Accuracy (percent) of guessing among a task's answers; None when their number is not fixed."""
    answers = len(task.labels) if task.kind == "classify" else stated_count(task.name, "choices")
    return 100 / answers if answers else None


def enough(parts: dict[str, Gate | None], least: int) -> Gate:
    """Whether enough of some gates, by name, are passed, and which failed; not known while those that are not
    known could decide it.
    """
    passed = sum(bool(part and part.passed) for part in parts.values())
    unknown = sum(part is None or part.passed is None for part in parts.values())
    failed = ", ".join(name for name, part in parts.items() if part and part.passed is False)
    says = f"{passed} of {len(parts)}, {least} needed" + (f"; not {failed}" if failed else "")
    says += f"; {unknown} not known yet" if unknown else ""
    return Gate(True if passed >= least else None if passed + unknown >= least else False, says)


@dataclass(frozen=True)
class Gates:
    """The gates of a study: by target, and by source that trains on a task with a score of its own."""

    targets: dict[str, Gate]
    stages: dict[Source, Gate]


def gates_of(ledger: Ledger) -> Gates:
    """All gates of a study; found once, for the restrictions of a ledger have those of the whole."""
    if ledger.gates is None:
        ledger.gates = Gates(
            {target: target_gate(ledger, target) for target in ledger.targets},
            {
                source: stage_gate(ledger, source)
                for source, rows in ledger.stages.items()
                if own_tasks(next(iter(rows.values())))
            },
        )
    return ledger.gates


def constant_answers(ledger: Ledger, ids: tuple[str, ...]) -> str:
    """How many runs give one answer to every row, by target, in words; "" where none does."""
    counted: dict[str, list[bool]] = {}
    wanted = set(ids)
    for (_, _, target), seeds in ledger.cells.items():
        for entry in seeds.values():
            if entry.id in wanted and "commonest" in entry.row:
                counted.setdefault(target, []).append(entry.row["commonest"] >= CONSTANT)
    told = [f"{sum(found)} of {len(found)} on {target}" for target, found in counted.items() if any(found)]
    return f"runs that give one answer to every row: {', '.join(told)}" if told else ""
