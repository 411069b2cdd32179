"""The executions of notebooks that a plan needs: which runs share one, and the files of each."""

import hashlib
import itertools
import json
from dataclasses import dataclass, fields
from pathlib import Path

from ..design.run import DEFAULTS, Run, runs_of
from ..design.scales import Scale, scale_of
from ..ledger import results
from ..machine.errors import Bad
from ..machine.places import executed_dir, logs_dir

ANALYSIS = "analysis"  # the path of notebook 4, which reads the ledger and writes no row


@dataclass(frozen=True)
class Job:
    """One execution: one run, all runs that differ only in target and seed, or the analysis (no run)."""

    scale: Scale
    runs: tuple[Run, ...] = ()

    @property
    def path(self) -> str:
        """The path that names all its runs, such as "mnli > xnli, udpos"."""
        if not self.runs:
            return ANALYSIS
        return self.runs[0].path.removesuffix(self.runs[0].on) + ", ".join(
            dict.fromkeys(run.on for run in self.runs)
        )

    @property
    def seed(self) -> int:
        """The seed of its runs, or 0 for each seed of the scale."""
        return self.runs[0].seed if len({run.seed for run in self.runs}) == 1 else 0

    @property
    def parameters(self) -> dict[str, str | int]:
        """All parameters of the notebook, including defaults."""
        values = self.runs[0].named | {"path": self.path, "seed": self.seed} if self.runs else {}
        return values or {"scale": self.scale.name}

    @property
    def id(self) -> str:
        """The id of its run; for several runs, "mnli.targets-s1-<hash of the runs' ids>".

        The seed mark is left out when the runs have several seeds.
        """
        if len(self.runs) < 2:
            return self.runs[0].id if self.runs else ANALYSIS
        words, *marks, mark, _ = self.runs[0].id.split("-")
        name = ".".join([*words.split(".")[:-1], "targets"]) if "," in self.path else words
        marks += [mark] if self.seed else []
        digest = hashlib.sha256(" ".join(sorted(run.id for run in self.runs)).encode()).hexdigest()[:8]
        return "-".join([name, *marks, digest])

    @property
    def output(self) -> Path:
        """The file for its executed notebook, whether or not it exists."""
        return executed_dir() / self.scale.name / f"{self.id}.ipynb"

    @property
    def log(self) -> Path:
        """The file for what its process says; it is there from the moment the process starts."""
        return logs_dir(self.scale.name) / f"{self.id}.log"

    @property
    def failed(self) -> Path:
        """The file for its notebook if a cell of it fails."""
        return self.log.with_suffix(".failed.ipynb")

    @property
    def rows(self) -> list[Path]:
        """The files of the ledger that have its rows, or that its new rows will be written to."""
        return [results.home(run) for run in self.runs]

    @property
    def published(self) -> bool:
        """Whether all its rows are published and none is a working row: some machine has done it."""
        return bool(self.runs) and not any(home.suffix == ".json" for home in self.rows)

    @property
    def done(self) -> bool:
        """Whether all its rows and its executed notebook exist."""
        return all(map(results.finished, self.runs)) and is_notebook(self.output)


def job_of(path: str, **given: str | int) -> Job:
    """The execution of a path, or of several joined by commas. `given`: other fields of `Run`.

    Raises: Bad for a wrong path, an unknown parameter, or a value of the wrong type.
    """
    allowed = [field.name for field in fields(Run) if field.name == "scale" or path.strip() != ANALYSIS]
    if unknown := [name for name in given if name not in allowed]:
        raise Bad(f"no parameter {unknown[0]!r} for path {path!r}; known: {', '.join(allowed)}")
    if path.strip() == ANALYSIS:
        return Job(scale_of(given.get("scale", DEFAULTS["scale"])))
    runs = runs_of(path, **given)
    paths = dict.fromkeys(run.path for run in runs)
    if len(paths) > 1 and {run.phase for run in runs} != {3}:
        raise Bad(f"path {path!r}: only targets share a notebook; run one at a time: {' | '.join(paths)}")
    return Job(runs[0].scale, runs)


def jobs_of(planned: list[Run]) -> list[Job]:
    """The executions that a plan needs.

    The targets and seeds of a source share one, unless the scale runs them separately. At small scales,
    starting a kernel with its imports costs as much as a training. A scale that runs seed by seed has one
    execution for each seed, and for each time that its plan comes to a source. A seed that a study adds to
    those of the scale has its own, too.
    """
    groups: dict[tuple, dict[Run, None]] = {}
    turns = itertools.groupby(planned, sharing)
    for turn, (key, runs) in enumerate(turns):
        separate = (turn,) if planned[0].scale.by_seed else ()
        groups.setdefault((*separate, *key), {}).update(dict.fromkeys(runs))
    return [Job(part[0].scale, part) for group in groups.values() for part in divided(tuple(group))]


def divided(runs: tuple[Run, ...]) -> list[tuple[Run, ...]]:
    """The runs of each execution: all, where each has every seed of the scale, which seed 0 names; otherwise
    those of one seed.
    """
    seeds, paths = dict.fromkeys(run.seed for run in runs), {run.path for run in runs}
    if set(seeds) == set(runs[0].scale.seeds) and len(runs) == len(paths) * len(seeds):
        return [runs]
    return [tuple(run for run in runs if run.seed == seed) for seed in seeds]


def sharing(run: Run) -> tuple:
    """What the runs of one execution have in common."""
    if not run.scale.together:
        return (run,)
    seed = run.seed if run.scale.by_seed or run.seed not in run.scale.seeds else 0
    return (run.phase, run.source, *{**run.named, "path": "", "seed": seed}.items())


def is_notebook(notebook: Path) -> bool:
    """Whether a file exists and is a notebook."""
    try:
        return "cells" in json.loads(notebook.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
