"""`xit bench study`: GPU-hours of the whole paper from the rates that were measured on a GPU; without them,
arithmetic only.

Rows and steps are those of `xit plan`; tokens a row are the measured ones where a kind was measured,
elsewhere those of its longest sequence.
"""

from collections import defaultdict
from dataclasses import replace

from ..design import studies
from ..design.run import Run
from ..design.scales import PAPER
from ..design.tasks import PARALLEL, TASKS, Task
from ..ledger.measurements import kept_measurements, record
from . import cost

ROOF = 7.9e14  # FLOP/s of one H200 in bf16, as arithmetic: no training reaches it
FORWARD = 3  # a forward pass alone costs a third of a training step
ARITHMETIC = "arithmetic roof, not measured"
UNKNOWN_ROWS = "no published number of rows"


def measure(rate: float = 0.0) -> list[dict]:
    """Minutes of every single training, GPU-hours of the study by kind of task and in all; value None where
    nothing is measured.

    `rate`: tokens/s of training that stands in for measured ones.
    """
    rates, lengths = measured_rates(rate)
    one = {name: times(TASKS[name].kind, most, 0, rates, lengths) for name, most in trainings().items()}
    whole = {kind: times(kind, *most, rates, lengths) for kind, most in sorted(tokens().items())}
    records = [time_record(f"one training of {name}", "min", *both) for name, both in one.items()]
    records += [time_record(f"the study: {kind}", "GPU-hours", *both) for kind, both in whole.items()]
    seconds = sum(x for x, _ in whole.values()) if rates else None
    return [*records, time_record("the study", "GPU-hours", seconds, sum(x for _, x in whole.values()))]


def time_record(name: str, unit: str, seconds: float | None, floor: float) -> dict:
    """The record of a time at the measured rates, beside that of the arithmetic roof."""
    one = {"min": 60, "GPU-hours": 3600}[unit]
    if not floor:
        return record(name, unit, None, UNKNOWN_ROWS)
    return record(name, unit, seconds and seconds / one, ARITHMETIC, floor / one)


def measured_rates(rate: float = 0.0) -> tuple[dict[str, float], dict[str, float]]:
    """(tokens/s, tokens a row) of training by kind of task, from the kept measurements of this scale on a
    GPU.

    The slowest measured kind stands for those that were not measured. Empty without a measurement.
    """
    rates, lengths = {}, {}
    for told in kept_measurements():
        if told["scale"] == PAPER.name and "CPU" not in told["device"]:
            for row in told["records"]:
                name, _, what = row["name"].partition(": ")
                if what in ("real tokens", "tokens a row") and name in TASKS:
                    (rates if what == "real tokens" else lengths)[TASKS[name].kind] = row["value"]
    if rate:
        rates = dict.fromkeys(rates, rate)
    slowest = rate or min(rates.values(), default=0.0)
    return ({t.kind: slowest for t in TASKS.values()} | rates if slowest else {}), lengths


def times(kind: str, trained: float, read: float, rates: dict, lengths: dict) -> tuple[float | None, float]:
    """(seconds at the measured rate or None, seconds at the arithmetic roof) of training on and reading so
    many tokens at most.
    """
    # `cost` takes every row to be as long as it may be
    share = lengths.get(kind, PAPER.longest(kind)) / PAPER.longest(kind)
    work = share * (trained + read / FORWARD)
    return (work / rates[kind] if rates else None), work * 6 * cost.layer_weights(PAPER) / ROOF


def trainings() -> dict[str, int]:
    """Tokens at most of one training of every task of the study, on its own."""
    found = {}
    for run in studies.runs(studies.MAIN, PAPER):
        for task in cost.trained_tasks(run):
            found.setdefault(task.name, tokens_alone(run, task))
    return found


def tokens() -> dict[str, tuple[int, int]]:
    """(trained on, only read) tokens at most of the whole study, by kind of task; a shared training counts
    once.
    """
    trained, read, counted = defaultdict(int), defaultdict(int), set()
    for run in studies.runs(studies.MAIN, PAPER):
        if cost.train_tokens(run, counted):
            for task in cost.trained_tasks(run):
                trained[task.kind] += tokens_alone(run, task)
        read[(run.target or PARALLEL).kind] += cost.eval_tokens(run)
    return {kind: (trained[kind], read[kind]) for kind in trained | read}


def tokens_alone(run: Run, task: Task) -> int:
    """Tokens at most of training one task of a run's last stage on its own."""
    return cost.train_tokens(replace(run, path=task.name) if run.phase == 2 else run, set())
