"""The book: numbers from the ledger or no build, every claim cited, built from any ledger."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bookcheck
from synthetic import fill
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine import errors, places
from xit_core.machine.places import ROOT
from xit_core.report import chapters, claims, pages, verdicts

BOOK = ROOT / "book"
PROSE = {page.name: page.read_text(encoding="utf8") for page in sorted(BOOK.glob("*.md"))}


def role():
    spec = importlib.util.spec_from_file_location("shown", BOOK / "_ext/shown.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.text


def build(folder: Path) -> subprocess.CompletedProcess:
    """The book in `folder` as `make book` builds it, from what the ledger of this test holds."""
    shutil.copy(ROOT / "_config.yml", folder)
    pages.build(folder / "book/_generated")
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", "book/", "--all", "-W", "-n", "--keep-going", "-q"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("ledger", ["empty", "partial"])
def test_the_book_builds_and_all_its_links_lead_somewhere(ledger, tmp_path):
    if ledger == "partial":
        fill("small", every=4)
        fill("small-mlm", every=9)
        fill("smoke")
    left_out = shutil.ignore_patterns("_generated", "results", "executed", "__pycache__")
    shutil.copytree(BOOK, tmp_path / "book", ignore=left_out)
    built = build(tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    number, problems = bookcheck.check(tmp_path / "_build/html")
    assert number > 10 and problems == []


def test_a_number_without_a_key_stops_the_build(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "book/index.md").write_text("# Page\n\n{res}`micro.no_such_key`\n")
    for name in ("_ext", "_assets"):
        shutil.copytree(BOOK / name, tmp_path / "book" / name)
    (tmp_path / "book/references.bib").touch()
    built = build(tmp_path)
    assert built.returncode != 0
    assert "no result 'micro.no_such_key'" in built.stdout + built.stderr


def test_the_role_formats_numbers_and_says_what_is_not_measured():
    text = role()
    told = {
        "micro": {"runs": 12, "claims": {"squad": {"estimate": -1.25, "direction": "open"}}},
        "small": {"runs": None},
    }
    assert text(told, "micro.runs") == "12"
    assert text(told, "micro.claims.squad.estimate | +.1f") == "−1.2"
    assert text(told, "micro.claims.squad.direction") == "open"
    assert text(told, "small.runs | d") == "not measured"
    for wrong in ("micro.run", "micro.claims.squad.direction | .1f", "micro.runs.more"):
        with pytest.raises((KeyError, ValueError, TypeError)):
            text(told, wrong)


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.id)
def test_every_claim_has_a_section_that_says_how_it_is_measured_and_how_it_can_fail(claim):
    section = PROSE["claims.md"].split(f"_generated/claims/{claim.id}.md")[1].split("```{include}")[0]
    assert "**How it is measured.**" in section and "**How it can fail.**" in section


def test_every_measured_claim_is_cited_in_a_chapter_of_results():
    chapters = "".join(PROSE[f"{name}.md"] for name in ("pretrained", "intermediate", "target", "small"))
    cited = set(re.findall(r"#claim-(\w+)", chapters))
    assert cited >= {c.id for c in claims.CLAIMS if c.number <= claims.MEASURED}


def test_the_front_page_shows_what_the_claims_say():
    fill("small", every=3)
    table = verdicts.table("small")
    text = pages.front(pages.views_of(("micro", "small", "paper"), pages.views()))
    for row in table:
        line = next(line for line in text.splitlines() if f"#claim-{row['id']}" in line)
        assert pages.estimate_cell(row) in line and pages.verdict_cell(row) in line
        assert (f"{len(row['runs'])} runs" in line) == bool(row["runs"])
        assert line.count("not run") == 2 * (row["number"] <= claims.MEASURED)


def test_the_front_page_has_micro_small_and_paper_side_by_side_and_says_what_is_reduced():
    fill("small", every=40)
    text = pages.front(pages.views_of(pages.FRONT, pages.views()))
    assert "| at `micro` | at `small` | at `paper` |" in text
    assert (
        SCALES["small"].note in text and "`udtag` stands in for `ccg`" in text and "`paper`: not run" in text
    )


def test_results_json_has_every_key_at_every_scale():
    empty = pages.book_numbers(pages.views())
    fill("smoke")
    full = pages.book_numbers(pages.views())
    assert {scale: set(told) for scale, told in empty.items()} == {
        scale: set(told) for scale, told in full.items()
    }
    assert empty["micro"]["claims"].keys() == full["smoke"]["claims"].keys() == {c.id for c in claims.CLAIMS}
    assert full["smoke"]["runs"] > 0 and full["micro"]["runs"] is None
    json.dumps(full, allow_nan=False)


def test_smoke_is_shown_only_when_it_is_alone():
    fill("smoke")
    assert [view.scale for view in pages.views()] == ["smoke"]
    fill("small", every=40)
    assert [view.scale for view in pages.views()] == ["small"]


def test_data_are_listed_with_hashes_and_stand_ins(tmp_path):
    fill("small", every=40)
    text = pages.data_tables(pages.views()[0])
    cells = [line.split(" | ") for line in text.splitlines() if "made/up" in line]
    assert {line[3] for line in cells} == {"yes", "no"} and "enenenenen" in text
    # every row that was set aside has its reason
    assert "no label" in text and "set aside" not in cells[0][4]


def test_rows_of_the_ledger_that_are_older_than_reasons_still_say_how_many_were_set_aside():
    part = pages.pd.DataFrame(
        [{"dropped": 3, "counts": {}, "note": ""}, {"dropped": 0, "counts": {}, "note": "a sample"}]
    )
    assert pages._happened(part) == "3 set aside; a sample"


def test_every_task_is_in_the_catalogue_with_its_commit_and_licence():
    text = pages.catalogue()
    for task in TASKS.values():
        assert f"`{task.name}`" in text and task.revision[:10] in text and task.licence in text


def test_a_chapter_shows_the_same_predictions_under_every_protocol():
    fill("smoke")
    text = chapters.protocols(chapters.View("smoke"))
    assert "`made-up/other`" in text and "`made-up`" in text
    assert chapters.protocols(chapters.View("base")) == ""


def test_every_run_has_an_anchor_and_its_row_can_be_fetched(tmp_path):
    rows = fill("smoke")
    out = pages.build(tmp_path / "generated")
    listing = (out / "runs.md").read_text()
    for row in rows:
        assert f'id="run-{row["id"]}"' in listing
        assert (out / "extra/ledger/smoke" / f"{row['id']}.json").is_file()


def test_executed_notebooks_become_pages_and_downloads(tmp_path):
    rows = fill("smoke")
    first = next(row for row in rows if row["phase"] == 1)
    parameters = {"path": "pretrained", "scale": "smoke", "seed": 1}
    notebook = {
        "cells": [],
        "metadata": {"papermill": {"parameters": parameters}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    made = tmp_path / "executed/smoke" / f"{first['id']}.ipynb"
    made.parent.mkdir(parents=True)
    made.write_text(json.dumps(notebook))
    out = pages.build(tmp_path / "generated")
    assert (out / "1_pretrained.ipynb").is_file() and (out / "4_analysis.md").is_file()
    assert f'href="notebooks/smoke/{made.name}"' in (out / "runs.md").read_text()


def spoil(file: Path, content: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file.name


def test_damaged_files_of_the_ledger_and_damaged_notebooks_are_named_and_left_out(tmp_path, places):
    rows = fill("smoke")
    before = pages.build(tmp_path / "before")
    assert "left out of the ledger" not in "".join(p.read_text(encoding="utf-8") for p in before.glob("*.md"))
    ledger, executed = places / "results/smoke", places / "executed/smoke"
    gone = spoil(ledger / f"{rows[0]['id']}.json", "[]")
    odd = [spoil(ledger / name, "<<<<<<< HEAD") for name in ("x.json", "._y.json")]
    spoil(ledger / "gone-s1-00000000.json", json.dumps(rows[1] | {"id": "gone-s1-00000000", "path": "gone"}))
    spoil(places / "results/bench/x.json", "{")
    torn = [
        spoil(executed / f"{name}.ipynb", text)
        for name, text in {"mnli-x": "", "a": "[]", "b": '{"cells": 1}'}.items()
    ]
    cells = {"nbformat": 4, "nbformat_minor": 5, "cells": []}
    for name, given in {"c": {"path": "gone"}, "d": {"path": 3}, "e": {"path": "mnli", "new": 1}}.items():
        spoil(
            executed / f"{name}.ipynb", json.dumps(cells | {"metadata": {"papermill": {"parameters": given}}})
        )
    (executed / "f.ipynb").mkdir()
    out = pages.build(tmp_path / "generated")
    listing, extra = (out / "runs.md").read_text(encoding="utf-8"), out / "extra"
    assert f"{len(rows) - 1} runs; left out of the ledger: 2 damaged, 1 of another recipe" in listing
    assert all(f"`{name}`" in listing for name in (gone, odd[0], *torn, "f.ipynb")) and odd[1] not in listing
    assert "x.json is damaged" in (out / "performance_train.md").read_text(encoding="utf-8")
    assert (
        not [p for name in (gone, *odd, *torn) for p in extra.rglob(name)]
        and (extra / "notebooks/smoke/c.ipynb").is_file()
    )
    assert (out / "2_intermediate.md").is_file()  # its only notebook is damaged
    assert "left out of the ledger: 2 damaged" in pages._tally(chapters.View("smoke"))


def test_a_scale_that_has_damaged_files_only_is_named_too(places):
    spoil(places / "results/small/x.json", "")
    assert "- `small`: not run; left out of the ledger: 1 damaged: `x.json`.\n" in pages.front(
        pages.views_of(pages.FRONT, pages.views())
    )


def test_rows_with_little_of_their_provenance_are_shown(tmp_path):
    for row in fill("smoke"):
        place(row).write_text(json.dumps({k: v for k, v in row.items() if k != "curve"} | {"provenance": {}}))
    assert "left out" not in (pages.build(tmp_path / "generated") / "runs.md").read_text(encoding="utf-8")


def place(row: dict) -> Path:
    return places.results_dir() / row["scale"] / f"{row['id']}.json"


def test_pages_are_made_without_torch():
    program = "import sys, xit_core.report.pages; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], cwd=ROOT / "book/_ext", check=False).returncode == 0
    )


def test_the_readme_says_what_the_ledger_says(tmp_path):
    for scale in ("micro", "small"):
        fill(scale, every=40)
    copy = tmp_path / "README.md"
    copy.write_text((ROOT / "README.md").read_text(encoding="utf8"), encoding="utf8")
    before = copy.read_text().split(pages.BEGIN)[0]
    pages.readme(copy)
    once = copy.read_text()
    pages.readme(copy)
    assert copy.read_text() == once and once.startswith(before)
    assert "at `small`" in once and "`paper`: not run" in once and "](#" not in once


def test_the_readme_keeps_what_the_ledger_here_does_not_have(tmp_path):
    fill("small", every=40)
    copy = tmp_path / "README.md"
    text = (ROOT / "README.md").read_text(encoding="utf8")
    copy.write_text(text, encoding="utf8")
    with pytest.raises(errors.Bad, match="shows the scale 'micro', of which there are no rows here"):
        pages.readme(copy)
    assert copy.read_text(encoding="utf8") == text


@pytest.mark.parametrize("name", PROSE)
def test_prose_types_no_result(name):
    assert not re.findall(r"\d[.,]\d+ (?:points|%)|[+\N{MINUS SIGN}]\d", PROSE[name])


def test_bookcheck_finds_what_is_wrong(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">x</a><a href="a.html#no">x</a><img src="no.png"><script '
        'src="https://x.org/y.js"></script>'
        '<p id="p"><a href="#p">x</a><a href="https://example.org">x</a><img src="data:image/png;base64,AA">'
    )
    number, problems = bookcheck.check(tmp_path)
    assert number == 1 and len(problems) == 4
    assert [p.split(": ")[1] for p in problems] == [
        "missing file",
        "loads from the net",
        "dead link",
        "dead fragment",
    ]
