"""Intervals over seeds and test instances, the p-values that match them, and correction for multiplicity.

The computations call scipy and statsmodels.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05  # of every test; intervals are at 1 - LEVEL
POWER = 0.8  # with which an effect of the size that is called detectable is found
SEEDS = 3  # an interval needs at least this many seeds


@dataclass(frozen=True)
class Interval:
    """A mean over seeds. Its variance has two parts: between seeds, and from the sample of test instances."""

    mean: float
    seed_se: float  # standard error from the spread over the seeds
    instance_var: float  # variance of the mean over samples of as many test instances
    df: int  # degrees of freedom of `seed_se`

    def half(self, level: float = LEVEL) -> float:
        """Half the width at `1 - level`: a t part for the seeds and a normal part for the instances, added as
        variances.
        """
        quantile = 1 - level / 2
        return float(
            np.hypot(t.ppf(quantile, self.df) * self.seed_se, norm.ppf(quantile) * self.instance_var**0.5)
        )

    def detectable(self, power: float = POWER) -> float:
        """The smallest distance from the null hypothesis that a test of one comparison finds with this power.

        The half widths at LEVEL and at 2 (1 - power), added; in points, before correction for multiplicity.
        """
        return self.half() + self.half(2 * (1 - power))

    @property
    def low(self) -> float:
        """The lower end at 1 - LEVEL."""
        return self.mean - self.half()

    @property
    def high(self) -> float:
        """The upper end at 1 - LEVEL."""
        return self.mean + self.half()

    def p(self, null: float = 0.0) -> float:
        """Two-sided p-value of `mean == null`: the level at which the interval just reaches `null`."""
        distance = abs(self.mean - null)
        if not self.seed_se and not self.instance_var:  # nothing varies: the difference is exact
            return 1.0 if distance == 0 else 0.0
        ends = (1e-12, 1 - 1e-12)
        reach = np.clip(distance, self.half(ends[1]), self.half(ends[0]))
        return float(brentq(lambda level: self.half(level) - reach, *ends, xtol=1e-12))

    def above(self, null: float = 0.0) -> float:
        """p-value of "the mean is at most `null`", at the level of one side of the interval.

        It is the two-sided p-value if the mean is above `null`, otherwise 1.
        """
        return self.p(null) if self.mean > null else 1.0

    def below(self, null: float = 0.0) -> float:
        """p-value of "the mean is at least `null`"; see `above`. An exact zero counts as not above zero."""
        exact = not self.seed_se and not self.instance_var and self.mean == null
        return self.p(null) if self.mean < null else 0.0 if exact else 1.0


def paired(values: np.ndarray, differences: list[np.ndarray]) -> Interval:
    """The interval of a mean paired difference.

    Shapes: values (S,), one difference per seed, in points; differences: one array (N_t,) per target with the
    per-instance differences averaged over the seeds, whose *sum* is the target's contribution to the mean.
    """
    values = np.asarray(values, float)
    instances = sum(
        len(difference) * np.var(difference, ddof=1) for difference in differences if len(difference) > 1
    )
    return Interval(
        float(values.mean()),
        float(values.std(ddof=1) / len(values) ** 0.5),
        float(instances),
        len(values) - 1,
    )


def pooled(interval: Interval, means: np.ndarray, weights: np.ndarray) -> Interval:
    """The interval with its seed variance estimated from all K sources, by a two-way analysis of variance
    with seeds as blocks.

    One difference over three seeds has 2 degrees of freedom; the K sources together have (K-1)(S-1). This
    assumes that seeds matter about equally after every source.
    Shapes: means (K, S), each source's mean over the targets; weights (K,).
    """
    (k, s), residuals = means.shape, means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    df = (k - 1) * (s - 1)
    return replace(
        interval, seed_se=float((np.sum(residuals**2) / df * np.sum(weights**2) / s) ** 0.5), df=df
    )


def at_least(p: list[float], k: int) -> float:
    """p-value of "fewer than `k` of these hold", by the partial-conjunction test.

    k = 1 is Bonferroni's test; with k = len(p), all must hold.

    Source: Benjamini and Heller (2008), Screening for partial conjunction hypotheses, Bonferroni form.
    """
    return min(1.0, (len(p) - k + 1) * sorted(p)[k - 1])


def holm(p: list[float]) -> list[float]:
    """Holm-adjusted p-values, in the given order."""
    return [float(value) for value in multipletests(p, LEVEL, "holm")[1]] if p else []
