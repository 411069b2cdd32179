"""One papermill execution of a notebook: strict parameters, an atomic output, the same bytes every time."""

import builtins
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import signal
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO

from .config import ROOT, Bad, Run, executed_dir, mirror_dir, results_dir, runs, runs_dir
from .config import scale as scale_of
from .results import place
from .studies import SLICED

NOTEBOOKS = {1: "1_pretrained", 2: "2_intermediate", 3: "3_target", 4: "4_analysis"}
ANALYSIS = "analysis"  # the path of notebook 4, which reads the ledger and writes no row
GPUS = Path("/proc/driver/nvidia/gpus")
LEASED: list[IO] = []  # the lock of this process's GPU
# A kernel computes on one thread, so that its numbers do not depend on the machine; parallel work is the scheduler's.
KERNEL = {
    "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}  # fmt: skip


class Failed(RuntimeError):
    """A notebook stopped for a reason that is not the user's. One line; the notebook as it stood is kept."""


@dataclass(frozen=True)
class Job:
    """One execution: one run, or all runs that differ only in target and seed, or the analysis (no run)."""

    scale: str
    runs: tuple[Run, ...] = ()

    @property
    def path(self) -> str:
        """The path that names all runs: "mnli > xnli, udpos"."""
        if not self.runs:
            return ANALYSIS
        return self.runs[0].path.removesuffix(self.runs[0].on) + ", ".join(dict.fromkeys(r.on for r in self.runs))

    @property
    def seed(self) -> int:
        """The seed, or 0: each seed of the scale."""
        return self.runs[0].seed if len({r.seed for r in self.runs}) == 1 else 0

    @property
    def parameters(self) -> dict[str, str | int]:
        """What the notebook is given: all its parameters, defaults too."""
        return asdict(self.runs[0]) | {"path": self.path, "seed": self.seed} if self.runs else {"scale": self.scale}

    @property
    def id(self) -> str:
        """A run's id; for several "mnli.targets-s1-<hash of the runs' ids>", without the mark of the seed for all seeds."""
        if len(self.runs) < 2:
            return self.runs[0].id if self.runs else ANALYSIS
        words, *marks, mark, _ = self.runs[0].id.split("-")
        name = ".".join([*words.split(".")[:-1], "targets"]) if "," in self.path else words
        marks += [mark] if self.seed else []
        digest = hashlib.sha256(" ".join(sorted(r.id for r in self.runs)).encode()).hexdigest()[:8]
        return "-".join([name, *marks, digest])

    @property
    def output(self) -> Path:
        return executed_dir() / self.scale / f"{self.id}.ipynb"

    @property
    def rows(self) -> list[Path]:
        """The files of the ledger that this execution writes."""
        return [place(r) for r in self.runs]

    @property
    def done(self) -> bool:
        return all(file.is_file() for file in (self.output, *self.rows))


def job(path: str, **given: str | int) -> Job:
    """The execution of a path (with commas: of several); `given` are other fields of `Run`.

    Raises: Bad for a wrong path, an unknown parameter, or a value of the wrong type.
    """
    known = [f.name for f in fields(Run) if f.name == "scale" or path.strip() != ANALYSIS]
    if wrong := [name for name in given if name not in known]:
        raise Bad(f"no parameter {wrong[0]!r} for path {path!r}; known: {', '.join(known)}")
    if path.strip() == ANALYSIS:
        return Job(scale_of(given.get("scale", "smoke")).name)
    found = runs(path, **given)
    paths = dict.fromkeys(r.path for r in found)
    if len(paths) > 1 and {r.phase for r in found} != {3}:
        raise Bad(f"path {path!r}: only targets share a notebook; run one at a time: {' | '.join(paths)}")
    return Job(found[0].scale, found)


def jobs(planned: list[Run]) -> list[Job]:
    """The executions that a plan needs: a source's targets and seeds in one, unless the scale runs them apart.

    A kernel with its imports costs as much as a training at the small scales; a sliced plan goes seed by seed.
    """
    groups: dict[tuple, dict[Run, None]] = {}
    for r in planned:
        seed = r.seed if r.scale in SLICED else 1
        alike = (r.phase, r.source, replace(r, path="pretrained", seed=seed)) if scale_of(r.scale).together else (r,)
        groups.setdefault(alike, {})[r] = None
    return [Job(group[0].scale, group) for group in map(tuple, groups.values())]


def execute(what: Job | str, **given: str | int) -> Path:
    """Execute a job (or a path with the fields of its run) unless it is done; return the executed notebook.

    Raises: Bad for a user's mistake, Failed otherwise. The output appears only when it is whole; a failed copy is kept.
    """
    import nbformat

    todo = what if isinstance(what, Job) else job(what, **given)
    if todo.done and todo.runs:
        return todo.output
    prepare(todo)
    settle()
    lease()
    part = todo.output.with_name(f".{todo.id}.{os.getpid()}.partial.ipynb")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who stops this ends the kernel, and nothing is left behind
    try:
        notebook = normalise(_papermill(todo, part))
        missing = [p.stem for p in todo.rows if not p.is_file()]
        if missing:
            raise Failed(f"{todo.id}: the notebook ended without its row {' '.join(missing)} of the ledger")
        text = re.sub(r" at 0x[0-9a-f]+", "", nbformat.writes(notebook))
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, todo.output)
    finally:
        part.unlink(missing_ok=True)
    return todo.output


def prepare(todo: Job) -> None:
    """Find out what would stop a run before it computes anything.

    Raises: Bad for folders that cannot be written, and for real data with neither a mirror nor the hub.
    """
    for folder in (todo.output.parent, results_dir() / todo.scale, runs_dir()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            advice = "make it writable or name other places in XIT_RESULTS, XIT_EXECUTED and XIT_RUNS"
            raise Bad(f"cannot write to {folder} ({error.strerror}); {advice}") from None
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if todo.runs and scale_of(todo.scale).world == "real" and not mirror_dir() and offline:
        raise Bad(f"scale {todo.scale!r} needs real data: HF_HUB_OFFLINE keeps the hub out; set XIT_MIRROR to a mirror's folder")


def settle() -> None:
    """Give the processes started from here their environment; relative places stay where they were meant."""
    for name in ("XIT_RESULTS", "XIT_EXECUTED", "XIT_RUNS", "XIT_MIRROR", "XIT_LOCAL"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])
    for name, value in KERNEL.items():
        os.environ.setdefault(name, value)


def _papermill(todo: Job, part: Path):
    import papermill
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    logging.getLogger("papermill").disabled = True  # it repeats the failure that is raised below
    notebook = ROOT / "notebooks" / f"{NOTEBOOKS[todo.runs[0].phase if todo.runs else 4]}.ipynb"
    # one Unix socket a kernel: kernels side by side cannot collide, and nothing listens on TCP
    socket = {"transport": "ipc", "ip": f"{tempfile.gettempdir()}/k-{uuid.uuid4().hex[:12]}"}
    try:
        return papermill.execute_notebook(
            str(notebook), str(part), parameters=todo.parameters, kernel_name="python3", cwd=str(ROOT),
            progress_bar=False, record_timing=False, coalesce_streams=True, config=Config(KernelManager=socket),
            extra_arguments=["--IPKernelApp.log_level=50"],
        )  # fmt: skip
    except (papermill.PapermillExecutionError, DeadKernelError) as error:
        kept = runs_dir() / "logs" / todo.scale / f"{todo.id}.failed.ipynb"
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, kept)
        name = getattr(error, "ename", "the kernel died")
        line = " ".join(getattr(error, "evalue", "out of memory? run again to resume").split())
        if name == "Bad":
            raise Bad(line) from None
        if issubclass(getattr(builtins, name, Exception), OSError):
            raise Bad(f"{todo.id}: {line}; free or name another place, then run again: what is finished is kept") from None
        raise Failed(f"{todo.id}: {name}: {line[:300]}; see {kept}") from None


def normalise(nb):
    """Take out of an executed notebook what differs from one execution to the next: times, paths, ids, warnings."""
    nb.metadata["papermill"] = {key: nb.metadata.papermill[key] for key in ("parameters", "version")}
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nb.metadata["language_info"] = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    for cell in nb.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if cell.cell_type == "code":
            cell["outputs"] = [o for o in cell.outputs if o.get("name") != "stderr"]
    return nb


def locked(path: Path) -> IO | None:
    """The file, held by this process alone until it is closed or the process dies; None while another one holds it."""
    file = open(path, "w")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except OSError:
        file.close()


def lease() -> None:
    """Take one of the machine's GPUs until this process ends, unless the scheduler has given one or there is none."""
    gpus = len(list(GPUS.glob("*")))
    while gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
        for i in range(gpus):
            if lock := locked(Path(tempfile.gettempdir(), f"xit-gpu-{os.getuid()}-{i}.lock")):
                LEASED.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = str(i)
                return
        time.sleep(0.5)
