"""Every claim from a ledger made up for it: it is shown to hold, to fail and to stay open."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from synthetic import fill, row, sealed
from xit_core.design import studies
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, TARGETS, TASKS, languages
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.machine.places import results_dir
from xit_core.report import (
    best,
    checks,
    claim_pages,
    claims,
    contrasts,
    findings,
    gates,
    markdown,
    published,
    rules,
    sensitivity,
    simulate,
    stats,
    verdicts,
)
from xit_core.report.contrasts import BASELINE, Ledger
from xit_core.report.sensitivity import by_protocol, trains_on_target
from xit_core.report.view import View

KEYS = (
    "id number says scale published estimate low high joint_low joint_high "
    "detectable p p_joint direction not_worse magnitude targets tasks stand_ins overlap runs note"
).split()
NUMBERS = {
    "squad": 8.2, "mnli": 7.5, "hellaswag": 7.0, "multitask": 8.7, "retrieval": None, "tydiqa": None,
    "xnli": None,
    "best": 5.4, "mlm": None, "translated": None, "sota": None, "languages": 40, "targets": 9, "untrained": 0,
    "nine": 9, "phases": 3, "anli_size": 1104934, "mnli_size": 392702, "qqp_source": None,
    "squad_source": None,
    "hellaswag_source": None, "start": None,
}  # fmt: skip
MEASURED, CHECKED = list(NUMBERS)[:10], list(NUMBERS)[11:]
INSTANCES = 60
MULTI = studies.multi(SCALES["micro"])


def flat(points):
    """The same gain for everything but the baseline."""
    return lambda source, lang, target: points if source else 0.0


def ledger(folder, gain, seeds=(1, 2, 3), sd=0.1, instance_sd=1.0, scale="micro", floor=10.0, stage=90.0):
    """Finished runs: a baseline of 50 plus `gain(source, data language, target)`, noise over seeds and
    instances; random weights at `floor`; stages with `stage` on their own rows (numbers, or functions of the
    target or the task).
    """
    rng = np.random.default_rng(7)
    # hard and easy instances cancel in paired differences
    shared = {t: rng.normal(0, 20, INSTANCES) for t in TARGETS}
    (folder / scale).mkdir(parents=True)
    for run in studies.runs("main", SCALES[scale]):
        if run.phase == 1 or run.seed not in seeds:
            continue
        row = run.described | {"items": [], "provenance": {}}
        row |= target_fields(run, gain, shared, rng, (sd, instance_sd), floor) if run.phase == 3 else {}
        row |= stage_fields(run, stage) if run.phase == 2 else {}
        (folder / scale / f"{run.id}.json").write_text(sealed(row), encoding="utf-8")


def target_fields(run, gain, shared, rng, noise, floor):
    value = 50 + gain(contrasts.at(run.source, run.steps), run.lang, run.on)
    value += rng.normal(0, noise[0]) if run.source else 0.0
    if run.model:
        value = (floor(run.on) if callable(floor) else floor) + rng.normal(0, 0.1)
    items = shared[run.on] + rng.normal(0, noise[1], INSTANCES)
    items = (items - items.mean() + value) / INSTANCES
    score = {"lang": "en", "protocol": "", "value": value, "n": INSTANCES}
    return {"items": list(items), "scores": [score | {"metric": m} for m in TASKS[run.on].metrics]}


def stage_fields(run, stage):
    return {
        "guess": dict.fromkeys(("ccg", "udtag", *studies.MIXED), 12.0),
        "scores": [
            {"lang": "en", "metric": metric, "protocol": f"{task.name}: made-up", "n": 1000,
             "value": stage(task.name) if callable(stage) else stage}
            for task in run.stages[-1].tasks for metric in task.metrics if task.name != "mlm"
        ],
    }  # fmt: skip


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A function from a made-up ledger to the rows of the table, each call in a folder of its own."""

    def of(gain, scale="micro", **noise):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        monkeypatch.setenv("XIT_RESULTS", str(folder))
        ledger(folder, gain, scale=scale, **noise)
        return {row["id"]: row for row in verdicts.table(scale)}

    return of


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path))


def directions(rows):
    return {rows[name]["direction"] for name in MEASURED}


def test_claims_are_the_22_of_the_study_documents():
    assert [c.number for c in claims.CLAIMS] == list(range(1, 23))
    assert {c.id: c.expect for c in claims.CLAIMS} == NUMBERS


def as_published(source, lang, target):
    """A world in which the paper is right."""
    source = source.removesuffix(contrasts.EQUAL_STEPS)
    if not source or target == "xnli":
        return 0.0
    points = (
        {"squad1": 8.2, "mnli": 7.5, "hellaswag": 7.0, MULTI: 8.7, studies.multi(SCALES["small"]): 8.7}.get(
            source, 6.0
        )
        * 9
        / 8
    )
    return points - (1.0 if lang == "mt" or source.endswith("+mlm") else 0.0)


def test_every_measured_claim_can_hold(judge):
    rows = judge(as_published)
    assert directions(rows) == {"holds"}
    assert rows["squad"]["estimate"] == pytest.approx(8.2, abs=0.3)
    assert rows["mlm"]["not_worse"] == rows["translated"]["not_worse"] == "holds"
    assert set(rows["squad"]["targets"]) == set(TARGETS) and rows["squad"]["tasks"] == ["squad1"]
    assert "best with probability 1.00" in rows["multitask"]["note"]


def backwards(source, lang, target):
    return 3.0 if target == "xnli" and source else -as_published(source, lang, target)


def test_every_measured_claim_can_fail(judge):
    rows = judge(backwards)
    # the best model of each target may be the baseline, so it loses only what chance makes it lose
    assert directions({**rows, "best": rows["squad"]}) == {"fails"}
    worse = judge(lambda s, lang, t: 3 * backwards(s, lang, t))
    assert worse["mlm"]["not_worse"] == worse["translated"]["not_worse"] == "fails"


def test_best_per_target_fails_where_what_is_best_on_other_seeds_is_worse(monkeypatch):
    """Each seed has a source of its own that is best there and bad elsewhere."""

    def scored(seed, out):
        return 3.0 if seed != out else -9.0

    cells = {}
    for k, source in enumerate(INTERMEDIATES):
        for t in TARGETS:
            cells[source, "en", t] = {
                seed: contrasts.Entry("", 0.0, np.full(8, scored(seed, k % 3 + 1) / 8), {})
                for seed in (1, 2, 3)
            }
    for t in TARGETS:
        cells["", "en", t] = {seed: contrasts.Entry("", 0.0, np.zeros(8), {}) for seed in (1, 2, 3)}
    table = contrasts.Ledger(SCALES["micro"], stored=[])
    table.cells = cells
    found = rules.cross_fitted(table, [(s, "en") for s in INTERMEDIATES], "xnli", [1, 2, 3])
    assert found.sum(1) == pytest.approx([-9.0] * 3)


def test_best_per_target_reaches_its_number(judge):
    rows = judge(lambda s, lang, t: 5.4 if s == INTERMEDIATES[TARGETS.index(t)] else 0.0)
    assert rows["best"]["direction"] == "holds" and rows["best"]["estimate"] == pytest.approx(5.4, abs=0.1)
    assert rows["multitask"]["direction"] == "fails"


def test_no_claim_of_a_scale_that_runs_seed_by_seed_waits_for_the_full_dose():
    small, whole = SCALES["small"], studies.multi(SCALES["small"])
    rows = [row(run) for run in studies.runs("main", small) if run.source != whole or run.steps == "single"]
    told = {line["id"]: line for line in verdicts.table("small", ledger=Ledger(small, stored=rows))}
    for name in ("multitask", "best"):
        assert "seeds complete" not in told[name]["note"] and "not known yet" not in told[name]["note"]
    assert "at equal steps stands in for that at its full dose" in told["best"]["note"]


def test_best_is_chosen_on_other_seeds_and_instances_so_pure_noise_is_no_gain(judge):
    """The best of ten on the seeds it is measured on would be about 1.5 sd above zero."""
    rows = judge(flat(0.0), sd=4.0, instance_sd=0.01)
    assert abs(rows["best"]["estimate"]) < 2.5 and rows["best"]["direction"] == "open"


def test_where_every_source_harms_the_best_model_is_the_baseline(judge):
    rows = judge(lambda s, lang, t: -5.0 if s else 0.0)
    assert rows["best"]["estimate"] == 0.0 and rows["best"]["direction"] == "open"


def test_almost_every_allows_one_exception_and_not_two(judge):
    def all_but(*losers):
        return lambda s, lang, t: (-6.0 if s in losers else 9.0) if s else 0.0

    assert judge(all_but("ccg"))["retrieval"]["direction"] == "holds"
    rows = judge(all_but("ccg", "csqa"))
    assert rows["retrieval"]["direction"] == "fails"
    assert rows["tydiqa"]["direction"] == "open"  # many gain, but two lose
    rows = judge(lambda s, lang, t: (0.0 if s in ("ccg", "csqa") else 9.0) if s else 0.0)
    assert rows["tydiqa"]["direction"] == "holds"  # seven of nine are many


def test_dramatic_is_more_than_five_points_on_both_retrieval_targets(judge):
    one = judge(lambda s, lang, t: {"bucc": 20.0, "tatoeba": 3.0}.get(t, 6.0) if s else 0.0)
    assert one["retrieval"]["direction"] == "open" and one["retrieval"]["estimate"] > 10
    assert judge(flat(3.0))["retrieval"]["direction"] == "fails"


def test_multitask_must_beat_every_single_task(judge):
    equal = f"{MULTI}{contrasts.EQUAL_STEPS}"
    rows = judge(lambda s, lang, t: {equal: 8.0, "mnli": 8.0}.get(s, 4.0) if s else 0.0, sd=0.3)
    assert rows["multitask"]["direction"] == "open" and rows["multitask"]["low"] > 0


def test_multitask_is_judged_at_equal_steps_and_its_full_dose_is_shown(judge):
    """Nine times the steps help as much as the claim says, the mixture itself does not."""
    rows = judge(lambda s, lang, t: {MULTI: 9.0}.get(s, 4.0) if s else 0.0)
    assert rows["multitask"]["estimate"] == pytest.approx(4.0, abs=0.3)
    assert rows["multitask"]["direction"] != "holds"
    assert "with the steps of all tasks +9.0" in rows["multitask"]["note"]


def test_a_small_certain_gain_of_one_task_on_xnli_is_a_benefit(judge):
    rows = judge(lambda s, lang, t: {"mnli": 5.0}.get(s, -4.0) if s else 0.0, sd=0.02, instance_sd=0.01)
    assert rows["xnli"]["direction"] == "fails" and rows["xnli"]["estimate"] < 0
    assert "helps: mnli" in rows["xnli"]["note"] and "harms: anli" in rows["xnli"]["note"]


def test_no_benefit_tells_no_effect_from_harm(judge):
    rows = judge(lambda s, lang, t: {"qqp": -6.0}.get(s, -0.1) if s else 0.0, instance_sd=0.01)
    assert rows["xnli"]["direction"] == "holds" and "harms: qqp" in rows["xnli"]["note"]
    assert "no effect: anli, mnli, squad2" in rows["xnli"]["note"]


def test_an_uncertain_gain_on_xnli_is_open(judge):
    assert judge(flat(0.4), sd=2.0, instance_sd=20.0)["xnli"]["direction"] == "open"


def test_not_worse_is_a_verdict_of_its_own(judge):
    rows = judge(lambda s, lang, t: 4.0 if s else 0.0)
    assert rows["mlm"]["direction"] == "open" and rows["mlm"]["not_worse"] == "holds"
    assert {rows[name]["not_worse"] for name in NUMBERS if name not in ("mlm", "translated")} == {""}


def test_two_seeds_leave_every_measured_claim_open(judge):
    rows = judge(as_published, seeds=(1, 2))
    assert directions(rows) == {"open"}
    assert rows["squad"]["estimate"] is None and rows["squad"]["magnitude"] == ""


def test_an_unfinished_target_leaves_the_average_open(judge):
    judge(as_published)
    for path in results_dir().glob("micro/squad1.udpos-s2-*.json"):
        path.unlink()
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert (rows["squad"]["direction"], rows["mnli"]["direction"]) == ("open", "holds")


@pytest.mark.parametrize(
    ("sd", "instance_sd", "expected"), [(0.05, 0.5, "holds"), (0.05, 400.0, "open"), (8.0, 0.5, "open")]
)
def test_noise_over_seeds_or_over_instances_opens_a_verdict(judge, sd, instance_sd, expected):
    assert judge(flat(1.0), sd=sd, instance_sd=instance_sd)["squad"]["direction"] == expected


# -- what can be tested --------------------------------------------------------------------------------------


def unlearned(*targets):
    """A floor of random weights that the baseline does not beat on some targets."""
    return lambda target: 47.0 if target in targets else 10.0


def test_every_measured_claim_can_be_not_testable(judge):
    rows = judge(as_published, floor=unlearned(*TARGETS))
    assert directions(rows) == {"not testable"}
    assert "not learned: xnli" in rows["squad"]["note"] and rows["squad"]["estimate"] > 5
    assert directions(judge(as_published, stage=5.0)) == {"not testable"}


def test_an_average_is_tested_on_the_targets_that_are_learned(judge):
    rows = judge(as_published, floor=unlearned("xnli", "pawsx", "udpos"))
    assert rows["squad"]["direction"] == "holds" and len(rows["squad"]["targets"]) == 6
    assert "tested on 6 of 9 targets, without xnli, pawsx, udpos" in rows["squad"]["note"]
    assert rows["squad"]["estimate"] == pytest.approx(8.2 * 9 / 8, abs=0.3)  # xnli gains nothing here
    assert rows["xnli"]["direction"] == "not testable"
    fewer = judge(as_published, floor=unlearned("xnli", "pawsx", "udpos", "panx"))
    assert fewer["squad"]["direction"] == fewer["best"]["direction"] == "not testable"
    assert fewer["retrieval"]["direction"] == "holds"


@pytest.mark.parametrize(("lost", "expected"), [(3, "holds"), (4, "not testable")])
def test_a_claim_about_the_nine_tasks_is_tested_on_those_that_are_learned(judge, lost, expected):
    names = [t for t in INTERMEDIATES if t not in studies.MIXED][:lost]
    rows = judge(as_published, stage=lambda task: 5.0 if task in names else 90.0)
    nine = ("multitask", "retrieval", "tydiqa", "xnli", "best")
    assert {rows[name]["direction"] for name in nine} == {expected}
    assert rows["squad"]["direction"] == rows["mlm"]["direction"] == "holds"
    assert all(names[0] in rows[name]["note"] for name in nine)


def test_a_claim_about_one_training_needs_that_training(judge):
    rows = judge(as_published, stage=lambda task: 33.0 if task == "mnli" else 90.0)
    assert rows["mnli"]["direction"] == rows["mlm"]["direction"] == "not testable"
    assert rows["mnli"]["note"].startswith("not learned: mnli")
    assert rows["squad"]["direction"] == "holds"


def test_a_control_that_is_not_finished_leaves_claims_open(judge):
    judge(as_published)
    for path in results_dir().glob("micro/tydiqa-random-*.json"):
        path.unlink()
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert {rows[n]["direction"] for n in ("squad", "tydiqa", "best")} == {"open"}
    assert "tydiqa: 0 seeds with a control of random weights, 3 needed" in rows["squad"]["note"]
    assert rows["xnli"]["direction"] == "holds"


def test_runs_that_answer_a_constant_are_counted_beside_the_verdict(judge):
    judge(as_published)
    for path in results_dir().glob("micro/*.xnli-s*.json"):
        row = json.loads(path.read_text())
        constant = row["source"] == "squad1" and row["seed"] == 2
        path.write_text(sealed(row | {"commonest": 1.0 if constant else 0.4}))
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert "runs that give one answer to every row: 1 of 3 on xnli" in rows["squad"]["note"]
    assert "one answer" not in rows["mnli"]["note"]


def test_a_joint_training_is_learned_when_six_of_its_nine_tasks_are(judge):
    judge(as_published)
    for path in results_dir().glob("micro/multi-single-s*.json"):
        row = json.loads(path.read_text())
        kept = {name: 90.0 if name in INTERMEDIATES[:5] else 1.0 for name in INTERMEDIATES}
        scores = [x | {"value": kept[x["protocol"].split(":")[0]]} for x in row["scores"]]
        path.write_text(sealed(row | {"scores": scores}))
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert rows["multitask"]["direction"] == "not testable" and rows["squad"]["direction"] == "holds"


# -- the rules, to the p-value ------------------------------------------------------------------------------


def certain(truth, se=1.0):
    """A finished study in which all is learned, and each contrast is its truth with this standard error."""

    def gap(weights):
        mean = sum(weight * truth(cell[0], cell[2]) for cell, weight in weights.items())
        return stats.Interval(mean, (stats.Spread(se**2),))

    made = simulate.drawn_study(np.random.default_rng(0), simulate.SCENARIOS[0], simulate.nothing)
    made.gap, made.ids = gap, lambda cells: ()
    return made


def one_sided(z):
    """The p-value of a value that is z standard errors on the side in question."""
    return float(norm.sf(z))


def task_by_task(values, on=TARGETS, rest=0.0):
    """The truth where the nine tasks in their order have these values on some targets."""
    return lambda source, target: (
        (values[INTERMEDIATES.index(source)] if source in INTERMEDIATES else rest)
        if source and target in on
        else 0.0
    )


@pytest.mark.parametrize("z", [2.1, 1.8, -1.8, -2.1])
def test_a_difference_is_tested_on_both_sides(z):
    side = "holds" if z > 0 else "fails"
    plain = rules.difference(certain(lambda *_: z), {("squad1", "en", "xnli"): 1.0})
    assert (plain.side, plain.p) == (side, pytest.approx(2 * one_sided(abs(z))))
    found = rules.beats_translated(certain(lambda *_: 0.0))
    assert found.p == pytest.approx(1.0) and found.second[0] == "holds"


@pytest.mark.parametrize(("gap", "side"), [(0.9, "holds"), (-2.5, "fails"), (-0.5, "holds"), (-1.5, "fails")])
def test_not_worse_is_tested_on_both_sides_of_a_point_less(gap, side):
    found = rules.beats_mlm(certain(lambda source, _: -gap if "+" in source else 0.0, se=0.5))
    assert found.second == (side, pytest.approx(2 * one_sided(abs(gap + 1) / 0.5)))


def test_multitask_holds_by_its_least_certain_comparison_and_fails_by_the_most_certain_of_all():
    ours = f"{MULTI}{contrasts.EQUAL_STEPS}"
    values = [0.0, 0.5, *[-1.0] * 7]
    found = rules.multitask(certain(lambda s, t: 2.6 if s == ours else task_by_task(values)(s, t)))
    assert (found.side, found.p) == ("holds", pytest.approx(2 * one_sided(2.1)))
    values[1] = 3.0
    found = rules.multitask(certain(lambda s, t: 0.0 if s == ours else task_by_task(values)(s, t)))
    # ten others: the nine tasks, and no intermediate task
    assert (found.side, found.p) == ("fails", pytest.approx(2 * 10 * one_sided(3.0)))


def test_retrieval_holds_for_all_tasks_but_one_and_fails_for_two():
    limit = rules.DRAMATIC
    values = [limit - 9, *[limit + z for z in (2.8, 3, 3, 3, 3, 3, 3, 3)]]
    found = rules.retrieval_rule(certain(task_by_task(values)))
    # the second largest of nine p-values, of which two could be left out of the count
    assert (found.side, found.p) == ("holds", pytest.approx(2 * 2 * one_sided(2.8)))
    values = [limit - 4, limit - 3, *[limit + 9] * 7]
    found = rules.retrieval_rule(certain(task_by_task(values)))
    assert (found.side, found.p) == ("fails", pytest.approx(2 * 8 * one_sided(3)))
    assert limit == 5.0  # as the rule was fixed


@pytest.mark.parametrize(("many", "side"), [(5, "holds"), (4, "open")])
def test_tydiqa_holds_for_more_than_half_of_the_tasks(many, side):
    values = [*[3.5] * many, *[0.0] * (9 - many)]
    found = rules.tydiqa(certain(task_by_task(values, ("tydiqa",))))
    assert found.p == pytest.approx(2 * 5 * one_sided(3.5) if side == "holds" else 1.0)
    found = rules.tydiqa(certain(task_by_task([-x for x in values], ("tydiqa",))))
    assert found.p == pytest.approx(2 * 5 * one_sided(3.5) if side == "holds" else 1.0)
    assert side == "open" or found.side == "fails"


@pytest.mark.parametrize(("loss", "p"), [(-1.9, 2 * 5 * one_sided(4)), (-2.1, 1.0)])
def test_tydiqa_loses_with_a_task_at_the_two_sided_level(loss, p):
    found = rules.tydiqa(certain(task_by_task([*[4.0] * 8, loss], ("tydiqa",))))
    assert (found.side, found.p) == ("holds", pytest.approx(p))


def test_xnli_does_not_benefit_where_each_gain_is_below_a_point_and_does_where_one_is_above_zero():
    found = rules.no_benefit(certain(task_by_task([-0.8, *[-4.0] * 8], ("xnli",))))
    assert (found.side, found.p) == ("holds", pytest.approx(one_sided(1.8)))
    found = rules.no_benefit(certain(task_by_task([3.2, *[-4.0] * 8], ("xnli",))))
    assert (found.side, found.p) == ("fails", pytest.approx(2 * 9 * one_sided(3.2)))
    found = rules.no_benefit(certain(task_by_task([2.6, *[-4.0] * 8], ("xnli",))))
    assert (found.side, found.p) == ("holds", pytest.approx(one_sided(-1.6)))  # not after Bonferroni
    assert rules.MARGIN == 1.0  # as the rule was fixed


def test_the_interval_of_the_best_model_has_its_seeds_and_its_instances(monkeypatch):
    parts = {name: np.random.default_rng(k).normal(1, 2, (3, 8)) for k, name in enumerate(TARGETS)}
    monkeypatch.setattr(rules, "cross_fitted", lambda ledger, sources, target, seeds: parts[target])
    found = rules.best(certain(lambda *_: 0.0))
    values = sum(part.sum(1) for part in parts.values()) / 9
    seeds, instances = found.interval.parts
    assert found.estimate == pytest.approx(values.mean())
    assert (seeds.variance, seeds.df) == (pytest.approx(2.5 * values.var(ddof=1) / 3), 2)
    wanted = sum(8 * (part / 9).mean(0).var(ddof=1) for part in parts.values())
    assert instances.variance == pytest.approx(wanted)
    assert found.p == pytest.approx(2 * min(found.interval.above(), found.interval.below()))


def test_the_baseline_is_a_stratum_of_its_own_and_has_no_seeds_where_it_trains_nothing():
    made = certain(lambda *_: 0.0)
    pool = made.pool([1, 2, 3], ("xnli", "bucc"))
    assert [source for source, alone in zip(pool.sources, pool.alone, strict=True) if alone] == [BASELINE]
    only = made.pool([1, 2, 3], ("bucc", "tatoeba"))
    assert set(only.sources) == set(pool.sources) - {BASELINE} and not only.alone.any()


def test_a_scale_that_prolongs_another_has_its_runs_with_random_weights(empty):
    small, longer = SCALES["small"], next(s for s in SCALES.values() if s.prolongs == "small")
    runs = [run for run in studies.runs("main", small) if run.model == "random" and run.on in longer.targets]
    for run in runs:
        results.write(row(run))
    found = Ledger(longer, stored=[]).control
    told = {(target, seed): entry.id for target, seeds in found.items() for seed, entry in seeds.items()}
    assert told == {(run.on, run.seed): run.id for run in runs} and len(told) > 2


# -- how certain it is which is best ------------------------------------------------------------------------


def test_of_two_sources_the_standing_is_a_normal_distribution(monkeypatch):
    made = certain(lambda *_: 0.0)
    drawn = lambda gap: lambda *_: (np.array([gap, 0.0]), np.diag([3.0, 1.0]))  # noqa: E731
    monkeypatch.setattr(best, "joint_distribution", drawn(1.5))
    told = best.standing(made, [("squad1", "en"), BASELINE], TARGETS)
    sd, reach = 2.0, 2.0 * norm.ppf(0.95)
    assert told.best == pytest.approx(norm.cdf(1.5 / sd), abs=0.01)
    assert told.tied == pytest.approx(norm.cdf(2.5 / sd), abs=0.01)
    assert (told.low, told.high) == pytest.approx((1.5 - reach, 1.5 + reach), abs=0.08)
    monkeypatch.setattr(best, "joint_distribution", drawn(-9.0))
    told = best.standing(made, [("squad1", "en"), BASELINE], TARGETS)
    assert told.high == 0.0 and told.low == pytest.approx(-9 - reach, abs=0.08)


def test_a_source_stands_beside_the_best_of_the_others(monkeypatch):
    means, covariance = np.array([5.0, 4.0, -20.0]), np.eye(3) * 0.5
    monkeypatch.setattr(best, "joint_distribution", lambda *_: (means, covariance))
    told = best.standing(certain(lambda *_: 0.0), [("squad1", "en"), ("mnli", "en"), BASELINE], TARGETS)
    assert told.best == pytest.approx(norm.cdf(1.0), abs=0.01)
    assert -1.3 < told.low < -0.6 and 2.6 < told.high < 3.3  # 1 point, and about two standard errors


def test_the_joint_distribution_has_the_variance_of_each_difference():
    made = simulate.drawn_study(np.random.default_rng(5), simulate.SCENARIOS[1], simulate.nothing)
    for seeds in made.cells.values():  # instances without noise of single seeds
        items = seeds[1].items - seeds[1].items.mean()
        for entry in seeds.values():
            entry.items[:] = items
    sources, seeds = [("squad1", "en"), ("mnli", "en"), BASELINE], [1, 2, 3]
    means, covariance = best.joint_distribution(made, sources, TARGETS, seeds)
    for k, other in enumerate(sources[1:], 1):
        gap = made.gap(contrasts.versus(sources[0], other, TARGETS))
        assert means[0] - means[k] == pytest.approx(gap.mean)
        variance = covariance[0, 0] + covariance[k, k] - 2 * covariance[0, k]
        assert variance == pytest.approx(sum(part.variance for part in gap.parts))


@pytest.mark.parametrize(
    ("learned", "unknown", "told"),
    [(6, 0, "tested"), (5, 1, "pending"), (5, 0, "untestable"), (4, 1, "untestable"), (9, 0, "tested")],
)
def test_a_claim_waits_for_what_could_still_make_it_testable(learned, unknown, told):
    kinds = [True] * learned + [None] * unknown
    passed = dict(zip(TARGETS, (gates.Gate(x, "so far") for x in kinds + [False] * 9), strict=False))
    found = findings.tested(TARGETS, passed, 6, "targets")
    assert (bool(found.untestable), bool(found.pending)) == (told == "untestable", told == "pending")
    assert found.names == TARGETS[: learned if told == "tested" else 9]


def test_a_claim_that_cannot_be_tested_has_no_p_value_that_others_would_be_corrected_for():
    interval = stats.Interval(8.0, (stats.Spread(1.0),))
    measured = findings.Finding(8.0, interval, "holds", 0.001, second=("holds", 0.001))
    made = simulate.empty_ledger()

    def told(**condition):
        return findings.judged(made, [findings.Tested((), **condition)], lambda: measured)

    found = told(untestable="not learned: xnli")
    assert (found.side, found.p, found.second, found.estimate) == ("not testable", None, None, 8.0)
    found = told(pending="xnli: 2 seeds")
    assert (found.side, found.p, found.second, found.estimate) == ("open", None, None, None)
    assert told() == measured


# -- gates, at their edges ----------------------------------------------------------------------------------


def gate_of_target(gap, sd=0.0, seeds=3):
    """The gate of a target on which the baseline is so many points from random weights."""
    noise = [0.0, sd, -sd][:seeds]
    trained, random = (
        {k: contrasts.Entry("", value + x * share, np.full(9, value / 9), {}) for k, x in enumerate(noise)}
        for value, share in ((30 + gap, 1), (30.0, 0))
    )
    return gates.target_gate(
        SimpleNamespace(cells={(*BASELINE, "xnli"): trained}, control={"xnli": random}), "xnli"
    )


def test_a_target_is_learned_from_five_points_on_and_significantly():
    assert gate_of_target(5.5, 0.5).passed and gate_of_target(4.5, 0.5).passed is False
    assert gate_of_target(30.0, 20.0).passed is False  # t = 2.6 with two degrees of freedom
    assert gate_of_target(10.0, 3.0).passed and gate_of_target(10.0, 4.2).passed is False  # p = 0.03, 0.054
    assert gate_of_target(30.0, 0.5, seeds=2).passed is None


def test_the_lower_bound_of_a_score_has_its_rows_and_its_seeds():
    alike = gates.lower_bound([(60.0, 100)] * 3)
    assert alike == pytest.approx(60 - norm.ppf(0.95) * 100 * (0.6 * 0.4 / 100) ** 0.5)
    apart = gates.lower_bound([(50.0, 100), (60.0, 100), (70.0, 100)])
    seeds, rows = student.ppf(0.95, 2) ** 2 * 100 / 3, norm.ppf(0.95) ** 2 * 100**2 * 0.6 * 0.4 / 100
    assert apart == pytest.approx(60 - (seeds + rows) ** 0.5)


def stage_of(task, value, rows=1000, **more):
    """The row of a training, by its score on its own rows."""
    scores = [
        {"metric": m, "protocol": f"{task}: made-up", "value": value, "n": rows} for m in TASKS[task].metrics
    ]
    return {"on": task, "scores": scores} | more


@pytest.mark.parametrize(
    ("task", "value", "guess", "passed"),
    [
        ("mnli", 36.5, {}, True), ("mnli", 35.0, {}, False),  # chance is a third, the bound 2.5 below
        ("mnli", 40.0, {"mnli": 39.0}, False), ("mnli", 42.0, {"mnli": 39.0}, True),
        ("squad1", 14.0, {}, True), ("squad1", 11.0, {}, False),  # random weights reach 10 on XQuAD
        ("squad2", 52.0, {}, False), ("squad2", 54.0, {}, True),  # half of its questions have no answer
    ],
)  # fmt: skip
def test_a_training_is_learned_where_its_lower_bound_is_above_guessing(task, value, guess, passed):
    reached = {1: SimpleNamespace(by_language={"en": 10.0, "de": 90.0})}
    rows = {seed: stage_of(task, value, guess=guess) for seed in (1, 2, 3)}
    made = SimpleNamespace(stages={(task, "en"): rows}, control={"xquad": reached})
    assert gates.stage_gate(made, (task, "en")).passed is passed
    del rows[3]
    assert gates.stage_gate(made, (task, "en")).passed is None


def test_of_a_joint_training_so_many_tasks_must_be_learned():
    scores = [x for task, value in (("mnli", 90.0), ("qqp", 90.0), ("csqa", 3.0)) for x in
              stage_of(task, value)["scores"]]  # fmt: skip
    row = {"on": "mnli+qqp+csqa", "scores": scores, "guess": {}}
    made = SimpleNamespace(stages={("all", "en"): {1: row, 2: row, 3: row}}, control={})
    told = [gates.stage_gate(made, ("all", "en"), least).passed for least in (1, 2, 3, 6)]
    assert told == [True, True, False, False]


def test_enough_gates_are_as_many_as_are_needed_and_those_to_come_could_make_it_enough():
    yes, no = gates.Gate(True, ""), gates.Gate(False, "")
    assert gates.enough({"a": yes, "b": yes, "c": no}, 2).passed is True
    assert gates.enough({"a": yes, "b": None, "c": no}, 2).passed is None
    assert gates.enough({"a": yes, "b": no, "c": no}, 2).passed is False
    assert gates.enough({"a": yes, "b": None, "c": no}, 3).passed is False


# -- correction, magnitude, notes ----------------------------------------------------------------------------


def test_holm_opens_a_borderline_verdict():
    alone = verdicts.corrected({"squad": 0.03})
    among = verdicts.corrected({"squad": 0.03, "mnli": 0.04, "hellaswag": 0.2})
    finding = findings.Finding(2.0, stats.Interval(2.0, (stats.Spread(0.8, 2),)), "holds", 0.03)
    assert verdicts.verdict(finding, alone["squad"]) == "holds"
    assert verdicts.verdict(finding, among["squad"]) == "open"


def judged_with(p, of=("squad", "mnli", "hellaswag", "multitask"), second=(), estimate=8.0, se=0.5):
    """Findings of all claims: those of some measured ones with these p-values, the others not tested."""
    interval = stats.Interval(estimate, (stats.Spread(se**2),))
    found = {claim.id: findings.Finding(note="not yet") for claim in claims.CLAIMS}
    for name, value in zip(of, p, strict=False):
        found[name] = findings.Finding(estimate, interval, "holds", value)
    for name, value in zip(("mlm", "translated"), second, strict=False):
        found[name] = findings.Finding(0.0, interval, "holds", 0.9, second=("holds", value))
    return found


def test_the_verdicts_of_a_scale_are_corrected_together_and_those_of_not_worse_by_themselves():
    made = simulate.empty_ledger()

    def told(p, second):
        rows = verdicts.table("micro", judged_with(p, second=second), made)
        rows = {row["id"]: row for row in rows}
        return (
            [rows[name]["direction"] for name in ("squad", "mnli")],
            rows["mlm"]["not_worse"],
            rows["squad"],
        )

    # six are tested together: 0.008 six times is below 0.05, then 0.0101 five times is not
    directions, not_worse, row = told([0.008, 0.0101, 0.9, 0.9], [0.024, 0.9])
    assert (directions, not_worse) == (["holds", "open"], "holds")
    half = norm.ppf(1 - 0.025 / 6) * 0.5
    assert (row["joint_low"], row["joint_high"]) == pytest.approx((8 - half, 8 + half))
    assert row["high"] == pytest.approx(8 + norm.ppf(0.975) * 0.5)
    directions, not_worse, _ = told([0.009, 0.0099, 0.9, 0.9], [0.026, 0.9])
    assert (directions, not_worse) == (["open", "open"], "open")


@pytest.mark.parametrize(
    ("estimate", "direction", "others", "expected"),
    [
        (8.2, "holds", 0, "holds"), (8.2, "open", 0, "open"),  # it is reached only where the claim holds
        (12.0, "open", 0, "fails"), (11.2, "open", 0, "open"),
        (9.1, "holds", 0, "holds"), (9.1, "holds", 3, "open"),  # after correction for four numbers
    ],
)  # fmt: skip
def test_a_claimed_number_is_judged_at_the_papers_scale_alone(estimate, direction, others, expected):
    found = judged_with([0.001], estimate=estimate)
    # the others are neither reached nor missed
    found |= {
        k: x for k, x in judged_with([0.1] * (1 + others), estimate=9.3).items() if k != "squad" and x.p
    }
    told = verdicts.magnitudes("paper", found, {claim.id: direction for claim in claims.CLAIMS})
    assert told["squad"] == expected
    assert "squad" not in verdicts.magnitudes(
        "small", found, {claim.id: direction for claim in claims.CLAIMS}
    )


def test_the_p_value_of_a_claimed_number_is_that_of_both_its_ends():
    interval = stats.Interval(8.5, (stats.Spread(1.0),))  # of 8, so that 6 to 10 is within a quarter
    assert verdicts.magnitude(interval, 8.0) == ("holds", pytest.approx(2 * one_sided(1.5)))
    beyond = stats.Interval(12.0, (stats.Spread(1.0),))
    assert verdicts.magnitude(beyond, 8.0) == ("fails", pytest.approx(2 * one_sided(2.0)))


def test_an_estimate_of_one_target_is_measured_on_it_alone():
    made = simulate.drawn_study(np.random.default_rng(0), simulate.SCENARIOS[0], simulate.edge)
    squad = claims.CLAIMS[0]
    told = {x.target: x.estimate for x in claims.estimates(squad, squad.measure(made), made)}
    assert set(told) == {claims.EVERY_TARGET, *TARGETS}
    for target in TARGETS:
        gains = [
            made.cells["squad1", "en", target][k].score - made.cells["", "en", target][k].score
            for k in (1, 2, 3)
        ]
        assert told[target] == pytest.approx(np.mean(gains))
    assert told[claims.EVERY_TARGET] == pytest.approx(np.mean([told[target] for target in TARGETS]))


@pytest.mark.parametrize(
    ("mean", "se", "expected"),
    [(8.0, 0.5, "holds"), (8.0, 3.0, "open"), (12.0, 0.3, "fails"), (10.2, 0.3, "open")],
)
def test_a_number_is_reached_within_a_quarter_or_missed(mean, se, expected):
    side, p = verdicts.magnitude(stats.Interval(mean, (stats.Spread(se**2),)), 8.2)
    assert (side if p < stats.LEVEL else "open") == expected


def test_the_interval_beside_a_verdict_covers_all_claims_together(judge):
    row = judge(as_published)["squad"]
    alone, joint = row["high"] - row["low"], row["joint_high"] - row["joint_low"]
    assert joint > 1.3 * alone and row["estimate"] == pytest.approx(
        (row["joint_low"] + row["joint_high"]) / 2
    )


def test_a_scale_without_all_targets_estimates_and_is_not_testable(judge, monkeypatch):
    few = replace(
        SCALES["micro"], name="few", sources=("", "squad1", "csqa", "mnli"),
        targets=("xquad", "xnli", "udpos", "panx", "tatoeba"),
    )  # fmt: skip
    monkeypatch.setitem(SCALES, "few", few)
    rows = judge(as_published, scale="few")
    assert rows["squad"]["estimate"] > 5 and rows["squad"]["direction"] == "not testable"
    assert "not at this scale: pawsx, mlqa, tydiqa, bucc" in rows["squad"]["note"]
    assert rows["mlm"]["estimate"] is None


def test_a_stand_in_counts_as_one_of_the_nine_and_the_note_says_so(judge, monkeypatch):
    spoken = [lang for lang in languages(TASKS["tydiqa"], SCALES["small"]) if lang != "ko"]
    gaps = (*SCALES["small"].gaps, *(f"tydiqa/{lang}" for lang in spoken))
    monkeypatch.setitem(SCALES, "lone", replace(SCALES["small"], name="lone", gaps=gaps))
    rows = judge(as_published, scale="lone")
    one_language = {"tydiqa"}  # which this scale has in one language only
    assert {rows[n]["direction"] for n in MEASURED if n not in one_language} == {"holds"}
    assert rows["tydiqa"]["direction"] == "not testable" and "1 language" in rows["tydiqa"]["note"]
    told = {name for name in MEASURED if "udtag stands in for ccg" in rows[name]["note"]}
    assert told == {"multitask", "retrieval", "xnli", "best"}  # the claims that speak of the nine
    assert not any("stands in" in row["note"] for row in judge(as_published).values())


def test_a_number_of_a_reduced_scale_says_how_it_is_reduced(judge):
    rows = judge(as_published, scale="small")
    reduced = {name for name, row in rows.items() if row["note"].endswith(SCALES["small"].note)}
    assert SCALES["small"].note and reduced == set(MEASURED)


def test_further_seeds_of_some_cells_count_there_and_are_not_needed_elsewhere(judge, monkeypatch):
    monkeypatch.setitem(SCALES, "five", replace(SCALES["small"], name="five", seeds=(1, 2, 3, 4, 5)))
    rows = judge(as_published, scale="five", seeds=(1, 2, 3, 4, 5))
    seeds = {
        name: {i.split("-s")[-1][0] for i in rows[name]["runs"]} for name in ("squad", "multitask", "mlm")
    }
    assert seeds == {"squad": set("12345"), "multitask": set("12345"), "mlm": set("123")}


def test_rows_of_another_recipe_do_not_count(judge):
    judge(as_published)
    for path in results_dir().glob("micro/squad1.*.json"):
        row = json.loads(path.read_text())
        path.unlink()
        path.with_name(path.stem + "0.json").write_text(sealed(row | {"id": row["id"] + "0"}))
    assert {r["id"]: r for r in verdicts.table("micro")}["squad"]["direction"] == "open"


def test_stand_ins_and_shared_text_of_the_runs_are_part_of_a_verdict(judge):
    judge(as_published)
    part = {"task": "mnli", "split": "train", "lang": "en", "source": "other/data", "stand_in": True}
    shared = {"task": "mnli", "lang": "de", "rows": 60, "shared": 7}
    for path in results_dir().glob("micro/mnli-s*.json"):
        path.write_text(sealed(json.loads(path.read_text()) | {"provenance": {"data": [part]}}))
    for path in results_dir().glob("micro/mnli.xnli-s*.json"):
        path.write_text(sealed(json.loads(path.read_text()) | {"overlap": [shared]}))
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert rows["mnli"]["stand_ins"] == ["mnli/train: other/data"]
    assert rows["mnli"]["overlap"] == ["xnli/de: 7 of 60 in mnli"]
    assert rows["squad"]["stand_ins"] == rows["squad"]["overlap"] == []


def test_checked_claims_hold_for_the_declarations(empty):
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert {rows[c]["direction"] for c in CHECKED} == {"holds"} and rows["sota"]["direction"] == "open"
    assert {rows[c]["magnitude"] for c in CHECKED if NUMBERS[c] is not None} == {"holds"}


def test_checked_claims_fail_for_other_declarations(empty, monkeypatch):
    # all English, trained, of one kind
    monkeypatch.setattr(checks, "TASKS", {t: TASKS["mnli"] for t in TASKS})
    monkeypatch.setattr(checks, "stated", lambda data, item: "elsewhere")
    monkeypatch.setattr(checks, "stated_count", lambda data, item: 7)
    monkeypatch.setattr(checks, "TARGETS", TARGETS[:8])
    monkeypatch.setattr(checks, "START", "google-bert/bert-base-multilingual-cased")
    monkeypatch.setattr(
        contrasts.studies, "runs", lambda *_: [r for r in studies.main_study(SCALES["micro"]) if r.phase != 2]
    )
    rows = {r["id"]: r for r in verdicts.table("micro")}
    assert {rows[c]["direction"] for c in CHECKED} == {"fails"}


def test_an_origin_that_no_source_states_stays_open(empty, monkeypatch):
    monkeypatch.setattr(checks, "stated", lambda data, item: "")
    monkeypatch.setattr(checks, "stated_count", lambda data, item: None)
    assert checks.comes_from("Quora", "qqp")(None).side == "open"
    assert checks.hellaswag_source(None).side == "open" and checks.mnli_size(None).side == "fails"


def test_state_of_the_art_is_settled_by_a_dated_leaderboard(monkeypatch):
    def board(ours):
        lines = (("XLM-R | XNLI acc", ours), ("mBERT | XNLI acc", 65.4))
        return lambda _: [
            {"claim": "sota", "date": "2020-06", "row": row, "sourced": str(v)} for row, v in lines
        ]

    for ours, expected in ((79.2, "holds"), (60.0, "fails")):
        monkeypatch.setattr(checks, "csv_table", board(ours))
        assert checks.sota(None).side == expected


def test_an_empty_ledger_gives_22_rows_with_the_fixed_keys(empty):
    rows = verdicts.table("micro")
    assert [list(r) for r in rows] == [KEYS] * 22
    assert all(r["estimate"] is None and r["direction"] == "open" and r["runs"] == [] for r in rows[:10])
    assert json.loads(json.dumps(rows)) == rows


def test_every_sourced_value_names_its_source():
    rows = published.csv_table("published")
    assert all(bool(r["sourced"]) == bool(r["source"]) for r in rows)
    assert {r["claim"] for r in rows} <= set(NUMBERS)
    # +8.2 has no public source
    assert not next(r for r in rows if r["claim"] == "squad" and r["claimed"])["sourced"]
    assert all(r["source"] for r in published.csv_table("sizes"))


def test_the_table_needs_no_torch(judge):
    judge(as_published)
    code = (
        "import sys; from xit_core.report import verdicts; verdicts.table('micro'); sys.exit('torch' in "
        "sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- beside what is published


def test_a_stated_count_is_a_number_also_0_and_none_where_nothing_is_stated():
    assert published.stated_count("xnli", "languages") == 15
    assert published.stated_count("bucc", "train") == 0
    assert published.stated_count("xnli", "nothing") is None is published.stated_count("nothing", "train")


def test_a_stated_count_that_is_no_number_is_named():
    with pytest.raises(Bad, match=r"sizes\.csv: qqp, origin: got 'Quora'; allowed: a whole number"):
        published.stated_count("qqp", "origin")


def test_claim_8_is_recomputed_from_published_rows(monkeypatch):
    gains = published.published_gains()
    assert len(gains) == 7 and gains["TyDiQA-GoldP"] == pytest.approx((59.5 + 76.0 - 45.0 - 65.1) / 2)
    # the table's own averages, 72.7 and 70.1, are rounded
    assert sum(gains.values()) / 7 == pytest.approx(72.7 - 70.1, abs=0.1)
    text = published.consistency("best")
    assert "Consistent with what is published" in text and "+2.5 points" in text and "15.5 each" in text
    rows = [row | {"sourced": "1.0"} if row["row"].startswith("STiLTs") else row for row in
            published.csv_table("published")]  # fmt: skip
    monkeypatch.setattr(published, "csv_table", lambda name: rows)
    assert (
        published.consistency("best").startswith("*Not consistent") and published.consistency("squad") == ""
    )


def test_claim_11_is_recomputed_from_published_rows(monkeypatch):
    text = published.consistency("sota")
    assert (
        text.startswith("*Consistent") and "first on 6 of the 6 tasks" in text and "TyDiQA-GoldP +5.4" in text
    )
    rows = [row | {"sourced": "90"} if row["row"].startswith("mBERT") else row for row in
            published.csv_table("published")]  # fmt: skip
    monkeypatch.setattr(published, "csv_table", lambda name: rows)
    assert published.consistency("sota").startswith("*Not consistent")


# -- what an estimate owes to a choice -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XIT_RESULTS", str(tmp_path_factory.mktemp("results")))
        fill("micro")
        view = View("micro")
        assert view.sensitivity  # measured while the ledger is there
        yield view


def by_hand(view, seeds=(1, 2, 3), targets=TARGETS, counts=lambda score: True, task="squad1"):
    """The gain of a task over the baseline, from the rows alone."""

    def score(source, target, seed):
        (row,) = [
            row
            for row in view.rows
            if (row["source"], row["on"], row["seed"], row["lang"], row["model"])
            == (source, target, seed, "en", "")
            and row["phase"] == 3
        ]
        told = [x for x in row["scores"] if x["metric"] in TASKS[target].metrics and counts(x)]
        langs = {x["lang"] for x in told}
        return np.mean([np.mean([x["value"] for x in told if x["lang"] == lang]) for lang in langs])

    return np.mean([score(task, t, seed) - score("", t, seed) for t in targets for seed in seeds])


def found(view, name, claim="squad"):
    (variant,) = [variant for variant in view.sensitivity[claim] if variant.name == name]
    assert variant.change == pytest.approx(variant.estimate - view.findings[claim].estimate)
    return variant.estimate


def test_without_a_target_a_seed_or_english_it_is_what_is_left(view):
    others = [t for t in TARGETS if t != "panx"]
    assert found(view, "without `panx`") == pytest.approx(by_hand(view, targets=others))
    assert found(view, "without seed 2") == pytest.approx(by_hand(view, seeds=(1, 3)))
    abroad = by_hand(view, counts=lambda score: score["lang"] != "en")
    assert found(view, "without English") == pytest.approx(abroad)


def test_a_claim_about_the_tasks_one_by_one_is_told_without_each_of_them(view):
    tasks = view.findings["retrieval"].tasks
    means = [by_hand(view, targets=("bucc", "tatoeba"), task=task) for task in tasks]
    assert view.findings["retrieval"].estimate == pytest.approx(np.mean(means))
    assert found(view, "without `mnli`", "retrieval") == pytest.approx(
        np.mean([mean for task, mean in zip(tasks, means, strict=True) if task != "mnli"])
    )
    assert not [way for way in view.sensitivity["squad"] if way.name == "without `mnli`"]


def test_question_answering_is_counted_by_one_metric_alone(view):
    told = found(view, "question answering by exact match alone")
    answers = [t for t in TARGETS if "exact_match" in TASKS[t].metrics]
    rest = [t for t in TARGETS if t not in answers]
    shares = len(answers) / len(TARGETS), len(rest) / len(TARGETS)
    wanted = shares[0] * by_hand(
        view, targets=answers, counts=lambda score: score["metric"] == "exact_match"
    ) + shares[1] * by_hand(view, targets=rest)
    assert told == pytest.approx(wanted)


def test_targets_on_whose_training_data_a_stage_trains_are_left_out_together(view):
    names = [v.name for v in view.sensitivity["squad"] if "trains" in v.name]
    assert names == ["without `xquad` and `mlqa`, on whose training data a stage trains"]
    rest = [t for t in TARGETS if t not in ("xquad", "mlqa")]
    assert found(view, names[0]) == pytest.approx(by_hand(view, targets=rest))
    assert (
        trains_on_target("mnli+mlm", "xnli")
        and not trains_on_target("", "bucc")
        and not trains_on_target("mnli", "xquad")
    )


def test_another_protocol_takes_the_place_of_the_scores_of_its_target(view):
    row = next(row for row in view.rows if row["on"] == "xquad" and row["source"] == "squad1")
    other = {**row, "protocols": [{**score, "protocol": "other", "value": 0.0} for score in row["scores"]]}
    assert {score["value"] for score in by_protocol(other, "xquad", "other")["scores"]} == {0.0}
    assert by_protocol(other, "mlqa", "other") == other
    renamed = {**other, "on": "udpos", "protocols": [{**other["protocols"][0], "metric": "accuracy"}]}
    assert by_protocol(renamed, "udpos", "other")["scores"][0]["metric"] == "f1"


def test_a_restriction_that_does_not_touch_a_claim_is_not_told(view):
    names = {variant.name for variant in view.sensitivity["xnli"]}
    assert "without seed 1" in names and not any("`panx`" in name or "question" in name for name in names)
    assert set(view.sensitivity) == {name for name, finding in view.findings.items() if finding.interval}


def test_an_interval_is_told_with_the_seed_noise_of_fewer_trainings(view):
    ways = {way.name: way for way in view.sensitivity["squad"]}
    own, learned = ways[sensitivity.OWN_NOISE], ways[sensitivity.LEARNED_NOISE]
    found, row = view.findings["squad"], view.claims[0]
    for way in (own, learned):
        assert way.estimate == found.estimate and way.low < found.estimate < way.high
    cells = view.ledger.cells
    gains = [
        np.mean([cells["squad1", "en", t][s].score - cells["", "en", t][s].score for t in row["targets"]])
        for s in (1, 2, 3)
    ]
    told = claim_pages.by_seed(row, view)
    assert told == f"Seed by seed the difference is {', '.join(markdown.number(g, '+,.1f') for g in gains)}. "
    assert claim_pages.by_seed(view.claims[4], view) == ""  # of a claim about several trainings
    alone = view.ledger.lending(lambda source: False)  # what is compared still counts
    pool = alone.pool([1, 2, 3], row["targets"], [("squad1", "en"), BASELINE])
    assert set(pool.sources) == {("squad1", "en"), BASELINE}
    judged = ways[sensitivity.AS_JUDGED]
    assert (judged.low, judged.high) == (found.interval.low, found.interval.high)
    # what reads no other training's noise has the same interval whoever lends
    assert not [way for way in view.sensitivity["best"] if way.low is not None]


def test_the_page_of_a_claim_says_the_range_and_changes_with_one_score(view, tmp_path, monkeypatch):
    ways = [way for way in view.sensitivity["squad"] if way.low is None]
    monkeypatch.setattr(claim_pages, "NOTICED", sorted(abs(way.change) for way in ways)[len(ways) // 2])
    before = claim_pages.sections([view], tmp_path)["claims/squad.md"]
    listed = [way.name for way in ways if abs(way.change) >= claim_pages.NOTICED]
    assert "give estimates from" in before and all(f"| {name} |" in before for name in listed)
    assert f"{len(ways) - len(listed)} more change it by less" in before and 0 < len(listed) < len(ways)
    row = next(
        row for row in view.rows if (row["source"], row["on"], row["lang"]) == ("squad1", "panx", "en")
    )
    scores = [score | {"value": score["value"] + 9} for score in row["scores"]]
    other = View("micro")
    other.rows = [each | {"scores": scores} if each["id"] == row["id"] else each for each in view.rows]
    other.findings = view.findings
    after = claim_pages.sections([other], tmp_path)["claims/squad.md"]
    assert "give estimates from" in after and after != before


def test_a_gain_is_told_apart_on_targets_with_the_same_kind_of_head(view):
    row = view.claims[0]
    told = claim_pages.by_kind(row, view)
    spans = [t for t in row["targets"] if TASKS[t].kind == TASKS["squad1"].kind]
    rest = [t for t in row["targets"] if t not in spans]
    assert told.startswith("On `xquad`, `mlqa`, `tydiqa`, whose head") and spans == [
        "xquad",
        "mlqa",
        "tydiqa",
    ]
    for targets in (spans, rest):
        assert f" is {markdown.number(by_hand(view, targets=targets), '+,.1f')} [" in told
    assert claim_pages.by_kind(view.claims[4], view) == ""  # of a claim about several trainings
    assert claim_pages.by_kind(view.claims[2] | {"estimate": None}, view) == ""


def test_the_training_that_lends_most_noise_is_named_where_it_is_not_learned(view, monkeypatch):
    pool = view.ledger.pool([1, 2, 3], view.ledger.targets)
    spread = {source: means.std(ddof=1) for source, means in zip(pool.sources, pool.means, strict=True)}
    least, most = (of(spread, key=spread.get) for of in (min, max))
    told = claim_pages.spread_in_words(view)
    for source in (least, most):
        assert f"{spread[source]:.2f} ({claim_pages.named(view, source)})" in told
    found = gates.gates_of(view.ledger).stages
    assert list(claim_pages.means_by_seed(view)) == sorted(spread, key=spread.get)
    for passed in (True, False):
        monkeypatch.setitem(found, most, gates.Gate(passed, "made up"))
        assert bool(claim_pages.widest(view)) is not passed
    assert claim_pages.named(view, most) in claim_pages.widest(view)
