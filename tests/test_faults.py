"""What machines do to a study: processes that are killed, disks that fill up, kernels that hang, files that
were tampered with. Afterwards the result is right or one line says why there is none, and nothing is left
running.
"""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from xit_core import cli, phases
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.ledger import merge, results
from xit_core.machine import files, locks
from xit_core.machine.errors import Bad, Failed
from xit_core.model import checkpoints, origins, train
from xit_core.model.features import Encoded
from xit_core.run import gpus, launch, leash, workflow
from xit_core.run.jobs import job_of

SLEEP = "import time\ntime.sleep(600)"


def alive(number: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(holds, seconds: float = 300.0) -> bool:
    """Whether something comes to hold within some seconds."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(held)


def number(file: Path) -> int:
    """The number of a process that it writes to a file itself, as soon as it is there."""
    assert until(lambda: file.is_file() and file.read_text().endswith("\n"))
    return int(file.read_text())


# -- processes -----------------------------------------------------------------------------------------------

# a run that writes its number and goes on for ever
RUN = "echo $$ > {file}; while :; do sleep 1; done"


def on_leash(script: str, **given) -> subprocess.Popen:
    command = [sys.executable, "-m", leash.__name__, "bash", "-c", script]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **given)


QUICK = "import sys; from xit_core.run import leash; leash.PATIENCE = 0.5; leash.lead(sys.argv[1:])"


@pytest.mark.parametrize("trap", ["", "trap : TERM; "], ids=["obedient", "stubborn"])
def test_nothing_outlives_the_holder_of_a_leash(tmp_path, trap):
    script = f"{trap}bash -c '{trap}{RUN.format(file=tmp_path / 'run')}' & wait; sleep 600"
    command = [sys.executable, "-c", QUICK, "bash", "-c", script]
    held = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert alive(run := number(tmp_path / "run"))
    held.stdin.close()  # as the system does when the holder is killed
    assert held.wait(300) == -signal.SIGKILL and until(lambda: not alive(run))


def test_what_a_killed_scheduler_leaves_behind_is_ended(tmp_path):
    held = on_leash(
        f"bash -c '{RUN.format(file=tmp_path / 'run')}' & echo $$ > {tmp_path / 'first'}; wait; :"
    )
    run = number(tmp_path / "run")
    os.kill(number(tmp_path / "first"), signal.SIGKILL)
    assert held.wait(300) == -signal.SIGKILL and until(lambda: not alive(run))


SCHEDULER = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try:
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1]).write_text("cancelled")
"""


@pytest.mark.parametrize("terminated", [False, True], ids=["holder gone", "terminated"])
def test_a_scheduler_of_jobs_elsewhere_is_interrupted_so_that_it_cancels_them(tmp_path, terminated):
    command = [sys.executable, "-m", leash.__name__, leash.ELSEWHERE, sys.executable, "-c", SCHEDULER]
    held = subprocess.Popen([*command, tmp_path / "jobs"], stdin=subprocess.PIPE, start_new_session=True)
    assert until((tmp_path / "jobs").is_file)
    if terminated:
        os.killpg(held.pid, signal.SIGTERM)
    else:
        held.stdin.close()
    assert held.wait(300) == -signal.SIGKILL and (tmp_path / "jobs").read_text() == "cancelled"
    held.stdin.close()


STUDY = """
import pathlib, sys
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.run import launch
launch.PARTS = launch.ROOT = pathlib.Path(sys.argv[1])
studies.STUDIES["tiny"] = lambda scale: [Run("pretrained", scale), Run("xnli", scale)]
sys.exit(cli.main(["study", "tiny", "--scale", "smoke", "--cores", "2"]))
"""


def marked(mark: str) -> dict[int, str]:
    """The command lines of the processes that have a text in their environment."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (place / "environ").read_bytes() and alive(int(place.name)):
                found[int(place.name)] = (place / "cmdline").read_text(errors="replace")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_study_that_is_stopped_takes_all_its_processes_along(places, monkeypatch, sign):
    """Its runs hang, for they are whatever command the plan holds; none may go on without it."""
    monkeypatch.setenv("XIT_MARK", mark := f"XIT_MARK={places.name}-{sign}"[9:])
    hang = f"""
import xit_core.run.workflow as w
real = w.graph
def graph(*given):
    told = real(*given)
    for job in told["jobs"]:
        job["command"] = "exec sleep 600"
    return told
w.graph = graph
{STUDY}"""
    study = subprocess.Popen([sys.executable, "-c", hang, str(places)], stderr=subprocess.PIPE, text=True)
    assert until(lambda: len(marked(mark)) > 4)
    study.send_signal(sign)
    said = study.stderr.read()
    assert study.wait(300) in (-signal.SIGKILL, 130) and until(lambda: not marked(mark))
    assert "Traceback" not in said and ("same command resumes" in said) == (sign == signal.SIGTERM)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_processes_that_share_a_run_end_with_the_first(places, monkeypatch):
    mark = f"shared-by-{places.name}"
    monkeypatch.setenv("XIT_MARK", mark)
    code = "import time, pathlib; from xit_core.run import direct\n"
    code += "direct.share(time.sleep, 2, pathlib.Path('log'), 'all', 600)"
    first = subprocess.Popen([sys.executable, "-c", code])

    def members() -> list[int]:
        return [number for number, line in marked(mark).items() if "forkserver" in line]

    assert until(lambda: len(members()) == 3)  # with the process that is copied
    first.kill()
    first.wait()
    assert until(lambda: not marked(mark))


@pytest.mark.parametrize("stopped", [False, True], ids=["busy", "stopped"])
def test_a_kernel_that_hangs_is_ended_at_the_time_limit_and_the_line_says_so(
    notebook, places, stopped, monkeypatch
):
    monkeypatch.setenv("XIT_LIMIT", "2")
    halt = "os.kill(os.getpid(), signal.SIGSTOP)" * stopped
    notebook(
        f"import os, signal\nopen({str(places / 'pid')!r}, 'w').write(str(os.getpid()))\n{halt}\n{SLEEP}"
    )
    with pytest.raises(Failed, match="a cell took too long: XIT_LIMIT allows 2 seconds; run again") as got:
        launch.execute("xnli")
    assert "\n" not in str(got.value) and not job_of("xnli").done
    assert until(lambda: not alive(int((places / "pid").read_text())))


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "soon", "²", "9" * 40])
def test_a_time_limit_that_is_none_is_refused_before_the_work(notebook, monkeypatch, limit):
    notebook(SLEEP)
    monkeypatch.setenv("XIT_LIMIT", limit)
    with pytest.raises(Bad, match=f"XIT_LIMIT={limit}; allowed: a whole number of seconds"):
        launch.execute("xnli")


@pytest.mark.parametrize(
    "code",
    ["raise MemoryError()", "import torch\nraise torch.OutOfMemoryError('CUDA out of memory.\\nTried 2 GB')"],
)
def test_a_run_without_enough_memory_says_what_to_do(notebook, code):
    notebook(code)
    with pytest.raises(Failed, match="OutOfMemoryError: .*free memory or run fewer|MemoryError: .*fewer"):
        launch.execute("xnli")


def test_two_studies_that_start_at_once_make_one_ledger(places):
    """One of them works; the other says so and changes nothing."""
    tiny = STUDY.replace("launch.PARTS = launch.ROOT = pathlib.Path(sys.argv[1])", "").replace(
        '"--cores", "2"', '"--direct"'
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", tiny, ""], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = sorted((study.communicate(timeout=300), study.returncode) for study in both)
    statuses = [status for _, status in ended]
    assert statuses.count(0) >= 1 and {*statuses} <= {0, 2}
    for (_, said), status in ended:
        assert status == 0 or said.startswith("xit: a study at scale 'smoke' is running already")
    assert {row["id"] for row in results.rows("smoke")} == {Run("pretrained").id, Run("xnli").id}


# -- disks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(places):
    """disk(kilobytes) mounts a small file system of its own."""
    folder = places / "disk"
    folder.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk can be mounted by root alone")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def test_on_a_full_disk_one_line_says_so_and_with_room_the_same_run_ends(disk, monkeypatch):
    folder = disk(200)  # a checkpoint is larger
    monkeypatch.setenv("XIT_RUNS", str(folder / "runs"))
    with pytest.raises(
        Bad, match="cannot write .*No space left.*; free some space or name another folder"
    ) as got:
        phases.intermediate(Run("mnli"))
    assert "\n" not in str(got.value)
    left = [file for file in folder.rglob("*") if file.is_file() and "safetensors" in file.name]
    assert not left and not results.finished(Run("mnli"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    phases.intermediate(Run("mnli"))
    assert results.finished(Run("mnli"))


def test_a_full_disk_under_the_ledger_leaves_no_half_row(disk, monkeypatch):
    folder = disk(64)
    monkeypatch.setenv("XIT_RESULTS", str(folder / "results"))
    (folder / "results/smoke").mkdir(parents=True)
    with contextlib.suppress(OSError), open(folder / "filler", "wb") as filler:
        while True:
            filler.write(b"x" * 512)
            filler.flush()
    with pytest.raises(Bad, match="No space left"):
        phases.pretrained(Run("pretrained"))
    assert not list((folder / "results").rglob("*.json"))


def test_a_folder_that_is_read_only_is_named_before_the_work(disk, monkeypatch):
    folder = disk(200)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    for name in ("RUNS", "RESULTS", "EXECUTED"):
        with monkeypatch.context() as patch:
            patch.setenv(f"XIT_{name}", str(folder / "x"))
            with pytest.raises(
                Bad, match=f"cannot write to {folder}/x.*Read-only file system.*; make it writable"
            ):
                launch.execute("xnli")


# -- files from elsewhere ------------------------------------------------------------------------------------


class Poison:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


def poisoned(file: Path, proof: Path) -> None:
    """A file in torch's format, whose pickle would run a command."""
    torch.save({"net": Poison(proof)}, file)
    with zipfile.ZipFile(file) as parts:
        assert any(str(proof).encode() in parts.read(name) for name in parts.namelist())


def test_a_checkpoint_of_a_training_that_would_run_a_command_is_refused(tmp_path):
    net = origins.start(SCALES["smoke"])
    optimiser = torch.optim.AdamW(net.parameters())
    poisoned(tmp_path / "resume.pt", tmp_path / "proof")
    with pytest.raises(
        Bad, match=r"resume\.pt: damaged checkpoint .*; delete it, the training then starts again"
    ):
        train.resume(tmp_path, net, optimiser)
    assert train.spent(tmp_path) == 0.0 and not (tmp_path / "proof").exists()


def test_an_encoder_of_pickled_weights_is_refused_and_no_command_runs(tmp_path, capsys):
    """Other libraries read pytorch_model.bin where there are no safetensors."""
    net = origins.start(SCALES["smoke"])
    net.encoder.save_pretrained(tmp_path / "own")
    (tmp_path / "own/model.safetensors").unlink()
    poisoned(tmp_path / "own/pytorch_model.bin", tmp_path / "proof")
    assert cli.main(["run", "pretrained", "--scale", "smoke", "--model", str(tmp_path / "own")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "proof").exists()


def test_a_cache_that_would_run_a_command_is_no_cache(tmp_path):
    array = np.empty(1, dtype=object)
    array[0] = Poison(tmp_path / "proof")
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert str(tmp_path / "proof").encode() in (tmp_path / "x.npy").read_bytes()
    with pytest.raises(ValueError):
        Encoded.read(tmp_path / "x.npy")
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "name", ["$(touch {proof})", "`touch {proof}`", "a; touch {proof}", "a' > {proof} '"]
)
def test_no_name_reaches_a_shell(places, monkeypatch, name, capsys):
    proof = places / "proof"
    folder = places / name.format(proof="proof").replace("/", "")
    monkeypatch.chdir(places)
    for variable in ("RUNS", "EXECUTED"):
        monkeypatch.setenv(f"XIT_{variable}", str(folder / variable))
    monkeypatch.setenv("XIT_RESULTS", str(folder / "results"))
    text = name.format(proof=proof)
    for words in (
        ["run", text],
        ["run", "xnli", "--model", text],
        ["study", "--scale", "smoke", "--model", text],
    ):
        assert cli.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 3 and not proof.exists()


def test_a_row_cannot_name_a_place_outside_the_ledger(places):
    """Its file is named by what the run is, not by what the row says."""
    row = {"id": "../../outside", "scale": "../..", "scores": []}
    (places / "theirs/smoke").mkdir(parents=True)
    (places / "theirs/smoke/x.json").write_text(json.dumps(files.sealed(row)))
    with pytest.raises(Bad, match="no row of a run as this version makes it"):
        merge.merge(places / "theirs")
    assert [p.name for p in places.iterdir()] == ["theirs"]


def test_every_byte_of_a_checkpoint_counts(places):
    """Cut, or with one bit turned, anywhere: it is named and never read as other weights."""
    net = origins.start(SCALES["smoke"])
    folder = places / "checkpoint"
    checkpoints.write_model(net, folder)
    whole = (folder / "model.safetensors").read_bytes()
    for at in range(0, len(whole), len(whole) // 40):
        turned = whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]
        for content in (turned, whole[:at]):
            (folder / "model.safetensors").write_bytes(content)
            with pytest.raises(Bad, match="damaged checkpoint"):
                checkpoints.read_model(folder, net.tokenizer, SCALES["smoke"])


# -- locks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lockless(monkeypatch):
    """lockless(number): every flock fails with this error, as it does on some network file systems."""

    def make(number: int) -> None:
        def fail(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(locks.fcntl, "flock", fail)

    return make


def test_a_lock_is_held_by_one_until_it_is_closed(tmp_path):
    first = locks.locked(tmp_path / "a.lock")
    assert first and locks.locked(tmp_path / "a.lock") is None
    first.close()
    assert locks.locked(tmp_path / "a.lock")


def test_a_lock_ends_with_the_process_that_held_it(tmp_path):
    code = (
        "from xit_core.machine.locks import locked; from pathlib import Path; x = "
        f"locked(Path({str(tmp_path)!r}, 'a')); assert x"
    )
    subprocess.run([sys.executable, "-c", code + "; import os; os._exit(9)"], check=False)
    assert locks.locked(tmp_path / "a")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_told_apart_from_a_study_that_runs(lockless, places, number):
    (places / "runs").mkdir()
    lockless(number)
    with pytest.raises(locks.Unlockable, match="has no locks"):
        locks.locked(places / "runs/x.lock")
    with (
        workflow.study_lock(SCALES["smoke"]),
        pytest.raises(Bad, match=rf"held by process {os.getpid()} on .*delete this file"),
    ):
        workflow.study_lock(SCALES["smoke"])
    workflow.study_lock(SCALES["smoke"]).close()  # it was given back


def test_the_advice_on_a_lock_that_was_left_behind_works(lockless, places):
    (places / "runs").mkdir()
    lockless(errno.ENOLCK)
    workflow.study_lock(SCALES["smoke"])  # its process died: nobody closed it
    with pytest.raises(Bad) as error:
        workflow.study_lock(SCALES["smoke"])
    os.unlink(str(error.value).split(" is held by ")[0])
    workflow.study_lock(SCALES["smoke"]).close()


def test_a_gpu_is_never_waited_for_where_there_are_no_locks(lockless, places, monkeypatch):
    (places / "gpus/0").mkdir(parents=True)
    monkeypatch.setattr(gpus, "GPUS", places / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    lockless(errno.ENOLCK)
    with pytest.raises(Bad, match="has no locks"):
        gpus.lease()


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(Bad, match="cannot write .*nowhere"):
        locks.locked(tmp_path / "nowhere/a.lock")
