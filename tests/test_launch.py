"""One execution of a notebook: strict, atomic, deterministic; tiny notebooks stand in for the four. Then the
four themselves: their shape, and what executing them twice, or in another way, gives.
"""

import ast
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import nbformat
import papermill
import pytest

from xit_core.design.run import DEFAULTS, Run
from xit_core.design.scales import SCALES, own_scale
from xit_core.ledger import predictions, results
from xit_core.machine.errors import Bad, Failed
from xit_core.machine.locks import locked
from xit_core.machine.places import ROOT
from xit_core.run import gpus, launch
from xit_core.run.jobs import Job, is_notebook, job_of, jobs_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ROW = """
from xit_core.ledger import predictions, results
from xit_core.design.run import Run, parse
for p in parse(path):
    run = Run(path=p, scale=scale, seed=seed)
    fields = run.described | {"items": [], "scores": []}
    results.write(fields | {"provenance": {}})
"""


def test_targets_and_seeds_of_one_source_share_a_notebook_at_small_scales_only():
    def plan(scale):
        paths = ("mnli", "mnli > xnli", "mnli > udpos", "xnli", "udpos")
        return jobs_of([Run(path=p, scale=scale, seed=s) for s in (1, 2, 3) for p in paths])

    stage, targets, baseline = plan("micro")
    assert [j.path for j in (stage, targets, baseline)] == ["mnli", "mnli > xnli, udpos", "xnli, udpos"]
    assert re.fullmatch(r"mnli-\w{8}", stage.id) and re.fullmatch(r"mnli\.targets-\w{8}", targets.id)
    assert stage.seed == 0 and len(targets.runs) == 6
    assert len(plan("base")) == 15


def test_a_sliced_plan_has_a_notebook_for_each_seed():
    jobs = jobs_of([Run(path=p, scale="small", seed=s) for s in (1, 2) for p in ("xnli", "udpos")])
    assert [(j.path, j.seed) for j in jobs] == [("xnli, udpos", 1), ("xnli, udpos", 2)]
    assert re.fullmatch(r"targets-s1-\w{8}", jobs[0].id)


def test_seed_0_is_each_seed_of_the_scale():
    assert [r.seed for r in job_of("mnli > xnli", scale="micro", seed=0).runs] == [1, 2, 3]
    assert job_of("mnli > xnli", scale="smoke", seed=0) == job_of("mnli > xnli", scale="smoke")


def test_a_job_is_the_same_however_its_path_is_written():
    assert job_of("mnli>xnli,udpos") == job_of(" mnli > xnli , udpos ")
    assert job_of("mnli > xnli").id == Run(path="mnli > xnli").id
    assert job_of("mnli > xnli, xnli").runs == (Run(path="mnli > xnli"),)


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("xnli", {"colour": "red"}, "no parameter 'colour'"),
        ("xnli", {"seed": "1"}, "a whole number"),
        ("xnli", {"seed": True}, "a whole number"),
        ("xnli", {"scale": "huge"}, "no scale 'huge'"),
        ("xnil", {}, "no task 'xnil'"),
        ("mnli, xnli", {}, "one at a time"),
        ("mnli, qqp", {}, "one at a time"),
        ("analysis", {"seed": 1}, "no parameter 'seed'"),
    ],
)
def test_wrong_parameters_are_named_before_anything_starts(path, given, said):
    with pytest.raises(Bad, match=said) as error:
        job_of(path, **given)
    assert "\n" not in str(error.value)


def test_two_executions_give_the_same_bytes(notebook, places, monkeypatch):
    code = "import sys\nprint('a')\nprint('b')\nprint(object(), file=sys.stderr)\nobject()\n"
    notebook(code + ROW.replace("for p", "\nfor p") + "object(), sorted(map(hash, 'abc'))")
    texts = []
    for turn in ("one", "two"):
        monkeypatch.setenv("XIT_EXECUTED", str(places / turn))
        texts.append(launch.execute("xnli").read_bytes())
    assert texts[0] == texts[1]
    assert b"papermill" in texts[0] and str(places).encode() not in texts[0]


def test_what_is_done_is_not_done_again(notebook, places):
    notebook(ROW)
    output = launch.execute("xnli, udpos", seed=2)
    stamp = output.stat().st_mtime_ns
    assert launch.execute("xnli, udpos", seed=2).stat().st_mtime_ns == stamp
    job_of("udpos", seed=2).rows[0].unlink()
    assert launch.execute("xnli, udpos", seed=2).stat().st_mtime_ns > stamp
    assert [p.name for p in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (
            "from xit_core.machine.errors import Bad\nraise Bad('no such thing; do this')",
            Bad,
            "^no such thing; do this$",
        ),
        ("raise OSError(28, 'No space left on device')", Bad, "No space left"),
        ("1 / 0", Failed, "ZeroDivisionError"),
        ("import os\nos._exit(1)", Failed, "kernel died"),
        ("pass", Failed, "without its row"),
        ("import sys\nsys.exit(0)", Failed, "without its row"),
    ],
)
def test_a_failure_is_one_line_and_leaves_no_output(notebook, places, code, error, said):
    notebook(code)
    with pytest.raises(error, match=said) as got:
        launch.execute("xnli")
    assert "\n" not in str(got.value)
    assert not list((places / "executed/smoke").iterdir())
    if "without" not in said:
        assert (places / "runs/logs/smoke" / f"{Run().id}.failed.ipynb").is_file()


def test_a_killed_execution_leaves_nothing_that_looks_finished(notebook, places):
    notebook("import time\nprint('here')\ntime.sleep(60)")
    code = (
        "import pathlib; from xit_core.run import launch; launch.ROOT = launch.PARTS = "
        f"pathlib.Path({str(places)!r})"
    )
    code += "; launch.execute('xnli')"
    child = subprocess.Popen([sys.executable, "-c", code])
    while not list(places.glob("executed/smoke/.*.partial.ipynb")):
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not job_of("xnli").done
    assert not list(places.glob("executed/smoke/[!.]*"))


def test_an_execution_that_a_scheduler_stops_ends_its_kernel_and_leaves_nothing(notebook, places):
    notebook(
        f"import os, time, pathlib\npathlib.Path({str(places)!r}, "
        "'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    code = (
        "import pathlib; from xit_core.run import launch; launch.ROOT = launch.PARTS = "
        f"pathlib.Path({str(places)!r})"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code + "; launch.execute('xnli')"], stderr=subprocess.DEVNULL
    )
    while not (places / "pid").is_file() or not (pid := (places / "pid").read_text()):
        assert child.poll() is None
    child.terminate()
    assert child.wait(30) != 0
    assert not list((places / "executed/smoke").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_folders_that_cannot_be_written_are_named(places, monkeypatch):
    (places / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(places / "file"))
    with pytest.raises(Bad, match="cannot write to .*file"):
        launch.check_places(job_of("xnli"))


def test_real_data_need_a_mirror_or_the_hub():
    with pytest.raises(Bad, match="XIT_MIRROR"):
        launch.check_places(job_of("xnli", scale="base"))


def test_a_gpu_is_leased_once_and_never_when_the_scheduler_gave_one(places, monkeypatch):
    (places / "gpus/0000:00:01.0").mkdir(parents=True)
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(places))
    monkeypatch.setattr(gpus, "GPUS", places / "gpus")
    monkeypatch.setattr(gpus, "LEASED", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    gpus.lease()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3" and not gpus.LEASED
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    gpus.lease()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    (lock,) = gpus.LEASED
    assert locked(lock.name) is None
    lock.close()
    assert locked(lock.name)


def test_a_job_without_runs_is_the_analysis():
    assert job_of("analysis", scale="micro") == Job(SCALES["micro"])
    assert Job(SCALES["micro"]).parameters == {"scale": "micro"}


AGAIN = """
from xit_core.ledger import predictions, results
from xit_core.design.run import Run, parse
score = {"lang": "en", "metric": "accuracy", "protocol": "accuracy", "value": VALUE, "n": 1}
for p in parse(path):
    run = Run(path=p, scale=scale, seed=seed)
    if not results.read(run):
        told = [{"task": "xnli", "lang": "en", "id": "0", "prediction": 1}]
        digest = predictions.write_predictions(run, told)
        fields = run.described | {"items": []}
        results.write(fields | {"scores": [score], "provenance": {"predictions_sha256": digest}})
"""


@pytest.mark.parametrize("made", ["xnli", "xnli, udpos"])
def test_the_advice_on_predictions_that_are_gone_works(notebook, made):
    """Whether the run had a notebook of its own or shared one, as the targets of a study do."""
    notebook(AGAIN.replace("VALUE", "50.0"))
    launch.execute(made)
    run = Run("xnli")
    before = (results.row_file(run).read_bytes(), predictions.predictions(run))
    predictions.predictions_place(run).unlink()
    with pytest.raises(Bad, match='`xit run "xnli" .*--again` makes them'):
        predictions.predictions(run)
    assert is_notebook(launch.again(job_of("xnli")))
    assert (results.row_file(run).read_bytes(), predictions.predictions(run)) == before


def test_what_is_missing_of_a_job_is_made_and_the_rest_compared(notebook):
    notebook(AGAIN.replace("VALUE", "50.0"))
    launch.execute("xnli")
    predictions.predictions_place(Run("xnli")).unlink()
    launch.again(job_of("xnli, udpos"))
    assert predictions.predictions_file(Run("xnli")) and results.finished(Run("udpos"))


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "words"])
def test_a_damaged_notebook_or_row_is_not_done(notebook, damage):
    notebook(ROW)
    output = launch.execute("xnli")
    output.write_text(damage)
    assert not job_of("xnli").done
    assert is_notebook(launch.execute("xnli")) and job_of("xnli").done
    results.row_file(Run("xnli")).write_text(damage)
    assert not job_of("xnli").done


def test_a_run_that_gives_other_scores_when_it_is_executed_again_says_so_and_changes_no_row(notebook):
    notebook(AGAIN.replace("VALUE", "50.0"))
    launch.execute("xnli")
    run = Run("xnli")
    before, told = results.row_file(run).read_bytes(), predictions.predictions(run)
    notebook(AGAIN.replace("VALUE", "51.0").replace('"prediction": 1', '"prediction": 2'))
    for _ in range(2):  # with the predictions that it had, and without any
        with pytest.raises(Bad, match="executed again it has other scores than the ledger says"):
            launch.again(job_of("xnli"))
        assert results.row_file(run).read_bytes() == before
        if file := predictions.predictions_file(run):
            assert predictions.predictions(run) == told
            file.unlink()
    assert not predictions.predictions_file(run)


def test_an_analysis_and_a_run_with_an_encoder_of_ones_own_are_executed_again(notebook):
    notebook(AGAIN.replace("VALUE", "50.0"))
    assert is_notebook(launch.again(job_of("xnli")))
    own = own_scale(SCALES["smoke"], replace(SCALES["smoke"].encoder, name="mine", revision="0" * 8))
    launch.execute("xnli", scale=own.name)
    assert is_notebook(launch.again(job_of("xnli", scale=own.name)))
    notebook("print(1)")
    assert is_notebook(launch.again(job_of("analysis")))


def cells(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def test_there_are_four():
    assert [p.stem for p in NOTEBOOKS] == sorted(launch.NOTEBOOKS.values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_holds_order_words_calls_and_pictures(path):
    code = cells(path)
    assert len(code) <= 10
    assert len(cells(path, "markdown")) >= 3 and cells(path, "markdown")[0].source.startswith("# ")
    for cell in code:
        assert len(cell.source.splitlines()) <= 8
        kinds = {type(node).__name__ for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {"FunctionDef", "ClassDef", "For", "While", "Lambda", "ListComp", "DictComp"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped_and_ids_are_words(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(c.outputs == [] and c.execution_count is None for c in cells(path))
    ids = [c["id"] for c in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(-[a-z]+)*", i) for i in ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_parameters_are_the_fields_of_a_run(path):
    source = next(c.source for c in cells(path) if "parameters" in c.metadata.get("tags", []))
    lines = ast.parse(source).body
    declared = {x.target.id: (x.annotation.id, ast.literal_eval(x.value)) for x in lines}
    assert all(line.count("=") == 1 for line in source.splitlines())  # papermill cannot read others
    if path.stem == launch.NOTEBOOKS[4]:
        assert declared == {"scale": ("str", "smoke")}
        return
    assert list(declared) == list(DEFAULTS)
    for name, (kind, default) in declared.items():
        assert kind == type(DEFAULTS[name]).__name__
        assert name == "path" or default == DEFAULTS[name]


def move(monkeypatch, folder):
    for name in ("RESULTS", "EXECUTED", "RUNS"):
        monkeypatch.setenv(f"XIT_{name}", str(folder / name))


def test_two_executions_and_plain_papermill_give_the_same(places, monkeypatch):
    """The first two to the byte, with the stage that they start from; plain papermill the same row of the
    ledger.
    """
    texts, rows = [], []
    for turn in ("one", "two"):
        move(monkeypatch, places / turn)
        texts.append(launch.execute("mnli > xnli, tatoeba").read_bytes())
        same = ("id", "scores", "items", "curve", "layers")
        rows.append([{k: row.get(k) for k in same} for row in results.rows("smoke")])
    assert texts[0] == texts[1]
    assert rows[0] == rows[1] and len(rows[0]) == 3

    run = Run("mnli > xnli")
    row = results.read(run)
    monkeypatch.setenv("XIT_RESULTS", str(places / "plain"))
    given = {"path": run.path}
    papermill.execute_notebook(
        ROOT / "notebooks/3_target.ipynb",
        places / "out.ipynb",
        given,
        kernel_name="python3",
        progress_bar=False,
    )
    plain = results.read(run)
    assert [plain[k] for k in ("id", "scores", "items")] == [row[k] for k in ("id", "scores", "items")]
