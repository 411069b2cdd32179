"""The three phases at smoke scale: what reaches the ledger, what is shared, what is repeated exactly."""

import pytest

from xit_core import phases, results
from xit_core.config import SCALES, Bad, Run
from xit_core.tasks import INTERMEDIATES, TARGETS, languages


def test_every_target_of_a_source_becomes_a_row_with_its_provenance():
    rows = phases.targets(f"mnli > {','.join(TARGETS)}", scale="smoke")
    assert [r["on"] for r in rows] == list(TARGETS) and {r["source"] for r in rows} == {"mnli"}
    for row in rows:
        read = {(d["task"], d["split"], d["lang"]) for d in row["provenance"]["data"]}
        assert {(row["on"], "validation", x) for x in languages(row["on"], SCALES["smoke"])} <= read
        assert {s["lang"] for s in row["scores"]} == set(languages(row["on"], SCALES["smoke"]))
        assert row["provenance"]["predictions_sha256"] and row["provenance"]["packages"]["torch"]
    assert results.read(Run("mnli")) is not None  # the stage, trained on the way, has a row too


def test_two_targets_with_one_training_set_share_one_training(monkeypatch):
    fitted = []
    monkeypatch.setattr(phases, "fit", lambda *a, **k: fitted.append(1) or [{"step": 1, "loss": 1.0}])
    phases.targets("xquad, mlqa, tatoeba", scale="smoke")
    assert len(fitted) == 1


def test_two_executions_of_one_run_have_equal_scores(tmp_path, monkeypatch):
    once = phases.targets("squad1+mlm > xnli", scale="smoke")[0]
    for name in ("RESULTS", "RUNS"):
        monkeypatch.setenv(f"XIT_{name}", str(tmp_path / "again" / name))
    again = phases.targets("squad1+mlm > xnli", scale="smoke")[0]
    assert once["scores"] == again["scores"] and once["items"] == again["items"]
    assert once["provenance"]["predictions_sha256"] == again["provenance"]["predictions_sha256"]


def test_a_finished_run_is_not_computed_again(monkeypatch):
    once = phases.targets("xnli", scale="smoke")
    monkeypatch.setattr(phases, "reach", lambda run: pytest.fail("computed again"))
    assert phases.targets("xnli", scale="smoke") == once


def test_a_joint_stage_gives_each_task_the_dose_that_it_has_alone():
    row = phases.intermediate(Run("+".join(INTERMEDIATES[:3])))
    assert row["dose"]["steps"] == 3 * SCALES["smoke"].stage_steps and sum(row["dose"]["share"].values()) == pytest.approx(1)
    assert {s["protocol"].split(":")[0] for s in row["scores"]} == set(INTERMEDIATES[:3])


def test_the_dose_and_retrieval_along_the_stage_are_recorded():
    row = phases.intermediate(Run("mnli"))
    probes = [p for p in row["curve"] if "tatoeba" in p]
    assert len(probes) == SCALES["smoke"].probes and probes[-1]["distance"] == row["dose"]["distance"] > 0


def test_the_control_starts_from_random_weights():
    one, two = (
        phases.targets("tatoeba", scale="smoke", model="random")[0],
        phases.targets("tatoeba", scale="smoke", model="random", seed=2)[0],
    )
    assert one["provenance"]["encoder"]["name"] == "random" and one["scores"] != two["scores"]


def test_an_encoder_can_be_pretrained_anew():
    row = phases.pretrained(Run("pretrained", model="remake"))
    assert row["phase"] == 1 and {s["metric"] for s in row["scores"]} >= {
        "masked_accuracy",
        "accuracy",
        "accuracy_centred",
    }
    assert row["dose"]["tokens"] > 0 and row["curve"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: phases.pretrained(Run("mnli")), "notebook 1 takes"),
        (lambda: phases.intermediate(Run("xnli")), "notebook 2 takes"),
        (lambda: phases.targets("mnli"), "notebook 3 takes"),
    ],
)
def test_a_path_of_another_phase_is_refused(call, says):
    with pytest.raises(Bad, match=says):
        call()


def test_rows_that_trained_a_stage_are_not_evaluated():
    run = Run("tydiqa_ko > tydiqa", "pocket")
    trained = [{"task": "tydiqa_ko", "split": "train", "lang": "ko", "source": "google/xtreme/tydiqa/validation"}]
    fields = {k: getattr(run.parent, k) for k in (*results.RUN, "id")}
    results.write(fields | {"scores": [], "items": [], "provenance": {"data": trained}})
    same, other = (trained[0] | {"task": "tydiqa", "split": "validation", "lang": lang} for lang in ("ko", "sw"))
    phases.apart(run, [], [other])
    with pytest.raises(Bad, match=r"rows of google/xtreme/tydiqa/validation \(ko\) trained a stage"):
        phases.apart(run, [], [other, same])
