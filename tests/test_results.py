"""The ledger is written once, whole or not at all."""

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic
from test_files import MANY, VALUES, damaged
from xit_core import cli
from xit_core.design import scales
from xit_core.design.run import Run
from xit_core.ledger import merge, predictions, results, scored
from xit_core.machine import files, places
from xit_core.machine.errors import Bad
from xit_core.report import compare


def row(run: Run, value: float = 50.0, **more) -> dict:
    scores = [
        {"lang": x, "metric": m, "protocol": "p", "value": value, "n": 4}
        for x in ("en", "al")
        for m in ("accuracy", "other")
    ]
    return run.described | {"scores": scores, "items": [25.0, 25.0], "provenance": {}} | more


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


def test_a_file_in_place_of_the_ledger_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path / "file"))
    with pytest.raises(Bad, match="file: the ledger cannot be read .*XIT_RESULTS"):
        results.write(row(Run("xnli")))


def test_the_frame_has_one_line_a_score_and_the_headline_one_a_run():
    results.write(row(Run("xnli"), 40.0))
    results.write(row(Run("mnli > xnli"), 60.0))
    frame = scored.frame("smoke")
    assert len(frame) == 8 and set(frame["source"]) == {"", "mnli"}
    head = scored.headline(frame).set_index("source")["score"]
    assert head[""] == 40 and head["mnli"] == 60


def test_the_headline_of_question_answering_is_the_mean_of_em_and_f1():
    scores = [
        {"lang": "en", "metric": m, "protocol": "p", "value": v, "n": 4}
        for m, v in (("exact_match", 40.0), ("f1", 60.0))
    ]
    results.write(row(Run("xquad")) | {"scores": scores})
    assert scored.headline(scored.frame("smoke"))["score"].tolist() == [50.0]


def test_an_empty_ledger_is_an_empty_frame():
    assert scored.frame("smoke").empty and scored.headline(scored.frame("smoke")).empty


def test_rows_of_a_recipe_that_has_changed_are_left_out(monkeypatch):
    results.write(row(Run("xnli")))
    assert len(results.rows("smoke")) == 1
    monkeypatch.setitem(scales.SCALES, "smoke", replace(scales.SCALES["smoke"], lr=0.5))
    assert results.rows("smoke") == [] and scored.frame("smoke").empty


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
    digest = predictions.write_predictions(run, told)
    read = predictions.predictions(run)
    assert [{k: v for k, v in row.items() if v is not None} for row in read] == told
    assert (
        predictions.write_predictions(run, told) == digest != predictions.write_predictions(run, told[:1])
        and predictions.predictions_place(run).suffix == ".parquet"
    )
    predictions.predictions_place(run).unlink()
    with pytest.raises(Bad, match="no predictions at .*XIT_RUNS"):
        predictions.predictions(run)


def test_where_parquet_is_not_installed_predictions_are_lines_with_the_same_hash(monkeypatch):
    told = [
        {"task": "xnli", "lang": "zh", "id": "0", "prediction": "\u4f60\u2028\u597d"},
        {"task": "xnli", "lang": "zh", "id": "1", "prediction": 2},
    ]
    digest = predictions.write_predictions(Run("xnli"), told)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert predictions.write_predictions(Run("xnli", seed=2), told) == digest
    assert (
        predictions.predictions_file(Run("xnli", seed=2)).suffix == ".jsonl"
        and predictions.predictions_file(Run("xnli", seed=3)) is None
    )
    assert predictions.predictions(Run("xnli", seed=2)) == told
    assert not list(predictions.predictions_place(Run("xnli")).parent.glob("*.partial"))


THEIRS = '{"cells": [], "metadata": {}}'


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
            (folder / f"executed/smoke/{name}.ipynb").write_text(THEIRS)
        monkeypatch.setenv("XIT_RESULTS", str(places / "results"))
        return folder

    return make


def test_rows_and_notebooks_of_another_machine_come_in_once(elsewhere, places, capsys):
    results.write(row(Run("xnli"), provenance={"seconds": 1}))
    folder = elsewhere(row(Run("xnli")), row(Run("mnli > xnli")), row(Run("xnli", seed=2)))
    assert cli.main(["results", "merge", str(folder)]) == 0
    assert capsys.readouterr().out == "2 rows came in, 1 were there already; 1 executed notebooks came in\n"
    assert {r["id"] for r in results.rows()} == {
        Run("xnli").id,
        Run("mnli > xnli").id,
        Run("xnli", seed=2).id,
    }
    assert results.read(Run("xnli"))["provenance"] == {"seconds": 1}  # ours stays
    came = results.row_file(Run("mnli > xnli"))
    assert came.read_bytes() == (folder / "results/smoke" / came.name).read_bytes()
    assert [(p.name, p.read_text()) for p in (places / "executed/smoke").iterdir()] == [("a.ipynb", THEIRS)]
    assert merge.merge(folder) == (0, 3, 0)
    assert sorted(p.name for p in came.parent.iterdir()) == sorted(f"{r['id']}.json" for r in results.rows())


def test_rows_with_an_encoder_of_anothers_own_come_in_and_it_is_known_here(elsewhere, monkeypatch):
    usual, folder = scales.SCALES["smoke"], elsewhere()
    with places.reading(folder / "results"):
        mine = scales.own_scale(usual, replace(usual.encoder, name="mine", revision="0" * 8))
        results.write(row(Run("xnli", mine)) | {"provenance": {}})
    name = mine.name
    try:
        scales.SCALES.pop(name)  # as in another process
        assert compare.scales_of(folder / "results") == [name]
        scales.SCALES.pop(name)
        assert merge.merge(folder)[:2] == (1, 0) and scales.known_own()[name]["encoder"]["name"] == "mine"
        assert [r["on"] for r in results.rows(name)] == ["xnli"] and merge.merge(folder)[:2] == (0, 1)
    finally:
        scales.SCALES.pop(name, None)


def test_a_row_that_was_scored_on_other_instances_is_refused(elsewhere, places, monkeypatch):
    def scored(run, digest):
        return row(
            run,
            provenance={"data": [{"task": "xnli", "lang": "de", "split": "validation", "sha256": digest}]},
        )

    results.write(scored(Run("xnli"), "a"))
    with pytest.raises(Bad, match="other rows of xnli/de"):
        merge.merge(elsewhere(scored(Run("mnli > xnli"), "b")))
    assert not results.read(Run("mnli > xnli"))
    folder = elsewhere(scored(Run("squad1 > xnli"), "a"))  # rows of two machines in one folder
    monkeypatch.setenv("XIT_RESULTS", str(places / "empty"))
    with pytest.raises(Bad, match="other rows of xnli/de"):
        merge.merge(folder)
    assert not list((places / "empty").rglob("*.json"))


def told(**more):
    return synthetic.sealed(row(Run("mnli > xnli")) | {"provenance": {}} | more)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            Run("xnli").id,
            synthetic.sealed(row(Run("xnli"), 51.0) | {"provenance": {}}),
            "the ledger holds other scores",
        ),
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
        merge.merge(folder)
    assert "\n" not in str(error.value)
    assert [r["id"] for r in results.rows()] == [Run("xnli").id] and not (places / "executed").exists()


def test_two_files_of_one_run_in_the_folder_must_agree_and_count_once(elsewhere, places):
    folder = elsewhere(row(Run("xnli")))
    other = folder / "second/smoke" / f"{Run('xnli').id}.json"
    other.parent.mkdir(parents=True)
    other.write_text(synthetic.sealed(row(Run("xnli")) | {"provenance": {"seconds": 2}}))
    (other.parent / "a.ipynb").write_text(THEIRS.replace("{}", '{"second": 1}'))
    assert merge.merge(folder) == (1, 0, 1)
    assert (places / "executed/smoke/a.ipynb").read_text() == THEIRS
    other.write_text(synthetic.sealed(row(Run("xnli"), 51.0) | {"provenance": {}}))
    with pytest.raises(Bad, match="another file of .* has other scores"):
        merge.merge(folder)


# -- damage --------------------------------------------------------------------------------------------------


def torn(run: Run, change) -> Path:
    """A file of the ledger after a change of its fields, with a hash of what it says now."""
    told = synthetic.row(run)
    change(told)
    file = results.row_file(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(synthetic.sealed(told))
    return file


def conflict(text: str) -> str:
    return f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> theirs\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: "[]", "needed: an object"),
        (lambda text: text[: len(text) // 2], "no JSON"),
        (conflict, "conflict markers"),
        (lambda text: text.replace("50.0", "NaN"), "NaN is no number"),
        (lambda text: text.replace("50.0", "51.0", 1), "not that of its sha256"),
        (lambda text: text.replace("sha256", "sha255"), "'sha256' is missing"),
    ],
)
def test_a_damaged_row_is_named_the_others_are_used_and_the_advice_works(content, said):
    good, bad = Run("xnli"), Run("mnli > xnli")
    for run in (good, bad):
        results.write(row(run))
    file = results.row_file(bad)
    file.write_text(content(file.read_text()))
    told = results.survey("smoke")
    assert [r["id"] for r in told.rows] == [good.id] == [r["id"] for r in results.rows()]
    assert len(told.damaged) == 1 and told.files == [file] and told.left_out == "1 damaged"
    assert said in told.damaged[0] and str(file) in told.damaged[0] and "\n" not in told.damaged[0]
    for ask in (lambda: results.read(bad), lambda: results.write(row(bad))):
        with pytest.raises(Bad, match="delete the file, and the run is made again"):
            ask()
    file.unlink()
    assert results.read(bad) is None
    results.write(row(bad))
    assert results.survey() == results.Survey(results.rows(), [], [], []) and len(results.rows()) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("scores"), "'scores' is missing"),
        (lambda r: r.pop("path"), "'path' is missing"),
        (lambda r: r.update(scores={}), "'scores' is {}, needed: a list"),
        (lambda r: r["scores"][0].update(value="50"), r"'scores\[0\].value' is '50', needed: a number"),
        (lambda r: r["scores"][1].update(n=1.5), r"'scores\[1\].n' is 1.5, needed: a whole number"),
        (lambda r: r["scores"].append(3), "is 3, needed: an object"),
        (lambda r: r.update(items=[None]), "needed: a number"),
        (lambda r: r.update(provenance=None), "needed: an object"),
        (lambda r: r.update(id="another"), "it is the row smoke/another"),
        (lambda r: r.update(scale="micro"), "it is the row micro/"),
        (lambda r: r.update(id=3), "'id' is 3, needed: a text"),
        (lambda r: r.pop("steps"), "'steps' is missing"),
    ],
)
def test_a_row_without_a_field_or_of_another_type_is_damaged(change, said):
    file = torn(Run("xnli"), change)
    with pytest.raises(Bad, match=said):
        results.read(Run("xnli"))
    assert results.rows() == [] and results.survey().files == [file]


def test_what_is_no_file_of_text_is_a_damaged_row():
    for run, content in ((Run("xnli"), b"\xff\xfe{}"), (Run("pawsx"), None)):
        file = results.row_file(run)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content) if content else file.mkdir()
        with pytest.raises(Bad, match="no UTF-8 text|no file of the ledger|cannot be read"):
            results.read(run)
    assert len(results.survey().damaged) == 2 and results.rows() == []


def test_hidden_files_are_no_rows(elsewhere):
    results.write(row(Run("xnli")))
    for name in ("._x.json", ".x.json"):
        (results.row_file(Run("xnli")).parent / name).write_text("of another system")
    assert len(results.rows()) == 1 and not results.survey().left_out
    folder = elsewhere(row(Run("xnli", seed=2)))
    for name in ("results/smoke/._x.json", ".hidden/smoke/y.json", "executed/smoke/._a.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of another system")
    assert merge.merge(folder) == (1, 0, 1)


@pytest.mark.parametrize(
    "field", [{"path": "gone > xnli"}, {"method": "gone"}, {"model": "gone"}, {"scale": "gone"}]
)
def test_rows_of_a_task_a_scale_or_a_value_that_is_gone_are_left_out_and_counted(field):
    results.write(row(Run("xnli")))
    gone = row(Run("pawsx")) | field
    file = results.results_dir() / gone["scale"] / f"{gone['id']}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(synthetic.sealed(gone))
    told = results.survey()
    assert [r["id"] for r in told.rows] == [Run("xnli").id] and told.outdated == [gone["id"]]
    assert told.left_out == "1 of another recipe" and not told.damaged


def test_a_row_says_its_hash():
    told = json.loads(results.write(row(Run("pawsx"))).read_text())
    assert told["sha256"] == files.content_hash(told) and results.read(Run("pawsx")) == told


def test_every_row_of_the_projects_own_ledger_is_whole_and_in_use(monkeypatch):
    monkeypatch.delenv("XIT_RESULTS")
    if not list((places.ROOT / "book/results").glob("*.jsonl.xz")):
        pytest.skip("no ledger here")
    found = results.survey()
    assert found.rows and found.damaged == found.outdated == []
    assert not [row["id"] for row in found.rows if files.misfit(row, results.ROW)]


@MANY
@given(st.data())
def test_no_damage_of_a_row_is_more_than_one_line_or_hides_the_others(draw):
    good, bad = Run("xnli"), Run("mnli > xnli")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setenv("XIT_RESULTS", folder)
        for run in (good, bad):
            results.write(synthetic.row(run))
        file, before = results.row_file(bad), results.read(bad)
        if draw.draw(st.booleans()):
            file.write_bytes(damaged(file.read_bytes(), draw))
        else:
            told = json.loads(file.read_text())
            replaced(told, draw)
            file.write_text(json.dumps(told))
        told = results.survey()
        assert (
            good.id in [r["id"] for r in told.rows]
            and len(told.rows) + len(told.damaged) + len(told.outdated) == 2
        )
        scored.headline(scored.tidy(told.rows))
        try:
            assert results.read(bad) == before
        except Bad as error:
            assert str(file) in str(error) and "\n" not in str(error)


def replaced(value, draw) -> None:
    """Put any JSON at a random place."""
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = draw.draw(st.sampled_from(keys))
    if value[key] and isinstance(value[key], dict | list) and draw.draw(st.booleans()):
        return replaced(value[key], draw)
    value[key] = draw.draw(VALUES)


PREDICTED = [
    {"task": "xnli", "lang": x, "id": str(i), "prediction": i % 3} for x in ("en", "al") for i in range(9)
]


@pytest.fixture(params=[".parquet", ".jsonl"])
def form(request, monkeypatch):
    """Both forms of predictions."""
    if request.param == ".jsonl":
        monkeypatch.setattr(predictions, "table_writer", lambda: (".jsonl", predictions.write_lines))
    return request.param


def enter(run: Run) -> None:
    """A row and its predictions."""
    results.write(row(run, provenance={"predictions_sha256": predictions.write_predictions(run, PREDICTED)}))


@pytest.mark.parametrize("how", ["gone", "empty", "half", "other"])
def test_where_predictions_are_gone_or_damaged_the_advice_is_a_command_that_makes_them(form, how):
    run = Run("mnli > xnli", "smoke", 2, "random", size=7)
    enter(run)
    file = predictions.predictions_file(run)
    assert file.suffix == form and predictions.predictions(run) == PREDICTED
    if how == "gone":
        file.unlink()
    elif how == "other":
        predictions.write_predictions(run, [PREDICTED[0] | {"prediction": 2}, *PREDICTED[1:]])
    else:
        file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2 * (how == "half")])
    with pytest.raises(Bad) as error:
        predictions.predictions(run)
    assert '`xit run "mnli > xnli" --scale smoke --seed 2 --model random --size 7 --again`' in str(
        error.value
    )
    assert str(predictions.predictions_place(run).with_suffix("")) in str(error.value) and "\n" not in str(
        error.value
    )
    predictions.write_predictions(run, PREDICTED)  # what the command does
    assert predictions.predictions(run) == PREDICTED


def test_predictions_whose_damage_is_the_type_of_a_column_are_one_line():
    enter(run := Run("xnli"))
    bytes_ = pa.table({name: pa.array([b"x"]) for name in PREDICTED[0]})
    parquet.write_table(bytes_, file := predictions.predictions_file(run))
    with pytest.raises(Bad, match=f"{file}: damaged .*column 'task' is no text"):
        predictions.predictions(run)


def test_damaged_predictions_of_one_form_do_not_hide_whole_ones_of_the_other(monkeypatch):
    enter(Run("xnli"))
    predictions.predictions_place(Run("xnli")).write_bytes(b"PAR1")
    monkeypatch.setattr(predictions, "table_writer", lambda: (".jsonl", predictions.write_lines))
    predictions.write_predictions(Run("xnli"), PREDICTED)
    assert predictions.predictions(Run("xnli")) == PREDICTED


@settings(MANY)
@given(st.sampled_from([".parquet", ".jsonl"]), st.booleans(), st.data())
def test_damaged_predictions_are_one_line_and_with_their_hash_never_others(suffix, hashed, draw):
    run = Run("xnli")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        for name in ("RESULTS", "RUNS"):
            patched.setenv(f"XIT_{name}", folder)
        if suffix == ".jsonl":
            patched.setattr(predictions, "table_writer", lambda: (".jsonl", predictions.write_lines))
        enter(run) if hashed else predictions.write_predictions(run, PREDICTED)
        file = predictions.predictions_file(run)
        file.write_bytes(damaged(file.read_bytes(), draw))
        try:
            assert predictions.predictions(run) == PREDICTED or not hashed
        except Bad as error:
            assert str(file) in str(error) and "\n" not in str(error)


def test_the_command_of_a_run_names_what_is_not_the_default():
    assert results.command(Run("pretrained")) == 'xit run "pretrained" --scale smoke --seed 1'
    mt = Run("mnli > xnli", "micro", 3, lang="mt")
    assert results.command(mt) == 'xit run "mnli > xnli" --scale micro --seed 3 --lang mt'


# -- what cannot be read is never taken for nothing ----------------------------------------------------------


def test_a_folder_of_the_ledger_that_is_none_is_not_an_empty_one(places, capsys):
    (places / "results").mkdir()
    (places / "results/smoke").write_text("")
    for words in ("claims --scale smoke", "export x --to y"):
        assert cli.main(words.split()) == 2
        assert "the ledger cannot be read" in capsys.readouterr().err


def test_a_ledger_that_is_no_folder_is_one_line(places, monkeypatch, capsys):
    (places / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(places / "file"))
    for words in ("claims --scale smoke", "questions", "plan --scale smoke"):
        assert cli.main(words.split()) == 2
        assert "file: the ledger cannot be read (Not a directory); make it a" in capsys.readouterr().err


def test_a_pipe_and_a_row_in_capitals_are_named(places):
    results.write(row(Run("xnli")))
    os.mkfifo(places / "results/smoke/pipe.json")
    results.row_file(Run("xnli")).rename(places / f"results/smoke/{Run('xnli').id}.JSON")
    found = results.survey("smoke")
    assert not found.rows and [line.split(": ")[1] for line in found.damaged] == ["no file of the ledger"] * 2


def test_rows_of_another_recipe_are_said(capsys, monkeypatch):
    results.write(row(Run("xnli")))
    monkeypatch.setitem(scales.SCALES, "smoke", replace(scales.SCALES["smoke"], lr=0.5))
    assert cli.main(["claims", "--scale", "smoke"]) == 0
    assert "smoke: 1 rows are left out: of another recipe" in capsys.readouterr().err


def test_a_damaged_row_is_not_finished(places, capsys):
    results.row_file(Run("xnli")).parent.mkdir(parents=True)
    results.row_file(Run("xnli")).write_text("")
    assert not results.finished(Run("xnli"))
    assert cli.main(["plan", "--scale", "smoke", "--json"]) == 0
    assert not any(run["done"] for run in json.loads(capsys.readouterr().out)["runs"])


def test_merging_takes_the_folder_that_one_stands_in_and_refuses_one_without_rows(
    elsewhere, places, monkeypatch
):
    folder = elsewhere(row(Run("xnli")))
    monkeypatch.chdir(folder / "results/smoke")
    assert merge.merge(Path("."))[0] == 1
    (places / "nothing").mkdir()
    with pytest.raises(Bad, match="holds no row and no notebook"):
        merge.merge(places / "nothing")


@pytest.mark.parametrize("text", ["", "words", "[]"])
def test_a_damaged_notebook_stops_a_merge_before_anything_is_written(elsewhere, places, text):
    folder = elsewhere(row(Run("xnli")))
    (folder / "executed/smoke/b.ipynb").write_text(text)
    with pytest.raises(Bad, match=r"b\.ipynb: damaged .*nothing was merged"):
        merge.merge(folder)
    assert not results.rows()
