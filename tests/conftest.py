"""Every test has a ledger, notebooks and working files of its own; no network, one thread."""

import gc
import os
import textwrap
from pathlib import Path

import nbformat
import pytest
import torch

from stores import mirrored
from xit_core.machine.environment import fix_environment
from xit_core.run import launch

os.environ |= {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1", "MPLBACKEND": "agg",
}  # fmt: skip


def compute_as_generated_scales_do() -> None:
    """Hold this process to the instructions of the generated scales, as processes that tests start are.

    Libraries choose when they first compute, so something is computed here.
    """
    fix_environment("avx2")
    ones = torch.ones(64, 64)
    torch.nn.functional.linear(ones @ ones, ones).exp().sum()


compute_as_generated_scales_do()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real ledger is never written by a test."""
    for name in ("results", "executed", "runs"):
        monkeypatch.setenv(f"XIT_{name.upper()}", str(tmp_path / name))
    for name in ("XIT_MIRROR", "XIT_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """mirror(repository, config, split, rows, ...) puts a split into a mirror that XIT_MIRROR names."""
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    mirrored(tmp_path, "somebody", "else", "train", [{"x": 1}])
    return lambda *split, **entry: mirrored(tmp_path, *split, **entry)


PARAMETERS = """
path: str = "xnli"
scale: str = "smoke"
seed: int = 1
model: str = ""
method: str = "full"
lang: str = "en"
size: int = 0
"""


@pytest.fixture
def notebook(places, monkeypatch):
    """notebook(code) makes the four notebooks tiny ones that run this code."""

    def make(code: str) -> None:
        (places / "notebooks").mkdir(exist_ok=True)
        cells = [nbformat.v4.new_code_cell(textwrap.dedent(c).strip()) for c in (PARAMETERS, code)]
        cells[0].metadata["tags"] = ["parameters"]
        for cell, name in zip(cells, ("parameters", "run"), strict=True):
            cell["id"] = name
        told = {"language_info": {"name": "python"}}
        text = nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=told))
        for name in launch.NOTEBOOKS.values():
            (places / "notebooks" / f"{name}.ipynb").write_text(text)

    monkeypatch.setattr(launch, "ROOT", places)
    monkeypatch.setattr(launch, "PARTS", places)
    return make


def pytest_collection_finish():
    """Let the garbage collector leave out what was imported, which stays and takes most of its time."""
    gc.freeze()
