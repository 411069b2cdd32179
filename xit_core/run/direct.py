"""A study in this process: needs neither papermill nor Snakemake."""

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


def run_direct(study: str, scale: Scale, budget: float | None = None) -> None:
    """Make the missing rows of a study in this process, in the order of the plan: needs neither papermill nor
    Snakemake.

    Notebooks can be executed from the rows later, anywhere. Raises: Bad or Failed, as `run_study`.
    """
    clock, broken = Clock.of(study, scale, budget), {}
    todo = launch.jobs([r for r in studies.runs(study, scale) if not results.finished(r)])
    if not todo:
        print(state(study, scale))
        return
    launch.check_places(todo[0])
    launch.export_environment()
    launch.lease()
    shown = {
        "total": sum(len(j.runs) for j in todo),
        "unit": "run",
        "mininterval": 1 if sys.stderr.isatty() else 30,
    }
    with study_lock(scale), tqdm(**shown, disable=False) as bar, until(clock.end):
        for j in todo:
            for _ in make_rows(j, clock, broken):
                bar.update()
    if broken:
        first = next(iter(broken.values()))
        said = (
            f"{len(broken)} runs could not be made; {state(study, scale)}; logs: "
            f"{runs_dir() / 'logs' / scale.name}"
        )
        raise (
            Bad(f"{first}; {said}")
            if isinstance(first, Bad)
            else launch.Failed(f"{type(first).__name__}: {first}; {said}")
        )
    print(state(study, scale))


def make_rows(job: launch.Job, clock: Clock, broken: dict[str, Exception]) -> Iterator[Run]:
    """Make the rows of a job one after the other, as its notebook would; `broken`: the runs that failed, and
    why.
    """
    from .. import phases

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
                phases.run_target(run, tuned.setdefault(run.seed, {}))
            else:
                (phases.pretrained if run.phase == 1 else phases.intermediate)(run)
        except Exception as error:
            log = runs_dir() / "logs" / run.scale.name / f"{run.id}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc(), encoding="utf-8")
            broken[run.id] = error.with_traceback(None)  # which would keep the model
            continue
        clock.learn(run, time.time() - begin)
        yield run
