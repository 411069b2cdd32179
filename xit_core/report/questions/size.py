"""Question 4: how does the loss on adversarial rows go with the size of the intermediate data?"""

import math
import warnings

import numpy as np
from scipy.stats import spearmanr

from ...design.run import PER_ROW, SUM, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import paths
from ...design.tasks import TASKS
from .. import drops
from ..contrasts import Cell, Ledger, Short, Weights
from ..drops import Drops, Pair, drop
from ..gates import Gate, enough, gates_of, scores_of
from ..stats import Interval, Spread, own_variance
from . import Contrast, Question, both_sides, inside, learned, on_pairs, seed_by_seed, target_gates

STAGES = {"micro": ("mnli", "qqp", "squad1", "hellaswag")}
FEW_STAGES = ("mnli", "qqp")  # elsewhere
SIZES = {"micro": (125, 250, 500, 1000, 2000, 4000)}  # rows, each twice the one before
FEW_SIZES = (500, 2000, 8000)  # elsewhere: each four times the one before
REGIMES = {SUM: "fixed steps", PER_ROW: "steps in proportion"}
FEW_REGIMES = (SUM,)  # on real data: the one that varies the data alone
SUFFIX = "_adversarial"  # of the twin of a target whose rows mislead
# on real data: subsets of XNLI's rows, pairs in which a few words make another label right, and pairs that
# differ in a word
PAIRS = (
    ("xnli", "xnli_overlap"), ("xnli", "xnli_hypothesis"), ("xnli", "cad_nli"), ("xnli", "breaking_nli"),
)  # fmt: skip
SEEDS = {"micro": 12}  # elsewhere as many as a verdict needs
LEARNED = {"micro": 3}  # of the four targets that must be learned; elsewhere the only one
TARGETS_LEARNED = "drop per doubling, fixed steps, targets that were learned"
ELSEWHERE = "drop per doubling, fixed steps, in other languages"
USUAL, ADVERSARIAL = (
    {steps: f"score on {rows} rows per doubling, {told}" for steps, told in REGIMES.items()}
    for rows in ("usual", "adversarial")
)
RELATIVE = {
    steps: f"relative drop per doubling, % of the usual score, {told}" for steps, told in REGIMES.items()
}
MIXED = {steps: f"drop per doubling by a mixed model, {told}" for steps, told in REGIMES.items()}
MARGIN = 0.25  # points per doubling that are no difference: little more than a point over the whole grid


def pairs(scale: Scale) -> tuple[Pair, ...]:
    """Each target with its adversarial rows."""
    if not scale.world.made:
        return PAIRS
    return tuple((name.removesuffix(SUFFIX), name) for name in TASKS if name.endswith(SUFFIX))


def stages(scale: Scale) -> tuple[str, ...]:
    """The intermediate tasks."""
    return STAGES.get(scale.name, FEW_STAGES)


def sizes(scale: Scale) -> tuple[int, ...]:
    """How many of their rows train a stage."""
    return SIZES.get(scale.name, FEW_SIZES)


def regimes(scale: Scale) -> tuple[str, ...]:
    """The rules for the steps of a stage."""
    return tuple(REGIMES) if scale.world.made else FEW_REGIMES


def usual(size: int, steps: str, scale: Scale) -> str:
    """The rule for steps: where a size is the scale's own, both rules are one."""
    return SUM if size == scale.stage_rows else steps


def runs(scale: Scale) -> list[Run]:
    """Seed by seed: no intermediate task, and each task at each size with fixed steps and, in a constructed
    world, with steps in proportion to its rows; each on every target and on its adversarial rows.
    """
    on = both_sides(pairs(scale))
    plan = [(path, {}) for path in on]
    plan += [
        (path, {"size": size, "steps": usual(size, steps, scale)})
        for name in stages(scale)
        for steps in regimes(scale)
        for size in sizes(scale)
        for path in paths(name, on)
    ]
    return seed_by_seed(scale, SEEDS, plan)


def cell_of(run: Run) -> Cell | None:
    """What a run is an observation of: its source is named with its rows and its rule for steps."""
    if run.model:
        return None
    return named(run.source, run.size, run.steps) if run.source else "", run.lang, run.on


def named(name: str, size: int, steps: str) -> str:
    """The name of a source: a task, its rows and how many steps it took."""
    return f"{name}, {size} rows, {REGIMES[steps]}"


def grid(scale: Scale, name: str, steps: str) -> list[str]:
    """The sources of a task in the order of their sizes."""
    return [named(name, size, usual(size, steps, scale)) for size in sizes(scale)]


def doublings(scale: Scale) -> list[float]:
    """How many doublings each size is from the middle of the grid."""
    exponents = [math.log2(size) for size in sizes(scale)]
    return [x - sum(exponents) / len(exponents) for x in exponents]


def slope(scale: Scale, steps: str, on: tuple[str, ...], tasks: tuple[str, ...] = ()) -> Weights:
    """The weights of the least-squares slope over doublings, as the mean over tasks and targets."""
    tasks, away = tasks or stages(scale), doublings(scale)
    share = 1 / sum(x**2 for x in away) / len(tasks) / len(on)
    return {
        (source, PIVOT, target): share * x
        for name in tasks
        for x, source in zip(away, grid(scale, name, steps), strict=True)
        for target in on
    }


def drop_of(scale: Scale, weights: Weights, part: str = drops.WHOLE) -> Contrast:
    """A contrast of drops. `part`: which languages count."""
    return on_pairs(pairs(scale), weights, drop, part)


def on_one(scale: Scale, outside: str) -> Contrast:
    """The answer on one target alone, by the name of its adversarial rows."""
    return drop_of(scale, slope(scale, SUM, (outside,)))


def contrasts(scale: Scale) -> dict[str, Contrast]:
    """Slopes of the drop per doubling, with fixed steps first; what goes with them; and correlations."""
    outside, rules = tuple(x for _, x in pairs(scale)), {steps: REGIMES[steps] for steps in regimes(scale)}
    found = {
        f"drop per doubling, {told}": drop_of(scale, slope(scale, steps, outside))
        for steps, told in rules.items()
    }
    for steps, told in rules.items():
        found[MIXED[steps]] = mixed(scale, steps)
        found[f"Spearman correlation × 100 of rows and drop, {told}"] = correlated(steps)
        found[f"the same, given the task's own score, {told}"] = correlated(steps, given=True)
        found[USUAL[steps]] = on_pairs(pairs(scale), slope(scale, steps, outside), drops.inside)
    found |= {
        f"drop per doubling, {name}, fixed steps": drop_of(scale, slope(scale, SUM, outside, (name,)))
        for name in stages(scale)
    }
    for steps in rules:
        found[ADVERSARIAL[steps]] = on_pairs(pairs(scale), slope(scale, steps, outside), drops.outside)
        found[RELATIVE[steps]] = on_pairs(pairs(scale), slope(scale, steps, outside), drops.relative_drop)
    return found | {TARGETS_LEARNED: on_learned, ELSEWHERE: elsewhere}


def elsewhere(ledger: Ledger) -> Interval:
    """The answer in the languages other than English, on the targets that have any."""
    scale = ledger.scale
    on = tuple(pair[1] for pair in pairs(scale) if drops.shared(pair, scale) - {PIVOT})
    return drop_of(scale, slope(scale, SUM, on), drops.ABROAD)(ledger)


def on_learned(ledger: Ledger) -> Interval:
    """The answer on the targets that are learned."""
    kept, scale = set(learned(gates_of_targets(ledger))), ledger.scale
    return drop_of(scale, slope(scale, SUM, tuple(x for target, x in pairs(scale) if target in kept)))(ledger)


def gates_of_targets(ledger: Ledger) -> dict[str, Gate | None]:
    """The gate of each target, with its usual rows."""
    return target_gates(ledger, inside(pairs(ledger.scale)))


def drops_by_size(ledger: Ledger, steps: str) -> tuple[np.ndarray, list[int]]:
    """The drop (tasks, sizes, seeds), as the mean over targets, and the seeds.

    Raises: Short.
    """
    scale, on = ledger.scale, [x for _, x in pairs(ledger.scale)]
    told, sources = Drops(ledger, pairs(scale), drop), [grid(scale, x, steps) for x in stages(scale)]
    seeds = told.seeds({(source, PIVOT, target) for of in sources for source in of for target in on})
    cells = [[[told.cells[source, PIVOT, x] for x in on] for source in of] for of in sources]
    values = [[[[x[seed].score for seed in seeds] for x in of] for of in row] for row in cells]
    return np.array(values).mean(2), seeds


def own_scores(ledger: Ledger, steps: str, seeds: list[int]) -> np.ndarray:
    """The score of each task on its own rows (tasks, sizes, seeds).

    Raises: Short where a training has no row, or a task's score never changes.
    """
    scale = ledger.scale
    rows = [
        [
            [ledger.stages.get((source, PIVOT), {}).get(seed) for seed in seeds]
            for source in grid(scale, x, steps)
        ]
        for x in stages(scale)
    ]
    if any(row is None for of in rows for each in of for row in each):
        raise Short("not every training has its row")
    values = [
        [[scores_of(row, TASKS[x])[0] for row in each] for each in of]
        for x, of in zip(stages(scale), rows, strict=True)
    ]
    if not np.ptp(values, axis=(1, 2)).all():
        raise Short("a task's own score is the same in all runs: nothing to hold constant")
    return np.array(values)


def correlated(steps: str, given: bool = False) -> Contrast:
    """The rank correlation of size and drop within tasks, times 100: Fisher's mean over tasks.

    `given`: the partial correlation, given the task's own score. Its interval is the jackknife's, over seeds.
    """

    def found(ledger: Ledger) -> Interval:
        lost, seeds = drops_by_size(ledger, steps)
        own, n = own_scores(ledger, steps, seeds) if given else None, len(seeds)
        whole = 100 * fisher_mean(lost, own)
        without = [
            100 * fisher_mean(np.delete(lost, k, 2), np.delete(own, k, 2) if given else None)
            for k in range(n)
        ]
        return Interval(whole, (own_variance([n * whole - (n - 1) * x for x in without]),))

    return found


def fisher_mean(lost: np.ndarray, own: np.ndarray | None) -> float:
    """The rank correlation of size and drop, averaged over tasks as Fisher's z. `own`: what is held constant.

    Shapes: (tasks, sizes, seeds) both.
    """
    sizes = np.broadcast_to(np.arange(lost.shape[1])[:, None], lost.shape[1:]).ravel()
    found = []
    for k, values in enumerate(lost):
        r = spearmanr(sizes, values.ravel()).statistic
        if own is not None:
            a, b = (spearmanr(x, own[k].ravel()).statistic for x in (sizes, values.ravel()))
            r = (r - a * b) / np.sqrt((1 - a**2) * (1 - b**2))
        found.append(np.arctanh(np.clip(r, -0.999, 0.999)))
    return float(np.tanh(np.mean(found)))


def mixed(scale: Scale, steps: str) -> Contrast:
    """The slope of the drop per doubling by a mixed model: levels and slopes of tasks are drawn at random."""

    def found(ledger: Ledger) -> Interval:
        from statsmodels.regression.mixed_linear_model import MixedLM
        from statsmodels.tools.sm_exceptions import ConvergenceWarning, SingularMatrixWarning

        lost, _ = drops_by_size(ledger, steps)
        task, size, _ = np.indices(lost.shape)
        design = np.stack([np.ones(lost.size), np.array(doublings(scale))[size.ravel()]], 1)
        with warnings.catch_warnings():  # where slopes do not differ between tasks, their variance is at zero
            for expected in (ConvergenceWarning, SingularMatrixWarning, RuntimeWarning):
                warnings.simplefilter("ignore", expected)
            fitted = MixedLM(lost.ravel(), design, task.ravel(), design).fit(method="powell")
        mean, error = float(fitted.fe_params[1]), float(fitted.bse_fe[1])
        if not np.isfinite(error):
            raise Short("the mixed model has no solution")
        return Interval(mean, (Spread(error**2, len(lost) - 1),))

    return found


def gates(ledger: Ledger) -> dict[str, Gate]:
    """Enough targets are learned, the largest sizes are, and adversarial rows are harder."""
    found, scale = gates_of(ledger), ledger.scale
    largest = {name: found.stages.get((grid(scale, name, SUM)[-1], PIVOT)) for name in stages(scale)}
    on = gates_of_targets(ledger)
    return {
        "intermediate tasks are learned from the most rows": enough(largest, len(largest) // 2 + 1),
        "targets learned": enough(on, LEARNED.get(scale.name, len(on))),
        "adversarial rows are harder": drops.costs(ledger, pairs(scale)),
    }


QUESTION = Question(
    "size", 4,
    "Does more intermediate data make the loss on adversarial rows larger?",
    ("micro", "small"), runs, contrasts, cell_of, gates=gates, figure="sizes", pairs=pairs, margin=MARGIN,
    other_units=("Spearman", "the same, given", "relative drop"), dated="2026-11-29",
    on_one=on_one, literal=("Spearman correlation × 100 of rows and drop, fixed steps",),
    on_front=(MIXED[SUM], TARGETS_LEARNED), simulated="adversarial rows by construction",
    beside=(
        MIXED[SUM], TARGETS_LEARNED, ELSEWHERE, "drop per doubling, steps in proportion", *USUAL.values(),
        *ADVERSARIAL.values(), RELATIVE[SUM],
    ),
    later=(TARGETS_LEARNED, ELSEWHERE, *ADVERSARIAL.values(), *RELATIVE.values()),
)  # fmt: skip
