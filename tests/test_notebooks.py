"""The four notebooks: their shape, and what executing them twice, or in another way, gives."""

import ast
import re

import nbformat
import papermill
import pytest

from xit_core.design.run import DEFAULTS, Run
from xit_core.ledger import results
from xit_core.machine.places import ROOT
from xit_core.run import launch

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def test_there_are_four():
    assert [p.stem for p in NOTEBOOKS] == sorted(launch.NOTEBOOKS.values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_holds_order_words_calls_and_pictures(path):
    code = cells(path)
    assert len(code) <= 10
    assert len(cells(path, "markdown")) >= 3 and cells(path, "markdown")[0].source.startswith("# ")
    for cell in code:
        assert len(cell.source.splitlines()) <= 8
        kinds = {type(node).__name__ for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {"FunctionDef", "ClassDef", "For", "While", "Lambda", "ListComp", "DictComp"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped_and_ids_are_words(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(c.outputs == [] and c.execution_count is None for c in cells(path))
    ids = [c["id"] for c in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(-[a-z]+)*", i) for i in ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_parameters_are_the_fields_of_a_run(path):
    source = next(c.source for c in cells(path) if "parameters" in c.metadata.get("tags", []))
    lines = ast.parse(source).body
    declared = {x.target.id: (x.annotation.id, ast.literal_eval(x.value)) for x in lines}
    assert all(line.count("=") == 1 for line in source.splitlines())  # papermill cannot read others
    if path.stem == launch.NOTEBOOKS[4]:
        assert declared == {"scale": ("str", "smoke")}
        return
    assert list(declared) == list(DEFAULTS)
    for name, (kind, default) in declared.items():
        assert kind == type(DEFAULTS[name]).__name__
        assert name == "path" or default == DEFAULTS[name]


def move(monkeypatch, folder):
    for name in ("RESULTS", "EXECUTED", "RUNS"):
        monkeypatch.setenv(f"XIT_{name}", str(folder / name))


def test_two_executions_and_plain_papermill_give_the_same(places, monkeypatch):
    """The first two to the byte, with the stage that they start from; plain papermill the same row of the
    ledger.
    """
    texts, rows = [], []
    for turn in ("one", "two"):
        move(monkeypatch, places / turn)
        texts.append(launch.execute("mnli > xnli, tatoeba").read_bytes())
        same = ("id", "scores", "items", "curve", "layers")
        rows.append([{k: row.get(k) for k in same} for row in results.rows("smoke")])
    assert texts[0] == texts[1]
    assert rows[0] == rows[1] and len(rows[0]) == 3

    run = Run("mnli > xnli")
    row = results.read(run)
    monkeypatch.setenv("XIT_RESULTS", str(places / "plain"))
    given = {"path": run.path}
    papermill.execute_notebook(
        ROOT / "notebooks/3_target.ipynb",
        places / "out.ipynb",
        given,
        kernel_name="python3",
        progress_bar=False,
    )
    plain = results.read(run)
    assert [plain[k] for k in ("id", "scores", "items")] == [row[k] for k in ("id", "scores", "items")]
