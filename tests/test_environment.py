"""What is installed is written down once, exactly; and the code stays small."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires

from xit_core.machine.places import ROOT
from xit_core.run import profiles

PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*")
BROWSERS = ("pagecheck.py",)  # serves the book to a browser on this machine
LIGHT = ("machine", "design", "data", "micro", "metrics", "ledger", "report", "run")  # and cli


def name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[;=<>!~(]", requirement)[0]).lower()


def pins(text: str) -> list[str]:
    return [line.removeprefix("      - ") for line in text.splitlines() if re.match(r"      - ", line)]


def constraints() -> dict[str, str]:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(PIN.fullmatch(x) for x in lines), "one exact public version a line, no address, no local build"
    return {name(x): x.split("==")[1] for x in lines}


def test_every_package_of_the_list_has_an_exact_version_that_the_constraints_share():
    listed = pins((ROOT / "environment.yml").read_text())
    assert len(listed) > 10
    for line in listed:
        assert PIN.fullmatch(line), line
        assert constraints()[name(line)] == line.split("==")[1]
    assert "jupyter-book==1." in " ".join(listed)


def test_the_constraints_pin_what_the_listed_packages_need():
    pinned = constraints()
    for line in pins((ROOT / "environment.yml").read_text()):
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


def test_no_function_has_more_than_40_statements():
    for path in (ROOT / "xit_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = sum(isinstance(x, ast.stmt) for x in ast.walk(node)) - 1
                assert count <= 40, f"{path.name}: {node.name} has {count} statements"
