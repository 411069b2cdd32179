"""The rooms of the package: layers, no circle, no torch where the book is made, and names where they belong.
What it needs, written down once and exactly.
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
from importlib.metadata import requires
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement

from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine.places import ROOT
from xit_core.run import profiles

PACKAGE = ROOT / "xit_core"
# Rooms where tasks, kinds and scales may be named: declarations, the micro-world, chapters, and what is
# measured
NAMING = ("design", "micro", "report", "bench")
# XTREME's own tables, and the help of the command line
EXCEPTIONS = (
    "metrics/submission.py metrics/protocols.py metrics/checklist.py data/checklist.py cli.py".split()
)
WORDS = {"text", "mt"}  # also words of other things
LIGHT = ("machine", "design", "data", "micro", "metrics", "ledger", "report", "run")  # and cli


def test_an_import_never_goes_up_and_never_in_a_circle_and_the_book_needs_no_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", cache_dir=None) == 0


def test_the_core_imports_no_torch():
    code = f"""
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "accelerate"):
            raise ImportError(name)
sys.meta_path.insert(0, Forbidden())
import importlib, pathlib, xit_core.cli
for room in {LIGHT!r}:
    for file in pathlib.Path("xit_core", room).glob("*.py"):
        importlib.import_module(f"xit_core.{{room}}.{{file.stem}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


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


# -- what is needed ------------------------------------------------------------------------------------------

PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*")
BROWSERS = ("pagecheck.py",)  # serves the book to a browser on this machine


def name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[;=<>!~(]", requirement)[0]).lower()


def pins() -> list[str]:
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("      - ") for line in lines if line.startswith("      - ")]


def constraints() -> dict[str, str]:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(PIN.fullmatch(x) for x in lines), "one exact public version a line, no address, no local build"
    return {name(x): x.split("==")[1] for x in lines}


def test_every_package_of_the_list_has_an_exact_version_that_the_constraints_share():
    listed = pins()
    assert len(listed) > 10
    for line in listed:
        assert PIN.fullmatch(line), line
        assert constraints()[name(line)] == line.split("==")[1]
    assert "jupyter-book==1." in " ".join(listed)


def test_the_constraints_pin_what_the_listed_packages_need():
    pinned = constraints()
    for line in pins():
        plain = [r for r in requires(name(line)) or [] if ";" not in r]
        assert [r for r in plain if name(r) not in pinned] == []


def test_an_extra_is_the_same_in_both_places():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in extras.keys() - {"test"}:
        assert all(PIN.fullmatch(x) and x in (ROOT / "environment.yml").read_text() for x in extras[extra])
    assert extras["slurm"] == [profiles.PIN]


def test_no_machine_path_or_address_stands_in_the_build_files():
    tools = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tools").iterdir()
        if path.is_file() and path.name not in BROWSERS
    ]
    for file in (
        "environment.yml",
        "constraints.txt",
        "pyproject.toml",
        "Makefile",
        "Snakefile",
        ".ci/run",
        *tools,
    ):
        assert not re.search(r"https?://|/home/|/root|/work/|/opt/", (ROOT / file).read_text()), file


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
    exact = dict(pin.split("==") for pin in pins())
    needed = [Requirement(x) for x in project["dependencies"]]
    assert {str(Requirement(x)) for x in told if ";" not in x} == {str(x) for x in needed}
    assert all(x.specifier.contains(exact[x.name]) and len(x.specifier) == 2 for x in needed)  # a range
    tests = dict(pin.split("==") for pin in project["optional-dependencies"]["test"])
    assert exact == {x.name: exact[x.name] for x in needed} | tests


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
