"""Every test has a ledger, notebooks and working files of its own; no network, one thread."""

import os
from pathlib import Path

import pytest

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
