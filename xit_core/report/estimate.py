"""`xit bench paper`: GPU-hours of the whole paper, from rates measured on a GPU. Without such rates only the
arithmetic bound is given.

Rows and steps are those of `xit plan`. Tokens per row are measured values for the kinds of task that were
measured; for the others every row has the longest length allowed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ..design import studies
from ..design.run import Run
from ..design.scales import PAPER
from ..design.tasks import PARALLEL, TASKS
from ..ledger.measurements import kept_measurements, record
from . import cost

ROOF = 7.9e14  # peak FLOP/s of one H200 in bf16, which no training reaches
FORWARD = 3  # a forward pass alone costs a third of a training step
ARITHMETIC = "arithmetic roof, not measured"
UNKNOWN_ROWS = "no published number of rows"


def measure(rate: float = 0.0) -> list[dict]:
    """Records of the minutes of each single training, and the GPU-hours of the study by kind of task and in
    total. The value is None where nothing was measured.

    `rate`: training tokens/s to use in place of the measured rates.
    """
    rates, lengths = measured_rates(rate)
    single_trainings = {
        name: times(TASKS[name].kind, amount, 0, rates, lengths) for name, amount in trainings().items()
    }
    by_kind = seconds(rates, lengths)
    records = [
        time_record(f"one training of {name}", "min", *both) for name, both in single_trainings.items()
    ]
    records += [time_record(f"the study: {kind}", "GPU-hours", *both) for kind, both in by_kind.items()]
    return [*records, time_record("the study", "GPU-hours", *total(by_kind, rates))]


def time_record(name: str, unit: str, took: float | None, floor: float) -> dict:
    """The record of a time at the measured rates, with the time at the arithmetic roof as its baseline."""
    unit_seconds = {"min": 60, "GPU-hours": 3600}[unit]
    if not floor:
        return record(name, unit, None, UNKNOWN_ROWS)
    return record(name, unit, took and took / unit_seconds, ARITHMETIC, floor / unit_seconds)


def measured_rates(rate: float = 0.0) -> tuple[dict[str, float], dict[str, float]]:
    """(tokens/s, tokens per row) of training by kind of task, from the stored GPU measurements of the paper
    scale.

    Kinds that were not measured get the rate of the slowest measured kind. Empty without a measurement.
    """
    rates, lengths = {}, {}
    for measurement in kept_measurements():
        if measurement["scale"] == PAPER.name and "CPU" not in measurement["device"]:
            for row in measurement["records"]:
                name, _, quantity = row["name"].partition(": ")
                if quantity in ("real tokens", "tokens a row") and name in TASKS:
                    (rates if quantity == "real tokens" else lengths)[TASKS[name].kind] = row["value"]
    if rate:
        rates = dict.fromkeys(rates, rate)
    slowest = rate or min(rates.values(), default=0.0)
    return ({task.kind: slowest for task in TASKS.values()} | rates if slowest else {}), lengths


def times(kind: str, trained: float, read: float, rates: dict, lengths: dict) -> tuple[float | None, float]:
    """(seconds at the measured rate or None, seconds at the arithmetic roof) for the given numbers of tokens
    to train on and to read, both upper bounds.
    """
    # `cost` assumes that every row has the longest length allowed
    share = lengths.get(kind, PAPER.longest(kind)) / PAPER.longest(kind)
    work = share * (trained + read / FORWARD)
    return (work / rates[kind] if rates else None), work * 6 * cost.layer_weights(PAPER) / ROOF


def trainings() -> dict[str, int]:
    """Upper bound on the tokens of one training of each task of the study, on its own."""
    sizes = {}
    for run in studies.runs(studies.MAIN, PAPER):
        for task in run.trained_on:
            alone = replace(run, path=task.name) if run.phase == 2 else run
            sizes.setdefault(task.name, cost.train_tokens(alone, set()))
    return sizes


def hours(runs: Sequence[Run]) -> tuple[float | None, float]:
    """GPU-hours of runs and the trainings that they start from: at the measured rates (None where nothing was
    measured), and at the arithmetic roof.
    """
    rates, lengths = measured_rates()
    measured, roof = total(seconds(rates, lengths, runs), rates)
    return measured and measured / 3600, roof / 3600


def seconds(rates: dict, lengths: dict, runs: Sequence[Run] = ()) -> dict[str, tuple[float | None, float]]:
    """The `times` of runs, by default of the whole study, by kind of task."""
    return {kind: times(kind, *amount, rates, lengths) for kind, amount in sorted(tokens(runs).items())}


def total(by_kind: dict[str, tuple[float | None, float]], rates: dict) -> tuple[float | None, float]:
    """The sums of `seconds`; the first is None where no rate was measured."""
    measured, roof = zip(*by_kind.values(), strict=True)
    return (sum(measured) if rates else None), sum(roof)


def tokens(runs: Sequence[Run] = ()) -> dict[str, tuple[int, int]]:
    """Upper bounds on the tokens of runs, by default of the whole study: (trained on, only read) by kind of
    task.

    A training that several runs share counts once.
    """
    trained, read, counted = defaultdict(int), defaultdict(int), set()
    for run in runs or studies.runs(studies.MAIN, PAPER):
        if cost.train_tokens(run, counted):
            for task, amount in cost.tokens_by_task(run).items():
                trained[task.kind] += amount
        read[(run.target or PARALLEL).kind] += cost.eval_tokens(run)
    return {kind: (trained[kind], read[kind]) for kind in trained | read}
