"""The rooms of the package: layers, no circle, no torch where the book is made, and names where they
belong."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine.places import ROOT

PACKAGE = ROOT / "xit_core"
# Rooms where tasks, kinds and scales may be named: declarations, the micro-world, chapters, and what is
# measured
NAMING = ("design", "micro", "report", "bench")
# XTREME's own tables, and the help of the command line
EXCEPTIONS = {
    "metrics/submission.py",
    "metrics/protocols.py",
    "metrics/checklist.py",
    "data/checklist.py",
    "cli.py",
}
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
