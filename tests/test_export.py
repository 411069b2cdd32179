"""Runs become a folder in XTREME's layout, which scores as the ledger says."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from xit_core.data.reading import examples
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, scale
from xit_core.design.tasks import TARGETS, TASKS, languages
from xit_core.ledger import predictions, results
from xit_core.machine.errors import Bad
from xit_core.metrics import submission
from xit_core.metrics.protocols import PROTOCOLS
from xit_core.report import export


def enter(run, share=0.7):
    """Put a run into the ledger that answers some of the rows right, with its scores."""
    s, predicted, scores = run.scale, [], []
    for lang in languages(run.target, s):
        rows, _ = examples(run.target, "validation", lang, s, s.eval_rows)
        said = [answer(run.on, i, e, len(rows), i % 10 < 10 * share) for i, e in enumerate(rows)]
        predicted += [
            {"task": run.on, "lang": lang, "id": e["id"], "prediction": p}
            for e, p in zip(rows, said, strict=True)
        ]
        metrics, _ = scored(run.on, said, rows, lang)
        scores += [
            {"lang": lang, "metric": m, "protocol": TASKS[run.on].protocol, "value": v, "n": len(rows)}
            for m, v in metrics.items()
        ]
    predictions.write_predictions(run, predicted)
    fields = run.described
    results.write(fields | {"scores": scores, "items": [], "provenance": {}})


def answer(name, i, example, n, right):
    if name == "tatoeba":
        return i if right else (i + 1) % n
    if name == "bucc":
        return list(example["ids"]) if right else None
    if "tags" in example:
        return (
            example["tags"] if right else ["X" if "X" in TASKS[name].labels else "O"] * len(example["tags"])
        )
    if "answers" in example:
        return example["answers"][0][1] if right else "something else"
    return example["label"] if right else 1 - min(example["label"], 1)


def scored(name, said, rows, lang):
    if name == "tatoeba":
        right = [100.0 * (p == i) for i, p in enumerate(said)]
        return {"accuracy": sum(right) / len(right)}, right
    protocol = {"bucc": "bucc/pairs"}.get(name, TASKS[name].protocol)
    return PROTOCOLS[protocol]([p for p in said if p is not None] if name == "bucc" else said, rows, lang)


@pytest.fixture
def every_language(monkeypatch):
    """The micro-world's languages stand where XTREME's do."""
    for benchmark in submission.LANGS.values():
        for name in benchmark:
            monkeypatch.setitem(
                benchmark,
                name,
                list(languages(TASKS[{"bucc2018": "bucc"}.get(name, name)], scale("smoke")))
                if known(name)
                else [],
            )


def known(name):
    return {"bucc2018": "bucc"}.get(name, name) in TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_an_exported_run_scores_as_its_row_of_the_ledger(name, every_language, tmp_path):
    run = Run(name, "smoke")
    enter(run)
    files = export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    assert len(files) == len(languages(TASKS[name], scale("smoke")))
    (told,) = submission.score_folder(tmp_path / "said", tmp_path / "gold")["tasks"].values()
    row = results.read(run)
    for score in row["scores"]:
        if score["metric"] in told["metrics"]:
            assert told["metrics"][score["metric"]][score["lang"]] == pytest.approx(score["value"], abs=1e-9)
    assert {m for m in TASKS[name].metrics} <= set(told["metrics"]) and 0 < told["score"] < 100


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    with pytest.raises(Bad, match="no run 'nothing' in the ledger .*; `xit plan .* lists the ids"):
        export.write_submission(["nothing"], tmp_path)
    one, two = Run("xnli", "smoke"), Run("mnli > xnli", "smoke")
    for run in (one, two):
        enter(run)
    with pytest.raises(Bad, match="two end in the same target"):
        export.write_submission([one.id, two.id], tmp_path)
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], seeds=(1,)))
    predictions.predictions_place(one).unlink()
    with pytest.raises(Bad, match="no predictions at"):
        export.write_submission([one.id], tmp_path / "said")
    assert not (tmp_path / "said").exists()


@pytest.mark.parametrize("used", ["to", "gold"])
@pytest.mark.parametrize("by", ["an export", "a file", "a hidden file", "being a file"])
def test_an_export_into_a_folder_in_use_is_refused_and_changes_nothing(tmp_path, used, by):
    run, folders = Run("tatoeba", "smoke"), {"to": tmp_path / "to", "gold": tmp_path / "gold"}
    enter(run)
    if by == "an export":
        export.write_submission([run.id], folders[used])
    elif by == "being a file":
        folders[used].write_text("mine")
    else:
        folders[used].mkdir()
        (folders[used] / {"a file": "x", "a hidden file": ".x"}[by]).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Bad, match=f"{folders[used]} is in use; an export goes into a new folder"):
        export.write_submission([run.id], **folders)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_can_be_exported_into_and_two_equal_ones_cannot(tmp_path, monkeypatch):
    run = Run("tatoeba", "smoke")
    enter(run)
    for gold in ("said", "said/../said", "said/gold", "."):
        with pytest.raises(Bad, match="two folders, none inside the other|is in use"):
            export.write_submission([run.id], tmp_path / "said", tmp_path / gold)
    (tmp_path / "said").mkdir()
    monkeypatch.chdir(tmp_path)
    assert all(file.is_file() for file in export.write_submission([run.id], Path("said"), Path("gold")))
    assert {p.name for p in (tmp_path / "gold").iterdir()} == {"export.json", "tatoeba"}


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch, at):
    run, count, write = Run("tatoeba", "smoke"), iter(range(99)), submission.write_predictions

    def full(*given):
        if next(count) == at:
            raise OSError(28, "No space left on device")
        return write(*given)

    enter(run)
    monkeypatch.setattr(submission, "write_predictions", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Bad, match="cannot write .*No space left"):
        export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    assert sorted(tmp_path.iterdir()) == before


def test_runs_of_two_scales_are_two_submissions(tmp_path):
    runs = [Run("tatoeba", "smoke"), Run("xnli", "micro")]
    for run in runs:
        fields = run.described
        results.write(fields | {"scores": [], "items": [], "provenance": {}})
    with pytest.raises(Bad, match="runs of the scales micro, smoke"):
        export.write_submission([run.id for run in runs], tmp_path / "said")


def test_an_export_of_fewer_languages_says_so_and_is_scored_for_what_it_has(
    tmp_path, every_language, monkeypatch
):
    run = Run("xnli", "smoke")
    enter(run)
    export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    langs = list(languages(TASKS["xnli"], scale("smoke")))
    whole = submission.score_folder(tmp_path / "said", tmp_path / "gold")
    assert set(whole["tasks"]["xnli"]) == {"score", "metrics"}  # all that this benchmark has
    monkeypatch.setitem(submission.LANGS["xtreme"], "xnli", [*langs, "sw", "ur"])
    found = submission.score_folder(tmp_path / "said", tmp_path / "gold")
    assert found["tasks"]["xnli"] == whole["tasks"]["xnli"] | {
        "partial": True,
        "languages": langs,
        "of": len(langs) + 2,
    }
    told = json.loads((tmp_path / "said/export.json").read_text())
    assert (
        told["runs"] == {"xnli": run.id} and told["languages"] == {"xnli": langs} and told["scale"] == "smoke"
    )
    (tmp_path / "said/export.json").write_text("{")
    with pytest.raises(
        Bad, match="export.json: damaged .*; export again into a new folder, or delete the list"
    ):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")
    (tmp_path / "said/export.json").unlink()
    with pytest.raises(
        Bad, match="is missing, 4 files of xnli in all; .*--languages scores those that are there"
    ):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")


def test_a_damaged_row_is_named_when_its_run_is_exported(tmp_path):
    enter(Run("xnli", "smoke"))
    results.row_file(Run("xnli", "smoke")).write_text("")
    with pytest.raises(Bad, match="damaged .it is empty"):
        export.write_submission([Run("xnli", "smoke").id], tmp_path / "said")


def test_other_rows_than_those_that_were_predicted_are_refused(tmp_path):
    run = Run("xnli", "smoke")
    enter(run)
    predictions.write_predictions(run, predictions.predictions(run)[1:])
    with pytest.raises(Bad, match="the rows at hand are not those that were predicted"):
        export.write_submission([run.id], tmp_path / "said")


def test_files_of_two_exports_are_never_mixed(tmp_path, every_language):
    one, two = Run("xnli", "smoke"), Run("pawsx", "smoke")
    enter(one)
    enter(two)
    export.write_submission([one.id], tmp_path / "a", tmp_path / "gold a")
    export.write_submission([two.id], tmp_path / "b", tmp_path / "gold b")
    shutil.copytree(tmp_path / "b/pawsx", tmp_path / "a/pawsx")
    shutil.copytree(tmp_path / "gold b/pawsx", tmp_path / "gold a/pawsx")
    found = submission.score_folder(tmp_path / "a", tmp_path / "gold a")
    assert set(found["tasks"]) == {"xnli"} and submission.unread(tmp_path / "a", found) == ["pawsx/"]
    file = tmp_path / "a/xnli/test-en.tsv"
    file.write_text(file.read_text().replace("neutral", "entailment"))
    with pytest.raises(Bad, match=r"test-en\.tsv: not the file that .*export\.json lists; export again"):
        submission.score_folder(tmp_path / "a", tmp_path / "gold a")
    (tmp_path / "a/export.json").unlink()  # the advice
    (tmp_path / "gold a/export.json").unlink()
    assert set(submission.score_folder(tmp_path / "a", tmp_path / "gold a")["tasks"]) == {"xnli", "pawsx"}


def test_gold_of_another_scale_is_refused(tmp_path, every_language):
    run = Run("xnli", "smoke")
    enter(run)
    export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    listed = json.loads((tmp_path / "gold/export.json").read_text())
    listed.pop("sha256")
    (tmp_path / "gold/export.json").write_text(json.dumps(listed | {"scale": "small"}))
    with pytest.raises(Bad, match="are of the scales smoke and small"):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")
