"""The ledger is written once, whole or not at all."""

import json
import sys
from dataclasses import replace

import pytest

from xit_core import cli, config, results
from xit_core.config import Bad, Run


def row(run: Run, value: float = 50.0, **more) -> dict:
    scores = [
        {"lang": x, "metric": m, "protocol": "p", "value": value, "n": 4} for x in ("en", "al") for m in ("accuracy", "other")
    ]
    named = {
        k: getattr(run, k) for k in ("id", "path", "source", "on", "lang", "seed", "scale", "model", "method", "size", "phase")
    }
    return named | {"scores": scores, "items": [25.0, 25.0]} | more


def test_a_row_is_read_back_as_it_was(tmp_path):
    run = Run("xnli")
    path = results.write(row(run))
    assert path.name == f"{run.id}.json" and results.read(run)["scores"] == row(run)["scores"]
    assert not list(path.parent.glob("*.partial"))


def test_the_ledger_refuses_to_overwrite():
    results.write(row(Run("xnli")))
    with pytest.raises(Bad, match="never overwritten"):
        results.write(row(Run("xnli"), 51.0))


def test_the_same_scores_again_change_nothing():
    path = results.write(row(Run("xnli"), provenance={"seconds": 1}))
    results.write(row(Run("xnli"), provenance={"seconds": 2}))
    assert json.loads(path.read_text())["provenance"]["seconds"] == 1


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path / "file"))
    with pytest.raises(Bad, match="cannot write the ledger"):
        results.write(row(Run("xnli")))


def test_the_frame_has_one_line_a_score_and_the_headline_one_a_run():
    results.write(row(Run("xnli"), 40.0))
    results.write(row(Run("mnli > xnli"), 60.0))
    frame = results.frame("smoke")
    assert len(frame) == 8 and set(frame["source"]) == {"", "mnli"}
    head = results.headline(frame).set_index("source")["score"]
    assert head[""] == 40 and head["mnli"] == 60


def test_the_headline_of_question_answering_is_the_mean_of_em_and_f1():
    scores = [{"lang": "en", "metric": m, "protocol": "p", "value": v, "n": 4} for m, v in (("exact_match", 40.0), ("f1", 60.0))]
    results.write(row(Run("xquad")) | {"scores": scores})
    assert results.headline(results.frame("smoke"))["score"].tolist() == [50.0]


def test_an_empty_ledger_is_an_empty_frame():
    assert results.frame("smoke").empty and results.headline(results.frame("smoke")).empty


def test_rows_of_a_recipe_that_has_changed_are_left_out(monkeypatch):
    results.write(row(Run("xnli")))
    assert len(results.rows("smoke")) == 1
    monkeypatch.setitem(config.SCALES, "smoke", replace(config.SCALES["smoke"], lr=0.5))
    assert results.rows("smoke") == [] and results.frame("smoke").empty


def test_measurements_of_the_benchmark_are_no_rows_of_the_ledger(places):
    (places / "results/bench").mkdir(parents=True)
    (places / "results/bench/a-machine.json").write_text("{}")
    assert results.rows() == []


def test_predictions_are_kept_beside_the_run_and_read_back_as_they_were():
    run = Run("xnli", "smoke")
    told = [
        {"task": "xnli", "lang": "en", "id": "0", "prediction": 2},
        {"task": "xnli", "lang": "de", "id": "x", "prediction": ["B-PER", "O"], "no_answer": -1.5},
    ]
    digest = results.keep(run, told)
    read = results.predictions(run)
    assert [{k: v for k, v in row.items() if v is not None} for row in read] == told
    assert results.keep(run, told) == digest != results.keep(run, told[:1]) and results.beside(run).suffix == ".parquet"
    results.beside(run).unlink()
    with pytest.raises(Bad, match="no predictions at .*XIT_RUNS"):
        results.predictions(run)


def test_where_parquet_is_not_installed_predictions_are_lines_with_the_same_hash(monkeypatch):
    told = [
        {"task": "xnli", "lang": "zh", "id": "0", "prediction": "\u4f60\u2028\u597d"},
        {"task": "xnli", "lang": "zh", "id": "1", "prediction": 2},
    ]
    digest = results.keep(Run("xnli"), told)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert results.keep(Run("xnli", seed=2), told) == digest
    assert results.kept(Run("xnli", seed=2)).suffix == ".jsonl" and results.kept(Run("xnli", seed=3)) is None
    assert results.predictions(Run("xnli", seed=2)) == told
    assert not list(results.beside(Run("xnli")).parent.glob("*.partial"))


@pytest.fixture
def elsewhere(places, monkeypatch):
    """elsewhere(row, ...) is the folder of another machine with these rows, and a notebook."""

    def make(*rows):
        folder = places / "elsewhere"
        monkeypatch.setenv("XIT_RESULTS", str(folder / "results"))
        for each in rows:
            results.write({"provenance": {}} | each)
        (folder / "executed/smoke").mkdir(parents=True, exist_ok=True)
        for name in ("a", "b.failed", ".c.partial"):
            (folder / f"executed/smoke/{name}.ipynb").write_text("theirs")
        monkeypatch.setenv("XIT_RESULTS", str(places / "results"))
        return folder

    return make


def test_rows_and_notebooks_of_another_machine_come_in_once(elsewhere, places, capsys):
    results.write(row(Run("xnli"), provenance={"seconds": 1}))
    folder = elsewhere(row(Run("xnli")), row(Run("mnli > xnli")), row(Run("xnli", seed=2)))
    assert cli.main(["results", "merge", str(folder)]) == 0
    assert capsys.readouterr().out == "2 rows came in, 1 were there already; 1 executed notebooks came in\n"
    assert {r["id"] for r in results.rows()} == {Run("xnli").id, Run("mnli > xnli").id, Run("xnli", seed=2).id}
    assert results.read(Run("xnli"))["provenance"] == {"seconds": 1}  # ours stays
    came = results.place(Run("mnli > xnli"))
    assert came.read_bytes() == (folder / "results/smoke" / came.name).read_bytes()
    assert [(p.name, p.read_text()) for p in (places / "executed/smoke").iterdir()] == [("a.ipynb", "theirs")]
    assert results.merge(folder) == (0, 3, 0)
    assert sorted(p.name for p in came.parent.iterdir()) == sorted(f"{r['id']}.json" for r in results.rows())


def test_a_row_that_was_scored_on_other_instances_is_refused(elsewhere, places, monkeypatch):
    def scored(run, digest):
        return row(run, provenance={"data": [{"task": "xnli", "lang": "de", "split": "validation", "sha256": digest}]})

    results.write(scored(Run("xnli"), "a"))
    with pytest.raises(Bad, match="other rows of xnli/de"):
        results.merge(elsewhere(scored(Run("mnli > xnli"), "b")))
    assert not results.read(Run("mnli > xnli"))
    folder = elsewhere(scored(Run("squad1 > xnli"), "a"))  # rows of two machines in one folder
    monkeypatch.setenv("XIT_RESULTS", str(places / "empty"))
    with pytest.raises(Bad, match="other rows of xnli/de"):
        results.merge(folder)
    assert not list((places / "empty").rglob("*.json"))


def told(**more):
    return json.dumps(row(Run("mnli > xnli")) | {"provenance": {}} | more)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (Run("xnli").id, json.dumps(row(Run("xnli"), 51.0) | {"provenance": {}}), "the ledger holds other scores"),
        (Run("mnli > xnli").id, told()[:50], "no row of a run as this version makes it"),
        (Run("mnli > xnli").id, "[]", "no row of a run"),
        (Run("mnli > xnli").id, told(path="mnli > xnil"), "no row of a run"),
        (Run("mnli > xnli").id, told(seed=2), "no row of a run"),
        (Run("mnli > xnli").id, told(scale="micro"), "no row of a run"),
        (Run("mnli > xnli").id, told().replace('"items"', '"other"'), "no row of a run"),
        ("another-name", told(), "no row of a run"),
        ("mnli.xnli-s1-00000000", told(id="mnli.xnli-s1-00000000"), "no row of a run"),
    ],
)
def test_nothing_is_merged_when_a_row_contradicts_or_is_none(elsewhere, places, name, text, said):
    results.write(row(Run("xnli")))
    folder = elsewhere(row(Run("xnli", seed=2)))
    (folder / "results/smoke" / f"{name}.json").write_text(text)
    with pytest.raises(Bad, match=said) as error:
        results.merge(folder)
    assert "\n" not in str(error.value)
    assert [r["id"] for r in results.rows()] == [Run("xnli").id] and not (places / "executed").exists()


def test_two_files_of_one_run_in_the_folder_must_agree(elsewhere):
    folder = elsewhere(row(Run("xnli")))
    other = folder / "second/smoke" / f"{Run('xnli').id}.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps(row(Run("xnli")) | {"provenance": {"seconds": 2}}))
    assert results.merge(folder) == (1, 0, 1)
    other.write_text(json.dumps(row(Run("xnli"), 51.0) | {"provenance": {}}))
    with pytest.raises(Bad, match="another file of .* has other scores"):
        results.merge(folder)
