"""Making rows without papermill and Snakemake: a study in this process, or a run in several that share it."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from tqdm import tqdm

from ..design import studies
from ..design.run import Run
from ..design.scales import Scale, know_own
from ..ledger import results
from ..machine.errors import Bad, Failed
from ..machine.places import logs_dir
from . import gpus, launch
from .clock import Clock, Over, until
from .jobs import Job, jobs_of
from .workflow import in_turn, state, study_lock, tidier


def run_direct(
    study: str, scale: Scale, budget: float | None = None, seeds: int = 0, tidy: bool = False
) -> None:
    """Make the missing rows of a study in this process, in the order of the plan.

    This needs neither papermill nor Snakemake. Notebooks can be executed from the rows later, on any machine.
    `budget`: seconds. `seeds`: only seeds up to this number; 0 = all. `tidy`: as in `run_study`.
    Raises: Bad or Failed, as `run_study`.
    """
    clock, broken = Clock.of(study, scale, budget), {}
    runs = studies.runs(study, scale, seeds)
    todo = in_turn(jobs_of([run for run in runs if not results.finished(run)]), study, scale, seeds)
    clear = tidier(runs if tidy else ())
    if not todo:
        print(state(study, scale, seeds=seeds))
        return
    launch.check_places(todo[0])
    launch.export_environment()
    gpus.lease()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster ends jobs so: tidy up and say so
    bar_options = {
        "total": sum(len(job.runs) for job in todo),
        "unit": "run",
        "mininterval": 1 if sys.stderr.isatty() else 30,
    }
    with study_lock(scale), tqdm(**bar_options, disable=False) as bar, until(clock.end):
        for job in todo:
            for _ in make_rows(job, clock, broken):
                bar.update()
            clear()
    if broken:
        raise failure(broken, f"{state(study, scale, seeds=seeds)}; logs: {logs_dir(scale.name)}")
    print(state(study, scale, seeds=seeds))


def failure(broken: dict[str, Exception], then: str) -> Exception:
    """What ends a study of which some runs could not be made. `then`: what is said behind it."""
    first, message = next(iter(broken.values())), f"{len(broken)} runs could not be made; {then}"
    if isinstance(first, Bad):
        return Bad(f"{first}; {message}")
    return Failed(f"{type(first).__name__}: {first}; {message}")


def make_rows(job: Job, clock: Clock, broken: dict[str, Exception]) -> Iterator[Run]:
    """Make the rows of a job one after the other, as its notebook would, and yield each finished run.

    `broken`: failed runs and their errors, by id; failures are added, and runs with a failed parent fail too.
    Raises: Over when a run would not end in time.
    """
    tuned: dict = {}
    for run in job.runs:
        if time.time() >= clock.latest([run]):
            raise Over
        if reason := next((broken[parent.id] for parent in run.parents if parent.id in broken), None):
            broken[run.id] = reason
            continue
        begin = time.time()
        try:
            make_row(run, tuned)
        except Exception as error:
            log = Job(run.scale, (run,)).log
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
            broken[run.id] = error.with_traceback(None)  # the traceback would keep the model alive
            continue
        clock.learn(run, time.time() - begin)
        yield run


def make_row(run: Run, tuned: dict) -> None:
    """Do a run and write its row. `tuned`: as in `phases.run_target`."""
    from .. import phases

    if run.phase == 3:
        phases.run_target(run, tuned)
    else:
        (phases.pretrained if run.phase == 1 else phases.intermediate)(run)


# -- several processes that share a run ----------------------------------------------------------------------


def run_shared(job: Job, n: int) -> None:
    """Make the missing rows of a job in `n` processes of this machine that share each of its trainings.

    Each process has a GPU of its own; without GPUs they are processes of the CPU.
    Raises: Bad or Failed, as `share`.
    """
    todo = replace(job, runs=tuple(run for run in job.runs if not results.finished(run)))
    if not todo.runs:
        return
    launch.check_places(todo)
    launch.export_environment()
    gpus.lease(n)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopping this process ends the others
    share(all_rows, n, todo.log, job.scale.instructions, [run.named for run in todo.runs])


def all_rows(named: list[dict]) -> None:
    """Make the rows of runs that their fields name, as each process that shares them does."""
    know_own()
    tuned: dict = {}
    for fields in named:
        make_row(Run(**fields), tuned)


def share(work: Callable[..., None], n: int, log: Path, instructions: str, *given) -> None:
    """Call `work(*given)` in `n` new processes that share what it does; when one fails, end them all.

    `instructions`: of the processor, as in `fix_environment`. `log`: gets the traceback of the process that
    failed first.
    Raises: Bad or Failed with what that one said, or that it was killed.
    """
    from torch.multiprocessing import start_processes

    # one process imports, asks for no GPU, and is copied; the copies get the environment as it is now
    multiprocessing.get_context(COPIED).set_forkserver_preload(["xit_core.phases"])
    held, leash = multiprocessing.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="xit-") as folder, leash, held:
        asked = n, Path(folder), dict(os.environ), held, instructions, work, *given
        started = start_processes(member, asked, n, join=False, start_method=COPIED).processes
        try:
            failed = wait_for(started)
        finally:
            codes = end(started)
        if failed:
            raise reason(codes, Path(folder), log)


def member(
    rank: int, n: int, folder: Path, environment: dict[str, str], held: Connection, instructions: str,
    work: Callable[..., None], *given,
) -> None:  # fmt: skip
    """Do what process `rank` of `n` does; where it fails, leave a note in the folder, and exit with 1.

    `held`: what the first process holds at its other end; this process ends with that.
    """
    from ..model import device

    threading.Thread(target=end_with, args=(held,), daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # part-written files are taken away
    try:
        device.join(rank, n, folder / "meeting", instructions)
        work(*given)
        device.leave()
    except BaseException as error:
        told = {"at": time.monotonic_ns(), "bad": isinstance(error, Bad | OSError), "line": str(error)}
        told |= {} if isinstance(error, Bad) else {"line": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(FileNotFoundError):  # the first process has gone, and the folder with it
            (folder / f"{rank}.part").write_text(json.dumps(told | {"trace": traceback.format_exc()}))
            os.replace(folder / f"{rank}.part", folder / f"{rank}.json")
        raise SystemExit(1) from None


def end_with(held: Connection) -> None:
    """End this process when the one that holds the other end is gone, even if that was killed."""
    with contextlib.suppress(EOFError, OSError):
        held.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(started: list) -> bool:
    """Wait until all processes have ended well, or one has not; returns whether one has not.

    The others then have a moment to end, too: one that was killed may be noticed after those that miss it.
    """
    running = {process.sentinel: process for process in started}
    while running:
        for sentinel in multiprocessing.connection.wait(running):
            process = running.pop(sentinel)
            process.join()
            if process.exitcode:
                multiprocessing.connection.wait(running, MOMENT)
                return True
    return False


COPIED = "forkserver"
MOMENT = 1.0  # seconds
LONGEST_END = 10.0  # seconds that a process has to take its part-written files away


def end(started: list) -> list[int | None]:
    """End all processes that are still running; returns the exit codes of those that ended before."""
    codes = [process.exitcode for process in started]
    for process in started:
        process.terminate()
    last = time.monotonic() + LONGEST_END
    for process in started:
        process.join(max(0.0, last - time.monotonic()))
        process.kill()  # it may wait for another, where no signal reaches it
        process.join()
    return codes


def reason(codes: list[int | None], folder: Path, log: Path) -> Bad | Failed:
    """The exception to raise for the process that failed first; the others failed because they missed it."""
    for rank, code in enumerate(codes):
        if code and code < 0:
            name = signal.Signals(-code).name
            return Failed(f"process {rank} was killed ({name}): out of memory? run again to resume")
    # not of those that were ended from here
    files = [folder / f"{rank}.json" for rank, code in enumerate(codes) if code]
    notes = sorted((json.loads(x.read_text()) for x in files if x.is_file()), key=lambda note: note["at"])
    if not notes:
        return Failed(f"a process ended (exit codes {codes}) and left no reason but what is above")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(notes[0]["trace"], encoding="utf-8")
    line = " ".join(notes[0]["line"].split())
    if notes[0]["bad"]:
        return Bad(line)
    return Failed(f"{line[:300]}; see {log}")
