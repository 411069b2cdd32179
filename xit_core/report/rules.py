"""The rules of the ten measured claims: what each compares, and when it holds or fails."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..design import studies
from ..design.run import MACHINE_TRANSLATED, SINGLE
from ..design.scales import PIVOT, Scale
from ..design.tasks import TASKS, languages
from ..machine.places import PACKAGE
from .best import standing
from .contrasts import BASELINE, Ledger, Short, Source, Weights, at, mean_contrast, versus
from .findings import (
    FAILS,
    HOLDS,
    Finding,
    Tested,
    decide,
    joined,
    judged,
    learned_sources,
    learned_targets,
    learned_tasks,
    likelier,
)
from .gates import BEYOND, ENOUGH
from .stats import LEVEL, SEEDS, Interval, Spread, at_least, held_out_variance, two_sided

MARGIN = 1.0  # points; a difference of less than this is none
DRAMATIC = 5.0  # points; more than this is a dramatic improvement
SHARE = 4  # a magnitude is reached within this part of the claimed number, e / SHARE
FEW_LANGUAGES = 2  # that a claim of consistency over languages needs
RETRIEVAL = ("bucc", "tatoeba")
DATED = "2026-11-28"  # when this rule was fixed, before any row of a scale that it was made for

RULE = (PACKAGE / "rule.md").read_text(encoding="utf-8").format(
    beyond=BEYOND, dated=DATED, dramatic=DRAMATIC, enough=ENOUGH, languages=FEW_LANGUAGES, level=LEVEL,
    margin=MARGIN, seeds=SEEDS,
)  # fmt: skip


def difference(ledger: Ledger, weights: Weights, **more) -> Finding:
    """Is a weighted sum of scores above zero?"""
    gap = ledger.gap(weights)
    return decide(gap, two_sided(gap.above()), two_sided(gap.below()), ledger.ids(weights), **more)


def gain(source: str) -> Callable[[Ledger], Finding]:
    """Does the source improve the mean over the targets?"""

    def measure(ledger: Ledger) -> Finding:
        targets = learned_targets(ledger)
        weights = versus((source, PIVOT), BASELINE, targets.names)
        return judged(
            ledger,
            [targets, learned_sources(ledger, ((source, PIVOT),))],
            lambda: difference(ledger, weights, targets=targets.names, tasks=(source,)),
        )

    return measure


def multitask(ledger: Ledger) -> Finding:
    """Multi-task at equal steps against the baseline (the estimate) and against every single task."""
    targets, singles = learned_targets(ledger), learned_tasks(ledger)
    ours = (ledger.multi, PIVOT)
    others = [BASELINE, *((source, PIVOT) for source in singles.names)]

    def measure() -> Finding:
        comparisons = [versus(ours, other, targets.names) for other in others]
        gaps = [ledger.gap(weights) for weights in comparisons]
        holds, fails = (
            at_least([gap.above() for gap in gaps], len(gaps)),
            at_least([gap.below() for gap in gaps], 1),
        )
        where = standing(ledger, [ours, *others], targets.names)
        note = (
            f"the best with probability {where.best:.2f}, within a point of it {where.tied:.2f}; from the "
            f"best other {where.low:+.1f} to {where.high:+.1f} points (Hsu)"
        )
        runs = ledger.ids(mean_contrast(comparisons))
        return decide(
            gaps[0], two_sided(holds), two_sided(fails), runs, note=joined(note, ledger.instead),
            targets=targets.names, tasks=singles.names,
        )  # fmt: skip

    found = judged(ledger, [targets, singles, learned_sources(ledger, (ours,))], measure)
    all_steps = versus((studies.multi(ledger.scale), PIVOT), BASELINE, targets.names)
    return shown_beside(found, full_dose(ledger, all_steps))


def per_task(ledger: Ledger, tasks: tuple[str, ...], targets: tuple[str, ...]) -> list[Interval]:
    """The gain of each intermediate task over the baseline, as the mean over some targets. Raises: Short."""
    return [ledger.gap(versus((task, PIVOT), BASELINE, targets)) for task in tasks]


def average(tasks: tuple[str, ...], targets: tuple[str, ...]) -> Weights:
    """The weights of the mean gain over intermediate tasks and targets."""
    return mean_contrast([versus((task, PIVOT), BASELINE, targets) for task in tasks])


def retrieval_rule(ledger: Ledger) -> Finding:
    """Do both retrieval targets gain more than DRAMATIC with all intermediate tasks but one?"""
    targets, singles = learned_targets(ledger, RETRIEVAL, len(RETRIEVAL)), learned_tasks(ledger)
    names = singles.names

    def measure() -> Finding:
        gaps = [per_task(ledger, names, (target,)) for target in targets.names]
        single = [max(gap.above(DRAMATIC) for gap in both) for both in zip(*gaps, strict=True)]
        below = [gap.below(DRAMATIC) for gap in per_task(ledger, names, targets.names)]
        weights = average(names, targets.names)
        enough = len(names) - 1
        up, down = (sum(p < LEVEL / 2 for p in ps) for ps in (single, below))
        note = (
            f"above {DRAMATIC:g} points on both with {up} of {len(names)} tasks taken singly, below that in "
            f"the mean of both with {down}"
        )
        return decide(
            ledger.gap(weights), two_sided(at_least(single, max(1, enough))),
            two_sided(at_least(below, min(2, len(names)))),
            ledger.ids(weights), note=joined(note, ledger.instead), targets=targets.names, tasks=names,
        )  # fmt: skip

    return judged(ledger, [targets, singles], measure)


def tydiqa(ledger: Ledger) -> Finding:
    """Does TyDiQA gain with more than half of the intermediate tasks, and lose with none?"""
    targets, singles = learned_targets(ledger, ("tydiqa",), 1), learned_tasks(ledger)
    langs = languages(TASKS["tydiqa"], ledger.scale)
    few = f"TyDiQA has {len(langs)} language at this scale, {FEW_LANGUAGES} needed"
    enough_languages = Tested((), untestable=few if len(langs) < FEW_LANGUAGES else "")

    def measure() -> Finding:
        gaps = per_task(ledger, singles.names, ("tydiqa",))
        many = len(gaps) // 2 + 1
        above, below = [gap.above() for gap in gaps], [gap.below() for gap in gaps]
        worst = 1.0 if min(below) < LEVEL / 2 else 0.0
        weights = average(singles.names, ("tydiqa",))
        up, down = (sum(p < LEVEL / 2 for p in ps) for ps in (above, below))
        note = f"{up} of {len(gaps)} tasks above zero taken singly, {down} below"
        return decide(
            ledger.gap(weights), max(worst, two_sided(at_least(above, many))),
            two_sided(at_least(below, many)), ledger.ids(weights), note=joined(note, ledger.instead),
            targets=("tydiqa",), tasks=singles.names,
        )  # fmt: skip

    return judged(ledger, [targets, singles, enough_languages], measure)


def no_benefit(ledger: Ledger) -> Finding:
    """Is the gain on XNLI below MARGIN for every intermediate task?"""
    targets, singles = learned_targets(ledger, ("xnli",), 1), learned_tasks(ledger)

    def measure() -> Finding:
        gaps = per_task(ledger, singles.names, ("xnli",))
        weights = average(singles.names, ("xnli",))
        fails = two_sided(at_least([gap.above() for gap in gaps], 1))
        holds = max(gap.below(MARGIN) for gap in gaps)
        side, p = (FAILS, fails) if fails < LEVEL else (HOLDS, holds)
        mean = ledger.gap(weights)
        finding = Finding(mean.mean, mean, side, p, ledger.ids(weights))
        note = joined(effects(gaps, singles.names), ledger.instead)
        return replace(finding, note=note, targets=("xnli",), tasks=singles.names)

    return judged(ledger, [targets, singles], measure)


def effects(gaps: list[Interval], names: tuple[str, ...]) -> str:
    """Which tasks help, have no effect within MARGIN, or harm, each taken singly."""
    groups = {
        "helps": [gap.above() < LEVEL / 2 for gap in gaps],
        "no effect": [max(gap.above(-MARGIN), gap.below(MARGIN)) < LEVEL for gap in gaps],
        "harms": [gap.below() < LEVEL / 2 for gap in gaps],
    }
    told = {
        word: [name for name, yes in zip(names, found, strict=True) if yes] for word, found in groups.items()
    }
    return "; ".join(f"{word}: {', '.join(found)}" for word, found in told.items() if found)


def best(ledger: Ledger) -> Finding:
    """The gain of each target's best source, chosen on other seeds and the other half of the instances.

    Sources are the single tasks and the joint training at its full dose; that at equal steps at a scale which
    runs seed by seed, for no claim is judged on the full dose there.
    """
    targets, singles = learned_targets(ledger), learned_tasks(ledger)
    equal = ledger.scale.by_seed
    joint = ledger.multi if equal else studies.multi(ledger.scale)
    sources = [(name, PIVOT) for name in (*singles.names, joint)]

    def measure() -> Finding:
        cells = {(*source, t) for source in (BASELINE, *sources) for t in targets.names}
        seeds = ledger.seeds(cells)
        if len(seeds) < 2:
            raise Short("one seed: nothing to choose on")
        parts = [
            cross_fitted(ledger, sources, target, seeds) / len(targets.names) for target in targets.names
        ]
        # the noise of single seeds is left in: a little more than `instance_variance` would give
        over_instances = sum(part.shape[1] * part.mean(0).var(ddof=1) for part in parts)
        values = sum(part.sum(1) for part in parts)
        gap = Interval(float(values.mean()), (held_out_variance(values), Spread(over_instances)))
        return decide(
            gap, two_sided(gap.above()), two_sided(gap.below()), ledger.ids(cells), note=ledger.instead,
            targets=targets.names, tasks=singles.names,
        )  # fmt: skip

    told = "the joint training at equal steps stands in for that at its full dose" if equal else ""
    return shown_beside(judged(ledger, [targets, singles], measure), told)


def cross_fitted(ledger: Ledger, sources: list[Source], target: str, seeds: list[int]) -> np.ndarray:
    """What each instance of a target adds to the gain of its best source at each seed. Shape: (S, N).

    For every seed and half of the instances the source is chosen on the other seeds and the other half, with
    no intermediate training among the candidates. Halves are the instances of even and of odd number.
    """
    base = np.array([ledger.cells[(*BASELINE, target)][seed].items for seed in seeds])
    gains = np.array(
        [[ledger.cells[(*source, target)][seed].items for seed in seeds] for source in sources]
    ) - base  # fmt: skip
    gains = np.concatenate([np.zeros((1, *base.shape)), gains])  # (K + 1, S, N)
    odd, found = np.arange(base.shape[1]) % 2 == 1, np.zeros_like(base)
    for out in range(len(seeds)):
        rest = np.delete(gains, out, axis=1)
        for half in (odd, ~odd):
            chosen = rest[:, :, ~half].sum((1, 2)).argmax()
            found[out, half] = gains[chosen, out, half]
    return found


def beats_mlm(ledger: Ledger) -> Finding:
    """Does English training beat the same with masked LM mixed in, at equal steps?"""
    found = plain_beats(lambda source: (at(f"{source}+mlm", SINGLE), PIVOT))(ledger)
    targets = learned_targets(ledger).names
    parts = [versus((name, PIVOT), (f"{name}+mlm", PIVOT), targets) for name in studies.MIXED]
    return shown_beside(found, full_dose(ledger, mean_contrast(parts)))


def beats_translated(ledger: Ledger) -> Finding:
    """Does English training beat the same on machine-translated data, which take as many steps?"""
    found = plain_beats(lambda source: (source, MACHINE_TRANSLATED), studies.translated)(ledger)
    return shown_beside(found, ", ".join(f"{has} stands in for {t}" for t, has in ledger.scale.translated))


def three(_scale: Scale) -> tuple[str, ...]:
    """SQuAD, MNLI and HellaSwag."""
    return studies.MIXED


def plain_beats(
    variant: Callable[[str], Source], tasks: Callable[[Scale], tuple[str, ...]] = three
) -> Callable[[Ledger], Finding]:
    """Does English training on three tasks beat `variant` of the same training?"""

    def measure(ledger: Ledger) -> Finding:
        targets, names = learned_targets(ledger), tasks(ledger.scale)
        compared = tuple(each for name in names for each in ((name, PIVOT), variant(name)))

        def finding() -> Finding:
            weights = mean_contrast([versus((name, PIVOT), variant(name), targets.names) for name in names])
            superior = difference(ledger, weights, targets=targets.names, tasks=names)
            above, below = superior.interval.above(-MARGIN), superior.interval.below(-MARGIN)
            return replace(superior, second=likelier(two_sided(above), two_sided(below)))

        return judged(ledger, [targets, learned_sources(ledger, compared)], finding)

    return measure


def full_dose(ledger: Ledger, weights: Weights) -> str:
    """An estimate at the steps of all tasks together, which is shown beside the one at equal steps."""
    try:
        gap = ledger.gap(weights)
    except Short:
        return ""
    return f"with the steps of all tasks {gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}], not judged"


def shown_beside(finding: Finding, note: str) -> Finding:
    """A finding with a further note."""
    return replace(finding, note=joined(finding.note, note))
