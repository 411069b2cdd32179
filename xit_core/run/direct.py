"""Running a study in this process, without papermill and Snakemake."""

import sys
import time
import traceback
from collections.abc import Iterator

from tqdm import tqdm

from ..design import studies
from ..design.run import Run
from ..design.scales import Scale
from ..ledger import results
from ..machine.errors import Bad
from ..machine.places import runs_dir
from . import launch
from .clock import Clock, Over, until
from .workflow import state, study_lock


def run_direct(study: str, scale: Scale, budget: float | None = None, seeds: int = 0) -> None:
    """Make the missing rows of a study in this process, in the order of the plan.

    This needs neither papermill nor Snakemake. Notebooks can be executed from the rows later, on any machine.
    `budget`: seconds. `seeds`: only seeds up to this number; 0 = all. Raises: Bad or Failed, as `run_study`.
    """
    clock, broken = Clock.of(study, scale, budget), {}
    todo = launch.jobs([run for run in studies.runs(study, scale, seeds) if not results.finished(run)])
    if not todo:
        print(state(study, scale, seeds=seeds))
        return
    launch.check_places(todo[0])
    launch.export_environment()
    launch.lease()
    bar_options = {
        "total": sum(len(job.runs) for job in todo),
        "unit": "run",
        "mininterval": 1 if sys.stderr.isatty() else 30,
    }
    with study_lock(scale), tqdm(**bar_options, disable=False) as bar, until(clock.end):
        for job in todo:
            for _ in make_rows(job, clock, broken):
                bar.update()
    if broken:
        first = next(iter(broken.values()))
        message = (
            f"{len(broken)} runs could not be made; {state(study, scale, seeds=seeds)}; logs: "
            f"{runs_dir() / 'logs' / scale.name}"
        )
        raise (
            Bad(f"{first}; {message}")
            if isinstance(first, Bad)
            else launch.Failed(f"{type(first).__name__}: {first}; {message}")
        )
    print(state(study, scale, seeds=seeds))


def make_rows(job: launch.Job, clock: Clock, broken: dict[str, Exception]) -> Iterator[Run]:
    """Make the rows of a job one after the other, as its notebook would, and yield each finished run.

    `broken`: failed runs and their errors, by id; failures are added, and runs with a failed parent fail too.
    Raises: Over when a run would not end in time.
    """
    from .. import phases

    tuned: dict[int, dict] = {}
    for run in job.runs:
        if time.time() >= clock.latest([run]):
            raise Over
        if reason := next((broken[parent.id] for parent in run.parents if parent.id in broken), None):
            broken[run.id] = reason
            continue
        begin = time.time()
        try:
            if run.phase == 3:
                phases.run_target(run, tuned.setdefault(run.seed, {}))
            else:
                (phases.pretrained if run.phase == 1 else phases.intermediate)(run)
        except Exception as error:
            log = runs_dir() / "logs" / run.scale.name / f"{run.id}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
            broken[run.id] = error.with_traceback(None)  # the traceback would keep the model alive
            continue
        clock.learn(run, time.time() - begin)
        yield run
