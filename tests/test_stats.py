"""Intervals and corrections, against scipy, against numeric integrals, and against draws of whole studies."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import digamma, polygamma
from scipy.stats import chi2, invgamma, nct, norm, t, ttest_1samp

from xit_core import cli
from xit_core.design.tasks import INTERMEDIATES, TARGETS
from xit_core.machine.errors import Bad
from xit_core.report import contrasts, pages, simulate, stats
from xit_core.report.stats import Interval, Spread, at_least, holm, paired


def test_without_instances_the_interval_is_the_t_interval():
    values = np.array([1.0, 2.0, 4.0, 3.5])
    got = paired(values)
    low, high = t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert (got.low, got.high) == pytest.approx((low, high))
    assert 2 * got.above() == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_without_seed_variance_the_interval_is_the_normal_one_of_the_paired_instances():
    difference = np.array([0.0, 0.1, 0.3, 0.2, -0.1])  # sums to the difference of the two scores
    got = paired([0.5, 0.5, 0.5], [np.tile(difference, (3, 1))])
    assert got.half() == pytest.approx(norm.ppf(0.975) * (5 * difference.var(ddof=1)) ** 0.5)


def test_p_and_interval_agree_at_every_null():
    interval = Interval(2.0, (Spread(0.3, 2),))
    assert interval.above(interval.low) == pytest.approx(0.025)
    assert interval.above(interval.low - 0.01) < 0.025 < interval.above(interval.low + 0.01)
    assert interval.above() == pytest.approx(1 - interval.below())


@pytest.mark.parametrize(("df", "slack"), [(2, 0.08), (8, 0.02), (50, 0.005)])
def test_a_detectable_effect_is_found_in_eight_of_ten_studies(df, slack):
    delta = Interval(0.0, (Spread(1.0, df),)).detectable()
    found = 1 - nct.cdf(t.ppf(0.975, df), df, delta) + nct.cdf(-t.ppf(0.975, df), df, delta)
    assert found == pytest.approx(0.8, abs=slack)
    assert Interval(5.0, (Spread(4.0),)).detectable() == pytest.approx(2 * (norm.ppf(0.975) + norm.ppf(0.8)))


def test_an_exact_value_is_above_what_is_less_and_not_above_itself():
    nothing = paired([0.0, 0.0, 0.0], [np.zeros((3, 9))])
    assert nothing.above() == nothing.below() == 1.0
    assert nothing.above(-1) == nothing.below(1) == 0.0


def test_degrees_of_freedom_of_a_sum_of_variances():
    two = stats.satterthwaite([Spread(1.0, 4), Spread(1.0, 4)])
    assert (two.variance, two.df) == pytest.approx((2.0, 8.0))
    assert stats.satterthwaite([Spread(1.0, 4), Spread(3.0, np.inf)]).df == pytest.approx(64.0)
    assert stats.satterthwaite([Spread(2.0, 4), Spread(1.0, 2)]).df == pytest.approx(3**2 / (4 / 4 + 1 / 2))
    assert stats.satterthwaite([Spread(1.0, 4), Spread(1.0, 4)], most=6).df == 6
    assert stats.satterthwaite([Spread(0.0, 4)]).df == np.inf


@pytest.mark.parametrize("value", [1e-6, 0.01, 1.0, 1.6449340668482264, 50.0, 1e6])
def test_the_inverse_of_the_trigamma_function(value):
    assert polygamma(1, stats.inverse_trigamma(value)) == pytest.approx(value, rel=1e-9)


def test_a_moderated_variance_is_the_inverse_of_the_mean_precision_given_what_was_seen():
    """With prior variances d s / chi-square(d): 1 / E[1 / variance | observed], by numeric integral."""
    observed, df = np.array([0.4, 1.0, 2.5, 0.9, 7.0, 1.4]), 4.0
    got, prior = stats.moderated(observed, df)
    common = (got[0] * (prior + df) - df * observed[0]) / prior

    def joint(variance, x):
        density = invgamma.pdf(variance, prior / 2, scale=prior * common / 2)
        return density * chi2.pdf(df * x / variance, df) * df / variance

    for x, moderated in zip(observed, got, strict=True):
        weight = quad(joint, 0, np.inf, args=(x,), limit=200)[0]
        precision = quad(lambda v, x=x: joint(v, x) / v, 0, np.inf, limit=200)[0] / weight
        assert 1 / precision == pytest.approx(moderated, rel=1e-4)


@pytest.mark.parametrize(("prior", "df"), [(4.0, 2), (10.0, 4)])
def test_the_prior_of_variances_is_found_in_many_of_them(prior, df):
    draw = np.random.default_rng(1)
    true = prior * 2.0 / draw.chisquare(prior, 4000)
    _, got = stats.moderated(true * draw.chisquare(df, 4000) / df, df)
    assert got == pytest.approx(prior, rel=0.2)


@pytest.mark.parametrize("observed", [[0.1, 1.0, 6.0, 0.5, 20.0], [0.3, 9.0]])
def test_the_prior_is_the_one_whose_logarithms_have_the_moments_that_are_seen(observed):
    df, logs = 4.0, np.log(observed)
    got, prior = stats.moderated(np.array(observed), df)
    common = (got[0] * (prior + df) - df * observed[0]) / prior
    assert logs.var(ddof=1) == pytest.approx(polygamma(1, df / 2) + polygamma(1, prior / 2))
    shift = [digamma(n / 2) - np.log(n / 2) for n in (df, prior)]
    assert logs.mean() == pytest.approx(np.log(common) + shift[0] - shift[1])


def test_variances_that_hardly_differ_lend_each_other_the_most_allowed_too():
    _, prior = stats.moderated(np.array([0.8, 1.0, 1.25]), 100)  # by their logarithms it were about 68
    assert prior == stats.MOST_PRIOR


def test_variances_that_do_not_differ_lend_each_other_the_most_allowed():
    draw = np.random.default_rng(2)
    got, prior = stats.moderated(draw.chisquare(4, 50) / 4, 4)
    assert prior == stats.MOST_PRIOR and got.std() < 0.1
    assert stats.moderated(np.array([3.0]), 4)[1] == 0.0  # one variance has nobody to borrow from
    assert stats.moderated(np.zeros(5), 4)[1] == 0.0


def test_moderated_sources_keep_their_mean_variance():
    means = np.random.default_rng(3).normal(0, np.linspace(0.1, 3, 12)[:, None], (12, 3))
    alone = np.arange(12) == 0
    variances, _ = stats.moderated_sources(means, alone)
    raw = (stats.residuals(means) ** 2).sum(1) / 2 * 12 / 11
    assert variances[0] == raw[0] and variances[1:].mean() == pytest.approx(raw[1:].mean())
    assert np.ptp(variances[1:]) < np.ptp(raw[1:])


def test_what_sources_lend_adds_to_the_degrees_of_freedom_of_all_but_the_baseline():
    means = np.random.default_rng(3).normal(0, np.linspace(0.1, 3, 12)[:, None], (12, 3))
    variances, df = stats.moderated_sources(means, np.arange(12) == 0)
    raw = (stats.residuals(means) ** 2).sum(1) / 2 * 12 / 11
    lent, prior = stats.moderated(raw[1:], 2)
    assert prior > 0 and df == pytest.approx([2, *[2 + prior] * 11])
    assert variances[1:] == pytest.approx(lent * raw[1:].mean() / lent.mean())


def test_two_sources_are_compared_as_by_the_paired_t_test():
    means = np.array([[1.0, 2.0, 4.0], [0.5, 2.5, 1.0]])
    plain = paired(means[0] - means[1])
    parts = stats.source_variance(means, np.array([1, -1]), np.zeros(2, bool))
    assert Interval(0.0, tuple(parts)).half() == pytest.approx(plain.half())


def test_a_single_source_without_a_partner_is_judged_by_its_own_seeds():
    means = np.array([[1.0, 2.0, 4.0], [0.5, 2.5, 1.0], [7.0, 7.1, 7.2]])
    (got,) = stats.source_variance(means, np.array([0, 2.0, 0]), np.zeros(3, bool))
    assert got.variance == pytest.approx(4 * means[1].var(ddof=1) / 3) and got.df == 2


def test_what_a_seed_does_to_all_sources_cancels_in_a_difference_and_counts_in_a_mean():
    draw, alone = np.random.default_rng(3), np.zeros(9, bool)
    means = draw.normal(0, 5.0, 3) + draw.normal(0, 0.1, (9, 3))
    (gap,) = stats.source_variance(means, np.array([1, -1, *[0] * 7]), alone)
    own, block = stats.source_variance(means, np.full(9, 1 / 9), alone)
    assert gap.variance < 0.05 < 1 < block.variance and own.variance < 0.01
    assert block.variance == pytest.approx(means.mean(0).var(ddof=1) / 3, rel=0.05) and block.df == 2


def test_what_a_seed_does_to_all_sources_by_hand():
    """Seed means 2, 2 and 5 vary by 3, of which noise of two sources, each with variance 2, explains 1."""
    means = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 4.0]])
    own, block = stats.source_variance(means, np.array([0.25, 0.25]), np.zeros(2, bool))
    assert (block.variance, block.df) == pytest.approx((0.5**2 * (3 - 1) / 3, 2))
    assert own.variance == pytest.approx(2 * 0.25**2 * 2 / 3)


def test_instances_of_several_targets_add_up():
    one, two = np.array([[0.0, 0.1, 0.3]] * 3), np.array([[0.2, -0.1, 0.4, 0.1]] * 3)
    parts = paired([0.5, 0.6, 0.4], [one, two]).parts
    assert parts[1].variance == pytest.approx(3 * one[0].var(ddof=1) + 4 * two[0].var(ddof=1))


def test_one_seed_has_no_variance():
    assert np.isnan(stats.source_variance(np.ones((3, 1)), np.ones(3), np.zeros(3, bool))[0].variance)
    assert (
        np.isnan(paired([1.0]).half())
        and np.isnan(paired([1.0]).above())
        and stats.instance_variance(np.ones((1, 4))) == 0.0
    )


def test_noise_of_single_seeds_is_no_variance_of_instances():
    draw = np.random.default_rng(4)
    noise = draw.normal(0, 1, (3, 20000)) / 20000
    shared = draw.normal(0, 2, 20000) / 20000
    assert stats.instance_variance(noise) < 0.1 * 20000 * noise.mean(0).var()
    got = stats.instance_variance(noise + shared)
    assert got == pytest.approx(4 / 20000, rel=0.05)


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
        got = paired(items.sum(1), [items])
        hits += got.low <= 1.0 <= got.high
        narrow += abs(got.mean - 1.0) <= paired(items.sum(1)).half()
    assert hits / 600 > 0.93
    assert narrow < hits


def test_more_sources_keep_the_coverage():
    rng, hits, weights = np.random.default_rng(0), 0, np.eye(12)[0] - np.eye(12)[1]
    for _ in range(600):
        means = rng.normal(0, 2.0, 3) + rng.normal(0, 0.5, (12, 3))
        parts = stats.source_variance(means, weights, np.arange(12) == 0)
        hits += abs((means[0] - means[1]).mean()) < Interval(0.0, tuple(parts)).half()
    assert hits / 600 > 0.94


def test_choices_on_other_seeds_widen_the_interval_of_what_was_chosen():
    values = [1.0, 2.0, 4.0]
    assert stats.held_out_variance(values).variance == pytest.approx(
        2.5 * stats.own_variance(values).variance
    )


def test_partial_conjunction_spans_any_to_all():
    p = [0.01, 0.02, 0.5]
    assert at_least(p, 1) == pytest.approx(0.03)
    assert at_least(p, 2) == pytest.approx(0.04)
    assert at_least(p, 3) == pytest.approx(0.5)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


MULTI = (simulate.at(simulate.studies.multi(simulate.DESIGN), "single"), "en")


def test_a_study_has_the_cells_of_the_design_and_the_truth_it_was_given():
    ledger = simulate.drawn_study(np.random.default_rng(0), simulate.SCENARIOS[0], simulate.edge)
    wanted = {cell for cell in contrasts.Ledger(simulate.DESIGN, stored=[]).cells if cell[0] != "mlm"}
    assert set(ledger.cells) == wanted
    bucc = [np.mean([e.score for e in ledger.cells[(t, "en", "bucc")].values()]) for t in INTERMEDIATES]
    assert bucc[:2] == pytest.approx([55, 55], abs=6) and bucc[2:] == pytest.approx([70] * 7, abs=6)
    baseline = {e.score for e in ledger.cells[("", "en", "tatoeba")].values()}
    assert len(baseline) == 1  # an encoder that trains nothing has no seeds


def test_truths_are_at_the_edge_of_the_rules():
    truth = {name: simulate.true_values(of) for name, of in simulate.TRUTHS.items()}
    assert [*truth["nothing"].values()] == pytest.approx([0.0] * 10)
    assert truth["edge"]["mlm"] == truth["edge"]["translated"] == pytest.approx(-1.0)
    ties = [np.mean([simulate.edge(s, t) for t in TARGETS]) for s in (MULTI, (INTERMEDIATES[-1], "en"))]
    assert (
        ties[0]
        == ties[1]
        == max(np.mean([simulate.edge((s, "en"), t) for t in TARGETS]) for s in INTERMEDIATES)
    )


def test_intervals_cover_and_rules_seldom_err():
    records = simulate.simulated(1, "nothing", 60)
    covered = [record["share"] for record in records if record["what"] == "covered"]
    wrong = [record["share"] for record in records if record["what"] in ("holds", "fails")]
    assert len(covered) == 10 and min(covered) > 0.85 and max(wrong) < 0.15


def test_a_wrong_interval_would_be_seen(monkeypatch):
    monkeypatch.setattr(contrasts.Interval, "half", lambda self, level=0.05: 0.1)
    records = simulate.simulated(0, "nothing", 10)
    assert min(record["share"] for record in records if record["what"] == "covered") < 0.5


def test_the_result_does_not_depend_on_the_processes_and_is_kept_for_the_book(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path))
    assert "Not simulated yet" in pages.simulation_section(tmp_path)
    assert cli.main(["simulate", "--ledgers", "2", "--cores", "2", "--keep"]) == 0
    out = capsys.readouterr().out
    assert all(scenario.name in out for scenario in simulate.SCENARIOS)
    kept = simulate.kept_simulation()
    assert kept == simulate.simulate_all(2, 1)
    text = pages.simulation_section(tmp_path)
    assert "lowest coverage" in text and "figures/simulation.svg" in text
    changed = [record | {"share": 0.123} for record in kept if record["what"] == "covered"]
    simulate.keep_simulation(changed + [record for record in kept if record["what"] != "covered"])
    assert "12.3" in pages.simulation_section(tmp_path)


@pytest.mark.parametrize("damage", ["{", json.dumps({"records": [{"share": 1.0}]})])
def test_a_damaged_result_is_one_line(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path))
    simulate.simulation_file().write_text(damage)
    with pytest.raises(Bad, match=r"simulation.json.*restore it from git"):
        simulate.kept_simulation()
