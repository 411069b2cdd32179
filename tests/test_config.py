"""Path notation, run ids and the fields of a run."""

from dataclasses import replace

import pytest

from xit_core.design import run, scales
from xit_core.design.run import Run, parse
from xit_core.design.tasks import INTERMEDIATES, TARGETS
from xit_core.machine import places
from xit_core.machine.errors import Bad


def test_commas_name_several_runs_of_one_source():
    assert parse("mnli > xnli, pawsx,tatoeba") == ["mnli > xnli", "mnli > pawsx", "mnli > tatoeba"]


def test_joint_tasks_have_one_canonical_order():
    assert parse("mlm + squad1>xquad") == ["squad1+mlm > xquad"]
    assert Run("mlm+squad1 > xquad") == Run("squad1+mlm > xquad")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("xnil", "no task 'xnil'"),
        ("xnli > mnli", "must come last"),
        ("mnli+mnli > xnli", "stands twice"),
        ("xnli+pawsx", "cannot be trained jointly"),
        ("mnli >", "no task ''"),
        ("", "no task ''"),
    ],
)
def test_a_wrong_path_is_named_in_one_line(path, says):
    with pytest.raises(Bad, match=says) as caught:
        parse(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"scale": "huge"}, {"method": "prompt"}, {"model": "bert"}, {"lang": "de"}, {"seed": -1}, {"size": 0.5}]
)
def test_a_wrong_field_is_refused(wrong):
    with pytest.raises(Bad, match="allowed|known"):
        Run("xnli", **wrong)


def test_a_run_knows_its_phase_source_and_parent():
    run = Run("squad1+mlm > tydiqa", seed=2)
    assert (run.phase, run.source, run.on, run.stages) == (3, "squad1+mlm", "tydiqa", (("squad1", "mlm"), ("tydiqa",)))
    assert run.parent == Run("squad1+mlm", seed=2) and run.parent.phase == 2
    assert run.parent.parent == Run("pretrained", seed=1) and run.parent.parent.parent is None
    assert Run("xnli").source == ""


def test_an_id_is_readable_and_depends_on_all_that_changes_a_score(monkeypatch):
    run = Run("mnli > xnli", "micro")
    assert run.id.startswith("mnli.xnli-s1-") and run.id == Run("mnli>xnli", "micro").id
    others = [replace(run, seed=2), replace(run, model="random"), replace(run, lang="mt"), replace(run, size=7)]
    assert len({run.id, *(r.id for r in others)}) == 5
    monkeypatch.setitem(scales.SCALES, "micro", replace(scales.SCALES["micro"], lr=0.5))
    assert Run("mnli > xnli", "micro").id != run.id


def test_a_new_knob_with_its_default_renames_nothing():
    told = run.recipe(Run("xnli", "paper"))
    assert told["encoder"] == "FacebookAI/xlm-roberta-large" and "probes" not in told and "seeds" not in told


def test_the_nine_joined_have_a_short_name():
    assert Run(f"{'+'.join(INTERMEDIATES)} > bucc").id.startswith("multi.bucc-s1-")


def test_there_are_nine_of_each():
    assert len(INTERMEDIATES) == len(TARGETS) == 9


def test_further_targets_and_intermediate_tasks_are_paths_like_any_other():
    run = Run("ocnli + udtag > shift_amazon", "base")
    assert run.phase == 3 and run.parent.path == "udtag+ocnli" and run.parent.phase == 2
    with pytest.raises(Bad, match="must come last"):
        parse("xcopa > xnli")


def test_a_task_that_the_micro_world_does_not_tell_is_refused_there():
    with pytest.raises(Bad, match="the micro-world has no 'xcopa', only anli"):
        Run("xcopa", "micro")


def test_what_a_scale_lacks_counts_in_the_recipe_of_its_own_runs_only():
    assert run.recipe(Run("tydiqa", "pocket"))["lacks"] == ["tydiqa/ar", "tydiqa/en", "tydiqa/ru"]
    assert "lacks" not in run.recipe(Run("xquad", "pocket"))


def test_a_folder_of_ones_own_data_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "nowhere"))
    with pytest.raises(Bad, match="no such folder"):
        places.local_dir()


def test_a_folder_that_is_no_mirror_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    with pytest.raises(Bad, match="no MANIFEST.csv"):
        places.mirror_dir()
