"""How much a measured claim depends on a target, task, seed, language, metric, protocol or overlap, and
how much its interval depends on the trainings whose seed noise it borrows.

These are the same runs, counted in another way: none of the estimates here is judged.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..design.scales import PIVOT, Scale
from ..design.tasks import TARGETS, TASKS
from .claims import CLAIMS, Claim
from .contrasts import BASELINE, Cell, Ledger
from .findings import Finding
from .gates import gates_of
from .stats import Interval

# headline metrics of question answering, whose score is the mean of both
ANSWERS = {"exact match": "exact_match", "F1": "f1"}
OWN_NOISE = "with seed variance from its own trainings alone"
LEARNED_NOISE = "with seed variance from its own and from learned trainings"
AS_JUDGED = "as it is judged, before correction for the other claims"

Rows = list[dict]


@dataclass(frozen=True)
class Variant:
    """An estimate of a claim under one restriction, and its difference from the full one, in points; where
    the restriction is on the interval, that of one claim alone.
    """

    name: str
    estimate: float
    change: float
    low: float | None = None
    high: float | None = None


def sensitivity(scale: Scale, rows: Rows, found: dict[str, Finding]) -> dict[str, list[Variant]]:
    """By claim id: the estimate under every restriction that changes it; then its interval, where it would be
    another with the seed noise of fewer trainings.

    A restriction that leaves nothing to compare, or does not touch the claim, is not listed.
    """
    full, others = Ledger(scale, stored=rows), dict(recounted(scale, rows))
    for other in others.values():
        other.gates = gates_of(full)  # what is tested does not change with how it is counted
    told = {claim.id: [] for claim in CLAIMS if found[claim.id].interval}
    for claim in (c for c in CLAIMS if c.id in told):
        runs = [row for row in rows if row["phase"] == 3 and row["id"] in set(found[claim.id].runs)]
        fewer = dict(restricted(full, runs)) | dict(without_each_task(full, claim, found[claim.id]))
        for name, ledger in (fewer | others).items():
            estimate = claim.measure(ledger).estimate
            if estimate is not None and estimate != found[claim.id].estimate:
                told[claim.id].append(Variant(name, estimate, estimate - found[claim.id].estimate))
        told[claim.id] += borrowed(claim, full, found[claim.id].interval)
    return told


def borrowed(claim: Claim, full: Ledger, judged: Interval) -> Iterator[Variant]:
    """The interval of a claim as it is judged, and those with the seed noise of its own trainings alone and
    of learned ones; nothing where all are the same.
    """
    lenders = {source for source, gate in gates_of(full).stages.items() if gate.passed} | {BASELINE}
    found = {
        AS_JUDGED: judged,
        OWN_NOISE: claim.measure(full.lending(lambda source: False)).interval,
        LEARNED_NOISE: claim.measure(full.lending(lenders.__contains__)).interval,
    }
    differ = {name: gap for name, gap in found.items() if gap and gap != judged}
    for name, gap in ({AS_JUDGED: judged} | differ).items() if differ else ():
        yield Variant(name, gap.mean, 0.0, gap.low, gap.high)


def restricted(full: Ledger, runs: Rows) -> Iterator[tuple[str, Ledger]]:
    """The ledger without each target, without each seed, and without the targets that stages have trained."""
    targets = [t for t in TARGETS if t in {row["on"] for row in runs}]
    trained = {row["on"] for row in runs if trains_on_target(row["source"], row["on"])}
    if len(targets) > 1:
        for target in targets:
            yield f"without `{target}`", full.restricted(other_than({target}))
    if trained and len(trained) < len(targets):
        names = " and ".join(f"`{t}`" for t in targets if t in trained)
        yield f"without {names}, on whose training data a stage trains", full.restricted(other_than(trained))
    for seed in sorted({row["seed"] for row in runs}):
        yield f"without seed {seed}", full.restricted(lambda _, other, seed=seed: other != seed)


def without_each_task(full: Ledger, claim: Claim, found: Finding) -> Iterator[tuple[str, Ledger]]:
    """The ledger without each intermediate task, for a claim about the tasks one by one."""
    for task in found.tasks if claim.singly else ():
        yield f"without `{task}`", full.restricted(lambda cell, _, task=task: cell[0] != task)


def trains_on_target(source: str, target: str) -> bool:
    """Whether a source trains on the data that its target is fine-tuned on."""
    return bool(source) and TASKS[target].train_on in source.split("+")


def other_than(targets: set[str]) -> Callable[[Cell, int], bool]:
    """Whether a cell is of none of some targets."""
    return lambda cell, _: cell[2] not in targets


def recounted(scale: Scale, rows: Rows) -> Iterator[tuple[str, Ledger]]:
    """The ledger with other scores of targets: without English, by one metric, by each other protocol."""
    told = {
        (row["on"], score["protocol"]): 0
        for row in rows
        for score in row.get("protocols", [])
        if row["phase"] == 3
    }
    changes = {"without English": without_pivot}
    changes |= {
        f"question answering by {name} alone": lambda row, metric=metric: by_metric(row, metric)
        for name, metric in ANSWERS.items()
    }
    changes |= {
        f"`{on}` scored by `{protocol}`": lambda row, on=on, protocol=protocol: by_protocol(row, on, protocol)
        for on, protocol in told
    }
    for name, change in changes.items():
        changed = [change(row) if row["phase"] == 3 else row for row in rows]
        yield name, Ledger(scale, stored=changed, least=1)


def without_pivot(row: dict) -> dict:
    """A row as if English had not been evaluated."""
    return row | {"scores": [score for score in row["scores"] if score["lang"] != PIVOT]}


def by_metric(row: dict, metric: str) -> dict:
    """A row with one metric where the task's score is the mean of exact match and F1, else as it is."""
    if not set(ANSWERS.values()) <= set(TASKS[row["on"]].metrics):
        return row
    return row | {"scores": [score for score in row["scores"] if score["metric"] == metric]}


def by_protocol(row: dict, on: str, protocol: str) -> dict:
    """A row of one target with its scores under another protocol; rows of other targets as they are.

    A protocol that has none of the task's headline metrics counts by the metric that it has.
    """
    if row["on"] != on:
        return row
    headline = TASKS[on].metrics
    scores = [score for score in row.get("protocols", []) if score["protocol"] == protocol]
    if not {score["metric"] for score in scores} & set(headline):
        scores = [score | {"metric": headline[0]} for score in scores]
    return row | {"scores": scores}
