"""The `xit` command: fixed names and JSON keys, and one line with status 2 for whatever is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import synthetic
from test_claims import KEYS
from xit_core import cli
from xit_core.design.encoders import FOLDER, Encoder
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, own_scale
from xit_core.design.tasks import INTERMEDIATES, REAL_TASKS, TASKS
from xit_core.design.worlds import MICRO
from xit_core.ledger import results
from xit_core.machine.errors import Bad, Failed
from xit_core.machine.places import ROOT, published_dir, reading
from xit_core.model import checkpoints, origins
from xit_core.report import cost
from xit_core.run import workflow
from xit_core.run.clock import Clock
from xit_core.run.jobs import job_of, jobs_of


def xit(*words, **env):
    """A real process: (status, stdout, stderr)."""
    command = [sys.executable, "-m", "xit_core.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=300)
    return done.returncode, done.stdout, done.stderr


def told(capsys, *words):
    assert cli.main(words) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words):
    """The one line that a wrong command gets."""
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("xit: ") and err.count("\n") == 1
    return err


def test_tasks_lists_every_task(capsys):
    rows = told(capsys, "tasks", "--json")
    assert [r["name"] for r in rows] == list(TASKS)
    assert set(rows[0]) == set(
        ["name", "kind", "role", "langs", "source", "config", "revision", "train_on", "metrics"]
    )


def test_plan_lists_runs_with_their_cost(capsys):
    plan = told(capsys, "plan", "--scale", "micro", "--json")
    assert set(plan) == {"runs", "hours", "paced", "gpu_hours", "gb", "gb_tidy"}
    assert all(
        set(r) == set(["id", "path", "on", "seed", "parents", "done", "tokens", "flops", "seconds"])
        for r in plan["runs"]
    )
    ids = [r["id"] for r in plan["runs"]]
    assert len(set(ids)) == len(ids) and {r["seed"] for r in plan["runs"]} >= {1, 2, 3}
    assert all(p in ids[: ids.index(r["id"])] for r in plan["runs"] for p in r["parents"])
    assert plan["gpu_hours"] > 0 and plan["gb"] > 0 and not any(r["done"] for r in plan["runs"])


def test_the_time_of_a_plan_is_what_the_published_runs_took(capsys):
    plan = told(capsys, "plan", "--scale", "micro", "--json")
    with reading(published_dir()):
        ours = {run["id"] for run in plan["runs"]}  # those of research questions are published, too
        rows = [row for row in results.rows("micro") if row["id"] in ours]
    took = sum(row["provenance"]["seconds"] for row in rows)
    assert plan["hours"] == pytest.approx(took / 3600, rel=0.01)
    assert plan["paced"] == "the machine of the published rows"
    assert told(capsys, "plan", "--scale", "paper", "--json")["hours"] is None


def test_an_encoder_of_one_s_own_is_planned_at_the_pace_of_the_usual_one(capsys):
    usual = SCALES["micro"]
    shape = usual.pretraining
    deeper = Encoder("mine", FOLDER, "1a2b3c4d", 2 * shape.layers, shape.hidden)
    mine = own_scale(usual, deeper)
    try:
        plan, known = (told(capsys, "plan", "--scale", s.name, "--json") for s in (mine, usual))
        results.write(synthetic.row(Run("xnli", mine)))
        later = told(capsys, "plan", "--scale", mine.name, "--json")["paced"]
    finally:
        SCALES.pop(mine.name)
    assert plan["hours"] == pytest.approx(2 * known["hours"])
    assert plan["paced"] == "the machine of the published rows with micro, in proportion to the FLOP"
    assert later == f"the machine of the published rows and {plan['paced']}"


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("tasks --json > /dev/full", 2, "xit: [Errno 28] No space left on device"),
        ("--help > /dev/full", 2, "xit: [Errno 28] No space left on device"),
        ("tasks --json | true", 0, ""),
        ("tasks --json 2>&- | head -c 1", 0, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line(command, status, said, places):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = f"set -o pipefail; {sys.executable} -m xit_core.cli {command}"
    done = subprocess.run(["bash", "-c", words], env=env, capture_output=True, text=True, cwd=ROOT)
    assert (
        done.returncode == status and done.stderr.startswith(said) and done.stderr.count("\n") == bool(said)
    )


def test_without_a_place_for_notes_json_stays_json(places):
    results.write(synthetic.row(Run("xnli", "smoke")))
    results.row_file(Run("xnli", "smoke")).write_text("{")
    words = f"{sys.executable} -m xit_core.cli claims --scale smoke --json 2>&-"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and json.loads(done.stdout)


def test_an_encoder_of_one_s_own_does_not_go_with_the_random_weights_of_another():
    with pytest.raises(
        Bad, match="small-mlm is read beside small, of another encoder; --model goes with small$"
    ):
        own_scale(SCALES["small-mlm"], Encoder("mine", FOLDER, "1a2b3c4d", 2, 64))


def test_a_question_is_planned_at_the_pace_of_the_main_study_where_it_has_none(capsys):
    plan = told(capsys, "plan", "--scale", "small", "--study", "size", "--json")
    seconds = {run["on"]: run["seconds"] for run in plan["runs"]}
    assert plan["hours"] > 0 and seconds["xnli_overlap"] > 0 and seconds["mnli"] > 60


def test_a_scale_that_prolongs_another_is_planned_at_its_pace_until_it_has_its_own(monkeypatch, places):
    monkeypatch.setattr(cost, "published_dir", lambda: places / "results")

    def planned() -> float:
        plan = cost.costs("main", SCALES["small-mlm"])["runs"]
        return next(run["seconds"] for run in plan if run["on"] == "tatoeba")

    own, before = Run("mlm > tatoeba", "small-mlm"), Run("tatoeba", "small")
    results.write(synthetic.row(before) | {"provenance": {"seconds": 60.0}})
    assert planned() == pytest.approx(60)
    results.write(synthetic.row(own) | {"provenance": {"seconds": 90.0}})
    assert planned() == pytest.approx(90)


@pytest.mark.parametrize(("spent", "took"), [({"training": 900.0}, True), ({}, False)])
def test_a_run_s_pace_counts_a_shared_training_where_it_was_made(monkeypatch, places, spent, took):
    monkeypatch.setattr(cost, "published_dir", lambda: places / "results")
    runs = [Run("xquad", "small"), Run("mlqa", "small")]  # the plan has their training in the first
    planned = {row["id"]: row["flops"] for row in cost.arithmetic(runs, SCALES["small"])}
    made = synthetic.row(runs[1]) | {"provenance": {"seconds": 1000.0, "spent": spent}}
    results.write(made)
    pace = next(pace for pace in cost.measured(runs, planned) if pace.spent)
    whole, scoring = (cost.flops_of(runs[1], trained) for trained in (True, False))
    assert pace.expected(runs[1]) == pytest.approx(1000 * scoring / whole if took else 1000)
    assert pace.expected(runs[0]) > pace.expected(runs[1])


def test_a_shared_training_is_counted_once():
    counted = set()
    both = [cost.train_tokens(Run(path=p, scale="micro"), counted) for p in ("xquad", "mlqa", "bucc")]
    assert both[0] > 0 and both[1:] == [0, 0]


def test_a_stage_costs_the_steps_that_its_task_takes():
    usual, longer = (cost.train_tokens(Run(path="mlm", scale=s), set()) for s in ("small", "small-mlm"))
    assert (usual, longer) == (400 * 16 * 128, 2480 * 16 * 128)


def test_a_joint_stage_costs_its_tasks_the_largest_batch_of_theirs():
    alone = {task: cost.train_tokens(Run(path=task, scale="small"), set()) for task in ("mnli", "squad1")}
    joint = cost.tokens_by_task(Run(path="mnli+squad1", scale="small"))
    assert {task.name: n for task, n in joint.items()} == alone | {"squad1": 4 * alone["squad1"]}
    halved = cost.train_tokens(Run(path="mnli+squad1", scale="small", steps="single"), set())
    assert 2 * halved == sum(joint.values())
    nine = Run("+".join(INTERMEDIATES), "micro", steps="single")  # of 200 steps each takes 22.2
    assert cost.train_tokens(nine, set()) >= 200 * 16 * 96


def test_bigger_scales_cost_more():
    hours = [cost.costs("main", SCALES[s])["gpu_hours"] for s in ("smoke", "micro", "base", "paper")]
    assert hours == sorted(hours)


def test_claims_have_the_fixed_keys(capsys):
    rows = told(capsys, "claims", "--scale", "micro", "--json")
    assert [r["number"] for r in rows] == list(range(1, 23))
    assert all(list(r) == KEYS for r in rows)


def test_data_of_a_few_tasks_is_told_alone(capsys):
    rows = told(capsys, "data", "snli", "xnli", "--scale", "small", "--json")
    assert {row["task"] for row in rows} == {"snli", "xnli"}


@pytest.mark.parametrize("scale", ["micro", "small"])
def test_data_has_the_fixed_keys(capsys, scale):
    rows = told(capsys, "data", "--scale", scale, "--json")
    keys = "task split source revision expected_rows rows sha256 stand_in licence state".split()
    assert all(set(r) == set(keys) for r in rows) and {r["task"] for r in rows} == set(
        MICRO.tasks if scale == "micro" else REAL_TASKS
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run xnil", "no task 'xnil'"),
        ("run mnli>", "no task ''"),
        ("run xnli>mnli", "must come last"),
        ("run xnli --scale huge", "no scale 'huge'; known: smoke"),
        ("run xnli --colour red", "--colour"),
        ("run xnli --seed one", "invalid int value"),
        ("run xnli --seed=-1", "seed=-1"),
        ("run xnli --method magic", "method='magic'"),
        ("run xnli --lang zz", "lang='zz'"),
        ("run xnli --scale base", "set XIT_MIRROR"),
        ("plan --study none", "no study 'none'"),
        ("study main --scale huge", "no scale 'huge'"),
        ("study --cores 0", "--cores: got '0'"),
        ("study --profile nope", "--profile nope: no config.yaml there"),
        ("run xnli --seed 18446744073709551616", "a whole number from 1 to"),
        ("run xnli --size 18446744073709551616", "a whole number from 0 to"),
        ("bench train --steps=-1", "allowed: a whole number, 1 or more"),
        ("study --budget 0", "--budget 0; allowed: more than 0"),
        ("study --budget nan", "--budget nan"),
        ("study --direct --profile slurm", "--profile goes with neither"),
        ("study --direct --scale base", "set XIT_MIRROR"),
        ("results merge nowhere", "no folder nowhere"),
        ("results split .", "invalid choice: 'split'"),
        ("study --scale base", "set XIT_MIRROR"),
        ("claims --scale huge", "no scale 'huge'"),
        ("data --scale huge", "no scale 'huge'"),
        ("data nope --scale small", "no task 'nope'"),
        ("data xcopa --scale micro", "scale 'micro' reads no xcopa; take another"),
        ("data mnli --prune", "got mnli; --pack and --prune take no tasks"),
        ("dance", "dance"),
        ("", "COMMAND"),
        ("run", "the following arguments are required: path"),
        ("run mnli>>xnli", "no task ''"),
        ("run mnli>xnli>pawsx", "must come last"),
        ("run mnli+mnli", "mnli"),
        ("run xnli,", "no task ''"),
        ("run ../xnli", "no task '../xnli'"),
        ("run xnli --scale ../micro", "no scale '../micro'"),
        ("run xnli --scale=", "no scale ''"),
        ("run pretrained>xnli", "pretrained"),
        ("run xnli --seed", "--seed"),
        ("run xnli --seed 1.5", "invalid int value: '1.5'"),
        ("run xnli --size=-3", "size=-3"),
        ("run xnli --steps many", "steps='many'"),
        ("run xnli --model nowhere", "nowhere"),
        ("run xnli --model a/b@main", "a/b@main"),
        ("run analysis --scale huge", "no scale 'huge'"),
        ("plan --scale", "--scale"),
        ("plan extra", "extra"),
        ("study none", "no study 'none'"),
        ("study --cores 1.5", "--cores: got '1.5'"),
        ("study --cores -1", "--cores"),
        ("study --seeds 0", "--seeds: got '0'"),
        ("study --budget soon", "invalid float value: 'soon'"),
        ("study --budget -5", "--budget"),
        ("study --budget=-inf", "--budget -inf"),
        ("study --profile=", "it is empty"),
        ("study --scale smoke --resources mem_mb", "--resources mem_mb; allowed: name=value"),
        ("study --scale smoke --resources $(x)=1", "--resources $(x)=1; allowed"),
        ("study --model=", "it is empty"),
        ("study --scale smoke --model nowhere", "nowhere"),
        ("study --direct --profile=", "it is empty"),
        ("results", "action"),
        ("results merge", "name the folder"),
        ("results merge . --scale micro", "name the folder"),
        ("results publish .", "no folder is needed"),
        ("results publish --study none", "no study 'none'"),
        ("claims --json=yes", "--json"),
        ("questions --scale huge", "no scale 'huge'"),
        ("compare one", "LEDGER"),
        ("compare nowhere neither", "nowhere"),
        ("compare . . --label x", "--label x"),
        ("simulate --ledgers 0", "--ledgers: got '0'"),
        ("simulate --cores two", "--cores: got 'two'"),
        ("data --prune 0", "--prune: got '0'"),
        ("data --most=-1", "--most: got '-1'"),
        ("data --pack=", "it is empty"),
        ("score", "--submission"),
        ("score --submission nowhere --gold nowhere", "nowhere"),
        ("score --submission . --gold . --benchmark glue", "glue"),
        ("export none --to x", "none"),
        ("export", "RUN"),
        ("bench", "what"),
        ("bench speed", "invalid choice: 'speed'"),
        ("bench train --rows 5", "xit bench train has no --rows"),
        ("bench paper --keep", "xit bench paper has no --keep"),
        ("bench retrieval --dims 0", "--dims: got '0'"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(capsys, words, said):
    assert said in refused(capsys, *words.split())


def test_a_mirror_that_is_none_is_named(capsys, places, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", str(places / "nowhere"))
    assert "nowhere" in refused(capsys, "run", "xnli", "--scale", "base")


def test_a_results_folder_that_cannot_be_written_stops_before_the_work(capsys, places, monkeypatch):
    (places / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(places / "file"))
    assert "cannot write" in refused(capsys, "run", "xnli")
    assert "the ledger cannot be read" in refused(capsys, "study", "--scale", "smoke")


def test_a_corrupt_checkpoint_is_named_and_nothing_is_lost(places):
    weights = places / "runs/smoke" / Run(path="mnli").id / "model.safetensors"
    checkpoints.write_model(origins.start(SCALES["smoke"]), weights.parent)
    weights.write_bytes(cut := weights.read_bytes()[:100])
    status, out, err = xit("run", "mnli > xnli")
    assert status == 2 and out == "" and err.count("\n") == 1 and "damaged checkpoint" in err
    assert weights.read_bytes() == cut and not list(places.glob("results/smoke/*.json"))
    assert not job_of("mnli > xnli").output.exists()


def test_help_loads_nothing_big():
    status, out, _ = xit("--help")
    assert status == 0 and "study" in out
    code = (
        "import sys, xit_core.cli as c; c.parser(); print([m for m in ('torch', 'pandas') if m in "
        "sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_study_is_a_graph_in_which_parents_come_first(places):
    jobs = jobs_of(workflow.studies.runs("main", SCALES["smoke"])) + [job_of("analysis", scale="smoke")]
    plan = workflow.graph(jobs, Clock())
    needs = {j["id"]: set(j["needs"]) for j in plan["jobs"]}
    assert needs["analysis"] == set(needs) - {"analysis"}
    stage = next(i for i in needs if i.startswith("mnli-s1"))
    assert stage in needs[next(i for i in needs if i.startswith("mnli.targets-s1"))]
    assert all("xit_core.run.asked run" in j["command"] for j in plan["jobs"])


def test_a_run_waits_for_no_other_seeds_start():
    random = {"scale": "smoke", "model": "random"}
    jobs = [job_of("pretrained", seed=2, **random), job_of("tatoeba", seed=1, **random)]
    assert [job["needs"] for job in workflow.graph(jobs, Clock())["jobs"]] == [[], []]


TINY = """
import signal, sys
# ignored where the tests run in the background of a script
signal.signal(signal.SIGINT, signal.default_int_handler)
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
studies.STUDIES["tiny"] = lambda scale: [Run("pretrained"), Run("xnli")]
sys.exit(cli.main(["study", "tiny", "--scale", "smoke"]))
"""


def test_a_study_stops_resumes_and_then_has_nothing_to_do(places):
    command = [sys.executable, "-c", TINY]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (first := list(places.glob("results/smoke/*.json"))):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130 and b"resumes" in child.stderr.read()
    stamp = first[0].stat().st_mtime_ns
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert job_of("xnli").done and job_of("analysis").done
    assert first[0].stat().st_mtime_ns == stamp
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "nothing to do" in done.stdout
    status, out, err = xit("run", "xnli", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == [results.read(Run("xnli"))]


def test_a_study_that_a_mistake_stops_says_the_mistake(places):
    mistake = "xit: no such thing; do this\n"
    job = job_of("xnli")
    job.log.parent.mkdir(parents=True)
    for said, error in (
        (mistake, Bad),
        ("xit failed: 1 / 0\n", Failed),
        (f"{mistake}note: 2 files are not read\n", Bad),
    ):
        job.log.write_text(said)
        with pytest.raises(error, match="^(1 / 0|no such thing; do this); 1 of 1"):
            workflow.report([job], Clock())


def test_a_number_of_a_reduced_scale_is_never_printed_without_its_note(capsys):
    assert cli.main(["claims", "--scale", "small"]) == 0
    assert capsys.readouterr().out.endswith(f"small: {SCALES['small'].note}\n")
    assert cli.main(["claims", "--scale", "paper"]) == 0
    assert "paper:" not in capsys.readouterr().out


def test_every_scale_can_be_planned(capsys):
    for scale in SCALES:
        assert told(capsys, "plan", "--scale", scale, "--json")["runs"]
