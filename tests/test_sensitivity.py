"""Sensitivity: each restriction gives the estimate that counting by hand gives, and the page says it."""

import numpy as np
import pytest

from synthetic import fill
from xit_core.design.tasks import TARGETS, TASKS
from xit_core.report import chapters, claim_pages
from xit_core.report.sensitivity import by_protocol, trains_on_target


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XIT_RESULTS", str(tmp_path_factory.mktemp("results")))
        fill("micro")
        view = chapters.View("micro")
        assert view.sensitivity  # measured while the ledger is there
        yield view


def by_hand(view, seeds=(1, 2, 3), targets=TARGETS, counts=lambda score: True):
    """The gain of SQuAD v1.1 over the baseline, from the rows alone."""

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

    return np.mean([score("squad1", t, seed) - score("", t, seed) for t in targets for seed in seeds])


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


def test_the_page_of_a_claim_says_the_range_and_changes_with_one_score(view, tmp_path):
    before = claim_pages.sections([view], tmp_path)["claims/squad.md"]
    assert "the same runs, counted in other ways" in before and "without `panx`" in before
    row = next(
        row for row in view.rows if (row["source"], row["on"], row["lang"]) == ("squad1", "panx", "en")
    )
    scores = [score | {"value": score["value"] + 9} for score in row["scores"]]
    other = chapters.View("micro")
    other.rows = [each | {"scores": scores} if each["id"] == row["id"] else each for each in view.rows]
    other.findings = view.findings
    after = claim_pages.sections([other], tmp_path)["claims/squad.md"]
    assert "the same runs, counted in other ways" in after and after != before
