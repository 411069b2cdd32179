"""The kernel of a notebook: this interpreter, from nowhere else; and what is forked from a loaded process."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from xit_core.machine.errors import Bad, Failed
from xit_core.run import asked, kernel, launch, warm

TOLD = "import sys, os, json, pathlib\nprint(json.dumps([sys.executable, os.environ['IPYTHONDIR']]))\n"


@pytest.fixture
def theirs(places, monkeypatch):
    """Where jupyter looks first: another environment's kernel, which does not even start, and an IPython
    start-up file.
    """
    folder = places / "theirs/kernels/python3"
    folder.mkdir(parents=True)
    told = {"argv": ["/bin/false", "{connection_file}"], "display_name": "theirs", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(told))
    (places / "ipython/profile_default/startup").mkdir(parents=True)
    (places / "ipython/profile_default/startup/0.py").write_text("raise SystemExit('theirs')")
    for name, folder in {
        "JUPYTER_PATH": "theirs",
        "JUPYTER_DATA_DIR": "theirs",
        "IPYTHONDIR": "ipython",
    }.items():
        monkeypatch.setenv(name, str(places / folder))


def printed(path):
    return json.loads(json.loads(path.read_text())["cells"][-1]["outputs"][0]["text"][0])


def test_the_kernel_is_this_interpreter_whatever_others_installed(theirs, notebook, places):
    notebook(TOLD)
    executable, ipython = printed(launch.execute("analysis"))
    assert executable == sys.executable
    assert not ipython.startswith(str(places)) and not Path(ipython).exists()
    assert os.environ["IPYTHONDIR"] == str(places / "ipython")


def test_plain_jupyter_would_have_taken_the_other(theirs):
    from jupyter_client.kernelspec import KernelSpecManager

    assert KernelSpecManager().get_kernel_spec("python3").display_name == "theirs"
    assert kernel.ThisInterpreter().kernel_spec.argv[0] == sys.executable


@pytest.mark.parametrize("how", ["missing", "dies"])
def test_a_kernel_that_does_not_start_is_one_line(notebook, monkeypatch, how):
    notebook("pass")
    program = {
        "missing": ["/no/such/python", "{connection_file}"],
        "dies": ["/bin/false", "{connection_file}"],
    }[how]
    monkeypatch.setattr(kernel.KernelSpecManager, "get_kernel_spec", lambda *_: _spec(program))
    with pytest.raises(Failed) as error:
        launch.execute("xnli")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def _spec(argv):
    from jupyter_client.kernelspec import KernelSpec

    return KernelSpec(argv=argv, display_name="broken", language="python")


def test_a_long_temporary_folder_is_no_obstacle(notebook, places, monkeypatch):
    long = places / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    notebook(TOLD)
    assert printed(launch.execute("analysis"))[0] == sys.executable
    assert not list(long.iterdir())


def test_where_no_folder_is_short_enough_one_line_says_so(places, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(places / ("long" * 30)))
    monkeypatch.setattr(kernel, "SYSTEM", ())
    with pytest.raises(Bad, match="TMPDIR=.*too long .* at most 81 bytes"):
        kernel.short_folder()


def test_a_home_that_cannot_be_written_is_no_obstacle(places):
    code = "import sys; from xit_core import cli; sys.exit(cli.main(['study', 'tiny', '--scale', 'smoke']))"
    tiny = (
        "from xit_core.design import studies; from xit_core.design.run import Run; studies.STUDIES['tiny'] "
        "= lambda _: [Run('tatoeba')]; "
    )
    told = {
        "HOME": "/proc/nowhere",
        "SNAKEMAKE_PROFILE": "theirs",
        "XIT_RUNS": str(places / "a: b {x} #1 'q' $H"),
    }
    done = subprocess.run(
        [sys.executable, "-c", tiny + code],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert (
        len(list((places / "results/smoke").iterdir())) == 1
        and len(list((places / "executed/smoke").iterdir())) == 2
    )


NAMES = [
    "a: b",
    "a #1",
    "{x}",
    "a b",
    "$HOME",
    "'q' \"d\"",
    "[z]*?",
    "é\u3000漢",
    "%s %(x)s",
    "-dash",
    "back\\slash",
]


@pytest.mark.parametrize("place", NAMES)
def test_folders_of_any_name_work(notebook, places, monkeypatch, place):
    (places / place).mkdir()
    for name in ("results", "executed", "runs"):
        monkeypatch.setenv(f"XIT_{name.upper()}", str(places / place / name))
    notebook(TOLD)
    output = launch.execute("analysis")
    assert output.parent == places / place / "executed/smoke" and printed(output)[0] == sys.executable


# -- forked from a process that has loaded everything --------------------------------------------------------


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")
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


@ON_LINUX
def test_a_kernel_has_its_own_surroundings_and_what_was_loaded_and_tells_its_exit_status(place, tmp_path):
    kernel = start(place, tmp_path, 0, 3)
    assert kernel.wait() == 3 == kernel.poll()
    assert (tmp_path / "told").read_text() == "here 0 torch\n"
    kernel.send_signal(signal.SIGTERM)  # to nobody
    assert start(place, tmp_path, 0, 0).wait() == 0


@ON_LINUX
def test_a_signal_ends_a_kernel(place, tmp_path):
    kernel = start(place, tmp_path, 60, 0)
    assert kernel.poll() is None
    kernel.kill()
    assert kernel.wait() == -signal.SIGKILL


@ON_LINUX
def test_a_kernel_whose_user_is_gone_is_ended(place, tmp_path):
    kernel = start(place, tmp_path, 60, 0)
    kernel.line.close()
    assert gone(kernel.pid)


@ON_LINUX
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


@ON_LINUX
def test_no_kernel_outlives_the_process_and_then_none_is_forked(tmp_path):
    with warm.ready(subprocess.DEVNULL) as leads:
        kernel = warm.Forked(leads[warm.VARIABLE], [*COMMAND, "http.server", "0"], dict(os.environ), "/")
        assert kernel.poll() is None
    assert gone(kernel.pid) and kernel.wait() == -signal.SIGKILL
    with pytest.raises(OSError):
        start(leads[warm.VARIABLE], tmp_path, 0, 0)


@ON_LINUX
def test_no_kernel_outlives_the_process_when_that_is_killed(tmp_path):
    """Also one that does nothing else and would not look for its parent."""
    with warm.ready(subprocess.DEVNULL) as leads:
        kernel = warm.Forked(leads[warm.VARIABLE], [*COMMAND, "http.server", "0"], dict(os.environ), "/")
        status = Path(f"/proc/{kernel.pid}/status").read_text()
        os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
        assert gone(kernel.pid) and kernel.wait() == -signal.SIGKILL


@ON_LINUX
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
@ON_LINUX
def test_a_command_says_and_returns_the_same_in_a_fork_and_started(place, forks, words, status, said):
    done = ask(place if forks else "", *words)
    out, error = done.communicate(timeout=60)
    assert done.returncode == status and said in out + error


@ON_LINUX
def test_where_nothing_forks_any_more_the_command_is_started(tmp_path):
    done = ask(str(tmp_path / "gone"), "run", "nope")
    assert "no task 'nope'" in done.communicate(timeout=60)[1] and done.returncode == 2


@ON_LINUX
def test_an_error_of_a_fork_is_told(place, tmp_path):
    (tmp_path / "broken.py").write_text("raise ValueError('in here')\n")
    code = "import os, sys; from xit_core.run import warm; place, folder = sys.argv[1:];"
    code += (
        "fork = warm.Forked(place, ['python', '-m', 'broken'], {'PATH': ''}, folder); sys.exit(fork.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code, place, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "ValueError: in here" in done.stderr


@ON_LINUX
def test_a_command_that_is_stopped_stops_and_takes_its_part_written_files_away(place, places):
    asks = ask(place, "run", "xnli", "--scale", "smoke")
    folder = places / "executed/smoke"
    while not list(folder.glob(".*.partial.ipynb")):
        assert asks.poll() is None
        time.sleep(0.02)
    asks.terminate()
    assert "xit stopped; the same command resumes" in asks.communicate(timeout=60)[1]
    assert asks.returncode == 130 and not list(folder.iterdir())
