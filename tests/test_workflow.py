"""A study in slices: what may start, what stops, and that another machine's rows count. Quick commands stand
in for notebooks, but not on a real cluster, which is last.
"""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from synthetic import sealed
from xit_core import phases
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.ledger import predictions, results
from xit_core.machine import places as places_module
from xit_core.machine.errors import Bad, Failed
from xit_core.report import cost, questions
from xit_core.run import clock, direct, gpus, profiles, watch, workflow
from xit_core.run.clock import Clock, Over
from xit_core.run.jobs import Job, job_of, jobs_of

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
        file.write_text(sealed(bare(run) | {"provenance": {}}))
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
    usual = pytest.approx(100 * flops[2] / (flops[0] + flops[1]))
    assert learned.expected(Run("csqa")) == usual
    learned.learn(Run("squad1"), 40.0)
    learned.learn(Run("squad1"), 7200.0)  # it waited
    usual = pytest.approx(140 * flops[2] / (2 * flops[0] + flops[1]))
    assert learned.expected(Run("csqa")) == usual
    assert learned.expected(Run("mnli")) == pytest.approx(60)
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
    for runs in learned.pace.spent.values():
        runs[:] = [(1e6 * seconds, flops) for seconds, flops in runs]
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


def test_of_several_studies_the_first_one_s_missing_runs_come_first(quick, monkeypatch):
    order = quick()
    more = [Run("qqp"), Run("mnli > xnli"), Run("mnli > bucc")]
    monkeypatch.setitem(studies.STUDIES, "more", lambda _: more)
    workflow.run_study("tiny,more", SCALES["smoke"], cores=1)
    assert order() == [*PLAN[:4], "mnli > xnli, bucc", *PLAN[5:], "qqp", "analysis"]
    for path in (PLAN[2], "qqp"):
        results.row_file(Run(path)).unlink()
    workflow.run_study("more,tiny", SCALES["smoke"], cores=1)
    assert order()[-3:] == ["qqp", PLAN[2], "analysis"]


def test_at_the_end_of_a_budget_what_runs_is_stopped_and_what_is_finished_is_kept(quick, capsys, places):
    order = quick(**{"squad1 > xnli": 77777})
    begin = time.time()
    workflow.run_study("tiny", SCALES["smoke"], 1, budget=15)
    assert time.time() - begin < 600  # and not 77,777
    said = "tiny at smoke: 2 of 7 runs are finished, 6 notebooks are missing; the same command resumes\n"
    assert capsys.readouterr().out == said
    assert (
        order() == [*PLAN[:3]]
        and "sleep 77777" not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout
    )
    again = quick()
    workflow.run_study("tiny", SCALES["smoke"], 1)
    assert again() == [*PLAN[:3], *PLAN[2:], "analysis"]  # the first two were not done twice


def test_a_tidy_study_ends_without_checkpoints_and_another_keeps_them(quick):
    stages = [Run(path) for path in PLAN if Run(path).phase == 2]
    for tidy in (False, True):
        quick()
        for stage in stages:
            stage.folder.mkdir(parents=True, exist_ok=True)
        workflow.run_study("tiny", SCALES["smoke"], 1, tidy=tidy)
        assert [stage.folder.exists() for stage in stages] == [not tidy] * len(stages)
        shutil.rmtree(results.results_dir())


def test_a_study_of_fewer_seeds_is_a_part_of_it(quick, monkeypatch, capsys):
    order = quick()
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda s: [*plan(s), Run("qqp", s, 2), Run("mnli", s, 3)])
    studies.planned.cache_clear()
    workflow.run_study("tiny", SCALES["smoke"], 1, seeds=1)
    assert order() == [*PLAN, "analysis"]
    assert [run.seed for run in studies.runs("tiny", SCALES["smoke"], 2)] == [1] * len(PLAN) + [2]
    assert len(studies.runs("tiny", SCALES["smoke"])) == len(PLAN) + 2


@pytest.mark.parametrize("seeds", [0, 1, 2])
@pytest.mark.parametrize("study", ["main", *questions.QUESTIONS])
def test_the_command_of_an_execution_makes_its_runs_and_no_others(study, seeds):
    jobs = jobs_of(studies.runs(study, SCALES["micro"], seeds))
    assert all(job_of(**job.parameters).id == job.id for job in jobs)


def test_who_looks_on_sees_what_is_done_what_runs_and_why_something_failed(quick, monkeypatch, places):
    """The page of a study in which one notebook fails and one still runs."""
    jobs = jobs_of(plan(None))
    seen, logs = watch.Watch(jobs), places / "runs/logs/smoke"
    assert seen.line() == "" and seen.page().count("<td>waiting") == len(jobs)
    logs.mkdir(parents=True)
    for job in jobs[:3]:
        job.log.write_text("")
    assert seen.line() == "pretrained (seed 1); squad1 (seed 1) and 1 more"
    seen.update()
    jobs[0].output.parent.mkdir(parents=True)
    jobs[0].output.write_text("{}")
    jobs[1].log.write_text("a line\nxit failed: squad1: <ValueError>: no; see it\n")
    jobs[1].failed.write_text("{}")
    finish("pretrained", 1.0)
    page = seen.page()
    order = [
        page.index(f"<td>{job.path.replace('>', '&gt;')}") for job in (jobs[1], jobs[2], jobs[0], jobs[3])
    ]
    assert order == sorted(order) and "1 of 7 notebooks" in page and "expected end" in page
    assert "xit failed: squad1: &lt;ValueError&gt;" in page and f'href="{jobs[1].id}.failed.ipynb"' in page
    assert 'http-equiv="refresh"' in page and "<td>running" in page
    over = seen.page(over=True)
    assert 'http-equiv="refresh"' not in over and "<td>running" not in over and "<td>stopped" in over
    assert (logs / watch.NAME).is_file()


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
    assert made.paths == list(PLAN[:3]) and 1 < time.time() - begin < 50
    assert capsys.readouterr().out == "tiny at smoke: 2 of 7 runs are finished; the same command resumes\n"
    made.how = {}
    direct.run_direct("tiny", SCALES["smoke"])
    assert (
        made.paths[3:] == list(PLAN[2:])
        and capsys.readouterr().out == "tiny at smoke: all 7 runs are finished\n"
    )
    direct.run_direct("tiny", SCALES["smoke"])
    assert len(made.paths) == 8 and "all 7 runs are finished" in capsys.readouterr().out


def test_a_checkpoint_goes_when_the_last_run_that_starts_from_it_is_finished(made, monkeypatch):
    paths = ("pretrained", "mnli", "mnli > xnli", "squad1", "squad1 > xnli", "mnli > udpos")
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda scale: [Run(path) for path in paths])
    there = {}
    for path in paths:

        def look(path=path):
            if Run(path).phase == 2:
                Run(path).folder.mkdir(parents=True)
            there[path] = [stage for stage in ("mnli", "squad1") if Run(stage).folder.exists()]

        made.how[path] = look
    direct.run_direct("tiny", SCALES["smoke"], tidy=True)
    # targets of one source share a notebook at this scale
    assert made.paths == ["pretrained", "mnli", "mnli > xnli", "mnli > udpos", "squad1", "squad1 > xnli"]
    assert there["mnli > udpos"] == ["mnli"] and there["squad1"] == ["squad1"] == there["squad1 > xnli"]
    assert not any(Run(stage).folder.exists() for stage in ("mnli", "squad1"))


def test_the_plan_says_how_much_room_a_tidy_study_needs(monkeypatch):
    paths = ("mnli", "mnli > xnli", "squad1", "squad1 > xnli", "csqa", "mnli > udpos")
    assert cost.most_kept([Run(path) for path in paths]) == 2
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda scale: [Run(path) for path in paths])
    told = cost.costs("tiny", SCALES["smoke"])
    assert told["gb_tidy"] == pytest.approx(2 / 3 * told["gb"])


def test_a_direct_study_starts_nothing_that_it_cannot_expect_to_finish(made, monkeypatch):
    monkeypatch.setattr(Clock, "latest", lambda self, runs: self.end - 1e6 * (Run("mnli") in runs))
    direct.run_direct("tiny", SCALES["smoke"], budget=60)
    assert made.paths == list(PLAN[:3])  # and nothing after it: a prefix of the plan is a balanced design


def test_a_direct_study_learns_from_the_runs_it_makes(made):
    learned, broken = Clock.of("tiny", SCALES["smoke"], 1000.0), {}
    assert learned.latest([Run("mnli")]) == learned.end
    made.how = {"squad1": lambda: time.sleep(0.2)}
    for job in jobs_of([Run("pretrained"), Run("squad1")]):
        list(direct.make_rows(job, learned, broken))
    assert 0.1 < learned.expected(Run("mnli")) < 1 and not broken
    learned.end = time.time() + 0.1
    with pytest.raises(Over):
        list(direct.make_rows(jobs_of([Run("mnli")])[0], learned, broken))


@pytest.mark.parametrize(
    ("error", "kind"), [(Bad("no such rows; do this"), Bad), (RuntimeError("out of memory"), Failed)]
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


# -- where it runs -------------------------------------------------------------------------------------------


def test_a_cluster_is_asked_for_the_time_that_runs_like_these_took_or_else_for_a_day(learned):
    of = profiles.needs("tiny", SCALES["smoke"])
    expected = learned.expected(Run("csqa"))
    assert of((Run("csqa"),))["minutes"] == math.ceil(profiles.CARE * expected / 60) + profiles.SPARE
    for runs in ((Run("csqa > xnli"),), (Run("csqa"), Run("csqa > xnli"))):
        assert of(runs)["minutes"] == profiles.UNMEASURED  # no target was measured yet
    assert of(())["minutes"] == profiles.SPARE  # the analysis
    memory = {name: profiles.needs("tiny", SCALES[name])((Run("csqa"),))["mem_mb"] for name in SCALES}
    assert 2000 < memory["smoke"] < memory["base"] < memory["paper"]


def test_a_place_says_how_many_runs_it_takes_at_a_time(monkeypatch, tmp_path):
    for name in "01":
        (tmp_path / "gpus" / name).mkdir(parents=True)
    monkeypatch.setattr(gpus, "GPUS", tmp_path / "gpus")
    monkeypatch.setattr(profiles, "find_spec", bool)  # the plugin is there
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    def told(name, at_once=None, resources=""):
        return " ".join(profiles.options(profiles.profile(name), at_once, resources))

    assert told(None) == told("local") == "--profile none --cores 6"
    assert told("gpu-box") == "--profile none --cores 2" and told("gpu-box", 1).endswith("--cores 1")
    assert told("slurm").endswith(f"--jobs {profiles.SUBMITTED} --slurm-no-account")
    monkeypatch.setattr(gpus, "GPUS", tmp_path / "none")
    with pytest.raises(Bad, match="--profile gpu-box: no GPU in .*; leave the profile out"):
        told("gpu-box")
    asked = told("slurm", 9, "slurm_account=me gpu=1")
    assert asked.endswith("--jobs 9 --set-resources notebook:slurm_account=me notebook:gpu=1")


def test_a_place_that_is_not_known_or_lacks_its_plugin_is_one_line(monkeypatch, tmp_path):
    with pytest.raises(Bad, match="--profile nope: .*allowed: local, gpu-box, slurm, or the folder"):
        profiles.profile("nope")
    (tmp_path / "config.v8+.yaml").write_text("jobs: 3\n")
    assert profiles.profile(str(tmp_path)).options == ("--profile", str(tmp_path))
    monkeypatch.setattr(profiles, "find_spec", lambda name: None)
    with pytest.raises(Bad, match="not installed; pip install snakemake-executor-plugin-slurm==2"):
        profiles.profile("slurm")


# -- a real cluster ------------------------------------------------------------------------------------------


def no_cluster() -> str:
    """Why this machine cannot be a cluster of one node; empty if it can."""
    programs = ("munged", "slurmctld", "slurmd", "unshare", "nsenter")
    if absent := [name for name in programs if not shutil.which(name)]:
        return f"{absent[0]} is not installed"
    if not find_spec(profiles.PLUGIN):
        return "Snakemake's plugin for Slurm is not installed"
    alone = ["unshare", "--mount", "--pid", "--fork", "true"]
    return "this user may make no namespaces" if subprocess.run(alone, capture_output=True).returncode else ""


def child(number: int) -> int:
    """The first process that a process has started."""
    return int(Path(f"/proc/{number}/task/{number}/children").read_text().split()[0])


def until(holds):
    """What something gives as soon as that is true."""
    end = time.monotonic() + 300
    while not (held := holds()):
        assert time.monotonic() < end, "it did not come to hold within 300 seconds"
        time.sleep(0.2)
    return held


class Cluster:
    """A Slurm of one node, and studies that are started on it."""

    def __init__(self, first: int):
        # `first`: the first process of the cluster's namespaces
        self.enter = ["nsenter", f"--target={first}", "--mount", "--pid", "--wd", "--"]

    def told(self, *words: str) -> str:
        """What a program says on the cluster."""
        return subprocess.run([*self.enter, *words], capture_output=True, text=True, check=True).stdout

    def study(self) -> subprocess.Popen:
        """The smoke study, which has begun on the cluster."""
        command = [sys.executable, "-m", "xit_core.cli", "study", "--scale=smoke", "--profile=slurm"]
        return subprocess.Popen([*self.enter, *command], stdout=-1, stderr=-1, text=True)

    def executing(self, jobs: list[Job], study: subprocess.Popen) -> tuple[Job, str]:
        """The first notebook whose cells a study executes, as soon as it does, and the number of its job."""
        while not (found := [x for x in jobs if [*x.output.parent.glob(f".{x.id}.*.partial.ipynb")]]):
            assert study.poll() is None, ended(study)
            time.sleep(0.2)
        running = self.told("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").splitlines()
        return found[0], next(line.split()[0] for line in running if line.endswith(found[0].id))

    def job(self, number: str) -> dict[str, str]:
        """What the cluster says of a job."""
        fields = self.told("scontrol", "--oneliner", "show", "job", number).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)


@pytest.fixture
def cluster():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    command = ["bash", "tools/slurm", "sh", "-c", "echo ready; exec cat"]  # until its input ends
    env |= {"XIT_SLURM_PORT": str(port)}
    with subprocess.Popen(command, cwd=places_module.ROOT, env=env, stdin=-1, stdout=-1, text=True) as held:
        assert held.stdout.readline() == "ready\n"
        yield Cluster(child(held.pid))
        held.stdin.close()  # and so ends all that is on the cluster, as it would if this process were killed


def ended(study: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, output and messages of a study, when it has ended."""
    out, err = study.communicate(timeout=1200)
    return study.returncode, out, err


def free() -> bool:
    """Whether a study may begin, because every process of the last one has ended."""
    try:
        workflow.study_lock(SCALES["smoke"]).close()
    except Bad:
        return False
    return True


def disturbed(cluster: Cluster, study: subprocess.Popen, hung: Job, cancelled: Job) -> list[str]:
    """Make a notebook of a study hang until the time of its job is over, and cancel that of another, in
    whichever order they come; the numbers of both jobs.
    """
    numbers = {}
    while left := [job for job in (hung, cancelled) if job not in numbers]:
        job, number = cluster.executing(left, study)
        numbers[job] = number
        if job == hung:
            cluster.told("scancel", "--full", "--signal=STOP", number)
            cluster.told("scontrol", "update", f"JobId={number}", "TimeLimit=1")
        else:
            cluster.told("scancel", number)
    return [numbers[hung], numbers[cancelled]]


@pytest.mark.skipif(bool(no_cluster()), reason=f"no Slurm here: {no_cluster()}")
def test_on_slurm_what_is_killed_cancelled_out_of_time_or_requeued_ends_as_if_undisturbed(
    cluster, places, monkeypatch
):
    *jobs, analysis = [*jobs_of(studies.runs("main", SCALES["smoke"])), job_of("analysis", scale="smoke")]
    named = {job.path: job for job in jobs}
    first, hung, cancelled = (named[path] for path in ("pretrained", "mnli", "squad1+mlm"))

    # the study is killed: its jobs leave the cluster, so that the next study does not meet them
    study = cluster.study()
    _, number = cluster.executing([first], study)
    os.kill(child(study.pid), signal.SIGKILL)
    assert ended(study)[0] and until(lambda: cluster.job(number)["JobState"] == "CANCELLED")
    assert until(lambda: not cluster.told("squeue", "--noheader"))
    until(free)

    # one job is cancelled, another hangs until its time is over; what needs neither is made
    study = cluster.study()
    numbers = disturbed(cluster, study, hung, cancelled)
    status, _, err = ended(study)
    assert status == 1 and "run again to resume" in err
    assert [cluster.job(number)["JobState"] for number in numbers] == ["TIMEOUT", "CANCELLED"]
    made = {job.id: job.output.stat().st_mtime_ns for job in jobs if job.done}
    waiting = {
        job.id for job in jobs if any({*run.parents} & {*hung.runs, *cancelled.runs} for run in job.runs)
    }
    assert waiting and made.keys() == {job.id for job in jobs} - waiting - {hung.id, cancelled.id}

    # a job goes back to the queue, as if its node had failed; the same command waits for it
    study = cluster.study()
    _, number = cluster.executing([hung], study)
    cluster.told("scontrol", "requeue", number)
    status, _, err = ended(study)
    assert status == 0, err
    assert cluster.job(number)["Restarts"] == "1" and analysis.done
    assert {job.id: job.output.stat().st_mtime_ns for job in jobs if job.id in made} == made
    theirs = told()
    for name in ("RESULTS", "RUNS", "EXECUTED"):
        monkeypatch.setenv(f"XIT_{name}", str(places / "here" / name))
    workflow.run_study("main", SCALES["smoke"])
    assert theirs == told()


def told() -> dict[str, list]:
    """What the ledger's rows say, by id."""
    return {row["id"]: [row[key] for key in results.SAME] for row in results.rows("smoke")}
