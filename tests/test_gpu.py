"""The script of a visit to a machine with a GPU, rehearsed at toy size on this one."""

import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest

import gpu
from xit_core.design import encoders, studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
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


def test_a_visit_brings_home_an_encoder_and_rows_that_the_ledger_takes(tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], encoder=encoders.shipped("made")))
    monkeypatch.setattr(encoders.Encoder, "folder", property(lambda _: tmp_path / "encoder"))
    monkeypatch.setitem(studies.STUDIES, "main", lambda _: [Run("pretrained"), Run("tatoeba"), Run("udpos")])
    remade = Run("pretrained", model="remake")
    gpu.main(["pretrain", "--scale", "smoke", "--seconds", "0", "--to", str(tmp_path / "none")])
    assert not results.read(remade) and not encoders.weight_files(tmp_path / "encoder")[0].exists()
    gpu.main(["pretrain", "study", "--scale", "smoke", "--to", str(tmp_path / "out")])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"model.safetensors", "rows.tar.gz"}
    with tarfile.open(tmp_path / "out/rows.tar.gz") as archive:
        archive.extractall(tmp_path / "came", filter="data")
    assert {p.name for p in (tmp_path / "came/encoder").iterdir()} == {
        "config.json",
        "card.json",
        "tokenizer.json",
    }
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path / "home"))
    assert merge.merge(tmp_path / "came") == (4, 0, 0) and results.read(remade)
    monkeypatch.setattr(gpu.phases, "pretrained", lambda _: pytest.fail("pretrained again"))
    gpu.main(["pretrain", "--scale", "smoke", "--to", str(tmp_path / "again")])
