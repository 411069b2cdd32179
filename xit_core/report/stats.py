"""Intervals over seeds and test instances, the p-values that match them, and correction for multiplicity.

The computations call scipy and statsmodels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtrit

LEVEL = 0.05  # of every test; intervals are at 1 - LEVEL
POWER = 0.8  # with which an effect of the size that is called detectable is found
SEEDS = 3  # an interval needs at least this many seeds
MANY = 1e8  # degrees of freedom at which t is normal
MOST_PRIOR = 30.0  # degrees of freedom that other sources lend a source's variance, at most


@dataclass(frozen=True)
class Spread:
    """One part of the variance of an estimate, estimated with some degrees of freedom (inf: known)."""

    variance: float
    df: float = np.inf


@dataclass(frozen=True)
class Interval:
    """An estimate in points, with the independent parts of its variance.

    Half its width is the root of the sum of (t quantile)² variance over the parts. It covers at least as
    often as it says, where one t interval with Satterthwaite's degrees of freedom covers too seldom: when
    three seeds happen to agree, that one takes the whole variance as known.

    Source: Banerjee (1960), On confidence interval for two-means problem based on separate estimates of
    variances and tabulated values of t-table.
    """

    mean: float
    parts: tuple[Spread, ...]

    def half(self, level: float = LEVEL) -> float:
        """Half the width at `1 - level`."""
        squares = (stdtrit(min(part.df, MANY), 1 - level / 2) ** 2 * part.variance for part in self.parts)
        return float(sum(squares) ** 0.5)

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

    def above(self, null: float = 0.0) -> float:
        """One-sided p-value of "the true value is at most `null`"; an exact `null` is not above itself."""
        p = self.reach(abs(self.mean - null)) / 2
        return p if self.mean > null else 1 - p

    def below(self, null: float = 0.0) -> float:
        """One-sided p-value of "the true value is at least `null`"; an exact `null` is not below itself."""
        p = self.reach(abs(self.mean - null)) / 2
        return p if self.mean < null else 1 - p

    def reach(self, distance: float) -> float:
        """The level at which half the width of the interval is `distance`: a two-sided p-value."""
        if not any(part.variance for part in self.parts):  # nothing varies: the value is exact
            return 0.0
        if np.isnan(self.half()):
            return np.nan
        ends = (1e-12, 1 - 1e-12)
        within = np.clip(distance, self.half(ends[1]), self.half(ends[0]))
        return float(brentq(lambda level: self.half(level) - within, *ends, xtol=1e-12))


def satterthwaite(parts: Sequence[Spread], most: float = np.inf) -> Spread:
    """The sum of independent variance estimates, with its approximate degrees of freedom, at most `most`.

    Source: Satterthwaite (1946), An approximate distribution of estimates of variance components.
    """
    total = sum(part.variance for part in parts)
    spread = sum(part.variance**2 / part.df for part in parts)
    return Spread(total, min(total**2 / spread, most) if spread else np.inf)


def moderated(variances: np.ndarray, df: float) -> tuple[np.ndarray, float]:
    """Variances that lend each other strength, and the degrees of freedom that each gained.

    They are thought of as draws of a scaled inverse chi-square distribution, whose two parameters are
    estimated from the mean and the variance of their logarithms. Shapes: (K,) in, (K,) out; `df`: of each.

    Source: Smyth (2004), Linear models and empirical Bayes methods, section 6.2; limma's squeezeVar.
    """
    variances = np.asarray(variances, float)
    if len(variances) < 2 or not np.all(variances > 0):
        return variances, 0.0
    logs = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    excess = np.var(logs, ddof=1) - polygamma(1, df / 2)
    prior, common = MOST_PRIOR, np.mean(variances)  # where they differ no more than chance makes them
    if excess > 0:
        prior = 2 * inverse_trigamma(excess)
        common = np.exp(np.mean(logs) + digamma(prior / 2) - np.log(prior / 2))
        prior = min(prior, MOST_PRIOR)
    return (prior * common + df * variances) / (prior + df), prior


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = `value`, for a value above 0."""
    return float(np.exp(brentq(lambda log: polygamma(1, np.exp(log)) - value, -20.0, 20.0)))


def own_variance(values: Sequence[float]) -> Spread:
    """The variance of a mean over seeds from these seeds alone. Shape: (S,)."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return Spread(np.nan, np.nan)
    return Spread(float(values.var(ddof=1) / len(values)), len(values) - 1)


def held_out_variance(values: Sequence[float]) -> Spread:
    """The same where each value is of a model that was chosen on the other seeds.

    Choices on seeds that overlap are alike, so that the values vary less than their mean does. Shape: (S,).

    Source: Nadeau and Bengio (2003), Inference for the generalization error.
    """
    part = own_variance(values)
    return Spread(part.variance * (1 + len(values) / (len(values) - 1)), part.df)


def source_variance(means: np.ndarray, weights: np.ndarray, alone: np.ndarray) -> list[Spread]:
    """The parts of the variance of a weighted sum of sources that come from their seeds.

    Sources and seeds form a two-way table, seeds as blocks: what a seed does to all sources alike cancels in
    a difference of sources, and enters with its own variance where the weights do not add up to zero. A
    source's own variance is that of its residuals, moderated over the sources that are not `alone`. A single
    source is judged by its own variance, the blocks included.
    Shapes: means (K, S), of sources that train something; weights (K,); alone (K,), whether a source is a
    stratum of its own, as the baseline is.
    """
    (k, s), total = means.shape, float(weights.sum())
    if s < 2:
        return [Spread(np.nan, np.nan)]
    if np.count_nonzero(weights) == 1:
        single = own_variance(means[weights != 0][0])
        return [Spread(single.variance * total**2, single.df)]
    variances, df = moderated_sources(means, alone)
    parts = [
        satterthwaite([Spread(w**2 * v / s, d) for w, v, d in zip(*of, strict=True) if w], (k - 1) * (s - 1))
        for of in ((weights[x], variances[x], df[x]) for x in (alone, ~alone))
    ]
    block = max(0.0, means.mean(0).var(ddof=1) - (residuals(means) ** 2).sum() / ((k - 1) * (s - 1)) / k)
    blocks = [Spread(total**2 * block / s, s - 1)] if abs(total) > 1e-9 else []
    return [part for part in parts if part.variance] + blocks


def moderated_sources(means: np.ndarray, alone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance over seeds of each source, without what seeds do to all, and its degrees of freedom.

    Shapes: means (K, S), K > 1; alone (K,), whether a source lends and borrows nothing; both results (K,).
    """
    k, s = means.shape
    # unbiased where all vary equally; elsewhere a K-th of each comes from the others
    variances = (residuals(means) ** 2).sum(1) / (s - 1) * k / (k - 1)
    df = np.full(k, s - 1.0)
    lent, prior = moderated(variances[~alone], s - 1)
    # moderation keeps precisions right on average; a sum of variances needs their own mean
    variances[~alone] = lent * (variances[~alone].mean() / lent.mean() if lent.any() else 1)
    df[~alone] += prior
    return variances, df


def residuals(means: np.ndarray) -> np.ndarray:
    """Residuals of a two-way table without interaction. Shape: (K, S)."""
    return means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()


def instance_variance(differences: np.ndarray) -> float:
    """The variance of a mean over seeds that comes from the sample of test instances.

    It is that of the instances' differences, less what noise of single seeds adds to it, which the variance
    over seeds already has. Shape: (S, N), for each seed what each instance (a cluster of rows) adds to the
    estimate; they add up to it.
    """
    s, n = differences.shape
    if n < 2:
        return 0.0
    noise = (residuals(differences) ** 2).sum() / ((n - 1) * (s - 1)) if s > 1 else 0.0
    return max(0.0, n * float(differences.mean(0).var(ddof=1) - noise / s))


def paired(values: Sequence[float], differences: Sequence[np.ndarray] = ()) -> Interval:
    """The interval of a mean paired difference, from its own seeds.

    Shapes: values (S,), one difference for each seed, in points; differences: for each target (S, N_t), what
    each instance adds to it.
    """
    instances = Spread(sum(map(instance_variance, differences)))
    return Interval(float(np.mean(values)), (own_variance(values), instances))


def at_least(p: Sequence[float], k: int) -> float:
    """p-value of "fewer than `k` of these hold", by the partial-conjunction test.

    k = 1 is Bonferroni's test; with k = len(p), all must hold.

    Source: Benjamini and Heller (2008), Screening for partial conjunction hypotheses, Bonferroni form.
    """
    return min(1.0, (len(p) - k + 1) * sorted(p)[k - 1])


def two_sided(p: float) -> float:
    """The two-sided p-value of the side whose one-sided p-value this is."""
    return min(1.0, 2 * p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values, in the given order."""
    # loads pandas, which a machine that only makes runs need not have
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p, LEVEL, "holm")[1]] if len(p) else []
