"""A study as a graph of notebooks: what it costs, what of it is done, and Snakemake (or this process) to do the rest."""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tqdm import tqdm

from . import launch, results, studies
from .config import PARTS, PIVOT, Bad, Run, executed_dir, runs_dir
from .config import scale as scale_of
from .inventory import rows_of
from .locks import Owned, Unlockable, locked
from .tasks import TASKS, languages

SHAPES = {"FacebookAI/xlm-roberta-base": (12, 768), "FacebookAI/xlm-roberta-large": (24, 1024)}  # layers, hidden
GRACE = 10.0  # seconds at the end of a budget to stop what runs
FOREVER = 1e9  # seconds; a longer budget is none
CARE = 1.2  # a run may take this many times what is expected of it
GPU = 2.6e14  # FLOP/s kept up in practice: a third of one H200's 790 TFLOP/s in bf16


def costs(study: str, scale_name: str) -> dict:
    """The runs of a study with parents, state and estimated cost: tokens read, and FLOP of the encoder's layers."""
    runs, s = studies.runs(study, scale_name), scale_of(scale_name)
    layers, hidden = (s.pretraining.layers, s.pretraining.hidden) if s.pretraining else SHAPES.get(s.encoder, (0, 0))
    weights = 12 * layers * hidden**2  # the embeddings cost no multiplication
    planned, counted, told = {r.id: r for r in runs}, set(), []
    for r in runs:
        trained, read = train_tokens(r, counted), eval_tokens(r)
        told.append({
            "id": r.id, "path": r.path, "on": r.on, "seed": r.seed,
            "parents": parents(r, planned), "done": results.finished(r),
            "tokens": trained + read, "flops": 2 * weights * (3 * trained + read),
        })  # fmt: skip
    return {"runs": told, "gpu_hours": sum(r["flops"] for r in told if not r["done"]) / GPU / 3600}


def parents(run: Run, planned: dict[str, Run]) -> list[str]:
    """Ids of the planned runs that this one starts from; every seed starts from the one pretrained encoder."""
    first = run.parent
    if not first or first.id in planned:
        return [first.id] if first else []
    return [i for i, r in planned.items() if r.phase == first.phase == 1 and r.model == first.model]


def train_tokens(run: Run, counted: set) -> int:
    """Tokens (at most) of the run's last stage; 0 if it trains nothing or `counted` holds that training already."""
    s = scale_of(run.scale)
    names = run.stages[-1] if run.phase == 2 else (TASKS[run.on].train_on,) if run.phase == 3 else ()
    key = (run.source, names, run.seed, run.model, run.method, run.lang, run.size)
    if not any(names) or key in counted:
        return 0
    counted.add(key)
    fixed, cap = (s.stage_steps, run.size or s.stage_rows) if run.phase == 2 else (s.steps, s.rows)
    total = 0
    for task in map(TASKS.get, names):
        rows = rows_of(task, task.train) or cap
        steps = fixed or math.ceil(min(rows, cap or rows) * task.epochs / task.batch)
        total += steps * (s.batch or task.batch) * s.longest(task.kind)
    return total


def eval_tokens(run: Run) -> int:
    """Tokens (at most) that scoring reads; every run but a target's is scored on Tatoeba."""
    s = scale_of(run.scale)
    task = TASKS[run.on if run.phase == 3 else "tatoeba"]
    texts = 2 if task.kind == "retrieve" else 1
    rows = (min(rows_of(task, task.validation, x) or 1000, s.eval_rows or 10**9) for x in languages(task.name, s))
    return texts * s.longest(task.kind) * sum(rows)


# -- time --------------------------------------------------------------------------------------------------------------


class Over(BaseException):
    """The time is over; as an interrupt, nothing on the way may take it for a failure."""


@dataclass
class Clock:
    """When a study must end, and when a run must start to be expected to end before.

    A run is expected to take as long for its FLOP as those with the same target, or of the same phase, took here. One that is
    longer than all the time there is may start in its first tenth: what it trains resumes from its checkpoints.
    """

    end: float = math.inf  # seconds since the epoch
    span: float = math.inf  # seconds from the beginning to the end
    flops: dict[str, float] = field(default_factory=dict)  # by run id
    spent: dict[str | int, list[float]] = field(default_factory=dict)  # by target or phase: seconds and FLOP

    @classmethod
    def of(cls, study: str, scale_name: str, budget: float | None) -> "Clock":
        """The clock of a budget in seconds; it has learnt from the rows whose predictions are here, as they were made here."""
        if not budget or budget > FOREVER:
            return cls()
        span = budget - min(GRACE, budget / 5)
        clock = cls(time.time() + span, span)
        clock.flops = {r["id"]: r["flops"] for r in costs(study, scale_name)["runs"]}
        for run in studies.runs(study, scale_name):
            if results.kept(run) and results.finished(run) and (row := results.read(run)):
                clock.learn(run, row["provenance"].get("seconds", 0.0))
        return clock

    def learn(self, run: Run, seconds: float) -> None:
        like = self.spent.setdefault(run.on if run.phase == 3 else run.phase, [0.0, 0.0])
        like[0] += seconds
        like[1] += self.flops.get(run.id, 0.0)

    def latest(self, runs: Iterable[Run]) -> float:
        """When runs must have started, and with them the stages that have a row but no checkpoint here."""
        todo = [r for r in runs if not results.finished(r)]
        again = {r.parent for r in todo if r.parent and r.parent.phase == 2 and results.finished(r.parent)}
        todo += [r for r in again if not results.trained(r)]
        return self.end - min(CARE * sum(map(self.expected, todo)), 0.9 * self.span)

    def expected(self, run: Run) -> float:
        seconds, flops = self.spent.get(run.on if run.phase == 3 else run.phase, (0.0, 0.0))
        return seconds * self.flops.get(run.id, 0.0) / flops if flops else 0.0  # nothing like it was measured: it may start


@contextlib.contextmanager
def until(end: float) -> Iterator[None]:
    """End the block when the time has come, wherever it is then."""

    def ring(*_) -> None:
        raise Over

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(end - time.time(), 1e-3) if end < math.inf else 0)
    try:
        yield
    except Over:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- the work ----------------------------------------------------------------------------------------------------------


def run_study(study: str, scale_name: str, cores: int, profile: str | None = None, budget: float | None = None) -> None:
    """Execute what is missing of a study, then the analysis; of the former only what ends within the budget (seconds).

    Raises: Bad before anything starts, or for a user's mistake that stopped a notebook; Failed when another one failed
    (the others still ran).
    """
    clock = Clock.of(study, scale_name, budget)
    every = launch.jobs(studies.runs(study, scale_name))
    analysis = launch.job(launch.ANALYSIS, scale=scale_name)
    pending = [j for j in every if not j.done]
    if not pending and analysis.done and analysis.output.stat().st_mtime >= max(p.stat().st_mtime for j in every for p in j.rows):
        print(f"{state(study, scale_name)}; nothing to do")
        return
    pending.append(analysis)
    launch.prepare(pending[0])
    launch.settle()
    logs = runs_dir() / "logs" / scale_name
    logs.mkdir(parents=True, exist_ok=True)
    with alone(scale_name) as lock:
        for j in pending:
            (logs / f"{j.id}.log").unlink(missing_ok=True)  # of an earlier attempt
        analysis.output.unlink(missing_ok=True)
        snakemake(pending, logs, cores, profile, lock, clock)
    if not report(pending, logs, clock):
        print(state(study, scale_name, sum(not j.done for j in pending)))


def alone(scale_name: str) -> IO | Owned:
    """The lock of a scale's study. Raises: Bad when another process has it."""
    path = runs_dir() / f"{scale_name}.lock"
    try:
        lock = locked(path)
    except Unlockable:
        return Owned(path.with_suffix(".owner"))
    if not lock:
        raise Bad(f"a study at scale {scale_name!r} is running already in {runs_dir()}; wait for it")
    return lock


def state(study: str, scale_name: str, notebooks: int = 0) -> str:
    """One line: how much of a study is done; `notebooks`: how many are still to be executed."""
    runs = studies.runs(study, scale_name)
    done = sum(map(results.finished, runs))
    if done == len(runs) and not notebooks:
        return f"{study} at {scale_name}: all {done} runs are finished"
    left = f", {notebooks} notebooks are missing" if notebooks else ""
    return f"{study} at {scale_name}: {done} of {len(runs)} runs are finished{left}; the same command resumes"


def snakemake(
    pending: list[launch.Job], logs: Path, cores: int, profile: str | None, lock: IO | Owned, clock: Clock
) -> None:  # fmt: skip
    """Run jobs in the order of the plan, parents first, with a progress bar; on an interrupt or in the end stop all of them."""
    work = workplace(pending[0].scale, logs)
    (work / "plan.json").write_text(json.dumps(graph(pending, clock), indent=1), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PARTS / "Snakefile"), "--directory", str(work)]
    command += ["--cores", str(cores), "--forceall", "--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    command += ["--workflow-profile", "none", "--profile", os.path.abspath(profile) if profile else "none"]
    command += ["--config", "plan=plan.json"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    env |= {"XDG_CACHE_HOME": str(work / "cache")}  # where there is no home, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = [file for j in pending for file in (j.rows or [j.output])]
    shown = {"total": len(files), "unit": "run", "mininterval": 1 if sys.stderr.isatty() else 30, "disable": False}
    held = [lock.fileno()] if hasattr(lock, "fileno") else []
    with open(logs / "snakemake.log", "w", encoding="utf-8") as log, tqdm(**shown) as bar:
        # its own session, so that one signal reaches every process; it inherits the lock in case this process is killed
        child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, pass_fds=held, env=env)
        try:
            while child.returncode is None and time.time() < clock.end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
                bar.update(sum(file.is_file() for file in files) - bar.n)
        finally:
            stop(child, GRACE / 2 if clock.end < math.inf else None)


def workplace(scale_name: str, logs: Path) -> Path:
    """Snakemake's working folder for a scale, with links to where executed notebooks and logs go."""
    work = runs_dir() / "snakemake" / scale_name
    work.mkdir(parents=True, exist_ok=True)
    for name, folder in {"executed": executed_dir() / scale_name, "logs": logs}.items():
        (work / name).unlink(missing_ok=True)
        (work / name).symlink_to(folder.absolute(), target_is_directory=True)
    return work


def stop(child: subprocess.Popen, patience: float | None) -> None:
    """End what still runs of a process group: politely, and after so many seconds (None: never) not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if child.returncode is None:
            os.killpg(child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience)


def graph(pending: list[launch.Job], clock: Clock) -> dict:
    """The plan as plain data: what the Snakefile reads, and what another scheduler could. Outputs are relative to `workplace`."""
    planned = {r.id: r for j in pending for r in j.runs}
    home = {r.id: j.id for j in pending for r in j.runs}
    whole = [i for i, r in planned.items() if r.lang == PIVOT]  # what the analysis waits for; few have translations
    told = []
    for j in pending:
        starts = [p for r in j.runs for p in parents(r, planned)] if j.runs else whole
        given = [f"--{k}={v}" for k, v in j.parameters.items() if k != "path"]
        command = "exec " + shlex.join([sys.executable, "-m", "xit_core.cli", "run", j.path, *given])  # who stops it waits for it
        if (latest := clock.latest(j.runs)) < math.inf:
            command = f"test $(date +%s) -lt {math.ceil(latest)} && {command}"
        needs = sorted({home[p] for p in starts})
        told.append({"id": j.id, "output": f"executed/{j.output.name}", "needs": needs, "command": command})
    return {"jobs": told}


def report(pending: list[launch.Job], logs: Path, clock: Clock) -> bool:
    """Say what was done; False if the time was over before.

    Raises: Bad or Failed, as the first notebook that is missing said, else as Snakemake did.
    """
    failed = [j for j in pending if not j.done]
    if not failed:
        print(f"{len(pending)} notebooks executed; {pending[-1].output}")
        return True
    files = [file for file in (*(logs / f"{j.id}.log" for j in failed), logs / "snakemake.log") if file.is_file()]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.stat().st_mtime < clock.end]
    told = [lines[-1] for text in texts if (lines := text.strip().splitlines())]
    over = any(clock.latest(j.runs) <= time.time() for j in failed)
    if over and not any(line.startswith("xit") for line in told):  # what was not started, or was stopped, gave no reason
        return False
    reason = next(iter(told), "Snakemake ended before it started one, without a word; see its own log there")
    kind = Bad if reason.startswith("xit: ") else launch.Failed  # as `xit run` says a user's mistake
    said = f"{len(failed)} of {len(pending)} notebooks are missing, the others are kept: run again to resume"
    raise kind(f"{reason.removeprefix('xit: ').removeprefix('xit failed: ')}; {said}; logs: {logs}")


def run_direct(study: str, scale_name: str, budget: float | None = None) -> None:
    """Make the missing rows of a study in this process, in the order of the plan: needs neither papermill nor Snakemake.

    Notebooks can be executed from the rows later, anywhere. Raises: Bad or Failed, as `run_study`.
    """
    clock, broken = Clock.of(study, scale_name, budget), {}
    todo = launch.jobs([r for r in studies.runs(study, scale_name) if not results.finished(r)])
    if not todo:
        print(state(study, scale_name))
        return
    launch.prepare(todo[0])
    launch.settle()
    launch.lease()
    shown = {"total": sum(len(j.runs) for j in todo), "unit": "run", "mininterval": 1 if sys.stderr.isatty() else 30}
    with alone(scale_name), tqdm(**shown, disable=False) as bar, until(clock.end):
        for j in todo:
            for _ in made(j, clock, broken):
                bar.update()
    if broken:
        first = next(iter(broken.values()))
        said = f"{len(broken)} runs could not be made; {state(study, scale_name)}; logs: {runs_dir() / 'logs' / scale_name}"
        raise Bad(f"{first}; {said}") if isinstance(first, Bad) else launch.Failed(f"{type(first).__name__}: {first}; {said}")
    print(state(study, scale_name))


def made(job: launch.Job, clock: Clock, broken: dict[str, Exception]) -> Iterator[Run]:
    """Make the rows of a job one after the other, as its notebook would; `broken`: the runs that failed, and why."""
    from . import phases

    tuned: dict[int, dict] = {}
    for run in job.runs:
        if time.time() >= clock.latest([run]):
            raise Over
        if run.parent and (why := broken.get(run.parent.id)):
            broken[run.id] = why
            continue
        begin = time.time()
        try:
            if run.phase == 3:
                phases.target(run, tuned.setdefault(run.seed, {}))
            else:
                (phases.pretrained if run.phase == 1 else phases.intermediate)(run)
        except Exception as error:
            log = runs_dir() / "logs" / run.scale / f"{run.id}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
            broken[run.id] = error.with_traceback(None)  # which would keep the model
            continue
        clock.learn(run, time.time() - begin)
        yield run
