"""The script of a visit to a machine with a GPU, rehearsed at toy size on this one."""

import subprocess
import sys
import tarfile

import pytest

import gpu
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.ledger import merge, results
from xit_core.machine.places import ROOT

WITHOUT = """
import sys
gone = "pandas pyarrow datasets papermill nbformat nbclient snakemake matplotlib statsmodels tabulate"
for name in gone.split():
    sys.modules[name] = None  # as if it were not installed
sys.path[:0] = sys.argv[2:]  # PYTHONPATH cannot name a folder with a colon
import gpu
gpu.main(["check", "--scale", "smoke", "--to", sys.argv[1]])
"""


def test_what_is_checked_there_holds_here_without_parquet_and_notebooks(tmp_path):
    command = [
        sys.executable,
        "-c",
        WITHOUT,
        str(tmp_path),
        str(ROOT),
        str(ROOT / "tests"),
        str(ROOT / "tools"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and '"mnli": {"logits off by": 0.0' in done.stdout, done.stderr


def test_a_packed_path_that_is_not_the_plain_one_stops_the_visit(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu.plain, "fit", lambda *_: [9.0])
    with pytest.raises(SystemExit, match="mnli: the packed path is not the plain one here"):
        gpu.main(["check", "--scale", "smoke", "--to", str(tmp_path)])


def test_a_visit_brings_home_rows_that_the_ledger_takes(tmp_path, monkeypatch):
    plan = [Run("pretrained"), Run("tatoeba"), Run("udpos")]
    monkeypatch.setitem(studies.STUDIES, "main", lambda _: plan)
    gpu.main(["study", "--scale", "smoke", "--to", str(tmp_path / "out")])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["rows.tar.gz"]
    with tarfile.open(tmp_path / "out/rows.tar.gz") as archive:
        archive.extractall(tmp_path / "came", filter="data")
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path / "home"))
    assert merge.merge(tmp_path / "came") == (3, 0, 0) and all(map(results.read, plan))
    monkeypatch.setattr(gpu.direct, "run_direct", lambda *_: None)
    gpu.main(["study", "--scale", "smoke", "--to", str(tmp_path / "again")])
    with tarfile.open(tmp_path / "again/rows.tar.gz") as archive:
        assert not archive.getnames()
