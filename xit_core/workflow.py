"""A study as a graph of notebooks: what it costs, what of it is done, and Snakemake to do the rest."""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from tqdm import tqdm

from . import launch, results, studies
from .config import ROOT, Bad, Run, executed_dir, runs_dir
from .config import scale as scale_of
from .inventory import rows_of
from .tasks import TASKS, languages

SHAPES = {"FacebookAI/xlm-roberta-base": (12, 768), "FacebookAI/xlm-roberta-large": (24, 1024)}  # layers, hidden
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
            "parents": parents(r, planned), "done": results.place(r).is_file(),
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
        total += steps * (s.batch or task.batch) * s.max_len
    return total


def eval_tokens(run: Run) -> int:
    """Tokens (at most) that scoring reads; every run but a target's is scored on Tatoeba."""
    s = scale_of(run.scale)
    task = TASKS[run.on if run.phase == 3 else "tatoeba"]
    texts = 2 if task.kind == "retrieve" else 1
    rows = (min(rows_of(task, task.validation, x) or 1000, s.eval_rows or 10**9) for x in languages(task.name, s))
    return texts * s.max_len * sum(rows)


def run_study(study: str, scale_name: str, cores: int, profile: str | None = None) -> None:
    """Execute what is missing of a study, then the analysis.

    Raises: Bad before anything starts, or for a user's mistake that stopped a notebook; Failed when another one failed
    (the others still ran).
    """
    every = launch.jobs(studies.runs(study, scale_name))
    analysis = launch.job(launch.ANALYSIS, scale=scale_name)
    pending = [j for j in every if not j.done]
    if not pending and analysis.done and analysis.output.stat().st_mtime >= max(p.stat().st_mtime for j in every for p in j.rows):
        print(f"{study} at {scale_name}: all {sum(len(j.runs) for j in every)} runs are finished; nothing to do")
        return
    pending.append(analysis)
    launch.prepare(pending[0])
    launch.settle()
    logs = runs_dir() / "logs" / scale_name
    logs.mkdir(parents=True, exist_ok=True)
    lock = launch.locked(runs_dir() / f"{scale_name}.lock")
    if not lock:
        raise Bad(f"a study at scale {scale_name!r} is running already in {runs_dir()}; wait for it")
    with lock:
        analysis.output.unlink(missing_ok=True)
        snakemake(pending, logs, cores, profile, lock)
    report(pending, logs)


def snakemake(pending: list[launch.Job], logs: Path, cores: int, profile: str | None, lock: IO) -> None:
    """Run jobs in the order that their parents demand, with a progress bar; on an interrupt stop all of them."""
    work = runs_dir() / "snakemake"
    work.mkdir(exist_ok=True)
    plan = work / f"{pending[0].scale}.json"
    plan.write_text(json.dumps(graph(pending, logs), indent=1))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    command += ["--cores", str(cores), "--forceall", "--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    command += ["--profile", os.path.abspath(profile)] if profile else []
    command += ["--config", f"plan={plan}"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = [file for j in pending for file in (j.rows or [j.output])]
    shown = {"total": len(files), "unit": "run", "mininterval": 1 if sys.stderr.isatty() else 30, "disable": False}
    with open(logs / "snakemake.log", "w") as log, tqdm(**shown) as bar:
        # its own session, so that one signal reaches every process; it inherits the lock in case this process is killed
        child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, pass_fds=[lock.fileno()])
        try:
            while child.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
                bar.update(sum(file.is_file() for file in files) - bar.n)
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise


def graph(pending: list[launch.Job], logs: Path) -> dict:
    """The plan as plain data: what the Snakefile reads, and what another scheduler could."""
    planned = {r.id: r for j in pending for r in j.runs}
    home = {r.id: j.id for j in pending for r in j.runs}
    told = []
    for j in pending:
        starts = [p for r in j.runs for p in parents(r, planned)] if j.runs else home  # the analysis needs everything
        given = [f"--{k}={v}" for k, v in j.parameters.items() if k != "path"]
        command = shlex.join([sys.executable, "-m", "xit_core.cli", "run", j.path, *given])
        needs = sorted({home[p] for p in starts})
        told.append({"id": j.id, "output": str(j.output.absolute()), "needs": needs, "command": command})
    return {"executed": str(executed_dir().absolute() / pending[0].scale), "logs": str(logs), "jobs": told}


def report(pending: list[launch.Job], logs: Path) -> None:
    """Say what was done.

    Raises: Bad or Failed, as the first notebook that is missing said, else as Snakemake did.
    """
    failed = [j for j in pending if not j.done]
    if not failed:
        print(f"{len(pending)} notebooks executed; {pending[-1].output}")
        return
    files = [file for file in (*(logs / f"{j.id}.log" for j in failed), logs / "snakemake.log") if file.is_file()]
    reason = next((lines[-1] for file in files if (lines := file.read_text().strip().splitlines())), "no reason given")
    kind = Bad if reason.startswith("xit: ") else launch.Failed  # as `xit run` says a user's mistake
    said = f"{len(failed)} of {len(pending)} notebooks are missing, the others are kept: run again to resume"
    raise kind(f"{reason.removeprefix('xit: ')}; {said}; logs: {logs}")
