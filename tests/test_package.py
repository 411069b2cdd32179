"""The rooms of the package: layers, no circle, no torch where the book is made, and names where they belong.
The package as `pip install .` leaves it: whole, with what it needs, and at work in an empty folder without
git.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement

from test_environment import pins
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine.places import ROOT

PACKAGE = ROOT / "xit_core"
# Rooms where tasks, kinds and scales may be named: declarations, the micro-world, chapters, and what is
# measured
NAMING = ("design", "micro", "report", "bench")
# XTREME's own tables, and the help of the command line
EXCEPTIONS = (
    "metrics/submission.py metrics/protocols.py metrics/checklist.py data/checklist.py cli.py".split()
)
WORDS = {"text", "mt"}  # also words of other things


def test_an_import_never_goes_up_and_never_in_a_circle_and_the_book_needs_no_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", cache_dir=None) == 0


def literals(file: Path) -> set[str]:
    """The strings of a module, less docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)]
    docs = {id(n.body[0].value) for n in nodes if n.body and isinstance(n.body[0], ast.Expr)}
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {n.value for n in found if id(n) not in docs}


GENERAL = [
    file.relative_to(PACKAGE)
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.relative_to(PACKAGE).parts[0] not in NAMING and str(file.relative_to(PACKAGE)) not in EXCEPTIONS
]


@pytest.mark.parametrize("file", GENERAL, ids=str)
def test_general_code_names_no_task_kind_or_scale(file):
    kinds = {task.kind for task in TASKS.values()}
    assert not literals(PACKAGE / file) & ({*TASKS, *kinds, *SCALES} - WORDS)


def test_no_module_stands_outside_a_room_but_the_two_doors():
    assert {p.name for p in PACKAGE.glob("*.py")} == {"__init__.py", "cli.py", "phases.py"}


# -- installed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy of the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "LICENSE", "Snakefile", "notebooks", "tools", "tests", "xit_core"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    # another name: setuptools fills in braces and dollars in that of its interpreter
    (tree / "env").symlink_to(sys.prefix)
    command = [
        tree / "env/bin/python",
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([*command, "-w", tree / "made", tree], check=True, capture_output=True, env=env)
    return next((tree / "made").glob("xit-*.whl"))


def test_the_wheel_has_all_that_runs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "Snakefile",
        "first_names.csv",
        "encoders/micro/tokenizer.json",
        *(f"notebooks/{i}" for i in notebooks()),
    ):
        assert f"xit_core/{name}" in names
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "xit_core").rglob("*.py")}
    assert sources <= set(names)
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"xit_core"}


def notebooks():
    return sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_wheel_needs_ranges_that_hold_what_environment_yml_pins(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    told = message_from_string(archive.read(metadata).decode()).get_all("Requires-Dist")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    exact = dict(pin.split("==") for pin in pins(environment()))
    needed = [Requirement(x) for x in project["dependencies"]]
    assert {str(Requirement(x)) for x in told if ";" not in x} == {str(x) for x in needed}
    assert all(x.specifier.contains(exact[x.name]) and len(x.specifier) == 2 for x in needed)  # a range
    tests = dict(pin.split("==") for pin in project["optional-dependencies"]["test"])
    assert exact == {x.name: exact[x.name] for x in needed} | tests


def environment():
    return (ROOT / "environment.yml").read_text(encoding="utf-8")


def test_an_installed_package_works_in_an_empty_folder_without_git(wheel, tmp_path):
    target, here = tmp_path / "installed", tmp_path / "here"
    here.mkdir()
    zipfile.ZipFile(wheel).extractall(target)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XIT_", "PYTHON"))}
    env |= {"PYTHONPATH": str(target), "PATH": str(tmp_path / "no programs")}

    def xit(*words):
        command = [sys.executable, "-m", "xit_core.cli", *words]
        return subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=300)

    assert re.fullmatch(r"xit \S+\n", xit("--version").stdout) and not list(here.iterdir())
    done = xit("run", "tatoeba", "--scale", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["provenance"]["commit"], row["provenance"]["clean"]) == ("", False)
    assert [*map(str, (p.relative_to(here) for p in Path(here).rglob("*.json")))] == [
        f"book/results/smoke/{row['id']}.json"
    ]
