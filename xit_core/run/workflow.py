"""A study as a graph of notebooks, and Snakemake to execute what is missing."""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tqdm import tqdm

from ..design import studies
from ..design.scales import PIVOT, Scale
from ..ledger import results
from ..machine.errors import Bad
from ..machine.locks import Owned, Unlockable, locked
from ..machine.places import PARTS, executed_dir, runs_dir
from ..report.cost import parents
from . import launch
from .clock import GRACE, Clock

# -- the work ------------------------------------------------------------------------------------------------


def run_study(
    study: str, scale: Scale, cores: int, profile: str | None = None, budget: float | None = None
) -> None:
    """Execute what is missing of a study, then the analysis; of the former only what ends within the budget
    (seconds).

    Raises: Bad before anything starts, or for a user's mistake that stopped a notebook; Failed when another
    one failed (the others still ran).
    """
    clock = Clock.of(study, scale, budget)
    every = launch.jobs(studies.runs(study, scale))
    analysis = launch.job(launch.ANALYSIS, scale=scale)
    pending = [j for j in every if not j.done and not j.published]  # few notebooks of published rows are kept
    if (
        not pending
        and analysis.done
        and analysis.output.stat().st_mtime >= max(p.stat().st_mtime for j in every for p in j.rows)
    ):
        print(f"{state(study, scale)}; nothing to do")
        return
    pending.append(analysis)
    launch.check_places(pending[0])
    launch.export_environment()
    logs = runs_dir() / "logs" / scale.name
    logs.mkdir(parents=True, exist_ok=True)
    with study_lock(scale) as lock:
        for j in pending:
            (logs / f"{j.id}.log").unlink(missing_ok=True)  # of an earlier attempt
        analysis.output.unlink(missing_ok=True)
        snakemake(pending, logs, cores, profile, lock, clock)
    if not report(pending, logs, clock):
        print(state(study, scale, sum(not j.done for j in pending)))


def study_lock(scale: Scale) -> IO | Owned:
    """The lock of a scale's study. Raises: Bad when another process has it."""
    path = runs_dir() / f"{scale.name}.lock"
    try:
        lock = locked(path)
    except Unlockable:
        return Owned(path.with_suffix(".owner"))
    if not lock:
        raise Bad(f"a study at scale {scale.name!r} is running already in {runs_dir()}; wait for it")
    return lock


def state(study: str, scale: Scale, notebooks: int = 0) -> str:
    """One line: how much of a study is done; `notebooks`: how many are still to be executed."""
    runs = studies.runs(study, scale)
    done = sum(map(results.finished, runs))
    if done == len(runs) and not notebooks:
        return f"{study} at {scale.name}: all {done} runs are finished"
    left = f", {notebooks} notebooks are missing" if notebooks else ""
    return f"{study} at {scale.name}: {done} of {len(runs)} runs are finished{left}; the same command resumes"


def snakemake(
    pending: list[launch.Job], logs: Path, cores: int, profile: str | None, lock: IO | Owned, clock: Clock
) -> None:  # fmt: skip
    """Run jobs in the order of the plan, parents first, with a progress bar; on an interrupt or in the end
    stop all of them.
    """
    work = workplace(pending[0].scale, logs)
    (work / "plan.json").write_text(json.dumps(graph(pending, clock), indent=1), encoding="utf-8")
    command = command_line(work, cores, profile)
    env = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    env |= {"XDG_CACHE_HOME": str(work / "cache")}  # where there is no home, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = [file for j in pending for file in (j.rows or [j.output])]
    often = 1 if sys.stderr.isatty() else 30
    held = [lock.fileno()] if hasattr(lock, "fileno") else []
    with (
        open(logs / "snakemake.log", "w", encoding="utf-8") as log,
        tqdm(total=len(files), unit="run", mininterval=often, disable=False) as bar,
    ):
        # its own session, so that one signal reaches every process; it inherits the lock in case this process
        # is killed
        child = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, pass_fds=held, env=env
        )
        try:
            while child.returncode is None and time.time() < clock.end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
                bar.update(sum(file.is_file() for file in files) - bar.n)
        finally:
            stop(child, GRACE / 2 if clock.end < math.inf else None)


def command_line(work: Path, cores: int, profile: str | None) -> list[str]:
    """Snakemake on the plan in its working folder, deaf to a person's own profiles."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PARTS / "Snakefile"), "--directory"]
    command += [str(work), "--cores", str(cores), "--forceall", "--keep-going", "--nolock"]
    command += ["--rerun-incomplete", "--quiet", "all", "--workflow-profile", "none", "--profile"]
    return [*command, os.path.abspath(profile) if profile else "none", "--config", "plan=plan.json"]


def workplace(scale: Scale, logs: Path) -> Path:
    """Snakemake's working folder for a scale, with links to where executed notebooks and logs go."""
    work = runs_dir() / "snakemake" / scale.name
    work.mkdir(parents=True, exist_ok=True)
    for name, folder in {"executed": executed_dir() / scale.name, "logs": logs}.items():
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
    """The plan as plain data: what the Snakefile reads, and what another scheduler could. Outputs are
    relative to `workplace`.
    """
    planned = {r.id: r for j in pending for r in j.runs}
    home = {r.id: j.id for j in pending for r in j.runs}
    # what the analysis waits for; few have translations
    whole = [i for i, r in planned.items() if r.lang == PIVOT]
    told = []
    for j in pending:
        starts = [p for r in j.runs for p in parents(r, planned)] if j.runs else whole
        given = [f"--{k}={v}" for k, v in j.parameters.items() if k != "path"]
        # who stops it waits for it
        command = "exec " + shlex.join([sys.executable, "-m", "xit_core.cli", "run", j.path, *given])
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
    files = [
        file for file in (*(logs / f"{j.id}.log" for j in failed), logs / "snakemake.log") if file.is_file()
    ]
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in files
        if file.stat().st_mtime < clock.end
    ]
    told = [lines[-1] for text in texts if (lines := text.strip().splitlines())]
    over = any(clock.latest(j.runs) <= time.time() for j in failed)
    if over and not any(
        line.startswith("xit") for line in told
    ):  # what was not started, or was stopped, gave no reason
        return False
    reason = next(iter(told), "Snakemake ended before it started one, without a word; see its own log there")
    kind = Bad if reason.startswith("xit: ") else launch.Failed  # as `xit run` says a user's mistake
    said = f"{len(failed)} of {len(pending)} notebooks are missing, the others are kept: run again to resume"
    raise kind(f"{reason.removeprefix('xit: ').removeprefix('xit failed: ')}; {said}; logs: {logs}")
