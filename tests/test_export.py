"""Runs become a folder in XTREME's layout, which scores as the ledger says."""

from dataclasses import replace

import pytest

from xit_core import export, results, submission
from xit_core.config import SCALES, Bad, Run, scale
from xit_core.data import examples
from xit_core.protocols import PROTOCOLS
from xit_core.tasks import TARGETS, TASKS, languages


def enter(run, share=0.7):
    """Put a run into the ledger that answers some of the rows right, with its scores."""
    s, predicted, scores = scale(run.scale), [], []
    for lang in languages(run.on, s):
        rows, _ = examples(run.on, "validation", lang, s, s.eval_rows)
        said = [answer(run.on, i, e, len(rows), i % 10 < 10 * share) for i, e in enumerate(rows)]
        predicted += [{"task": run.on, "lang": lang, "id": e["id"], "prediction": p} for e, p in zip(rows, said, strict=True)]
        metrics, _ = scored(run.on, said, rows, lang)
        scores += [
            {"lang": lang, "metric": m, "protocol": TASKS[run.on].protocol, "value": v, "n": len(rows)} for m, v in metrics.items()
        ]
    results.keep(run, predicted)
    fields = {k: getattr(run, k) for k in (*results.RUN, "id", "source", "on", "phase")}
    results.write(fields | {"scores": scores, "items": [], "provenance": {}})


def answer(name, i, example, n, right):
    if name == "tatoeba":
        return i if right else (i + 1) % n
    if name == "bucc":
        return list(example["ids"]) if right else None
    if "tags" in example:
        return example["tags"] if right else ["X" if "X" in TASKS[name].labels else "O"] * len(example["tags"])
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
                benchmark, name, list(languages({"bucc2018": "bucc"}.get(name, name), scale("smoke"))) if known(name) else []
            )


def known(name):
    return {"bucc2018": "bucc"}.get(name, name) in TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_an_exported_run_scores_as_its_row_of_the_ledger(name, every_language, tmp_path):
    run = Run(name, "smoke")
    enter(run)
    files = export.export([run.id], tmp_path / "said", tmp_path / "gold")
    assert len(files) == len(languages(name, scale("smoke")))
    (told,) = submission.score(tmp_path / "said", tmp_path / "gold")["tasks"].values()
    row = results.read(run)
    for score in row["scores"]:
        if score["metric"] in told["metrics"]:
            assert told["metrics"][score["metric"]][score["lang"]] == pytest.approx(score["value"], abs=1e-9)
    assert {m for m in TASKS[name].metrics} <= set(told["metrics"]) and 0 < told["score"] < 100


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    with pytest.raises(Bad, match="no run 'nothing' in the ledger"):
        export.export(["nothing"], tmp_path)
    one, two = Run("xnli", "smoke"), Run("mnli > xnli", "smoke")
    for run in (one, two):
        enter(run)
    with pytest.raises(Bad, match="two end in the same target"):
        export.export([one.id, two.id], tmp_path)
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], seeds=(1,)))
    results.beside(one).unlink()
    with pytest.raises(Bad, match="no predictions at"):
        export.export([one.id], tmp_path)


def test_other_rows_than_those_that_were_predicted_are_refused(tmp_path):
    run = Run("xnli", "smoke")
    enter(run)
    results.keep(run, results.predictions(run)[1:])
    with pytest.raises(Bad, match="the rows at hand are not those that were predicted"):
        export.export([run.id], tmp_path)
