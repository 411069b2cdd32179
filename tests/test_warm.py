"""Runs and kernels that are forked from a process that has loaded everything."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xit_core.run import asked, warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")
COMMAND = [sys.executable, "-m"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The socket of a process that forks, and a module that it can turn into."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "kernel_like.py").write_text(
        "import os, sys, time\n"
        "if __name__ == '__main__':\n"
        "    with open('told', 'w') as file:\n"
        "        looked = {'torch', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "        print(os.environ['GIVEN'], sys.argv[1], *looked, file=file)\n"
        "    time.sleep(float(sys.argv[1]))\n"
        "    sys.exit(int(sys.argv[2]))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
        with warm.ready(subprocess.DEVNULL) as leads:
            yield leads[warm.VARIABLE]


def start(place, folder, *arguments):
    env = {"GIVEN": "here", "PATH": os.environ["PATH"]}
    return warm.Forked(place, [*COMMAND, "kernel_like", *map(str, arguments)], env, str(folder))


def gone(pid, seconds=10.0):
    """Whether a process has ended within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_kernel_has_its_own_surroundings_and_what_was_loaded_and_tells_its_exit_status(place, tmp_path):
    kernel = start(place, tmp_path, 0, 3)
    assert kernel.wait() == 3 == kernel.poll()
    assert (tmp_path / "told").read_text() == "here 0 torch\n"
    kernel.send_signal(signal.SIGTERM)  # to nobody
    assert start(place, tmp_path, 0, 0).wait() == 0


def test_a_signal_ends_a_kernel(place, tmp_path):
    kernel = start(place, tmp_path, 60, 0)
    assert kernel.poll() is None
    kernel.kill()
    assert kernel.wait() == -signal.SIGKILL


def test_a_kernel_whose_user_is_gone_is_ended(place, tmp_path):
    kernel = start(place, tmp_path, 60, 0)
    kernel.line.close()
    assert gone(kernel.pid)


@pytest.mark.parametrize("asked_for", [True, False])
def test_who_leaves_before_it_has_read_an_answer_disturbs_nobody_else(place, tmp_path, asked_for):
    """As a run does that is stopped while its kernel starts: the connection is then reset, not closed."""
    other = start(place, tmp_path, 60, 0)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(place)
            if asked_for:
                argv = [*COMMAND, "kernel_like", "60", "0"]
                request = json.dumps({"argv": argv, "env": {"GIVEN": ""}, "cwd": str(tmp_path)}).encode()
                socket.send_fds(line, [len(request).to_bytes(warm.SIZE)], [1, 2])
                line.sendall(request)
                time.sleep(0.2)  # the answer has come
    assert start(place, tmp_path, 0, 0).wait() == 0 and other.poll() is None
    other.kill()
    assert other.wait() == -signal.SIGKILL


def test_no_kernel_outlives_the_process_and_then_none_is_forked(tmp_path):
    with warm.ready(subprocess.DEVNULL) as leads:
        kernel = warm.Forked(leads[warm.VARIABLE], [*COMMAND, "http.server", "0"], dict(os.environ), "/")
        assert kernel.poll() is None
    assert gone(kernel.pid) and kernel.wait() == -signal.SIGKILL
    with pytest.raises(OSError):
        start(leads[warm.VARIABLE], tmp_path, 0, 0)


def test_no_kernel_outlives_the_process_when_that_is_killed(tmp_path):
    """Also one that does nothing else and would not look for its parent."""
    with warm.ready(subprocess.DEVNULL) as leads:
        kernel = warm.Forked(leads[warm.VARIABLE], [*COMMAND, "http.server", "0"], dict(os.environ), "/")
        status = Path(f"/proc/{kernel.pid}/status").read_text()
        os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
        assert gone(kernel.pid) and kernel.wait() == -signal.SIGKILL


def test_nothing_is_started_where_it_is_not_wanted():
    with warm.ready(None) as leads:
        assert leads == {}


# -- a command that is asked for -----------------------------------------------------------------------------


def ask(lead, *words, **given):
    """`python -m xit_core.run.asked WORDS`, where `lead` names the process that forks; none without it."""
    env = {name: value for name, value in os.environ.items() if name != warm.VARIABLE}
    env |= {warm.VARIABLE: lead} if lead else {}
    command = [*COMMAND, asked.__name__, *words]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **given
    )


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["tasks", "--json"], 0, '"name": "xnli"'),
        (["run", "nope"], 2, "xit: no task 'nope'; known: anli"),
        (["run", "xnli > $(x)"], 2, "$(x)"),
    ],
)
def test_a_command_says_and_returns_the_same_in_a_fork_and_started(place, forks, words, status, said):
    done = ask(place if forks else "", *words)
    out, error = done.communicate(timeout=60)
    assert done.returncode == status and said in out + error


def test_where_nothing_forks_any_more_the_command_is_started(tmp_path):
    done = ask(str(tmp_path / "gone"), "run", "nope")
    assert "no task 'nope'" in done.communicate(timeout=60)[1] and done.returncode == 2


def test_an_error_of_a_fork_is_told(place, tmp_path):
    (tmp_path / "broken.py").write_text("raise ValueError('in here')\n")
    code = "import os, sys; from xit_core.run import warm; place, folder = sys.argv[1:];"
    code += (
        "fork = warm.Forked(place, ['python', '-m', 'broken'], {'PATH': ''}, folder); sys.exit(fork.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code, place, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "ValueError: in here" in done.stderr


def test_a_command_that_is_stopped_stops_and_takes_its_part_written_files_away(place, places):
    asks = ask(place, "run", "xnli", "--scale", "smoke")
    folder = places / "executed/smoke"
    while not list(folder.glob(".*.partial.ipynb")):
        assert asks.poll() is None
        time.sleep(0.02)
    asks.terminate()
    assert "xit stopped; the same command resumes" in asks.communicate(timeout=60)[1]
    assert asks.returncode == 130 and not list(folder.iterdir())
