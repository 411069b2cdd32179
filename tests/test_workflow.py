"""A study in slices: what may start, what stops, and that another machine's rows count. Quick commands stand
in for notebooks.
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from xit_core import phases
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.ledger import predictions, results
from xit_core.machine import places as places_module
from xit_core.machine.errors import Bad
from xit_core.run import clock, direct, launch, watch, workflow
from xit_core.run.clock import Clock, Over

PLAN = ("pretrained", "squad1", "squad1 > xnli", "mnli", "mnli > xnli", "csqa", "csqa > xnli")


def plan(_):
    return [Run(p) for p in PLAN]


@pytest.fixture
def quick(places, monkeypatch):
    """quick(path=seconds): every notebook becomes a command that takes so long and then writes the row; gives
    the order.
    """
    real, diary, blank = workflow.graph, places / "diary", places / "blank.ipynb"
    blank.write_text('{"cells": [], "metadata": {}}')

    def made_up(run):
        """A file with the row of a run."""
        file = places / f"made-{run.id}"
        file.write_text(json.dumps(bare(run) | {"provenance": {}}))
        return file

    monkeypatch.setitem(studies.STUDIES, "tiny", plan)

    def make(**seconds) -> list[str]:
        def graph(pending, *given):
            told = real(pending, *given)
            for job, entry in zip(pending, told["jobs"], strict=True):
                lines = [f"echo '{job.path}' >> {diary}", f"sleep {seconds.get(job.path, 0)}"]
                lines += [f"cp {made_up(run)} {results.row_file(run)}" for run in job.runs]
                lines += [f"cp {blank} {job.output}"]
                guard, join, _ = entry["command"].rpartition("&& ")
                entry["command"] = f"{guard}{join}exec bash -c {json.dumps('; '.join(lines))}"
            return told

        monkeypatch.setattr(workflow, "graph", graph)
        return lambda: diary.read_text().splitlines()

    return make


def bare(run: Run) -> dict:
    return run.described | {"scores": [], "items": []}


def finish(path: str, seconds: float, here: bool = True) -> None:
    """A row, and (if it was made here) the predictions beside it."""
    run = Run(path)
    results.write(bare(run) | {"provenance": {"seconds": seconds}})
    if here:
        predictions.write_predictions(run, [{"task": run.on, "lang": "en", "id": "0", "prediction": 1}])


def test_what_snakemake_starts_is_told_the_folders_whatever_folder_it_works_in(tmp_path, monkeypatch):
    monkeypatch.setattr(places_module, "ROOT", tmp_path)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
    monkeypatch.delenv("XIT_RESULTS")
    monkeypatch.setenv("XIT_EXECUTED", "")
    monkeypatch.setenv("XIT_RUNS", "runs")
    env = workflow.child_environment(tmp_path / "runs/snakemake/smoke")
    assert env["XIT_RESULTS"] == str(tmp_path / "book/results")
    assert env["XIT_EXECUTED"] == str(tmp_path / "book/executed")
    assert env["XIT_RUNS"] == str(Path("runs").absolute()) and "SNAKEMAKE_PROFILE" not in env


@pytest.fixture
def learned(monkeypatch):
    """Two stages were trained here, in 100 seconds together."""
    monkeypatch.setitem(studies.STUDIES, "tiny", plan)
    finish("squad1", 40.0)
    finish("mnli", 60.0)
    finish("pretrained", 999.0, here=False)
    return Clock.of("tiny", SCALES["smoke"], 1000.0)


def test_a_run_is_expected_to_take_what_its_like_took_here_for_its_arithmetic(learned):
    flops = [learned.pace.flops[Run(p).id] for p in ("squad1", "mnli", "csqa")]
    assert learned.expected(Run("csqa")) == pytest.approx(100 * flops[2] / (flops[0] + flops[1]))
    assert learned.latest([Run("csqa")]) == pytest.approx(
        learned.end - clock.CARE * learned.expected(Run("csqa"))
    )


def test_what_was_measured_on_another_machine_or_not_at_all_may_start_until_the_end(learned):
    assert learned.latest([Run("csqa > xnli")]) == learned.end  # no target was measured yet
    (results.row_file(Run("pretrained"))).unlink()
    assert learned.latest([Run("pretrained")]) == learned.end  # its row came from elsewhere
    assert Clock.of("tiny", SCALES["smoke"], None).latest([Run("csqa")]) == math.inf


def test_of_several_runs_the_first_must_be_expected_to_end(learned):
    alone = learned.latest([Run("csqa")])
    assert learned.latest([Run("csqa"), Run("cosmosqa")]) == alone < learned.end
    assert learned.latest([Run("squad1"), Run("csqa")]) == alone  # it is finished


def test_a_run_that_is_longer_than_all_the_time_may_start_at_its_beginning(learned):
    learned.pace.spent[2][0] *= 1e6
    assert learned.latest([Run("csqa")]) == pytest.approx(learned.end - 0.9 * 990)


def test_a_stage_that_must_be_trained_again_for_its_target_takes_time_too(learned):
    again = learned.latest([Run("mnli > xnli")])
    assert again == pytest.approx(learned.end - clock.CARE * learned.expected(Run("mnli")))
    folder = Run("mnli").folder
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"")
    assert learned.latest([Run("mnli > xnli")]) == learned.end


def test_jobs_run_in_the_order_of_the_plan(quick):
    order = quick()
    workflow.run_study("tiny", SCALES["smoke"], cores=1)
    assert order() == [*PLAN, "analysis"]


def test_at_the_end_of_a_budget_what_runs_is_stopped_and_what_is_finished_is_kept(quick, capsys, places):
    order = quick(**{"squad1 > xnli": 77777})
    begin = time.time()
    workflow.run_study("tiny", SCALES["smoke"], 1, budget=15)
    assert time.time() - begin < 60  # and not 77,777
    said = "tiny at smoke: 2 of 7 runs are finished, 6 notebooks are missing; the same command resumes\n"
    assert capsys.readouterr().out == said
    assert (
        order() == [*PLAN[:3]]
        and "sleep 77777" not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout
    )
    again = quick()
    workflow.run_study("tiny", SCALES["smoke"], 1)
    assert again() == [*PLAN[:3], *PLAN[2:], "analysis"]  # the first two were not done twice


def test_a_study_of_fewer_seeds_is_a_part_of_it(quick, monkeypatch, capsys):
    order = quick()
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda s: [*plan(s), Run("qqp", s, 2), Run("mnli", s, 3)])
    studies.planned.cache_clear()
    workflow.run_study("tiny", SCALES["smoke"], 1, seeds=1)
    assert order() == [*PLAN, "analysis"]
    assert [run.seed for run in studies.runs("tiny", SCALES["smoke"], 2)] == [1] * len(PLAN) + [2]
    assert len(studies.runs("tiny", SCALES["smoke"])) == len(PLAN) + 2


def test_who_looks_on_sees_what_is_done_what_runs_and_why_something_failed(quick, monkeypatch, places):
    """The page of a study in which one notebook fails and one still runs."""
    jobs = launch.jobs(plan(None))
    seen = watch.Watch(jobs, places / "logs")
    assert seen.line() == "" and seen.page().count("<td>waiting") == len(jobs)
    seen.logs.mkdir()
    for job in jobs[:3]:
        seen.log(job).write_text("")
    assert seen.line() == "pretrained (seed 1); squad1 (seed 1) and 1 more"
    seen.update()
    jobs[0].output.parent.mkdir(parents=True)
    jobs[0].output.write_text("{}")
    seen.log(jobs[1]).write_text("a line\nxit failed: squad1: <ValueError>: no; see it\n")
    (seen.logs / f"{jobs[1].id}.failed.ipynb").write_text("{}")
    finish("pretrained", 1.0)
    page = seen.page()
    order = [
        page.index(f"<td>{job.path.replace('>', '&gt;')}") for job in (jobs[1], jobs[2], jobs[0], jobs[3])
    ]
    assert order == sorted(order) and "1 of 7 notebooks" in page and "expected end" in page
    assert "xit failed: squad1: &lt;ValueError&gt;" in page and f'href="{jobs[1].id}.failed.ipynb"' in page
    assert 'http-equiv="refresh"' in page and 'http-equiv="refresh"' not in seen.page(over=True)
    assert (seen.logs / watch.NAME).is_file()


def test_the_page_of_a_study_that_has_ended_says_so(quick, places):
    quick()
    workflow.run_study("tiny", SCALES["smoke"], 1)
    page = (places / "runs/logs/smoke" / watch.NAME).read_text()
    assert "8 of 8 notebooks" in page and "ended." in page and "refresh" not in page


def test_what_would_end_too_late_is_not_started(quick, capsys, monkeypatch):
    order = quick()
    monkeypatch.setattr(Clock, "latest", lambda self, runs: self.end - 1e6 * (Run("mnli") in runs))
    workflow.run_study("tiny", SCALES["smoke"], 1, budget=60)
    assert order() == [p for p in PLAN if "mnli" not in p]
    assert "5 of 7 runs are finished, 3 notebooks are missing; the same" in capsys.readouterr().out


def test_a_mistake_within_a_budget_is_told(quick, monkeypatch, places):
    quick()
    real = workflow.graph

    def graph(*given):
        told = real(*given)
        told["jobs"][1]["command"] = "echo 'xit: no such thing; do this'; false"
        return told

    monkeypatch.setattr(workflow, "graph", graph)
    with pytest.raises(Bad, match="^no such thing; do this; 3 of 8 notebooks are missing"):
        workflow.run_study("tiny", SCALES["smoke"], 1, budget=60)


DIRECT = """
import sys
for name in "papermill nbformat nbclient snakemake pandas pyarrow statsmodels matplotlib".split():
    sys.modules[name] = None  # as if it were not installed
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
paths = ("pretrained", "mnli", "xnli", "mnli > xnli", "mnli > tatoeba")
studies.STUDIES["tiny"] = lambda scale: [Run(p) for p in paths]
sys.exit(cli.main(["study", "tiny", "--scale", "smoke", "--direct", "--budget", "300"]))
"""


def test_a_direct_study_makes_the_rows_that_notebooks_make_with_nothing_but_torch(places, monkeypatch):
    done = subprocess.run([sys.executable, "-c", DIRECT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "tiny at smoke: all 5 runs are finished\n"), done.stderr
    theirs = {row["id"]: row for row in results.rows("smoke")}
    assert not (places / "executed/smoke").exists() or not list((places / "executed/smoke").iterdir())
    for name in ("RESULTS", "RUNS"):
        monkeypatch.setenv(f"XIT_{name}", str(places / "here" / name))
    ours = [
        phases.pretrained(Run("pretrained")),
        *phases.targets("xnli"),
        *phases.targets("mnli > xnli, tatoeba"),
    ]
    for row in [*ours, results.read(Run("mnli"))]:
        assert all(theirs[row["id"]][k] == row[k] for k in results.SAME)
        assert (
            theirs[row["id"]]["provenance"]["predictions_sha256"] == row["provenance"]["predictions_sha256"]
        )
    assert len(theirs) == 5


@pytest.fixture
def made(monkeypatch):
    """`made.paths` that a direct study makes, in their order; `made.how[path]` is called before the row is
    written.
    """
    told = SimpleNamespace(paths=[], how={})

    def make(run, *_):
        told.paths.append(run.path)
        told.how.get(run.path, lambda: None)()
        finish(run.path, 1.0)

    monkeypatch.setitem(studies.STUDIES, "tiny", plan)
    for name in ("pretrained", "intermediate", "run_target"):
        monkeypatch.setattr(phases, name, make)
    return told


def test_a_direct_study_goes_through_the_plan_stops_in_time_and_resumes(made, capsys):
    made.how = {"squad1 > xnli": lambda: time.sleep(60)}
    begin = time.time()
    direct.run_direct("tiny", SCALES["smoke"], budget=2)
    assert made.paths == list(PLAN[:3]) and 1 < time.time() - begin < 2
    assert capsys.readouterr().out == "tiny at smoke: 2 of 7 runs are finished; the same command resumes\n"
    made.how = {}
    direct.run_direct("tiny", SCALES["smoke"])
    assert (
        made.paths[3:] == list(PLAN[2:])
        and capsys.readouterr().out == "tiny at smoke: all 7 runs are finished\n"
    )
    direct.run_direct("tiny", SCALES["smoke"])
    assert len(made.paths) == 8 and "all 7 runs are finished" in capsys.readouterr().out


def test_a_direct_study_starts_nothing_that_it_cannot_expect_to_finish(made, monkeypatch):
    monkeypatch.setattr(Clock, "latest", lambda self, runs: self.end - 1e6 * (Run("mnli") in runs))
    direct.run_direct("tiny", SCALES["smoke"], budget=60)
    assert made.paths == list(PLAN[:3])  # and nothing after it: a prefix of the plan is a balanced design


def test_a_direct_study_learns_from_the_runs_it_makes(made):
    learned, broken = Clock.of("tiny", SCALES["smoke"], 1000.0), {}
    assert learned.latest([Run("mnli")]) == learned.end
    made.how = {"squad1": lambda: time.sleep(0.2)}
    for job in launch.jobs([Run("pretrained"), Run("squad1")]):
        list(direct.make_rows(job, learned, broken))
    assert 0.1 < learned.expected(Run("mnli")) < 1 and not broken
    learned.end = time.time() + 0.1
    with pytest.raises(Over):
        list(direct.make_rows(launch.jobs([Run("mnli")])[0], learned, broken))


@pytest.mark.parametrize(
    ("error", "kind"), [(Bad("no such rows; do this"), Bad), (RuntimeError("out of memory"), launch.Failed)]
)
def test_a_direct_study_leaves_out_what_fails_with_its_children_and_says_so_in_the_end(
    made, error, kind, places
):
    def fail():
        raise error

    made.how = {"mnli": fail}
    with pytest.raises(
        kind, match=f"{error}; 2 runs could not be made; tiny at smoke: 5 of 7 runs are finished"
    ):
        direct.run_direct("tiny", SCALES["smoke"])
    assert made.paths == [p for p in PLAN if p != "mnli > xnli"]
    assert str(error) in (places / "runs/logs/smoke" / f"{Run('mnli').id}.log").read_text()


def test_two_studies_of_one_scale_do_not_run_side_by_side(made, places):
    (places / "runs").mkdir()
    with workflow.study_lock(SCALES["smoke"]), pytest.raises(Bad, match="running already"):
        direct.run_direct("tiny", SCALES["smoke"])
