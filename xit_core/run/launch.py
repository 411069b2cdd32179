"""Executing a notebook with papermill: checked parameters, an atomic output, the same bytes every time."""

import builtins
import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..design.encoders import lacking
from ..design.scales import own_file
from ..ledger import predictions, results
from ..machine.environment import environments_differ, fix_environment
from ..machine.errors import Bad, Failed
from ..machine.files import write_text
from ..machine.places import PARTS, ROOT, mirror_dir, results_dir, runs_dir
from .gpus import lease
from .jobs import Job, is_notebook, job_of

NOTEBOOKS = {1: "1_pretrained", 2: "2_intermediate", 3: "3_target", 4: "4_analysis"}


def execute(what: Job | str, **given: str | int) -> Path:
    """Execute a job (or a path with the fields of its run) unless it is done; return the executed notebook.

    Raises: Bad for a user's mistake, Failed otherwise. The output file appears only when it is complete; a
    notebook that failed is kept elsewhere.
    """
    import nbformat

    todo = what if isinstance(what, Job) else job_of(what, **given)
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
    try:
        todo.failed.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, todo.failed)
    except OSError:
        return "no notebook could be kept"
    return f"see {todo.failed}"


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
