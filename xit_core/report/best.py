"""How certain it is that one source is the best of several."""

from dataclasses import dataclass

import numpy as np

from .contrasts import Ledger, Source
from .stats import LEVEL, moderated_sources

DRAWS = 20_000
TIED = 1.0  # points from the best that count as tied with it


@dataclass(frozen=True)
class Standing:
    """Where a source stands among others.

    `best`: the probability that it is the best; `tied`: that it is within TIED points of the best; `low` and
    `high`: the interval of its difference from the best of the others (Hsu 1981, multiple comparisons with
    the best), in points.
    """

    best: float
    tied: float
    low: float
    high: float


def standing(ledger: Ledger, sources: list[Source], targets: tuple[str, ...]) -> Standing:
    """The standing of the first of these sources, by mean over the targets. Raises: Short."""
    seeds = ledger.seeds({(*source, t) for source in sources for t in targets})
    means, covariance = joint_distribution(ledger, sources, targets, seeds)
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(len(means)), covariance, DRAWS)
    margins = (means + draws)[:, :1] - (means + draws)[:, 1:]
    closest = margins.min(1)
    noise = draws[:, :1] - draws[:, 1:]
    errors = np.maximum(noise.std(0), 1e-12)
    reach = np.quantile((noise / errors).max(1), 1 - LEVEL) * errors
    gaps = means[0] - means[1:]
    return Standing(
        float((closest > 0).mean()),
        float((closest > -TIED).mean()),
        float(min(0.0, (gaps - reach).min())),
        float(max(0.0, (gaps + reach).min())),
    )


def joint_distribution(
    ledger: Ledger, sources: list[Source], targets: tuple[str, ...], seeds: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Means over targets and seeds of K sources, and their covariance but for what cancels in differences.

    Shapes: (K,) and (K, K).
    """
    scores = np.array(
        [
            [np.mean([ledger.cells[(*source, t)][seed].score for t in targets]) for seed in seeds]
            for source in sources
        ]
    )
    pool = ledger.pool(seeds, targets, sources)
    variances = dict(zip(pool.sources, moderated_sources(pool.means, pool.alone)[0], strict=True))
    covariance = np.diag([variances.get(source, 0.0) / len(seeds) for source in sources])
    for target in targets:
        items = np.array(
            [
                np.mean([ledger.cells[(*source, target)][seed].items for seed in seeds], axis=0)
                for source in sources
            ]
        )
        covariance = covariance + items.shape[1] * np.cov(items / len(targets))
    return scores.mean(1), covariance
