"""A study as a graph of notebooks: what it costs, what of it is done, and Snakemake to do the rest."""

import contextlib
import fcntl
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from . import launch, results, studies
from .config import ROOT, Bad, Run, executed_dir, runs_dir
from .config import scale as scale_of
from .inventory import rows_of
from .tasks import TASKS, Task, languages

SHAPES = {"FacebookAI/xlm-roberta-base": (12, 768), "FacebookAI/xlm-roberta-large": (24, 1024)}  # layers, hidden
GPU = 2.6e14  # FLOP/s kept up in practice: a third of one H200's 790 TFLOP/s in bf16


def costs(study: str, scale_name: str) -> dict:
    """The runs of a study with parents, state and estimated cost: tokens read, and FLOP of the encoder's layers.

    A training that several runs share is counted at the first of them.
    """
    runs = studies.runs(study, scale_name)
    planned, counted = {r.id: r for r in runs}, set()
    told = []
    for r in runs:
        trained, read = train_tokens(r, counted), eval_tokens(r)
        told.append({
            "id": r.id, "path": r.path, "on": r.on, "seed": r.seed,
            "parents": parents(r, planned), "done": results.place(r).is_file(),
            "tokens": trained + read, "flops": 2 * parameters(r) * (3 * trained + read),
        })  # fmt: skip
    return {"runs": told, "gpu_hours": sum(r["flops"] for r in told if not r["done"]) / GPU / 3600}


def parents(run: Run, planned: dict[str, Run]) -> list[str]:
    """Ids of the planned runs that this one starts from; every seed starts from the one pretrained encoder."""
    first = run.parent
    if not first or first.id in planned:
        return [first.id] if first else []
    return [i for i, r in planned.items() if r.phase == first.phase == 1 and r.model == first.model]


def parameters(run: Run) -> int:
    """Weights of the encoder's layers (the embeddings cost no multiplication)."""
    s = scale_of(run.scale)
    made = (s.pretraining.layers, s.pretraining.hidden) if s.pretraining else (0, 0)
    layers, hidden = SHAPES.get(s.encoder, made)
    return 12 * layers * hidden**2


def train_tokens(run: Run, counted: set) -> int:
    """Tokens (at most) of the run's last stage; 0 if it trains nothing or `counted` holds that training."""
    s = scale_of(run.scale)
    names = run.stages[-1] if run.phase == 2 else (TASKS[run.on].train_on,) if run.phase == 3 else ()
    key = (run.source, names, run.seed, run.model, run.method, run.lang, run.size)
    if not any(names) or key in counted:
        return 0
    counted.add(key)
    fixed, cap = (s.stage_steps, run.size or s.stage_rows) if run.phase == 2 else (s.steps, s.rows)
    return sum((fixed or steps(TASKS[n], cap)) * (s.batch or TASKS[n].batch) for n in names) * s.max_len


def steps(task: Task, cap: int) -> int:
    """Optimiser steps of the task's epochs over its English rows, at most `cap` of them (0: all)."""
    rows = rows_of(task, task.train) or cap
    return math.ceil((min(rows, cap) if cap else rows) * task.epochs / task.batch)


def eval_tokens(run: Run) -> int:
    """Tokens (at most) that scoring reads; every run but a target's is scored on Tatoeba."""
    s = scale_of(run.scale)
    task = TASKS[run.on if run.phase == 3 else "tatoeba"]
    texts = 2 if task.kind == "retrieve" else 1
    rows = (min(rows_of(task, task.validation, x) or 1000, s.eval_rows or 10**9) for x in languages(task.name, s))
    return texts * s.max_len * sum(rows)


def run_study(study: str, scale_name: str, cores: int, profile: str | None = None) -> None:
    """Execute what is missing of a study, then the analysis.

    Raises: Bad for a user's mistake; Failed when a notebook failed (the others still ran).
    """
    every = launch.jobs(studies.runs(study, scale_name))
    analysis = launch.job(launch.ANALYSIS, scale=scale_name)
    pending = [j for j in every if not j.done]
    if not pending and fresh(analysis, every):
        print(f"{study} at {scale_name}: all {sum(len(j.runs) for j in every)} runs are finished; nothing to do")
        return
    pending.append(analysis)
    launch.prepare(pending[0])
    launch.settle()
    logs = runs_dir().absolute() / "logs" / scale_name
    logs.mkdir(parents=True, exist_ok=True)
    analysis.output.unlink(missing_ok=True)
    with alone(scale_name) as lock:
        snakemake(pending, logs, cores, profile, lock)
    report(pending, logs)


def fresh(analysis: launch.Job, every: list[launch.Job]) -> bool:
    """Is the analysis younger than every row of the ledger that it reads?"""
    return analysis.done and analysis.output.stat().st_mtime >= max(p.stat().st_mtime for j in every for p in j.rows)


@contextlib.contextmanager
def alone(scale_name: str) -> Iterator[IO]:
    """Hold the lock of a scale, so that two studies do not do the same work; it is freed when the process dies."""
    with open(runs_dir() / f"{scale_name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Bad(f"a study at scale {scale_name!r} is running already in {runs_dir()}; wait for it") from None
        yield lock


def snakemake(pending: list[launch.Job], logs: Path, cores: int, profile: str | None, lock: IO) -> None:
    """Run jobs in the order that their parents demand, with a progress bar; on an interrupt stop all of them."""
    work = runs_dir().absolute() / "snakemake"
    work.mkdir(exist_ok=True)
    plan = work / f"{pending[0].scale}.json"
    plan.write_text(json.dumps(graph(pending, logs), indent=1))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    command += ["--cores", str(cores), "--forceall", "--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    command += ["--profile", os.path.abspath(profile)] if profile else []
    command += ["--config", f"plan={plan}"]
    signal.signal(signal.SIGTERM, _interrupt)
    with open(logs / "snakemake.log", "w") as log:
        # its own session, so that one signal reaches every process; it inherits the lock in case this process is killed
        child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, pass_fds=[lock.fileno()])
        try:
            watch(child, pending)
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def graph(pending: list[launch.Job], logs: Path) -> dict:
    """The plan as plain data: what the Snakefile reads, and what another scheduler could."""
    planned = {r.id: r for j in pending for r in j.runs}
    home = {r.id: j.id for j in pending for r in j.runs}
    told = []
    for j in pending:
        starts = [p for r in j.runs for p in parents(r, planned)] if j.runs else home  # the analysis needs everything
        needs = sorted({home[p] for p in starts})
        told.append({"id": j.id, "output": str(j.output.absolute()), "needs": needs, "command": command(j)})
    return {"executed": str(executed_dir().absolute() / pending[0].scale), "logs": str(logs), "jobs": told}


def command(job: launch.Job) -> str:
    """The shell command that does one job."""
    given = [f"--{k}={v}" for k, v in job.parameters.items() if k != "path"]
    return shlex.join([sys.executable, "-m", "xit_core.cli", "run", job.path, *given])


def watch(child: subprocess.Popen, pending: list[launch.Job]) -> None:
    """Count finished runs in the ledger on a progress bar until Snakemake ends."""
    from tqdm import tqdm

    waiting = {p: p.stem for j in pending for p in (j.rows or [j.output])}
    every = 1 if sys.stderr.isatty() else 30
    with tqdm(total=len(waiting), unit="run", smoothing=0.1, mininterval=every, disable=False) as bar:
        while True:
            ended = child.poll() is not None
            for path in [p for p in waiting if p.is_file()]:
                bar.set_postfix_str(waiting.pop(path), refresh=False)
                bar.update()
            if ended:
                return
            time.sleep(0.5)


def report(pending: list[launch.Job], logs: Path) -> None:
    """Say what was done.

    Raises: Failed with the reason of the first failure, when something is missing.
    """
    failed = [j for j in pending if not j.done]
    if not failed:
        print(f"{len(pending)} notebooks executed; {pending[-1].output}")
        return
    told = [p for p in (logs / f"{j.id}.log" for j in failed) if p.is_file() and p.read_text().strip()]
    reason = (told[0] if told else logs / "snakemake.log").read_text().strip().splitlines()[-1:]
    said = f"{len(failed)} of {len(pending)} notebooks are missing, the others are kept; run again to resume"
    raise launch.Failed(f"{said}; {' '.join(reason)}; logs: {logs}")
