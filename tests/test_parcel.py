"""A parcel is a mirror of what a study reads, cut to fit; the script that takes it to a GPU is rehearsed."""

import random
import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest

import gpu
from stores import rows
from xit_core import cli
from xit_core.data import parcel
from xit_core.data.mirror import from_mirror, manifest
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import HELD_OUT
from xit_core.design.worlds import REAL
from xit_core.ledger import merge, results
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT


@pytest.fixture
def real(monkeypatch):
    """The smallest scale, on real data in two languages."""
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], world=REAL, langs=("en", "de")))


def test_a_parcel_is_a_mirror_of_what_the_study_reads_with_every_note_of_the_first(
    real, mirror, tmp_path, monkeypatch
):
    mirror(
        "rajpurkar/squad", "plain_text", "train", rows(5), complete="partial", note="the first 5", licence="L"
    )
    mirror("metaeval/lingnli", "default", "train", rows(4), note="STAND-IN for MNLI")
    mirror("google/xtreme", "XNLI", "validation", rows(3))
    mirror("google/xtreme", "udpos.Finnish", "validation", rows(2))  # not a language of the scale
    mirror("tau/commonsense_qa", "default", "train", rows(6))  # of no run
    first = {key: from_mirror(*key) for key in manifest(tmp_path)}
    told = parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack")
    assert [r["repo"] for r in told] == ["rajpurkar/squad", "metaeval/lingnli", "google/xtreme"]
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path / "pack"))
    for key in manifest(tmp_path / "pack"):
        assert from_mirror(*key) == first[key]
    assert [p.stand_in for p in from_mirror("metaeval/lingnli", "default", "train")] == [True]
    with pytest.raises(Bad, match="is in use; name a new folder"):
        parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack")


def test_text_that_any_evaluation_set_of_the_mirror_holds_is_blank_in_a_parcel_and_counted(
    real, mirror, tmp_path, monkeypatch
):
    mirror(
        "lareqa", "xquad-r.de", "test", [{"context": "so steht es in einem Satz, den niemand lernen darf"}]
    )
    said = [
        "eins zwei drei vier",
        "So steht es in einem Satz, den niemand lernen darf!",
        "fünf sechs sieben acht",
    ]
    text = [{"text": "\n".join(said[:2]), "source": "a"}, {"text": said[2], "source": "b"}]
    mirror("pretrain_text", "de", "train", text, complete="derived", note="mixed")
    mirror("pretrain_text", "fi", "train", [{"text": said[1], "source": "a"}])  # not a language of the scale
    (told,) = parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack")
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path / "pack"))
    (part,) = from_mirror("pretrain_text", "de", "train")
    assert part.rows == [{"text": "eins zwei drei vier\n", "source": "a"}, {"text": said[2], "source": "b"}]
    assert told["note"] == part.note == "mixed; 1 lines that evaluation sets hold are blank"


@pytest.mark.parametrize(
    ("place", "row", "said"),
    [
        (("google/xtreme", "XNLI", "validation"), {"x": b"bytes"}, "not to be packed as JSON"),
        (("pretrain_text", "en", "train"), {"text": None, "source": "a"}, "row 0 has no text"),
    ],
)
def test_a_split_that_cannot_be_packed_is_named(real, mirror, tmp_path, place, row, said):
    mirror(*place, [row])
    with pytest.raises(Bad, match=f"{'/'.join(place)}: {said}"):
        parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack")


def test_every_string_of_a_row_is_a_text_and_tokens_are_one():
    row = {"id": 3, "tokens": ["The", "house"], "answers": {"text": ["green"]}}
    assert set(parcel.strings(row)) == {"The", "house", "The house", "green"}


def test_text_is_cut_where_a_parcel_would_be_too_large_and_says_so(real, mirror, tmp_path):
    noise = random.Random(1)
    mirror("google/xtreme", "XNLI", "validation", rows(3))
    for lang, n in (("en", 6000), ("de", 100)):
        mirror("pretrain_text", lang, "train", [{"text": f"{noise.getrandbits(256):x}"} for _ in range(n)])
    told = {r["config"]: r for r in parcel.pack_mirror(SCALES["smoke"], tmp_path / "pack", 2**17)}
    assert told["de"]["rows"] == 100 and told["de"]["note"] == "0 lines that evaluation sets hold are blank"
    assert 2000 < told["en"]["rows"] < 5000 and told["en"]["note"].endswith(
        f"; {told['en']['rows']:,} of 6,000 rows"
    )
    assert 0.85 < sum(f.stat().st_size for f in (tmp_path / "pack").rglob("*.xz")) / 2**17 <= 1
    mirror(
        "rajpurkar/squad", "plain_text", "train", [{"x": f"{noise.getrandbits(4096):x}"} for _ in range(400)]
    )
    with pytest.raises(Bad, match=r"0\.1 MiB: the rows of the tasks alone take 0\.2; allow more"):
        parcel.pack_mirror(SCALES["smoke"], tmp_path / "other", 2**17)


def test_what_is_held_out_of_training_is_held_out_of_it_in_a_parcel_too():
    every = rows(HELD_OUT * 40 + 7)
    some = parcel.spaced_stretches(every, 0.3)
    assert len(some) == HELD_OUT * 12 and some[-1]["x"] > HELD_OUT * 30
    assert all(row["x"] % HELD_OUT == i % HELD_OUT for i, row in enumerate(some))
    assert parcel.spaced_stretches(every, 1.0) == parcel.spaced_stretches(every, 7.5) == every


def test_large_parts_are_levelled_and_small_ones_stay():
    assert parcel.level([10, 100, 50], 200) == 100 and parcel.level([10, 100, 50], 90) == 40
    assert parcel.level([9, 9, 9], 9) == 3 and parcel.level([10, 20], -5) < 0


def test_only_real_data_that_are_at_hand_are_packed(tmp_path, monkeypatch):
    with pytest.raises(Bad, match="nothing to pack for scale 'small'.*XIT_MIRROR"):
        parcel.pack_mirror(SCALES["small"], tmp_path)
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    (tmp_path / "MANIFEST.csv").write_text("repo\n")
    with pytest.raises(Bad, match="nothing to pack for scale 'micro'"):
        parcel.pack_mirror(SCALES["micro"], tmp_path / "pack")


def test_a_parcel_is_written_by_one_command(mirror, tmp_path, capsys):
    mirror("rajpurkar/squad", "plain_text", "train", rows(3))
    wanted = ["data", "--scale", "small", "--pack", str(tmp_path / "parcel"), "--most", "1"]
    assert cli.main(wanted) == 0 and "rajpurkar/squad" in capsys.readouterr().out
    assert (tmp_path / "parcel/MANIFEST.csv").is_file()
    assert cli.main(wanted) == 2 and "is in use; name a new folder" in capsys.readouterr().err


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
