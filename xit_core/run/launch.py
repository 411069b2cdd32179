"""Executing a notebook with papermill: checked parameters, an atomic output, the same bytes every time."""

import builtins
import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

from ..design.encoders import lacking
from ..design.run import DEFAULTS, Run, runs_of
from ..design.scales import Scale, own_file, scale_of
from ..ledger import predictions, results
from ..machine.environment import environments_differ, fix_environment
from ..machine.errors import Bad, Failed
from ..machine.files import write_text
from ..machine.locks import locked
from ..machine.places import PARTS, ROOT, executed_dir, mirror_dir, results_dir, runs_dir

NOTEBOOKS = {1: "1_pretrained", 2: "2_intermediate", 3: "3_target", 4: "4_analysis"}
ANALYSIS = "analysis"  # the path of notebook 4, which reads the ledger and writes no row
GPUS = Path("/proc/driver/nvidia/gpus")
LEASED: list[IO] = []  # the open lock files of this process's GPUs


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


def job(path: str, **given: str | int) -> Job:
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


def jobs(planned: list[Run]) -> list[Job]:
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


def execute(what: Job | str, **given: str | int) -> Path:
    """Execute a job (or a path with the fields of its run) unless it is done; return the executed notebook.

    Raises: Bad for a user's mistake, Failed otherwise. The output file appears only when it is complete; a
    notebook that failed is kept elsewhere.
    """
    import nbformat

    todo = what if isinstance(what, Job) else job(what, **given)
    if todo.done and todo.runs:
        return todo.output
    check_places(todo)
    export_environment()
    lease()
    part = todo.output.with_name(f".{todo.id}.{secrets.token_hex(4)}.partial.ipynb")
    # stopping this process ends the kernel and removes the partial notebook
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        notebook = normalise(_papermill(todo, part))
        missing = [run.id for run in todo.runs if not results.home(run).is_file()]
        if missing:
            raise Failed(f"{todo.id}: the notebook ended without its row {' '.join(missing)} of the ledger")
        write_text(todo.output, re.sub(r" at 0x[0-9a-f]+", "", nbformat.writes(notebook)) + "\n")
    finally:
        part.unlink(missing_ok=True)
    return todo.output


def again(todo: Job) -> Path:
    """Execute a finished job once more, in a temporary ledger, and compare its scores with the ledger's.

    New predictions are written; those of other scores are not kept. An existing executed notebook is not
    replaced. Returns the notebook's file.
    Raises: Bad when a run now has other scores than in the ledger; otherwise as `execute`.
    """
    before = [results.read(run) for run in todo.runs]
    if None in before or not todo.runs:  # make missing rows in the real ledger, not in the temporary one
        execute(todo)
    if not any(before):
        return todo.output
    check_places(todo)
    export_environment()
    with predictions.restored_on_error(todo.runs):
        with tempfile.TemporaryDirectory(dir=runs_dir(), prefix="again-") as folder, elsewhere(Path(folder)):
            notebook = execute(todo).read_text(encoding="utf-8")
            rows = [results.read(run) for run in todo.runs]
        for pair in zip(before, rows, strict=True):
            refuse_other_scores(*pair)
    return todo.output if is_notebook(todo.output) else write_text(todo.output, notebook)


def refuse_other_scores(before: dict | None, now: dict) -> None:
    """Check that a run that was executed again has the scores that it had. Raises: Bad."""
    if before and results.differ(before, now):
        reason = environments_differ([before, now]) or "in the same environment"
        raise Bad(f"{before['id']}: executed again it has other scores than the ledger says; {reason}")


def is_notebook(notebook: Path) -> bool:
    """Whether a file exists and is a notebook."""
    try:
        return "cells" in json.loads(notebook.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """Within the block, use a ledger and a folder of executed notebooks inside `folder`.

    The ledger knows the encoders of the user's own that are known now.
    """
    encoders = own_file()
    before = {name: os.environ.pop(name, None) for name in ("XIT_RESULTS", "XIT_EXECUTED")}
    os.environ |= {name: str(folder / name) for name in before}
    try:
        if encoders.is_file():
            results_dir().mkdir()
            shutil.copy(encoders, own_file())
        yield
    finally:
        for name in before:
            del os.environ[name]
        os.environ |= {name: value for name, value in before.items() if value is not None}


def check_places(todo: Job) -> None:
    """Check what would stop a job, before it computes anything.

    Raises: Bad for folders that cannot be written, a damaged volume of the ledger, an encoder that is not
    installed, a time limit that is none, and real data with neither a mirror nor the hub.
    """
    if absent := lacking(todo.scale.encoder):
        raise Bad(absent)
    for folder in (todo.output.parent, results_dir() / todo.scale.name, runs_dir()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            advice = "make it writable or name other places in XIT_RESULTS, XIT_EXECUTED and XIT_RUNS"
            raise Bad(f"cannot write to {folder} ({error.strerror}); {advice}") from None
    time_limit()
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    for run in todo.runs:
        results.home(run)
    pending = any(
        not results.finished(run) for run in todo.runs
    )  # otherwise the notebook is made from the rows
    if pending and not todo.scale.world.made and not mirror_dir() and offline:
        raise Bad(
            f"scale {todo.scale.name!r} needs real data: HF_HUB_OFFLINE keeps the hub out; set "
            "XIT_MIRROR "
            "to a mirror's folder"
        )


def export_environment() -> None:
    """Make the XIT_* folders absolute for child processes, and fix their environment."""
    for name in ("XIT_RESULTS", "XIT_EXECUTED", "XIT_RUNS", "XIT_MIRROR", "XIT_LOCAL"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])
    fix_environment()


def _papermill(todo: Job, part: Path):
    import papermill

    from . import kernel

    logging.getLogger("papermill").disabled = True  # it would repeat the failure that is raised below
    notebook = PARTS / "notebooks" / f"{NOTEBOOKS[todo.runs[0].phase if todo.runs else 4]}.ipynb"
    try:
        with kernel.kernel_folder() as config:
            return papermill.execute_notebook(
                literal_path(notebook), literal_path(part), parameters=todo.parameters, kernel_name="python3",
                cwd=str(ROOT),
                progress_bar=False, record_timing=False, coalesce_streams=True, config=config,
                execution_timeout=time_limit(),
                kernel_manager_class=kernel.ThisInterpreter, extra_arguments=kernel.arguments(),
            )  # fmt: skip
    except Bad:
        raise
    # papermill, nbclient and jupyter_client have a dozen types for a cell or kernel that fails
    except Exception as error:
        raise explained(todo, error, keep_failed(todo, part)) from None


def time_limit() -> int | None:
    """Seconds that a cell of a notebook may take (XIT_LIMIT); None when unset: a cell may take for ever.

    Raises: Bad for anything but a whole number of 1 or more.
    """
    named = os.environ.get("XIT_LIMIT")
    if named and not re.fullmatch("0*[1-9][0-9]{0,8}", named):
        raise Bad(f"XIT_LIMIT={named}; allowed: a whole number of seconds, 1 or more; unset it for no limit")
    return int(named) if named else None


def literal_path(path: Path) -> str:
    """A path with its braces escaped, because papermill fills in parameters there."""
    return str(path).replace("{", "{{").replace("}", "}}")


def keep_failed(todo: Job, part: Path) -> str:
    """Move a failed notebook to the logs; return the phrase about it for the message."""
    place = runs_dir() / "logs" / todo.scale.name / f"{todo.id}.failed.ipynb"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, place)
    except OSError:
        return "no notebook could be kept"
    return f"see {place}"


def explained(todo: Job, error: Exception, see: str) -> Bad | Failed:
    """The exception to raise for a notebook that failed, with a one-line message.

    A user's mistake keeps the message of the cell; a full disk or another OSError in a cell also becomes Bad.
    Anything else becomes Failed.
    """
    name, line = reason(error)
    if name == "Bad":
        return Bad(line)
    if hasattr(error, "ename") and issubclass(getattr(builtins, name, Exception), OSError):
        return Bad(f"{todo.id}: {line}; free or name another place, then run again: what is finished is kept")
    return Failed(f"{todo.id}: {name}: {line}; {see}")


def reason(error: Exception) -> tuple[str, str]:
    """Why a notebook failed: a name, and one line, which says what to do where that is known."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    name = getattr(error, "ename", type(error).__name__)
    line = " ".join(getattr(error, "evalue", str(error)).split())[:300]
    if isinstance(error, CellTimeoutError):
        return "a cell took too long", f"XIT_LIMIT allows {time_limit()} seconds; run again to resume"
    if isinstance(error, DeadKernelError) or "ernel died" in line:
        return "the kernel died", "out of memory? run again to resume"
    if name in ("MemoryError", "OutOfMemoryError"):
        return name, f"{line}; free memory or run fewer at a time (--cores), then run again to resume"
    return name, line


def normalise(nb):
    """Remove what differs between executions from an executed notebook: times, paths, ids, warnings.

    Returns the same notebook, changed in place.
    """
    nb.metadata["papermill"] = {key: nb.metadata.papermill[key] for key in ("parameters", "version")}
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    nb.metadata["language_info"] = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    for cell in nb.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell.outputs if output.get("name") != "stderr"]
    return nb


def lease(wanted: int = 1) -> None:
    """Reserve some of the machine's GPUs until this process ends, waiting while too few are free.

    Does nothing if the machine has no GPU or the scheduler has assigned some (CUDA_VISIBLE_DEVICES).
    Processes that share a run share what the first of them reserved.
    Raises: Bad where there are not so many GPUs, in a process of another launcher, and when files in the
    temporary folder, which all processes share, cannot be locked.
    """
    gpus, assigned = len(list(GPUS.glob("*"))), os.environ.get("CUDA_VISIBLE_DEVICES")
    refuse_launchers()
    present = gpus if assigned is None else len(assigned.replace(",", " ").split())
    if gpus and present and wanted > present:
        raise Bad(f"--processes {wanted}: allowed here: 1 to {present}, one for each GPU")
    while gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
        locks: dict[int, IO] = {}
        for i in range(gpus):
            place = Path(tempfile.gettempdir(), f"xit-gpu-{os.getuid()}-{i}.lock")
            if len(locks) < wanted and (lock := locked(place)):
                locks[i] = lock
        if len(locks) == wanted:
            LEASED.extend(locks.values())
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, locks))
            return
        for lock in locks.values():  # two that wait for two must not hold one each
            lock.close()
        time.sleep(0.5)


def refuse_launchers() -> None:
    """Check that no launcher started this process as one of several: each would do the whole work.

    Raises: Bad.
    """
    if "LOCAL_RANK" in os.environ:
        raise Bad(
            "LOCAL_RANK is set: a launcher started xit as one of several processes; take it away, and name "
            "their number in xit run PATH --processes N"
        )
