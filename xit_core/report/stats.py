"""Intervals over seeds and test instances, p-values that match them, multiplicity: calls to scipy and
statsmodels.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05  # of every test and (its complement) of every interval
SEEDS = 3  # fewest seeds an interval is given for


@dataclass(frozen=True)
class Interval:
    """A mean over seeds whose variance has two parts: between seeds, and from the test instances drawn."""

    mean: float
    seed_se: float  # standard error from the spread over the seeds
    instance_var: float  # variance of the mean over other draws of the same number of test instances
    df: int  # degrees of freedom of `seed_se`

    def half(self, level: float = LEVEL) -> float:
        """Half the width at `1 - level`: a t part for the seeds and a normal part, added as variances."""
        inside = 1 - level / 2
        return float(
            np.hypot(t.ppf(inside, self.df) * self.seed_se, norm.ppf(inside) * self.instance_var**0.5)
        )

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.mean - self.half()

    @property
    def high(self) -> float:
        """Its upper end."""
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
        """p-value of "the mean is at most `null`", at the level of one side of the interval (two-sided p, or
        1).
        """
        return self.p(null) if self.mean > null else 1.0

    def below(self, null: float = 0.0) -> float:
        """p-value of "the mean is at least `null`"; see `above`. An exact zero counts as not above zero."""
        exact = not self.seed_se and not self.instance_var and self.mean == null
        return self.p(null) if self.mean < null else 0.0 if exact else 1.0


def paired(values: np.ndarray, differences: list[np.ndarray]) -> Interval:
    """The interval of a mean paired difference.

    Shapes: values (S,), one difference per seed, in points; differences: one array (N_t,) a target, the
    per-instance differences averaged over the seeds, whose *sum* is the target's share of the mean.
    """
    values = np.asarray(values, float)
    instances = sum(len(d) * np.var(d, ddof=1) for d in differences if len(d) > 1)
    return Interval(
        float(values.mean()),
        float(values.std(ddof=1) / len(values) ** 0.5),
        float(instances),
        len(values) - 1,
    )


def pooled(interval: Interval, means: np.ndarray, weights: np.ndarray) -> Interval:
    """The interval with its seed part from all K sources: two-way analysis of variance, sources by seeds as
    blocks.

    Three seeds give one difference 2 degrees of freedom; the K sources together give (K-1)(S-1), if seeds
    matter about as much after one source as after another. Shapes: means (K, S), each source's mean over the
    targets; weights (K,).
    """
    (k, s), rest = means.shape, means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    df = (k - 1) * (s - 1)
    return replace(interval, seed_se=float((np.sum(rest**2) / df * np.sum(weights**2) / s) ** 0.5), df=df)


def at_least(p: list[float], k: int) -> float:
    """p-value of "fewer than `k` of these hold", the partial-conjunction test: k = 1 is Bonferroni, k =
    len(p) "all".

    Source: Benjamini and Heller (2008), Screening for partial conjunction hypotheses, Bonferroni form.
    """
    return min(1.0, (len(p) - k + 1) * sorted(p)[k - 1])


def holm(p: list[float]) -> list[float]:
    """Holm-adjusted p-values, in the order given."""
    return [float(x) for x in multipletests(p, LEVEL, "holm")[1]] if p else []
