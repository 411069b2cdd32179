"""A study as a graph of notebooks, of which Snakemake executes the missing ones."""

import contextlib
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from tqdm import tqdm

from ..design import studies
from ..design.run import Run
from ..design.scales import PIVOT, Scale
from ..ledger import results
from ..machine.errors import NOTE, Bad, Failed
from ..machine.locks import Owned, Unlockable, locked
from ..machine.places import PARTS, executed_dir, logs_dir, results_dir, runs_dir
from . import asked, launch, leash, profiles, warm
from .clock import GRACE, Clock
from .jobs import ANALYSIS, Job, job_of, jobs_of
from .watch import Watch

WITHOUT_A_WORD = "Snakemake ended before it started one, without a word; see its own log there"

# -- the work ------------------------------------------------------------------------------------------------


def run_study(
    study: str,
    scale: Scale,
    cores: int | None = None,
    profile: str | None = None,
    budget: float | None = None,
    seeds: int = 0,
    resources: str = "",
    tidy: bool = False,
) -> None:
    """Execute the missing runs of a study, then the analysis.

    `study`: several with commas share what they train; the runs of the first come first.
    `cores`: runs at a time; None: as many as the profile's place allows. `budget`: seconds; a notebook is
    started if its first run is expected to end within it. `seeds`: only seeds up to this number; 0 = all.
    `resources`: what each job of a cluster asks for, besides what the plan says. `tidy`: delete checkpoints
    from which all runs of the study are finished.
    Raises: Bad before anything starts, or when a user's mistake stopped a notebook; Failed when a notebook
    failed for another reason. The other notebooks are still executed.
    """
    place = profiles.profile(profile)
    options = profiles.options(place, cores, resources)
    clock = Clock.of(study, scale, budget)
    runs = studies.runs(study, scale, seeds)
    planned = jobs_of(runs)
    analysis = job_of(ANALYSIS, scale=scale)
    # published rows often come without notebooks
    pending = in_turn([job for job in planned if not job.done and not job.published], study, scale, seeds)
    if not pending and is_newer(analysis, planned):
        print(f"{state(study, scale, seeds=seeds)}; nothing to do")
        return
    pending.append(analysis)
    launch.check_places(pending[0])
    launch.export_environment()
    logs_dir(scale.name).mkdir(parents=True, exist_ok=True)
    with study_lock(scale) as lock:
        for job in pending:
            remove_traces(job)
        plan = graph(pending, clock, None if place.here else profiles.needs(study, scale))
        seen = Watch(pending, tidier(runs) if tidy else lambda: None)
        snakemake(seen, plan, options, place.here, lock, clock)
    if not report(pending, clock):
        print(state(study, scale, sum(not job.done for job in pending), seeds))


def in_turn(jobs: list[Job], study: str, scale: Scale, seeds: int) -> list[Job]:
    """Jobs in their order; of several studies, those first that make a missing run of the first one."""
    first, *others = study.split(",")
    if not others:
        return jobs
    missing = {run for run in studies.runs(first, scale, seeds) if not results.finished(run)}
    return sorted(jobs, key=lambda job: missing.isdisjoint(job.runs))


def is_newer(analysis: Job, jobs: list[Job]) -> bool:
    """Whether the analysis is done and no row of the jobs came after it."""
    rows = (path.stat().st_mtime for job in jobs for path in job.rows)
    return analysis.done and analysis.output.stat().st_mtime >= max(rows)


def remove_traces(job: Job) -> None:
    """Delete what an earlier attempt left: its log, a notebook that is damaged or whose rows are gone, and
    the unfinished one of an attempt that was killed.
    """
    job.output.unlink(missing_ok=True)
    job.log.unlink(missing_ok=True)
    for part in job.output.parent.glob(f".{job.id}.*.partial.ipynb"):
        part.unlink(missing_ok=True)


def study_lock(scale: Scale) -> IO | Owned:
    """The lock for studies at a scale. Raises: Bad when another process has it."""
    path = runs_dir() / f"{scale.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = locked(path)
    except Unlockable:
        return Owned(path.with_suffix(".owner"))
    if not lock:
        raise Bad(f"a study at scale {scale.name!r} is running already in {runs_dir()}; wait for it")
    return lock


def state(study: str, scale: Scale, notebooks: int = 0, seeds: int = 0) -> str:
    """One line that says how much of a study is done. `notebooks`: how many are still to be executed."""
    runs = studies.runs(study, scale, seeds)
    done = sum(map(results.finished, runs))
    if done == len(runs) and not notebooks:
        return f"{study} at {scale.name}: all {done} runs are finished"
    left = f", {notebooks} notebooks are missing" if notebooks else ""
    return f"{study} at {scale.name}: {done} of {len(runs)} runs are finished{left}; the same command resumes"


def snakemake(
    seen: Watch, plan: dict, options: list[str], here: bool, lock: IO | Owned, clock: Clock
) -> None:
    """Run jobs in the order of the plan, parents first, and show how far they are.

    `here`: on this machine, where kernels can be forked.

    All child processes are stopped at the end, on an interrupt, and when the time is over.
    """
    scale = seen.jobs[0].scale
    work, logs = workplace(scale), logs_dir(scale.name)
    (work / "plan.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")
    command = command_line(work, options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    descriptors = [lock.fileno()] if hasattr(lock, "fileno") else []
    with (
        open(logs / "snakemake.log", "w", encoding="utf-8") as log,
        open(logs / "kernels.log", "w", encoding="utf-8") as loading,
        warm.ready(loading if scale.together and here else None) as leads,
    ):
        # its own session, so that one signal reaches every process; it inherits the lock, which is free when
        # all of them have ended, also if this process is killed
        child = subprocess.Popen(
            [sys.executable, "-m", leash.__name__, *([] if here else [leash.ELSEWHERE]), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=descriptors,
            env=child_environment(work) | leads,
        )
        try:
            follow(child, seen, clock.end)
        finally:
            stop(child, GRACE / 2 if clock.end < math.inf else None)
            seen.update(over=True)


def follow(child: subprocess.Popen, seen: Watch, end: float) -> None:
    """Show what a study is doing until it has ended or the time is over (`end`: seconds since the epoch)."""
    files = [file for job in seen.jobs for file in (job.rows or [job.output])]
    interval = 1 if sys.stderr.isatty() else 30
    with tqdm(total=len(files), unit="run", mininterval=interval, disable=False) as bar:
        while child.returncode is None and time.time() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
            bar.set_postfix_str(seen.line(), refresh=False)
            bar.update(sum(file.is_file() for file in files) - bar.n)
            seen.update()


def child_environment(work: Path) -> dict[str, str]:
    """The environment of Snakemake and of what it starts, which work in the folder `work`.

    It names the project's folders, because an installed package would look for them in that folder.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    places = {"XIT_RESULTS": results_dir(), "XIT_EXECUTED": executed_dir(), "XIT_RUNS": runs_dir()}
    env |= {name: os.path.abspath(folder) for name, folder in places.items()}
    return env | {"XDG_CACHE_HOME": str(work / "cache")}  # works without a home folder


def command_line(work: Path, options: list[str]) -> list[str]:
    """The command that runs Snakemake on the plan in `work`, ignoring the user's own profiles."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PARTS / "Snakefile"), "--directory"]
    command += [str(work), "--forceall", "--keep-going", "--nolock", "--rerun-incomplete", "--quiet", "all"]
    return [*command, "--workflow-profile", "none", *options, "--config", "plan=plan.json"]


def workplace(scale: Scale) -> Path:
    """Snakemake's working folder for a scale, with links to where executed notebooks and logs go."""
    work = runs_dir() / "snakemake" / scale.name
    work.mkdir(parents=True, exist_ok=True)
    for name, folder in {"executed": executed_dir() / scale.name, "logs": logs_dir(scale.name)}.items():
        (work / name).unlink(missing_ok=True)
        (work / name).symlink_to(folder.absolute(), target_is_directory=True)
    return work


def stop(child: subprocess.Popen, patience: float | None) -> None:
    """Ask a process group to terminate, and kill what is left of it after `patience` seconds.

    `patience` None: wait until the first process of the group has ended.
    """
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    with contextlib.suppress(ProcessLookupError):  # all have ended
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def graph(pending: list[Job], clock: Clock, needs: Callable[[tuple[Run, ...]], dict] | None = None) -> dict:
    """The plan as plain data, for the Snakefile or another scheduler to read.

    The paths of outputs are relative to `workplace`. `needs`: what a cluster is asked for by job;
    None: nothing is asked for.
    """
    planned = {run.id: run for job in pending for run in job.runs}
    home = {run.id: job.id for job in pending for run in job.runs}
    # the runs that the analysis waits for; few machines have the translated data
    untranslated = [run_id for run_id, run in planned.items() if run.lang == PIVOT]
    entries = []
    module = "xit_core.cli" if needs else asked.__name__  # no other machine has what is loaded here
    for job in pending:
        earlier = [parent.id for run in job.runs for parent in run.parents if parent.id in planned]
        needed = earlier if job.runs else untranslated
        options = [f"--{k}={v}" for k, v in job.parameters.items() if k != "path"]
        # with exec, whoever stops the command waits for the run itself
        command = "exec " + shlex.join([sys.executable, "-m", module, "run", job.path, *options])
        if (latest := clock.latest(job.runs)) < math.inf:
            command = f"test $(date +%s) -lt {math.ceil(latest)} && {command}"
        entry = {"id": job.id, "output": f"executed/{job.output.name}", "command": command}
        entries.append(
            entry
            | {"needs": sorted({home[parent] for parent in needed})}
            | (needs(job.runs) if needs else {})
        )
    return {"jobs": entries}


def report(pending: list[Job], clock: Clock) -> bool:
    """Print what was done; False if the time was over before all was.

    Raises: Bad or Failed with the last line of the first missing notebook's log, else of Snakemake's.
    """
    failed = [job for job in pending if not job.done]
    if not failed:
        print(f"{len(pending)} notebooks executed; {pending[-1].output}")
        return True
    logs = logs_dir(pending[0].scale.name)
    reasons = last_lines([*(job.log for job in failed), logs / "snakemake.log"], clock)
    over = any(clock.latest(job.runs) <= time.time() for job in failed)
    # jobs that were not started, or were stopped, gave no reason
    if over and not any(line.startswith("xit") for line in reasons):
        return False
    reason = reasons[0] if reasons else WITHOUT_A_WORD
    # `xit run` reports a user's mistake with the prefix "xit: "
    kind = Bad if reason.startswith("xit: ") else Failed
    missing = f"{len(failed)} of {len(pending)} notebooks are missing, the others are kept"
    reason = reason.removeprefix("xit: ").removeprefix("xit failed: ")
    raise kind(f"{reason}; {missing}: run again to resume; logs: {logs}")


def last_lines(logs: list[Path], clock: Clock) -> list[str]:
    """The last line, notes left out, of each log that was written before the time was over."""
    written = [file for file in logs if file.is_file() and file.stat().st_mtime < clock.end]
    texts = [file.read_text(encoding="utf-8", errors="replace").strip() for file in written]
    said = ([line for line in text.splitlines() if not line.startswith(NOTE)] for text in texts)
    return [lines[-1] for lines in said if lines]


# -- checkpoints that nothing starts from any more -----------------------------------------------------------


def tidier(runs: Iterable[Run]) -> Callable[[], None]:
    """A function that deletes the checkpoint of every stage from which all runs of the plan are finished.

    The rows stay. A run that starts from such a stage later trains it again.
    """
    left = studies.stages(runs)

    def tidy() -> None:
        for stage in [stage for stage, using in left.items() if all(map(has_row, using))]:
            del left[stage]
            if stage.folder.exists():
                shutil.rmtree(stage.folder)

    return tidy


def has_row(run: Run) -> bool:
    """Whether the ledger has a file with the row of a run; it is not read."""
    return results.home(run).is_file()
