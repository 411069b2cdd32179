"""One papermill execution of a notebook: strict parameters, an atomic output, the same bytes every time."""

import builtins
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

from ..design.run import DEFAULTS, Run, runs_of
from ..design.scales import Scale
from ..design.scales import scale as scale_of
from ..ledger import results
from ..machine.environment import environments_differ, fix_environment
from ..machine.errors import Bad
from ..machine.files import write_text
from ..machine.locks import locked
from ..machine.places import PARTS, ROOT, executed_dir, mirror_dir, results_dir, runs_dir

NOTEBOOKS = {1: "1_pretrained", 2: "2_intermediate", 3: "3_target", 4: "4_analysis"}
ANALYSIS = "analysis"  # the path of notebook 4, which reads the ledger and writes no row
GPUS = Path("/proc/driver/nvidia/gpus")
LEASED: list[IO] = []  # the lock of this process's GPU


class Failed(RuntimeError):
    """A notebook stopped for a reason that is not the user's. One line; the notebook as it stood is kept."""


@dataclass(frozen=True)
class Job:
    """One execution: one run, or all runs that differ only in target and seed, or the analysis (no run)."""

    scale: Scale
    runs: tuple[Run, ...] = ()

    @property
    def path(self) -> str:
        """The path that names all runs: "mnli > xnli, udpos"."""
        if not self.runs:
            return ANALYSIS
        return self.runs[0].path.removesuffix(self.runs[0].on) + ", ".join(
            dict.fromkeys(r.on for r in self.runs)
        )

    @property
    def seed(self) -> int:
        """The seed, or 0: each seed of the scale."""
        return self.runs[0].seed if len({r.seed for r in self.runs}) == 1 else 0

    @property
    def parameters(self) -> dict[str, str | int]:
        """What the notebook is given: all its parameters, defaults too."""
        told = self.runs[0].named | {"path": self.path, "seed": self.seed} if self.runs else {}
        return told or {"scale": self.scale.name}

    @property
    def id(self) -> str:
        """A run's id; for several "mnli.targets-s1-<hash of the runs' ids>", without the mark of the seed for
        all seeds.
        """
        if len(self.runs) < 2:
            return self.runs[0].id if self.runs else ANALYSIS
        words, *marks, mark, _ = self.runs[0].id.split("-")
        name = ".".join([*words.split(".")[:-1], "targets"]) if "," in self.path else words
        marks += [mark] if self.seed else []
        digest = hashlib.sha256(" ".join(sorted(r.id for r in self.runs)).encode()).hexdigest()[:8]
        return "-".join([name, *marks, digest])

    @property
    def output(self) -> Path:
        """Where its executed notebook goes."""
        return executed_dir() / self.scale.name / f"{self.id}.ipynb"

    @property
    def rows(self) -> list[Path]:
        """The files of the ledger that have its rows, or will have those that this execution writes."""
        return [results.home(r) for r in self.runs]

    @property
    def published(self) -> bool:
        """Whether all of its rows are published, and none is a working one: it was done, here or
        elsewhere."""
        return bool(self.runs) and not any(home.suffix == ".json" for home in self.rows)

    @property
    def done(self) -> bool:
        """Whether all of its rows and its notebook are there."""
        return all(map(results.finished, self.runs)) and is_notebook(self.output)


def job(path: str, **given: str | int) -> Job:
    """The execution of a path (with commas: of several); `given` are other fields of `Run`.

    Raises: Bad for a wrong path, an unknown parameter, or a value of the wrong type.
    """
    known = [f.name for f in fields(Run) if f.name == "scale" or path.strip() != ANALYSIS]
    if wrong := [name for name in given if name not in known]:
        raise Bad(f"no parameter {wrong[0]!r} for path {path!r}; known: {', '.join(known)}")
    if path.strip() == ANALYSIS:
        return Job(scale_of(given.get("scale", DEFAULTS["scale"])))
    found = runs_of(path, **given)
    paths = dict.fromkeys(r.path for r in found)
    if len(paths) > 1 and {r.phase for r in found} != {3}:
        raise Bad(f"path {path!r}: only targets share a notebook; run one at a time: {' | '.join(paths)}")
    return Job(found[0].scale, found)


def jobs(planned: list[Run]) -> list[Job]:
    """The executions that a plan needs: a source's targets and seeds in one, unless the scale runs them
    apart.

    A kernel with its imports costs as much as a training at the small scales; a sliced plan goes seed by
    seed.
    """
    groups: dict[tuple, dict[Run, None]] = {}
    for r in planned:
        seed = r.seed if r.scale.by_seed else 1
        fields = tuple({**r.named, "path": "", "seed": seed}.items())
        alike = (r.phase, r.source, fields) if r.scale.together else (r,)
        groups.setdefault(alike, {})[r] = None
    return [Job(group[0].scale, group) for group in map(tuple, groups.values())]


def execute(what: Job | str, **given: str | int) -> Path:
    """Execute a job (or a path with the fields of its run) unless it is done; return the executed notebook.

    Raises: Bad for a user's mistake, Failed otherwise. The output appears only when it is whole; a failed
    copy is kept.
    """
    import nbformat

    todo = what if isinstance(what, Job) else job(what, **given)
    if todo.done and todo.runs:
        return todo.output
    check_places(todo)
    export_environment()
    lease()
    part = todo.output.with_name(f".{todo.id}.{secrets.token_hex(4)}.partial.ipynb")
    # who stops this ends the kernel, and nothing is left behind
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        notebook = normalise(_papermill(todo, part))
        missing = [r.id for r in todo.runs if not results.home(r).is_file()]
        if missing:
            raise Failed(f"{todo.id}: the notebook ended without its row {' '.join(missing)} of the ledger")
        write_text(todo.output, re.sub(r" at 0x[0-9a-f]+", "", nbformat.writes(notebook)) + "\n")
    finally:
        part.unlink(missing_ok=True)
    return todo.output


def again(todo: Job) -> Path:
    """Execute a finished job once more, in a ledger of its own, and compare; its predictions are kept anew,
    its notebook stays.

    Raises: Bad when a run then has other scores than the ledger says; otherwise as `execute`.
    """
    before = [results.read(run) for run in todo.runs]
    if None in before:  # what is missing is made where it belongs; the others would not be
        execute(todo)
    if not any(before):
        return todo.output
    check_places(todo)
    export_environment()
    with tempfile.TemporaryDirectory(dir=runs_dir(), prefix="again-") as folder, elsewhere(Path(folder)):
        notebook = execute(todo).read_text(encoding="utf-8")
        rows = [results.read(run) for run in todo.runs]
    for pair in zip(before, rows, strict=True):
        if pair[0] and results.differ(*pair):
            why = environments_differ([*pair]) or "in the same environment"
            raise Bad(f"{pair[0]['id']}: executed again it has other scores than the ledger says; {why}")
    return todo.output if is_notebook(todo.output) else write_text(todo.output, notebook)


def is_notebook(notebook: Path) -> bool:
    """Whether an executed notebook is there and one."""
    try:
        return "cells" in json.loads(notebook.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """Another ledger, with other executed notebooks, for a while."""
    before = {name: os.environ.pop(name, None) for name in ("XIT_RESULTS", "XIT_EXECUTED")}
    os.environ |= {name: str(folder / name) for name in before}
    try:
        yield
    finally:
        for name in before:
            del os.environ[name]
        os.environ |= {name: value for name, value in before.items() if value is not None}


def check_places(todo: Job) -> None:
    """Find out what would stop a run before it computes anything.

    Raises: Bad for folders that cannot be written, a damaged volume of the ledger, and real data with neither
    a mirror nor the hub.
    """
    for folder in (todo.output.parent, results_dir() / todo.scale.name, runs_dir()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            advice = "make it writable or name other places in XIT_RESULTS, XIT_EXECUTED and XIT_RUNS"
            raise Bad(f"cannot write to {folder} ({error.strerror}); {advice}") from None
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    for run in todo.runs:
        results.home(run)
    pending = any(not results.finished(run) for run in todo.runs)  # else the notebook is made from the rows
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

    logging.getLogger("papermill").disabled = True  # it repeats the failure that is raised below
    notebook = PARTS / "notebooks" / f"{NOTEBOOKS[todo.runs[0].phase if todo.runs else 4]}.ipynb"
    try:
        with kernel.kernel_folder() as config:
            return papermill.execute_notebook(
                literal_path(notebook), literal_path(part), parameters=todo.parameters, kernel_name="python3",
                cwd=str(ROOT),
                progress_bar=False, record_timing=False, coalesce_streams=True, config=config,
                kernel_manager_class=kernel.ThisInterpreter, extra_arguments=kernel.arguments(),
            )  # fmt: skip
    except Bad:
        raise
    except (
        Exception
    ) as error:  # papermill, nbclient and jupyter_client have a dozen types for a cell or kernel that fails
        raise explained(todo, error, keep_failed(todo, part)) from None


def literal_path(path: Path) -> str:
    """A path in which papermill finds no parameter to fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


def keep_failed(todo: Job, part: Path) -> str:
    """Keep the notebook as it stood when it failed; what a message says of it."""
    place = runs_dir() / "logs" / todo.scale.name / f"{todo.id}.failed.ipynb"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, place)
    except OSError:
        return "no notebook could be kept"
    return f"see {place}"


def explained(todo: Job, error: Exception, see: str) -> Bad | Failed:
    """The one line of a notebook that failed: a user's mistake as the cell said it, a full disk, or else the
    error.
    """
    from nbclient.exceptions import DeadKernelError

    name, line = (
        getattr(error, "ename", type(error).__name__),
        " ".join(getattr(error, "evalue", str(error)).split()),
    )
    if name == "Bad":
        return Bad(line)
    if hasattr(error, "ename") and issubclass(getattr(builtins, name, Exception), OSError):
        return Bad(f"{todo.id}: {line}; free or name another place, then run again: what is finished is kept")
    if isinstance(error, DeadKernelError) or "ernel died" in line:
        name, line = "the kernel died", "out of memory? run again to resume"
    return Failed(f"{todo.id}: {name}: {line[:300]}; {see}")


def normalise(nb):
    """Take out of an executed notebook what differs from one execution to the next: times, paths, ids,
    warnings.
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
            cell["outputs"] = [o for o in cell.outputs if o.get("name") != "stderr"]
    return nb


def lease() -> None:
    """Take one of the machine's GPUs until this process ends, unless the scheduler has given one or there is
    none.

    Raises: Bad when the temporary folder, where all of this machine's processes look, has no locks.
    """
    gpus = len(list(GPUS.glob("*")))
    while gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
        for i in range(gpus):
            if lock := locked(Path(tempfile.gettempdir(), f"xit-gpu-{os.getuid()}-{i}.lock")):
                LEASED.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = str(i)
                return
        time.sleep(0.5)
