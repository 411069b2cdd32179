"""The three phases at smoke scale: what reaches the ledger, what is shared, what is repeated exactly."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stores import mirrored
from xit_core import micro, phases
from xit_core.data import parcel, reading
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, TARGETS, TASKS, languages
from xit_core.design.worlds import REAL
from xit_core.ledger import results
from xit_core.machine.errors import Bad


def test_every_target_of_a_source_becomes_a_row_with_its_provenance():
    rows = phases.targets(f"mnli > {','.join(TARGETS)}", scale="smoke")
    assert [r["on"] for r in rows] == list(TARGETS) and {r["source"] for r in rows} == {"mnli"}
    for row in rows:
        read = {(d["task"], d["split"], d["lang"]) for d in row["provenance"]["data"]}
        assert {(row["on"], "validation", x) for x in languages(TASKS[row["on"]], SCALES["smoke"])} <= read
        assert {s["lang"] for s in row["scores"]} == set(languages(TASKS[row["on"]], SCALES["smoke"]))
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


def test_a_stage_with_a_row_is_trained_again_only_for_a_child_that_needs_its_checkpoint(monkeypatch):
    once = phases.targets("mnli > xnli", scale="smoke")
    stage = results.row_file(Run("mnli"))
    stamp, weights = stage.stat().st_mtime_ns, (Run("mnli").folder / "model.safetensors")
    content = weights.read_bytes()
    weights.unlink()  # as when the row came from another machine
    with monkeypatch.context() as other:
        other.setattr(phases, "fit", lambda *a, **k: pytest.fail("trained again"))
        assert phases.stages("mnli", scale="smoke") == [results.read(Run("mnli"))] and not weights.exists()
        assert phases.targets("mnli > xnli", scale="smoke") == once
    results.row_file(Run("mnli > xnli")).unlink()
    monkeypatch.setattr(phases.evaluate, "stage", lambda *_: pytest.fail("scored again"))
    again = phases.targets("mnli > xnli", scale="smoke")
    assert again[0]["scores"] == once[0]["scores"] and weights.read_bytes() == content
    assert stage.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_a_stage_whose_folder_is_not_whole_is_trained_again(lost):
    once = phases.targets("mnli > tatoeba", scale="smoke")[0]
    folder = Run("mnli").folder
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / lost).unlink()
    results.row_file(Run("mnli > tatoeba")).unlink()
    assert phases.targets("mnli > tatoeba", scale="smoke")[0]["scores"] == once["scores"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_stage_with_a_changed_byte_is_named_and_trained_again_when_its_folder_is_deleted():
    once = phases.targets("mnli > tatoeba", scale="smoke")[0]
    folder, child = Run("mnli").folder, results.row_file(Run("mnli > tatoeba"))
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-9] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    child.unlink()
    with pytest.raises(Bad, match="damaged checkpoint .*; delete the folder, it is made again"):
        phases.targets("mnli > tatoeba", scale="smoke")
    shutil.rmtree(folder)
    assert phases.targets("mnli > tatoeba", scale="smoke")[0]["scores"] == once["scores"]


def test_training_rows_whose_answer_is_in_no_window_are_counted_in_the_part_they_came_from():
    read = [{"rows": 3, "counts": {}}, {"rows": 2, "counts": {"no label": 1}}, {"rows": 4, "counts": {}}]
    told = [x["counts"] for x in phases.counted(read, phases.np.array([0, 2, 4]))]
    assert told == [{phases.LOST: 2}, {"no label": 1, phases.LOST: 1}, {}]
    assert phases.counted(read, phases.np.empty(0, int)) == read
    row = phases.intermediate(Run("squad1"))
    assert all(phases.LOST not in part["counts"] for part in row["provenance"]["data"])


def test_the_seconds_of_a_run_leave_out_what_its_stage_took(monkeypatch):
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    def slow(*given):
        now[0] += 1e6
        return trained(*given)

    trained = phases.train_stage
    monkeypatch.setattr(phases, "train_stage", slow)
    monkeypatch.setattr(
        phases, "time", SimpleNamespace(time=clock, strftime=time.strftime, gmtime=time.gmtime)
    )
    child = phases.targets("mnli > tatoeba", scale="smoke")[0]
    assert results.read(Run("mnli"))["provenance"]["seconds"] >= 1e6 > child["provenance"]["seconds"] > 0


def test_a_joint_stage_at_equal_steps_takes_as_many_as_a_single_task():
    dose = phases.intermediate(Run("mnli+squad1+mlm", steps="single"))["dose"]
    assert dose["steps"] == SCALES["smoke"].stage_steps and len(dose["share"]) == 3


def test_a_joint_stage_gives_each_task_the_dose_that_it_has_alone():
    row = phases.intermediate(Run("+".join(INTERMEDIATES[:3])))
    assert row["dose"]["steps"] == 3 * SCALES["smoke"].stage_steps and sum(
        row["dose"]["share"].values()
    ) == pytest.approx(1)
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


WITHOUT = """
import sys
gone = "pandas pyarrow datasets papermill nbformat nbclient snakemake matplotlib statsmodels tabulate"
for name in gone.split():
    sys.modules[name] = None  # as if it were not installed
from dataclasses import replace
from xit_core import phases
from xit_core.design import scales
from xit_core.design.worlds import REAL
scales.SCALES["smoke"] = replace(scales.SCALES["smoke"], world=REAL, langs=("en", "de"))
phases.targets("squad1+mlm > xnli, tatoeba", scale="smoke")
"""


def test_a_machine_without_parquet_and_notebooks_makes_the_same_rows_from_a_parcel(tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], world=REAL, langs=("en", "de")))
    told = [("nyu-mll/glue", "mnli", "train", micro.rows("mnli", "train", "en", 60))]
    told += [
        (
            "google/xtreme",
            "XNLI",
            "validation",
            [r | {"language": "de"} for r in micro.rows("xnli", "validation", "al", 30)],
        )
    ]
    told[-1][-1].extend(micro.rows("xnli", "validation", "en", 30))
    told += [
        ("rajpurkar/squad", "plain_text", s, micro.rows("squad1", s, "en", 60))
        for s in ("train", "validation")
    ]
    told += [("google/xtreme", "tatoeba.deu", "validation", micro.rows("tatoeba", "validation", "al", 30))]
    both = {"sentence1": told[0][-1][5]["premise"], "sentence2": told[0][-1][5]["hypothesis"], "label": "0"}
    told += [("google/xtreme", "PAWS-X.en", "validation", [both])]  # not a target of the scale
    text = zip(("en", "de"), ("en", "al"), strict=True)
    told += [("pretrain_text", lang, "train", micro.rows("mlm", "train", of, 200)) for lang, of in text]
    for split in told:
        mirrored(tmp_path / "mirror", *split)
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path / "mirror"))
    parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack")
    ours = phases.targets("squad1+mlm > xnli, tatoeba", scale="smoke")
    assert [d["counts"] for d in ours[0]["provenance"]["data"] if d["task"] == "mnli"] == [
        {"row is evaluated in pawsx": 1}
    ]
    ours.append(results.read(Run("squad1+mlm")))
    for name, value in {"MIRROR": "pack", "RESULTS": "there", "RUNS": "there/runs"}.items():
        monkeypatch.setenv(f"XIT_{name}", str(tmp_path / value))
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = [json.loads((tmp_path / "there/smoke" / f"{row['id']}.json").read_text()) for row in ours]
    for here, there in zip(ours, theirs, strict=True):
        assert here.keys() == there.keys() and all(
            here[k] == there[k] for k in here.keys() - {"provenance", "sha256"}
        )
        assert all(here["provenance"][k] == there["provenance"][k] for k in ("data", "predictions_sha256"))


def test_ones_own_treebank_trains_and_scores_by_its_splits(mirror, tmp_path, monkeypatch):
    folder = tmp_path / "own/ud-treebanks-v2.5/UD_English-X"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        words = "".join(f"{i}\t{split}\t_\t{tag}\t_\t_\t0\t_\t_\t_\n" for i, tag in ((1, "X"), (2, "NOUN")))
        (folder / f"en_x-ud-{split}.conllu").write_text(f"{words}\n")
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "own"))
    run, task = Run("udpos", "small"), TASKS["udpos"]
    trained, scored = (reading.examples(task, split, "en", run.scale)[1] for split in ("train", "validation"))
    phases.refuse_training_rows(run, trained, scored)
    with pytest.raises(Bad, match=r"rows of local/ud-treebanks-v2\.5/en_x-ud-dev \(en\) trained a stage"):
        phases.refuse_training_rows(run, [scored[0] | {"split": "train"}], scored)


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
    run = Run("squad1 > tydiqa", "small")
    trained = [
        {"task": "squad1", "split": "train", "lang": "ko", "source": "google/xtreme/tydiqa/validation"}
    ]
    fields = run.parent.described
    results.write(fields | {"scores": [], "items": [], "provenance": {"data": trained}})
    same, other = (
        trained[0] | {"task": "tydiqa", "split": "validation", "lang": lang} for lang in ("ko", "sw")
    )
    phases.refuse_training_rows(run, [], [other])
    with pytest.raises(Bad, match=r"rows of google/xtreme/tydiqa/validation \(ko\) trained a stage"):
        phases.refuse_training_rows(run, [], [other, same])
