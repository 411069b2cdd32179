"""Every test has a ledger, notebooks and working files of its own; no network, one thread."""

import os
from pathlib import Path

import pytest

from stores import mirrored

os.environ |= {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1", "MPLBACKEND": "agg",
}  # fmt: skip


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
