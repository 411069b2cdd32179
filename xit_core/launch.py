"""One papermill execution of a notebook: strict parameters, an atomic output, the same bytes every time."""

import ast
import builtins
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from .config import ROOT, Bad, Run, executed_dir, mirror_dir, parse, results_dir, runs_dir
from .config import scale as scale_of
from .results import place

NOTEBOOKS = {1: "1_pretrained", 2: "2_intermediate", 3: "3_target", 4: "4_analysis"}
ANALYSIS = "analysis"  # the path of notebook 4, which reads the ledger and writes no row
TYPES = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
# A kernel computes on one thread, so that its numbers do not depend on the machine; parallel work is the scheduler's.
KERNEL = {
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


class Failed(RuntimeError):
    """A notebook stopped for a reason that is not the user's. One line; the notebook as it stood is kept."""


@dataclass(frozen=True)
class Job:
    """One execution: one run, or all runs that differ only in their target, or the analysis (no run)."""

    path: str
    scale: str
    runs: tuple[Run, ...] = ()

    @property
    def phase(self) -> int:
        return self.runs[0].phase if self.runs else 4

    @property
    def notebook(self) -> Path:
        return ROOT / "notebooks" / f"{NOTEBOOKS[self.phase]}.ipynb"

    @property
    def parameters(self) -> dict[str, str | int]:
        """What the notebook is given: all its parameters, defaults too."""
        return asdict(self.runs[0]) | {"path": self.path} if self.runs else {"scale": self.scale}

    @property
    def id(self) -> str:
        """A run's id; for several targets "mnli.targets-s1-<hash of the runs' ids>"."""
        if len(self.runs) < 2:
            return self.runs[0].id if self.runs else ANALYSIS
        words, *marks, _ = self.runs[0].id.split("-")
        name = ".".join([*words.split(".")[:-1], "targets"])
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
        return self.output.is_file() and all(r.is_file() for r in self.rows)


def job(path: str, **fields: str | int) -> Job:
    """The execution of a path (with commas: of several), `fields` being those of `Run`.

    Raises: Bad for a wrong path, an unknown parameter, or a value of the wrong type.
    """
    if path.strip() == ANALYSIS:
        found = Job(ANALYSIS, scale_of(str(fields.get("scale", "smoke"))).name)
        check(found.notebook, fields)
        return found
    paths = parse(path)
    phases = {Run(path=p).phase for p in paths}
    if len(phases) > 1:
        raise Bad(f"path {path!r} mixes targets and intermediates in its last stage; run them separately")
    check(ROOT / "notebooks" / f"{NOTEBOOKS[phases.pop()]}.ipynb", fields)
    runs = tuple(dict.fromkeys(Run(path=p, **fields) for p in paths))
    if len(runs) > 1 and runs[0].phase < 3:
        raise Bad(f"path {path!r} names {len(runs)} intermediate stages; run one at a time: {' | '.join(paths)}")
    return together(runs)


def together(runs: tuple[Run, ...]) -> Job:
    """One execution of runs that differ only in their target."""
    if len(runs) == 1:
        return Job(runs[0].path, runs[0].scale, runs)
    source = runs[0].source
    return Job(f"{source} > ".removeprefix(" > ") + ", ".join(r.on for r in runs), runs[0].scale, runs)


def jobs(runs: list[Run]) -> list[Job]:
    """The executions that a plan needs: all targets of a source in one, unless the scale runs them apart."""
    groups: dict[tuple, list[Run]] = {}
    for r in runs:
        apart = r.path if r.phase < 3 or not scale_of(r.scale).together else ""
        groups.setdefault((r.phase, r.source, apart, r.scale, r.seed, r.model, r.method, r.lang, r.size), []).append(r)
    return [together(tuple(dict.fromkeys(g))) for g in groups.values()]


@lru_cache
def declared(notebook: Path) -> dict[str, tuple[str, object]]:
    """name -> (annotation, default) of the cell tagged `parameters`.

    Read with ast: papermill's own reading misses lines with "=" in the value, and only warns about unknown names.
    """
    cells = json.loads(notebook.read_text())["cells"]
    (cell,) = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    found = {}
    for node in ast.parse("".join(cell["source"])).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            raise ValueError(f"{notebook}: line {node.lineno} of the parameters is not `name: type = literal`")
        found[node.target.id] = (ast.unparse(node.annotation), ast.literal_eval(node.value))
    return found


def check(notebook: Path, parameters: dict) -> None:
    """Refuse what the notebook does not declare: papermill would run it with its defaults instead.

    Raises: Bad naming the parameter.
    """
    known = declared(notebook)
    for name, value in parameters.items():
        if name not in known:
            raise Bad(f"no parameter {name!r} in {notebook.stem}; known: {', '.join(known)}")
        kind = known[name][0]
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise Bad(f"{name}={value!r}: {notebook.stem} needs {kind}")


def execute(what: Job | str, **fields: str | int) -> Path:
    """Execute a job (or a path with the fields of its run) unless it is done; return the executed notebook.

    Raises: Bad for a user's mistake, Failed otherwise. The output appears only when it is whole; a failed copy is kept.
    """
    todo = what if isinstance(what, Job) else job(what, **fields)
    if todo.done and todo.runs:
        return todo.output
    check(todo.notebook, todo.parameters)
    prepare(todo)
    part = todo.output.with_name(f".{todo.id}.{os.getpid()}.partial.ipynb")
    try:
        with gpu_lease():
            nb = _papermill(todo, part)
        missing = [p.stem for p in todo.rows if not p.is_file()]
        if missing or nb.metadata.papermill.exception:
            raise Failed(f"{todo.id}: the notebook ended without its row {' '.join(missing)} of the ledger")
        part.write_text(_text(nb), encoding="utf-8")
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
    if todo.runs and scale_of(todo.scale).world == "real" and not mirror_dir() and not hub():
        raise Bad(f"scale {todo.scale!r} needs real data: no XIT_MIRROR, no hub; set XIT_MIRROR to a mirror's folder")


def settle() -> None:
    """Give the processes started from here their environment; relative places stay where they were meant."""
    for name in ("XIT_RESULTS", "XIT_EXECUTED", "XIT_RUNS", "XIT_MIRROR"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])
    for name, value in KERNEL.items():
        os.environ.setdefault(name, value)


@lru_cache
def hub() -> bool:
    """Can the data hub be reached?"""
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return False
    try:
        urllib.request.urlopen(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _papermill(todo: Job, part: Path):
    import papermill
    from nbclient.exceptions import DeadKernelError

    settle()
    logging.getLogger("papermill").disabled = True  # it repeats the failure that is raised below
    try:
        return papermill.execute_notebook(
            str(todo.notebook), str(part), parameters=todo.parameters, kernel_name="python3", cwd=str(ROOT),
            progress_bar=False, record_timing=False, kernel_manager_class=_kernel_manager(),
            extra_arguments=["--IPKernelApp.log_level=50"],
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise _cause(todo, error.ename, error.evalue, _keep(todo, part)) from None
    except DeadKernelError:
        kept = _keep(todo, part)
        raise Failed(f"{todo.id}: the kernel died (out of memory?); run again to resume; see {kept}") from None


def _cause(todo: Job, name: str, value: str, kept: Path) -> Exception:
    line = " ".join(value.split())
    if name == "Bad":
        return Bad(line)
    if issubclass(getattr(builtins, name, Exception), OSError):
        return Bad(f"{todo.id}: {line}; free or name another place, then run again: what is finished is kept")
    return Failed(f"{todo.id}: {name}: {line[:300]}; see {kept}")


def _keep(todo: Job, part: Path) -> Path:
    kept = runs_dir() / "logs" / todo.scale / f"{todo.id}.failed.ipynb"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if part.is_file():
        os.replace(part, kept)
    return kept


def _text(nb) -> str:
    import nbformat

    return nbformat.writes(normalise(nb)) + "\n"


def normalise(nb):
    """Take out of an executed notebook what differs from one execution to the next: times, paths, addresses, ids."""
    info = nb.metadata.get("papermill", {})
    nb.metadata["papermill"] = {"parameters": info.get("parameters", {}), "version": info.get("version")}
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nb.metadata["language_info"] = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    for cell in nb.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if cell.cell_type == "code":
            cell["outputs"] = _merged([o for o in cell.outputs if o.get("name") != "stderr"])
    return nb


def _merged(outputs: list) -> list:
    """Outputs with neighbouring pieces of one stream joined (a kernel cuts them anywhere) and no memory addresses."""
    merged: list = []
    for out in outputs:
        plain = out.get("data", {}).get("text/plain")
        if plain:
            out.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", plain)
        if merged and out.output_type == merged[-1].output_type == "stream" and out.name == merged[-1].name:
            merged[-1].text += out.text
        else:
            merged.append(out)
    return merged


def _kernel_manager() -> type:
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class IPCKernelManager(AsyncKernelManager):
        """One Unix socket name a kernel: kernels side by side cannot collide, and nothing listens on TCP."""

        @default("transport")
        def _transport(self) -> str:
            return "ipc"

        @default("ip")
        def _ip(self) -> str:
            return f"{tempfile.gettempdir()}/k-{uuid.uuid4().hex[:12]}"

    return IPCKernelManager


@contextlib.contextmanager
def gpu_lease() -> Iterator[None]:
    """Hold one of the machine's GPUs through a file lock, unless the scheduler has given one or there is none."""
    count = gpus()
    if not count or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield
        return
    while not (lease := lock_one(count)):
        time.sleep(0.5)
    number, lock = lease
    os.environ["CUDA_VISIBLE_DEVICES"] = str(number)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        lock.close()


def gpus() -> int:
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def lock_one(count: int) -> tuple[int, IO] | None:
    folder = Path(tempfile.gettempdir(), f"xit-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for i in range(count):
        lock = open(folder / f"{i}.lock", "w")  # noqa: SIM115  (held as long as the lease)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return i, lock
        except OSError:
            lock.close()
    return None
