"""`xit simulate`: how often intervals cover the truth and rules err, in made-up studies whose truth is known.

A study has the design of `micro`: the baseline, nine intermediate tasks, the joint trainings and translated
data; nine targets; three seeds; test instances that are the same for all models.
"""

import copy
import gc
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..design import studies
from ..design.run import MACHINE_TRANSLATED, SINGLE
from ..design.scales import PIVOT, SCALES
from ..design.tasks import INTERMEDIATES, TARGETS
from ..ledger.results import ELSEWHERE
from ..machine import files
from ..machine.places import results_dir
from .claims import CLAIMS, MEASURED
from .contrasts import BASELINE, EQUAL_STEPS, Entry, Ledger, Source, at, is_trained
from .findings import FAILS, HOLDS, Finding
from .gates import Gate, Gates
from .rules import DRAMATIC, MARGIN, RETRIEVAL, SHARE
from .stats import LEVEL, Interval, holm
from .verdicts import magnitude

DESIGN = SCALES["micro"]
SEED_NUMBERS = (1, 2, 3)
INSTANCES = 200  # clusters of rows of a target
SEED_SD = 1.5  # points, of a cell
BLOCK_SD = 0.5  # points, what a seed does to all sources alike
SHARED_SD = 8.0  # of an instance's difference between two sources, in points of its own score
NOISE_SD = 15.0  # of an instance at a single seed
PRIOR = 6.0  # degrees of freedom of the distribution of variances where sources vary differently
COLLAPSE = 0.4  # share of the trainings that end in a constant answer on XNLI
COLLAPSED = -12.0  # points that it costs
# standard deviations over seeds 1 to 3 of the cells of a small encoder on real text, by target, in points;
# its rows are where the log says
OBSERVED = {
    "xnli": (0.4, 0.59, 1.27, 1.84, 2.37, 2.63, 2.64, 2.84, 3.08, 3.27, 3.39, 3.53, 3.76, 3.89, 3.98,
             4.04, 5.5),
    "pawsx": (0.29, 0.41, 0.47, 0.53, 0.61, 0.82, 0.87, 0.94, 0.95, 0.96, 0.98, 1.25, 1.32, 1.34, 1.4, 1.53),
    "udpos": (0.07, 0.09, 0.12, 0.22, 0.29, 0.37, 0.41, 0.43, 0.43, 0.51, 0.52, 0.52, 0.56, 0.89, 0.91, 1.11),
    "panx": (0.09, 0.1, 0.25, 0.41, 0.41, 0.42, 0.42, 0.44, 0.45, 0.45, 0.48, 0.49, 0.58, 0.61, 0.68,
             0.7, 0.84),
    "xquad": (0.06, 0.12, 0.13, 0.13, 0.15, 0.21, 0.22, 0.22, 0.22, 0.23, 0.25, 0.28, 0.32, 0.33),
    "mlqa": (0.04, 0.05, 0.1, 0.11, 0.13, 0.18, 0.22, 0.24, 0.25, 0.35, 0.38, 0.47, 0.48, 0.53, 0.57, 0.6),
    "tydiqa": (0.13, 0.27, 0.28, 0.48, 0.53, 0.62, 0.69, 0.7, 0.74, 0.77, 0.81, 0.85, 0.87, 0.91, 0.94, 0.98),
    "bucc": (0.29, 0.47, 0.5, 0.5, 0.58, 0.61, 0.65, 0.65, 0.89, 0.95, 1.13, 1.42, 1.73, 1.88, 1.94, 2.33),
    "tatoeba": (0.53, 0.86, 0.88, 0.93, 1.19, 1.55, 1.77, 2.36, 2.42, 2.68, 3.14, 3.61, 4.15, 4.95, 5.95,
                8.3),
}  # fmt: skip
CLAIMED_NUMBER = 8.0  # a claimed magnitude
LEAST_COVERAGE, MOST_ERRORS = 0.93, 0.035  # of every quantity, and of every side of a rule

Truth = Callable[[Source, str], float]


@dataclass(frozen=True)
class Scenario:
    """How the scores of a study vary.

    `spread`: (generator, number of sources K) -> the standard deviation over seeds of each cell, in points,
    with shape (K, targets). `collapses`: whether trainings end in a constant answer on XNLI.
    """

    name: str
    says: str
    spread: Callable[[np.random.Generator, int], np.ndarray]
    collapses: bool = False


def moderated_spread(draw: np.random.Generator, k: int) -> np.ndarray:
    """Standard deviations as the rule assumes them. Shape: (k, targets)."""
    return SEED_SD * np.sqrt(PRIOR / draw.chisquare(PRIOR, (k, len(TARGETS))))


def raw_spread(draw: np.random.Generator, k: int) -> np.ndarray:
    """Standard deviations as they were observed. Shape: (k, targets)."""
    return np.stack([draw.choice(OBSERVED[target], k) for target in TARGETS], axis=1)


SCENARIOS = (
    Scenario(
        "equal", "all sources vary equally over the seeds", lambda _, k: np.full((k, len(TARGETS)), SEED_SD)
    ),
    Scenario("moderated", "variances are drawn from the distribution that is assumed", moderated_spread),
    Scenario("raw", "variances are those observed with a small encoder on real text", raw_spread),
    Scenario("collapse", "as moderated, and trainings collapse on XNLI by chance", moderated_spread, True),
)


# -- truths at the edge of what the rules allow --------------------------------------------------------------


def nothing(source: Source, target: str) -> float:
    """No training changes anything."""
    return 0.0


def edge(source: Source, target: str) -> float:
    """As good as a study can be in which no claim is true.

    One task too few is dramatic in retrieval, helps TyDiQA, or is without effect on XNLI; multi-task ties
    with the best single task; and English training is worse than its variants by the margin.
    """
    name, plain = source[0], source[0] in INTERMEDIATES
    place = INTERMEDIATES.index(name) if plain else 0
    if not name:
        return 0.0
    if source[1] == MACHINE_TRANSLATED or name.endswith(f"+mlm{EQUAL_STEPS}"):
        return edge((name.split("+")[0], PIVOT), target) + MARGIN
    if not plain:
        return edge((INTERMEDIATES[-1], PIVOT), target)
    if target in RETRIEVAL:
        return DRAMATIC if place < 2 else 20.0
    if target == "tydiqa":
        return 0.0 if place < 5 else 10.0
    return (MARGIN if place == 8 else -4.0) if target == "xnli" else 0.0


def other_edge(source: Source, target: str) -> float:
    """As bad as a study can be in which no claim is false: one task too few is bad."""
    name, plain = source[0], source[0] in INTERMEDIATES
    place = INTERMEDIATES.index(name) if plain else 0
    if not name:
        return 0.0
    if target in RETRIEVAL:
        return {0: -10.0, 1: DRAMATIC}.get(place, 20.0) if plain else 20.0
    if target == "tydiqa" and plain:
        return 0.0 if place < 5 else -10.0
    return 0.0


TRUTHS: dict[str, Truth] = {"nothing": nothing, "edge": edge, "other edge": other_edge}
# which side of which rule must not be reached in which truth
ERRORS = {
    "nothing": {
        HOLDS: ("squad", "mnli", "hellaswag", "multitask", "best", "mlm", "translated"),
        FAILS: ("squad", "mnli", "hellaswag", "multitask", "best", "mlm", "translated", "xnli"),
    },
    "edge": {HOLDS: ("multitask", "retrieval", "tydiqa", "xnli")},
    "other edge": {FAILS: ("retrieval", "tydiqa")},
}


# -- drawing studies -----------------------------------------------------------------------------------------


def source_names() -> list[Source]:
    """The sources of the design, the baseline first."""
    joint = [studies.multi(DESIGN), *(source for source in studies.mixed() if "+" in source)]
    english = [*INTERMEDIATES, *joint, *(at(source, SINGLE) for source in joint)]
    translated = [(name, MACHINE_TRANSLATED) for name in studies.MIXED]
    return [BASELINE, *((name, PIVOT) for name in english), *translated]


def drawn_instances(draw: np.random.Generator, scenario: Scenario, truth: Truth) -> np.ndarray:
    """What each instance adds to each score. Shape: (sources, targets, seeds, instances)."""
    names = source_names()
    shape = (len(names), len(TARGETS), len(SEED_NUMBERS))
    trained = np.array([[is_trained((*source, target)) for target in TARGETS] for source in names])
    seeds = draw.normal(0, 1, shape) * scenario.spread(draw, len(names))[..., None]
    seeds += draw.normal(0, BLOCK_SD, shape[1:])
    values = np.array([[truth(source, target) for target in TARGETS] for source in names])[..., None]
    values = 50.0 + values + seeds * trained[..., None]
    if scenario.collapses:
        fallen = draw.random((len(names), len(SEED_NUMBERS))) < COLLAPSE
        values[1:, TARGETS.index("xnli")] += (COLLAPSED * (fallen - COLLAPSE))[1:]
    shared = draw.normal(0, SHARED_SD, (*shape[:2], 1, INSTANCES)) + draw.normal(0, 30, (1, 1, 1, INSTANCES))
    noise = draw.normal(0, NOISE_SD, (*shape, INSTANCES)) * trained[..., None, None]
    return (values[..., None] + shared + noise) / INSTANCES


def drawn_study(draw: np.random.Generator, scenario: Scenario, truth: Truth) -> Ledger:
    """A finished study in which everything counts as learned."""
    ledger, items, names = copy.copy(empty_ledger()), drawn_instances(draw, scenario, truth), source_names()
    ledger.cells = {
        (*source, target): {
            seed: Entry(f"{k}.{j}.{seed}", float(items[k, j, i].sum()), items[k, j, i], {})
            for i, seed in enumerate(SEED_NUMBERS)
        }
        for k, source in enumerate(names)
        for j, target in enumerate(TARGETS)
    }
    learned = Gate(True, "")
    ledger.gates = Gates(dict.fromkeys(TARGETS, learned), dict.fromkeys(names, learned))
    return ledger


@lru_cache
def empty_ledger() -> Ledger:
    """A ledger of the design without any run."""
    return Ledger(DESIGN, stored=[])


def measured_findings(ledger: Ledger) -> dict[str, Finding]:
    """The findings of the measured claims."""
    return {claim.id: claim.measure(ledger) for claim in CLAIMS[:MEASURED]}


def true_values(truth: Truth) -> dict[str, float]:
    """The true value of the estimate of each claim, by measuring a study without any noise."""
    still = Scenario("", "", lambda _, k: np.zeros((k, len(TARGETS))))
    ledger = drawn_study(np.random.default_rng(0), still, truth)
    for cell, entries in ledger.cells.items():
        exact = truth(cell[:2], cell[2]) + 50.0
        ledger.cells[cell] = {seed: flat(exact) for seed in entries}
    return {name: found.estimate for name, found in measured_findings(ledger).items()}


def flat(value: float) -> Entry:
    """A run with the same score on every instance."""
    return Entry("", value, np.full(INSTANCES, value / INSTANCES), {})


# -- counting ------------------------------------------------------------------------------------------------


def simulate_all(ledgers: int, cores: int = 1) -> list[dict]:
    """One record for each quantity, scenario and truth: scenario, truth, claim, what, share, n.

    `what`: "covered", the share of studies whose interval has the true value; "holds" or "fails", the share
    whose verdict is wrong, each claim by itself; "family", the share with any wrong verdict after the
    correction. The draws do not depend on `cores`.
    """
    wanted = [(k, name) for k in range(len(SCENARIOS)) for name in TRUTHS]
    with ProcessPoolExecutor(cores) as pool:
        parts = pool.map(simulated, *zip(*wanted, strict=True), [ledgers] * len(wanted))
        return [record for part in parts for record in part]


def simulated(number: int, name: str, ledgers: int) -> list[dict]:
    """The records of one truth in the scenario of this number."""
    scenario, draw = SCENARIOS[number], np.random.default_rng([number, list(TRUTHS).index(name)])
    truth, counts = true_values(TRUTHS[name]), {}
    gc.freeze()  # statsmodels collects garbage at every call: let it not look at all that is loaded
    for _ in range(ledgers):
        for key, happened in outcomes(drawn_study(draw, scenario, TRUTHS[name]), truth, name):
            counts[key] = counts.get(key, 0) + bool(happened)
    return [
        {
            "scenario": scenario.name, "truth": name, "claim": claim, "what": what,
            "share": count / ledgers, "n": ledgers,
        }
        for (claim, what), count in counts.items()
    ]  # fmt: skip


def outcomes(ledger: Ledger, truth: dict[str, float], name: str) -> Iterator[tuple[tuple[str, str], bool]]:
    """What one study shows: by (claim, what), whether it happened."""
    found = measured_findings(ledger)
    for claim, finding in found.items():
        if claim != "best" or name == "nothing":  # what the best is, is itself chosen by noise
            yield (claim, "covered"), finding.interval.low <= truth[claim] <= finding.interval.high
    wrong = {
        (claim, side): found[claim].side == side and found[claim].p < LEVEL
        for side, claims in ERRORS[name].items()
        for claim in claims
    }
    yield from wrong.items()
    yield from magnitude_errors(found["squad"].interval, truth["squad"])
    if name == "edge":
        yield from (((c, "not worse"), found[c].second[0] == HOLDS and found[c].second[1] < LEVEL)
                    for c in ("mlm", "translated"))  # fmt: skip
    adjusted = dict(zip(found, holm([finding.p for finding in found.values()]), strict=True))
    yield ("all", "family"), any(yes and adjusted[claim] < LEVEL for (claim, _), yes in wrong.items())


def magnitude_errors(interval: Interval, truth: float) -> Iterator[tuple[tuple[str, str], bool]]:
    """Whether a claimed number is called reached or missed, where the truth is the edge of what counts."""
    reach = CLAIMED_NUMBER / SHARE
    moved = Interval(interval.mean - truth + CLAIMED_NUMBER + reach, interval.parts)
    side, p = magnitude(moved, CLAIMED_NUMBER)
    for wrong in (HOLDS, FAILS):
        yield ("a number", wrong), side == wrong and p < LEVEL


# -- kept for the book ---------------------------------------------------------------------------------------

SIMULATED = {"scenario": str, "truth": str, "claim": str, "what": str, "share": float, "n": int}


def simulation_file() -> Path:
    """The file of the kept simulation."""
    return results_dir() / "simulation.json"


def keep_simulation(records: list[dict]) -> Path:
    """Store the records, one a line, in the ledger's folder. Raises: Bad when they cannot be written."""
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    return files.write_text(simulation_file(), f'{{"records": [\n{lines}\n]}}\n', ELSEWHERE)


def kept_simulation() -> list[dict]:
    """The stored records; [] where there are none. Raises: Bad for a damaged file."""
    if not simulation_file().is_file():
        return []
    return files.load(simulation_file(), {"records": [SIMULATED]}, "restore it from git, or simulate again")[
        "records"
    ]


def summary(records: list[dict]) -> list[dict]:
    """For each scenario the lowest coverage and the highest rate of wrong verdicts (percent), with claims."""
    told = []
    for scenario in SCENARIOS:
        of = [record for record in records if record["scenario"] == scenario.name]
        covered = [record for record in of if record["what"] == "covered"]
        errors = [record for record in of if record["what"] not in ("covered", "family")]
        family = [record for record in of if record["what"] == "family"]
        if of:
            low, high = min(covered, key=share_of), max(errors, key=share_of)
            told.append({
                "scenario": scenario.name, "says": scenario.says, "studies": of[0]["n"] * len(TRUTHS),
                "coverage": 100 * low["share"], "of": low["claim"], "wrong": 100 * high["share"],
                "rule": f"{high['claim']} {high['what']}", "family": 100 * max(map(share_of, family)),
            })  # fmt: skip
    return told


def share_of(record: dict) -> float:
    """The share of a record."""
    return record["share"]
