import numpy as np
import pytest
from scipy.stats import nct, norm, t, ttest_1samp

from xit_core.report.stats import Interval, at_least, holm, paired, pooled


def test_without_instance_variance_the_interval_is_the_t_interval():
    values = np.array([1.0, 2.0, 4.0, 3.5])
    got = paired(values, [])
    low, high = t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert (got.low, got.high) == pytest.approx((low, high))
    assert got.p() == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_without_seed_variance_the_interval_is_the_normal_one_of_the_paired_instances():
    difference = np.array([0.0, 0.1, 0.3, 0.2, -0.1])  # sums to the difference of the two scores
    got = paired([0.5, 0.5, 0.5], [difference])
    assert got.half() == pytest.approx(norm.ppf(0.975) * (5 * difference.var(ddof=1)) ** 0.5)


def test_p_and_interval_agree_at_every_null():
    interval = Interval(2.0, 0.3, 0.2, 2)
    assert interval.p(interval.low) == pytest.approx(0.05, abs=1e-6)
    assert interval.p(interval.low - 0.01) < 0.05 < interval.p(interval.low + 0.01)
    assert interval.above() == interval.p() and interval.below() == 1.0


@pytest.mark.parametrize(("df", "slack"), [(2, 0.08), (8, 0.02), (50, 0.005)])
def test_a_detectable_effect_is_found_in_eight_of_ten_studies(df, slack):
    delta = Interval(0.0, 1.0, 0.0, df).detectable()
    found = 1 - nct.cdf(t.ppf(0.975, df), df, delta) + nct.cdf(-t.ppf(0.975, df), df, delta)
    assert found == pytest.approx(0.8, abs=slack)
    assert Interval(5.0, 0.0, 4.0, df).detectable() == pytest.approx(2 * (norm.ppf(0.975) + norm.ppf(0.8)))


def test_an_exact_zero_is_not_above_zero():
    nothing = paired([0.0, 0.0, 0.0], [np.zeros(9)])
    assert nothing.above() == 1.0 and nothing.below() == 0.0


def test_the_interval_covers_new_seeds_and_new_instances():
    """Each repetition draws seeds and test instances; an interval that left out either part would cover far
    less.
    """
    rng, hits, narrow = np.random.default_rng(0), 0, 0
    for _ in range(600):
        seed_effects = rng.normal(1.0, 0.5, 3)
        shared = rng.normal(0, 10, 200)  # of instance i, the same for every seed
        noise = rng.normal(0, 1, (3, 200))
        items = (seed_effects[:, None] + shared + noise) / 200
        got = paired(items.sum(1), [items.mean(0)])
        hits += got.low <= 1.0 <= got.high
        narrow += abs(got.mean - 1.0) <= t.ppf(0.975, 2) * got.seed_se
    assert hits / 600 > 0.93
    assert narrow < hits


def test_pooling_two_sources_is_the_paired_t_test_and_more_sources_keep_the_coverage():
    means = np.array([[1.0, 2.0, 4.0], [0.5, 2.5, 1.0]])
    plain = paired(means[0] - means[1], [])
    assert pooled(plain, means, np.array([1, -1])).half() == pytest.approx(plain.half())
    rng, hits = np.random.default_rng(0), 0
    for _ in range(600):
        means = rng.normal(0, 2.0, 3) + rng.normal(0, 0.5, (12, 3))
        hits += (
            abs((got := pooled(paired(means[0] - means[1], []), means, np.eye(12)[0] - np.eye(12)[1])).mean)
            < got.half()
        )
    assert 0.93 < hits / 600 < 0.97


def test_partial_conjunction_spans_any_to_all():
    p = [0.01, 0.02, 0.5]
    assert at_least(p, 1) == pytest.approx(0.03)
    assert at_least(p, 2) == pytest.approx(0.04)
    assert at_least(p, 3) == pytest.approx(0.5)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
