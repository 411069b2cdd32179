"""The ledger is written once, whole or not at all."""

import json
from dataclasses import replace

import pytest

from xit_core import config, results
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
