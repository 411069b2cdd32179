"""The published ledger: every row as it was, to the bit; nothing left out unsaid; damage is one line."""

import json
import lzma
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic
from test_files import MANY, damaged
from test_results import row
from xit_core import cli
from xit_core.design import scales, studies
from xit_core.design.run import Run
from xit_core.ledger import factored, merge, publish, results, scored, volumes
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT
from xit_core.report import compare, export, pages
from xit_core.report.view import View
from xit_core.run import launch, workflow
from xit_core.run.jobs import job_of

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | st.text(max_size=9)
KEYS = st.text(max_size=4) | st.sampled_from(["@", "@@", "part", "is", "id", "beside", "x"])
TREES = st.recursive(
    PLAIN, lambda x: st.lists(x, max_size=4) | st.dictionaries(KEYS, x, max_size=4), max_leaves=12
)
TABLES = st.lists(
    st.fixed_dictionaries({"lang": st.text(max_size=2), "value": FLOATS, "n": PLAIN}), max_size=9
)
LISTS = st.lists(FLOATS, max_size=9) | st.lists(FLOATS | st.integers(-3, 3), max_size=9)
MADE_UP = st.fixed_dictionaries(
    {"scores": TABLES, "items": LISTS, "provenance": st.dictionaries(KEYS, TREES, max_size=4)},
    optional={"abroad": LISTS, "curve": TABLES, "other": TREES, "@": TREES},
)


def exact(rows: list[dict]) -> list[str]:
    """Rows as text that tells 1 from 1.0 and true, and -0.0 from 0.0."""
    return [json.dumps(row, sort_keys=True) for row in rows]


def enter(*runs: Run, **more) -> list[dict]:
    """Made-up working rows of runs, as the ledger reads them."""
    for run in runs:
        results.write(synthetic.row(run) | more)
    return [results.read(run) for run in runs]


def published(scale: str = "smoke", keep: bool = False) -> Path:
    """The volume of the main study, from the working rows that are here, which then are gone."""
    file = publish.publish_study("main", scale).file
    if not keep:
        shutil.rmtree(results.results_dir() / scale)
    return file


def edited(file: Path, edit) -> None:
    """Change the text of a volume."""
    file.write_bytes(lzma.compress(edit(lzma.decompress(file.read_bytes()).decode()).encode()))


ONE, TWO, STAGE = Run("xnli"), Run("mnli > xnli"), Run("mnli")


# -- every row as it was -------------------------------------------------------------------------------------


@settings(MANY, max_examples=300)
@given(st.lists(MADE_UP, min_size=1, max_size=6), st.data())
def test_rows_are_read_back_to_the_bit_whatever_they_are(rows, draw):
    rows += draw.draw(st.lists(st.sampled_from(rows), max_size=3))  # what repeats is said once
    rows = [{"id": f"run-{i}"} | row for i, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setenv("XIT_RESULTS", folder)
        file = publish.write_volume("main", "smoke", rows)
        before = file.read_bytes()
        assert exact(volumes.load_volume(file).rows()) == exact(rows)
        publish.write_volume("main", "smoke", json.loads(json.dumps(rows, sort_keys=True)))
        assert file.read_bytes() == before and [*Path(folder).iterdir()] == [file]


def test_a_study_is_read_back_as_its_files_said_and_is_much_smaller():
    enter(*studies.runs("main", scales.SCALES["small"])[::20])
    before, files = results.rows("small"), results.row_files("small")
    sizes = sum(file.stat().st_size for file in files)
    file = published("small")
    assert exact(results.rows("small")) == exact(before) and not results.row_files("small")
    assert len(before) == len(files) == len(scored.frame("small")["id"].unique())
    assert file.stat().st_size < sizes / 10
    assert results.survey() == results.Survey(before, [], [], [])


def test_a_line_is_a_row_in_the_order_of_ids():
    enter(TWO, ONE, STAGE)
    lines = [json.loads(line) for line in lzma.decompress(published().read_bytes()).decode().splitlines()]
    ids = [line["id"] for line in lines if "id" in line]
    assert ids == sorted(run.id for run in (ONE, TWO, STAGE)) and lines[0]["rows"] == 3
    assert all("part" in line for line in lines[1:-3])


def test_nothing_of_one_row_is_in_another_or_in_the_next_reading():
    enter(ONE, TWO)
    published()
    first = results.read(ONE)
    first["provenance"]["data"][0]["rows"] = first["scores"][0]["value"] = -1
    first["items"].clear()
    assert results.read(ONE)["provenance"]["data"][0]["rows"] == 20 == len(results.read(ONE)["items"])
    assert results.read(TWO)["scores"][0]["value"] != -1


def test_the_same_rows_are_the_same_bytes_and_then_files_keep_their_time(tmp_path):
    enter(ONE, TWO)
    file = published(keep=True)
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    published()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert publish.publish_study("main", "smoke").rows == 2  # from the volume alone
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_what_another_library_compressed_otherwise_is_not_written_again():
    enter(ONE, TWO)
    file = published(keep=True)
    text = lzma.decompress(file.read_bytes())
    file.write_bytes(other := lzma.compress(text, preset=1))
    published()
    assert file.read_bytes() == other and len(results.rows("smoke")) == 2


def test_a_volume_that_reads_back_as_other_rows_is_not_written(monkeypatch):
    rows, text = enter(ONE, TWO), publish.volume_text
    monkeypatch.setattr(publish, "volume_text", lambda study, scale, rows: text(study, scale, rows[:1]))
    with pytest.raises(Bad, match="not written: read back, the rows are not the same"):
        publish.write_volume("main", "smoke", rows)
    assert not volumes.volume_file("main", "smoke").exists()


def test_the_mark_is_no_key_of_a_row():
    assert factored.unused([{"@": [{"@@": 1}]}]) == "@@@"


# -- one ledger of both forms --------------------------------------------------------------------------------


def test_working_and_published_rows_are_one_ledger():
    before = enter(ONE)
    published(keep=True)
    before += enter(TWO)
    told = {run["id"]: run for run in before}
    assert (
        results.rows("smoke") == [told[x] for x in sorted(told, key=lambda x: f"{x}.json")] == results.rows()
    )
    assert results.finished(ONE) and results.finished(TWO) and not results.finished(STAGE)
    results.row_file(ONE).unlink()
    assert results.read(ONE) == before[0] and results.home(ONE) == volumes.volume_file("main", "smoke")
    assert results.home(TWO) == results.row_file(TWO) and results.home(STAGE) == results.row_file(STAGE)


def test_a_row_that_is_published_is_not_written_again():
    (old,) = enter(ONE)
    file = published()
    before = file.read_bytes()
    assert results.write(old | {"provenance": {"seconds": 9}}) == file
    enter(TWO)
    assert not results.row_file(ONE).exists() and file.read_bytes() == before
    with pytest.raises(Bad, match=r"main-smoke\.jsonl\.xz: the ledger holds other scores .* never over"):
        results.write(old | {"items": [1.0]})


def test_a_damaged_volume_ends_a_comparison_whatever_else_is_there():
    enter(ONE, TWO)
    file = published()
    enter(STAGE)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(Bad, match="damaged"):
        compare.read_side(results.results_dir(), "smoke")


def test_a_working_row_that_contradicts_a_published_one_is_neither_used_nor_published(capsys):
    enter(ONE, TWO)
    file = published()
    before = file.read_bytes()
    other = results.write_file(results.row_file(ONE), synthetic.sealed(row(ONE, 51.0)))
    found = results.survey("smoke")
    assert (
        [r["id"] for r in found.rows] == [TWO.id] and found.files == [other] and found.left_out == "1 damaged"
    )
    assert str(other) in found.damaged[0] and file.name in found.damaged[0] and "\n" not in found.damaged[0]
    assert not results.finished(ONE)
    with pytest.raises(Bad, match="other scores than main-smoke.jsonl.xz has"):
        results.read(ONE)
    assert cli.main(["results", "publish", "--scale", "smoke"]) == 2
    said = capsys.readouterr().err
    assert "nothing was published" in said and str(other) in said and said.count("\n") == 1
    assert file.read_bytes() == before
    other.unlink()
    assert results.finished(ONE)


def test_two_volumes_that_contradict_each_other_are_named():
    enter(ONE)
    published()
    publish.write_volume("other", "smoke", [row(ONE, 51.0)])
    assert "other-smoke.jsonl.xz: other scores than main-smoke.jsonl.xz" in results.survey("smoke").damaged[0]
    for ask in (lambda: results.rows("smoke"), lambda: publish.publish_study("main", "smoke")):
        with pytest.raises(Bad, match="other-smoke.jsonl.xz"):
            ask()


def test_a_volume_is_read_once_and_again_when_it_is_another(monkeypatch):
    enter(ONE, TWO)
    file, times, load = published(), [], volumes.load_volume
    monkeypatch.setattr(volumes, "load_volume", lambda file: times.append(file) or load(file))
    assert all(results.finished(run) for run in (ONE, TWO) for _ in range(99)) and len(times) <= 1
    enter(STAGE)
    published()
    assert results.read(STAGE) and results.read(ONE) and times.count(file) <= 2


# -- damage --------------------------------------------------------------------------------------------------


@settings(MANY, max_examples=200)
@given(st.data())
def test_no_damage_of_a_volume_is_more_than_one_line_or_hides_that_rows_are_missing(draw):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setenv("XIT_RESULTS", folder)
        before = enter(ONE, TWO)
        file = published()
        file.write_bytes(damaged(file.read_bytes(), draw))
        found = results.survey("smoke")
        if not found.damaged:
            assert found.rows == sorted(before, key=lambda r: f"{r['id']}.json")
            return
        assert not found.rows and len(found.damaged) == 1 == len(found.files)
        assert folder in found.damaged[0] and "\n" not in found.damaged[0] and not results.finished(ONE)
        for ask in (
            lambda: results.rows("smoke"),
            lambda: results.read(ONE),
            lambda: results.write(row(ONE)),
        ):
            with pytest.raises(Bad, match="restore it from git"):
                ask()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.write_bytes(b""), "it has no end"),
        (lambda file: file.write_bytes(file.read_bytes()[:-99]), "it has no end"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\n"), "there is more after its end"),
        (lambda file: file.write_bytes(file.read_bytes()[:99] + b"x" + file.read_bytes()[100:]), "LZMAError"),
        (lambda file: file.write_bytes(lzma.compress(b"", lzma.FORMAT_ALONE)), "damaged (LZMAError"),
        (lambda file: file.write_bytes(lzma.compress(b"\xff")), "damaged (UnicodeDecodeError"),
        (lambda file: file.write_bytes(lzma.compress(b"")), "it is empty"),
        (lambda file: file.write_bytes(lzma.compress(b"[]\n")), "needed: an object"),
        (lambda file: edited(file, lambda text: text.rsplit("{", 2)[0]), "its lines are not those"),
        (lambda file: edited(file, lambda text: text.replace('t":2', 't":1')), "not that of its sha256"),
        (lambda file: (file.unlink(), file.mkdir()), "no file of the ledger"),
        (lambda file: file.rename(volumes.volume_file("second", "smoke")), "it is the volume main-smoke"),
    ],
)
def test_a_damaged_volume_is_named_with_what_to_do(harm, said, capsys):
    enter(ONE, TWO)
    harm(published())
    for words in ("claims", "plan", "study"):
        assert cli.main([words, "--scale", "smoke"]) == 2
        told, err = capsys.readouterr()
        assert said in err and err.count("\n") == 1 == err.count(".jsonl.xz: ")
        assert err.count("restore it from git") == 1 and not told
    assert "left out of the ledger: 1 damaged" in View("smoke").left_out
    for words in (
        ["results", "publish"],
        ["results", "publish", "--scale", "smoke"],
        ["run", "xnli", "--scale", "smoke"],
    ):
        assert cli.main(words) == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["main-smoke.jsonl", "main-smoke.parquet"])
def test_a_volume_in_another_form_is_refused_and_not_taken_for_none(name, places, capsys):
    enter(ONE, TWO)
    published().rename(other := places / "results" / name)
    for words in (["claims"], ["plan"], ["study"], ["results", "publish"]):
        assert cli.main([*words, "--scale", "smoke"]) == 2
        told = capsys.readouterr().err
        assert str(other) in told and "needed as <study>-<scale>.jsonl.xz" in told and told.count("\n") == 1
    (places / "results").rename(theirs := places / "theirs")
    enter(STAGE)
    with pytest.raises(Bad, match="needed as"):
        merge.merge(theirs)


def test_a_volume_that_may_not_be_read_is_not_called_damaged(monkeypatch):
    enter(ONE, TWO)
    published()
    volumes._opened.cache_clear()

    def refuse(path: Path):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Bad, match=r"cannot be read \(Stale file handle\); .* or restore it from git"):
        results.read(ONE)


def test_a_run_that_a_damaged_volume_may_hold_is_not_said_to_be_unknown(tmp_path):
    enter(ONE, TWO)
    file = published()
    file.write_bytes(b"")
    with pytest.raises(Bad, match=rf"no run '{ONE.id}' in what can be read of the ledger; .*{file.name}"):
        export.write_submission([ONE.id], tmp_path / "to")


def test_a_volume_of_a_newer_version_is_no_damage_but_cannot_be_read(monkeypatch):
    enter(ONE, TWO)
    monkeypatch.setattr(volumes, "FORMAT", 3)
    file = publish.write_volume("main", "smoke", [results.read(ONE)])
    monkeypatch.setattr(volumes, "FORMAT", 2)
    with pytest.raises(Bad, match="form 3, and this version of xit reads form 2"):
        volumes.load_volume(file)


# -- what is left out is said --------------------------------------------------------------------------------


def test_rows_that_are_not_published_are_counted_and_said(capsys, monkeypatch):
    monkeypatch.setattr(studies, "STUDIES", {"main": lambda _: [ONE, TWO]})
    enter(ONE, TWO, STAGE)
    results.write_file(results.row_file(TWO), "{")
    gone = synthetic.row(ONE) | {"id": "gone-s1-00000000", "path": "gone"}
    results.write_file(results.row_file(ONE).with_name("gone-s1-00000000.json"), synthetic.sealed(gone))
    assert cli.main(["results", "publish"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("main at smoke: 1 rows: ") and "main-smoke.jsonl.xz" in told.out
    assert f"smoke: left out: {results.row_file(TWO)}: damaged" in told.err
    assert (
        "smoke: 1 rows are left out: of another recipe, or of a task that is gone (gone-s1-00000000)"
        in told.err
    )
    assert f"`xit results publish --study other` ({STAGE.id})" in told.err
    assert cli.main(["results", "publish", "--study", "other", "--scale", "smoke"]) == 0
    assert (
        f"other at smoke: 1 rows: {volumes.volume_file('other', 'smoke').stat().st_size:,} bytes"
        in capsys.readouterr().out
    )
    assert {r["id"] for r in results.rows()} == {ONE.id, STAGE.id}
    assert cli.main(["results", "publish"]) == 0 and "of no run of" not in capsys.readouterr().err


def test_a_study_is_published_where_its_tasks_are_though_other_scales_have_rows():
    enter(ONE, Run("xnli", "micro"))
    assert cli.main(["results", "publish", "--study", "multimodal"]) == 0
    found = [name for name in ("smoke", "micro") if volumes.volume_file("multimodal", name).is_file()]
    assert found == ["micro"]
    assert cli.main(["results", "publish", "--study", "other"]) == 2  # both rows are of a study


def test_of_published_rows_only_those_that_are_needed_are_decoded(monkeypatch):
    enter(ONE, TWO)
    published()
    enter(STAGE)
    decoded = []
    row_of = volumes.Volume.row
    monkeypatch.setattr(volumes.Volume, "row", lambda self, name: decoded.append(name) or row_of(self, name))
    assert {r["id"] for r in results.rows("smoke", {ONE.id})} == {ONE.id, STAGE.id} and decoded == [ONE.id]
    assert [r["id"] for r in results.rows("smoke", ())] == [STAGE.id]
    file = volumes.volume_file("main", "smoke")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(Bad, match="damaged"):
        results.rows("smoke", ())


def test_published_rows_of_a_recipe_that_has_changed_are_left_out_and_said(capsys, monkeypatch):
    enter(ONE, TWO)
    published()
    monkeypatch.setitem(scales.SCALES, "smoke", replace(scales.SCALES["smoke"], lr=0.5))
    assert results.rows("smoke") == [] and results.survey().left_out == "2 of another recipe"
    assert cli.main(["results", "publish", "--scale", "smoke"]) == 2
    assert (
        "no row of the study 'main'" in capsys.readouterr().err
        and volumes.load_volume(volumes.volume_file("main", "smoke")).lines
    )
    enter(Run("xnli"))
    assert cli.main(["results", "publish"]) == 0
    assert "2 rows are left out: of another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("publish", "no row of the study 'main'"),
        ("publish --scale smoke", "`xit study main --scale smoke` makes them"),
        ("publish --scale huge", "no scale 'huge'"),
        ("publish --study gone --scale smoke", "no study 'gone'"),
        ("publish --study gone", "no study 'gone'"),
        ("publish folder", "no folder is needed"),
        ("publish --study main,other --scale smoke", "publish one after the other"),
        ("publish --study main,other", "no study 'other'"),
        ("merge", "name the folder"),
        ("merge folder --scale smoke", "neither study nor scale"),
    ],
)
def test_what_cannot_be_published_is_one_line(words, said, capsys):
    assert cli.main(["results", *words.split()]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


# -- other machines ------------------------------------------------------------------------------------------


def test_what_another_machine_published_comes_in_once(places, monkeypatch, capsys):
    before = enter(ONE, TWO)
    published()
    (places / "results").rename(places / "theirs")
    (mine,) = enter(ONE, provenance={"seconds": 1})
    assert cli.main(["results", "merge", str(places / "theirs")]) == 0
    assert capsys.readouterr().out.startswith("1 rows came in, 1 were there already")
    assert results.read(ONE) == mine and results.read(TWO) == before[1] and results.row_file(TWO).is_file()
    assert merge.merge(places / "theirs") == (0, 2, 0)


def test_a_published_row_that_contradicts_one_here_stops_a_merge(places):
    enter(ONE, TWO)
    published()
    (places / "results").rename(places / "theirs")
    results.write(row(ONE))
    with pytest.raises(Bad, match="never overwritten"):
        merge.merge(places / "theirs")
    assert not results.finished(TWO)
    (places / "theirs/main-smoke.jsonl.xz").write_text("[]\n")
    with pytest.raises(Bad, match=r"xz: damaged .*; copy it again; nothing was merged$") as bad:
        merge.merge(places / "theirs")
    assert "git" not in str(bad.value)


@pytest.mark.parametrize("change", [{"path": "gone"}, {"scores": 3}, {"id": "another"}, {"sha256": "0"}])
def test_published_rows_of_another_machine_have_the_form_of_rows(places, change):
    publish.write_volume("main", "smoke", [synthetic.row(ONE), synthetic.row(TWO) | change])
    (places / "results").rename(places / "theirs")
    with pytest.raises(Bad, match="is no row of a run as this version makes it: .*; nothing was merged"):
        merge.merge(places / "theirs")
    assert not results.rows()


def test_rows_are_published_and_read_where_parquet_is_not_installed(monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    before = enter(ONE, TWO)
    published()
    assert [results.read(run) for run in (ONE, TWO)] == before


def test_the_ledger_is_read_and_published_without_torch():
    code = "import sys; from xit_core import cli; s = cli.main(['results', 'publish', '--scale', 'smoke'])"
    enter(ONE, TWO)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(s or 'torch' in sys.modules)"], check=False
    )
    assert done.returncode == 0 and volumes.volume_file("main", "smoke").is_file()


# -- notebooks and the book ----------------------------------------------------------------------------------


def test_a_notebook_is_made_from_published_rows_without_data(notebook):
    run = Run("xnli", "base")
    enter(run)
    published("base")
    notebook("print('from the ledger')")
    assert launch.execute("xnli", scale="base").is_file() and job_of("xnli", scale="base").done
    assert not list(results.row_file(run).parent.glob("*.json"))


def test_a_study_that_is_published_is_done_without_its_notebooks(notebook, places):
    synthetic.fill("smoke")
    published()
    notebook("pass")
    workflow.run_study("main", scales.SCALES["smoke"], cores=1)
    assert [p.name for p in (places / "executed/smoke").iterdir()] == ["analysis.ipynb"]
    assert not list((places / "results").rglob("*.json"))


def test_rows_can_be_fetched_from_the_book_as_files_as_they_were(tmp_path):
    enter(*studies.runs("main", scales.SCALES["smoke"]))
    before = {file.name: file.read_bytes() for file in results.row_files("smoke")}
    for kept in (True, False):
        published(keep=kept)
        out = pages.build(tmp_path / f"{kept}")
        assert {file.name: file.read_bytes() for file in (out / "extra/ledger/smoke").iterdir()} == before


def own() -> list[Path]:
    """What git has of this checkout."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in told.split("\0") if name and (ROOT / name).is_file()]


def test_the_repository_stays_small():
    if not (files := own()):
        pytest.skip("no checkout of git")
    kept = [file for file in files if "encoders" not in file.relative_to(ROOT).parts[:2]]
    assert sum(file.stat().st_size for file in kept) <= 20 << 20
    assert len(files) <= 300


def test_figures_in_the_notebooks_that_are_kept_are_svg():
    notebooks = [file for file in own() if file.parts[-3:-2] == ("executed",)]
    for file in notebooks:
        assert (
            '"image/png"' not in (text := file.read_text(encoding="utf-8")) and '"image/svg+xml"' in text
        ), file
