"""What a model loses from a target to the same task on other rows: of another domain, or adversarial."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from ..design.scales import PIVOT, Scale
from ..design.tasks import TASKS, languages
from .contrasts import BASELINE, Cell, Entry, Ledger, Short, Source, Weights
from .gates import Gate
from .stats import LEVEL, Interval, Spread, instance_variance, own_variance, two_sided

WHOLE, ENGLISH, ABROAD = "all", PIVOT, "other"  # which languages count
EXTREME = 0.5  # points from 0 and 100 at which the logit scale ends


Pair = tuple[str, str]  # a target, and the task that asks the same of other rows after the same training
# scores inside and outside of runs (K, 2), and the number of each run's source (K,), or -1 where a line must
# not go through it -> what is measured (K,), and its gradient in both scores (K, 2)
Measure = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def drop(scores: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score inside minus the score outside, in points. Shapes: (K, 2), (K,) -> (K,), (K, 2)."""
    return scores[:, 0] - scores[:, 1], np.tile([1.0, -1.0], (len(scores), 1))


def inside(scores: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score inside. Shapes: (K, 2), (K,) -> (K,), (K, 2)."""
    return scores[:, 0], np.tile([1.0, 0.0], (len(scores), 1))


def outside(scores: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score outside. Shapes: (K, 2), (K,) -> (K,), (K, 2)."""
    return scores[:, 1], np.tile([0.0, 1.0], (len(scores), 1))


def relative_drop(scores: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The drop in percent of the score inside. Shapes: (K, 2), (K,) -> (K,), (K, 2)."""
    inside, outside = np.maximum(scores[:, 0], EXTREME), scores[:, 1]
    return 100 * (1 - outside / inside), 100 * np.stack([outside / inside**2, -1 / inside], 1)


def effective_robustness(scores: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score outside minus the one that is expected from the score inside, in points.

    What is expected is a line on the logit scale through the sources, each the mean over its seeds: a model
    that is better inside is better outside, too, and is robust only beyond that. A line through single runs
    would be flattened by their noise, and call what is better inside robust; one through the sources that are
    judged would be drawn towards them.
    Shapes: (K, 2), (K,) -> (K,), (K, 2).

    Source: Taori et al. (2020), Measuring robustness to natural distribution shifts in image classification.
    """
    x, y = logit(np.clip(scores, EXTREME, 100 - EXTREME) / 100).T
    means = np.array([[v[sources == k].mean() for k in np.unique(sources[sources >= 0])] for v in (x, y)])
    slope, start = np.polyfit(*means, 1) if np.ptp(means[0]) > 0 else (0.0, float(means[1].mean()))
    expected, share = expit(start + slope * x), expit(x)
    steepness = slope * expected * (1 - expected) / (share * (1 - share))
    return scores[:, 1] - 100 * expected, np.stack([-steepness, np.ones(len(x))], 1)


class Drops(Ledger):
    """A ledger with what is measured on pairs of targets in place of scores; a cell is named by its task
    outside.
    """

    def __init__(
        self, ledger: Ledger, pairs: Sequence[Pair], measure: Measure, part: str = WHOLE,
        judged: Sequence[Source] = (),
    ) -> None:  # fmt: skip
        """`part`: which languages count, of those in which both tasks of a pair are scored. `judged`: sources
        that do not take part in what is expected.
        """
        vars(self).update(vars(ledger))
        self.sides = {pair: matched(ledger, pair, part) for pair in pairs}
        self.cells: dict[Cell, dict[int, Entry]] = {}
        # by cell and seed: what each test instance adds, by task and their number
        self.instances: dict[tuple[Cell, int], dict[tuple[str, int], np.ndarray]] = {}
        for pair, found in self.sides.items():
            self.cells |= {cell: {} for cell in ledger.cells if cell[2] == pair[1]}
            for (source, seed), (value, slopes) in measured(found, measure, judged).items():
                cell, sides = (*source, pair[1]), found[source, seed]
                self.cells[cell][seed] = replace(sides[1].entry, score=value)
                self.instances[cell, seed] = {
                    (task, len(side.items)): slope * side.items
                    for task, side, slope in zip(pair, sides, slopes, strict=True)
                }

    def over_instances(self, weights: Weights, seeds: list[int]) -> float:
        """As in a ledger of scores; a target that is in several pairs counts as the one sample that it is."""
        differences: dict[tuple[str, int], np.ndarray] = {}
        for cell, weight in weights.items():
            for key in self.instances[cell, seeds[0]]:
                items = np.array([self.instances[cell, seed][key] for seed in seeds])
                differences[key] = differences.get(key, 0.0) + weight * items
        return sum(map(instance_variance, differences.values()))


def shared(pair: Pair, scale: Scale) -> set[str]:
    """The languages in which both tasks of a pair are scored."""
    return set.intersection(*(set(languages(TASKS[name], scale)) for name in pair))


class Side(NamedTuple):
    """The score of one run in some languages, and what each test instance adds to it. Shapes: items (N,)."""

    entry: Entry
    score: float
    items: np.ndarray


Matched = dict[tuple[Source, int], tuple[Side, Side]]  # both sides of a pair, by source and seed


@lru_cache(maxsize=64)  # a question asks for each pair dozens of times
def matched(ledger: Ledger, pair: Pair, part: str = WHOLE) -> Matched:
    """Both sides of a pair, where both runs are finished. To be read, not changed."""
    (inside, outside), found = pair, {}
    for cell, seeds in ledger.cells.items():
        others = ledger.cells.get((*cell[:2], outside), {})
        for seed in sorted(seeds.keys() & others.keys()) if cell[2] == inside else ():
            entries = seeds[seed], others[seed]
            if langs := counted(entries, part):
                found[cell[:2], seed] = tuple(side(entry, langs) for entry in entries)
    return found


def measured(
    found: Matched, measure: Measure, judged: Sequence[Source]
) -> dict[tuple[Source, int], tuple[float, np.ndarray]]:
    """What is measured on one pair, by source and seed, with its gradient in both scores.

    `judged`: as in `Drops`. It is empty where nothing is left that what is expected could be drawn through.
    """
    names = list(dict.fromkeys(source for source, _ in found))
    sources = np.array([-1 if source in judged else names.index(source) for source, _ in found])
    if (sources < 0).all():
        return {}
    scores = np.array([[side.score for side in sides] for sides in found.values()])
    values, slopes = measure(scores, sources)
    return dict(zip(found, zip(map(float, values), slopes, strict=True), strict=True))


def counted(entries: tuple[Entry, Entry], part: str) -> set[str]:
    """The languages that count: those of both runs, or of these English, or the others."""
    both = set.intersection(*(set(entry.by_language) for entry in entries))
    return {WHOLE: both, ENGLISH: both & {PIVOT}, ABROAD: both - {PIVOT}}[part]


def side(entry: Entry, langs: set[str]) -> Side:
    """The score of a run in these languages, and its test instances.

    Rows of the ledger have what an instance adds in all languages, and in those other than English; English
    is what is left, where both have the same instances. Otherwise those of more languages stand in, and an
    interval is too narrow.
    """
    scores = entry.by_language
    score = sum(scores[lang] for lang in sorted(langs)) / len(langs)
    abroad, rest = np.asarray(entry.row.get("abroad", ()), float), len(scores) - 1
    if langs == set(scores) or not len(abroad):
        return Side(entry, score, entry.items)
    if langs != {PIVOT}:
        return Side(entry, score, abroad)
    alike = len(abroad) == len(entry.items)
    return Side(entry, score, (rest + 1) * entry.items - rest * abroad if alike else entry.items)


def abroad(ledger: Ledger) -> Ledger:
    """The same with the scores in languages other than English; a run that has none is left out."""
    other = copy.copy(ledger)
    other.cells = {
        cell: {
            seed: Entry(entry.id, found.score, found.items, entry.row)
            for seed, entry in seeds.items()
            if (langs := set(entry.by_language) - {PIVOT})
            for found in [side(entry, langs)]
        }
        for cell, seeds in ledger.cells.items()
    }
    return other


def robustness(
    ledger: Ledger, pairs: Sequence[Pair], weights: Weights, judged: Sequence[Source], part: str = WHOLE
) -> Interval:
    """The interval of a weighted sum of effective robustness.

    The line varies with the seeds, too: their part of the variance is the jackknife's, which draws it anew
    without each of them. `judged`: the sources that it does not go through; `part`: which languages count.
    Raises: Short.
    """
    whole = Drops(ledger, pairs, effective_robustness, part, judged)
    seeds = whole.seeds(weights)

    def without(left: int | None) -> float:
        values: dict[Cell, dict[int, float]] = {}
        for (_, outside), found in whole.sides.items():
            kept = {key: sides for key, sides in found.items() if key[1] in seeds and key[1] != left}
            for (source, seed), (value, _) in measured(kept, effective_robustness, judged).items():
                values.setdefault((*source, outside), {})[seed] = value
        return sum(weight * np.mean([*values[cell].values()]) for cell, weight in weights.items())

    n, mean = len(seeds), float(without(None))
    values = [n * mean - (n - 1) * without(seed) for seed in seeds]
    return Interval(mean, (own_variance(values), Spread(whole.over_instances(weights, seeds))))


def costs(ledger: Ledger, pairs: Sequence[Pair]) -> Gate:
    """The gate that the baseline scores less outside than inside, as the mean over the pairs."""
    told, cells = Drops(ledger, pairs, drop), [(*BASELINE, outside) for _, outside in pairs]
    try:
        gap, seeds = told.gap(dict.fromkeys(cells, 1 / len(cells))), told.seeds(cells)
    except Short as short:
        return Gate(None, str(short))
    p = two_sided(gap.above())
    harder = sum(sum(told.cells[cell][seed].score for seed in seeds) > 0 for cell in cells)
    says = f"{gap.mean:+.1f} points for the baseline, p = {p:.2g}; {harder} of {len(pairs)} pairs are harder"
    return Gate(p < LEVEL, says)
