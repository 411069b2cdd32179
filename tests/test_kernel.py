"""The kernel of a notebook: this interpreter, from nowhere else, in a place of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT
from xit_core.run import kernel, launch
from xit_core.run.launch import Failed

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


def test_kernels_of_nbval_are_told_what_those_of_papermill_are():
    setup = (ROOT / "tools/setup").read_text(encoding="utf-8")
    assert kernel.startup_profile() in setup and "'svg'" in kernel.startup_profile()
