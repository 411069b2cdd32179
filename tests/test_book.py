"""The book: numbers from the ledger or no build, every claim cited, built from any ledger."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject
from sphinx.errors import ExtensionError

import bookcheck
import pdf
import publish
import shown
import synthetic
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine import errors, places
from xit_core.machine.places import ROOT
from xit_core.report import (
    appendix,
    cells,
    chapters,
    claim_pages,
    claims,
    estimate,
    front,
    markdown,
    notebook_pages,
    pages,
    performance,
    verdicts,
)
from xit_core.report.contrasts import Short
from xit_core.report.sensitivity import AS_JUDGED, LEARNED_NOISE, OWN_NOISE, Variant
from xit_core.report.view import EMPTY, View

BOOK = ROOT / "book"
PROSE = {page.name: page.read_text(encoding="utf8") for page in sorted(BOOK.glob("*.md"))}


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
        synthetic.fill("small", every=4)
        synthetic.fill("small-mlm", every=9)
        synthetic.fill("smoke")
    left_out = shutil.ignore_patterns("_generated", "results", "executed", "__pycache__")
    shutil.copytree(BOOK, tmp_path / "book", ignore=left_out)
    built = build(tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    root = tmp_path / "_build/html"
    number, problems = bookcheck.check(root)
    assert number > 10 and problems == []
    written = "".join(file.read_text(encoding="utf8") for file in root.glob("**/*.html"))
    assert "scope=" in written and not re.search(r"<th(?![^>]*scope=)[\s>]|<th[^>]*></th>", written)
    assert not re.search(r'alt="[^"]*_images/', written)
    assert (root / "_static/scripts/fontawesome.js").stat().st_size < 100_000
    the_whole_book_is_in_what_is_printed(root)


def the_whole_book_is_in_what_is_printed(root: Path) -> None:
    """Every page in the order of the contents, each id once, and no link that leads nowhere."""
    text, names = pdf.assembled(root, "html")
    listed = re.findall(r"file: (\S+)", (BOOK / "_toc.yml").read_text(encoding="utf8"))
    assert names == ["index", *map(pdf.anchor, listed)]
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and set(names) < set(ids)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    assert "<script" not in text and "<button" not in text and text.count("<details") == text.count('open=""')


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
    text = shown.text
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
    chapters = "".join(PROSE[f"{name}.md"] for name in ("laboratory", "small"))
    cited = set(re.findall(r"#claim-(\w+)", chapters))
    assert cited >= {c.id for c in claims.CLAIMS if c.number <= claims.MEASURED}


def test_the_front_page_shows_what_the_claims_say(tmp_path):
    synthetic.fill("small")
    table = verdicts.table("small")
    views = pages.views_of(front.COLUMNS, pages.views())
    text = "".join(front.parts(views, tmp_path).values())
    for row in table:
        line = next(x for x in text.splitlines() if x.startswith("| ") and f"#claim-{row['id']}" in x)
        assert cells.estimate_cell(row) in line and front.verdict(row, plain=False) in line
        assert (f"{len(row['runs'])} runs" in line) == bool(row["runs"])
        assert line.count("not run yet") == 2 * (row["number"] <= claims.MEASURED)
    first = table[0]
    assert all(
        markdown.number(first[key], "+,.1f") in text for key in ("estimate", "joint_low", "joint_high")
    )
    assert f"of 10 claims {sum(row['direction'] == 'holds' for row in table[:10])} hold" in text
    where = "With XLM-R Large, the encoder of the paper (`paper`), the study has not been run"
    assert f"{where}, and what it costs has not been measured" in text


def test_an_open_answer_says_why_its_interval_is_wide():
    synthetic.fill("small")
    view = View("small")
    view.claims[0] |= {"direction": "open"}
    found = {AS_JUDGED: (-9.04, 12.0), OWN_NOISE: (0.5, 1.5), LEARNED_NOISE: (-1.5, 4.0)}
    told = [Variant(name, 1.0, 0.0, *ends) for name, ends in found.items()]
    view.sensitivity = {"squad": told}
    text = front.answer([view])
    assert claim_pages.by_seed(view.claims[0], view) in text
    assert "For this claim alone the interval would be [−9.0, +12.0], and with seed variance" in text
    assert f"; {OWN_NOISE} [+0.5, +1.5]." in text and "for 400 steps (1,600 rows) that the baseline" in text
    view.sensitivity = {"squad": told[:2]}  # all others lend the same
    assert "Why so wide?" not in front.answer([view])
    view.sensitivity, view.claims[0]["direction"] = {"squad": told}, "holds"
    assert "Why so wide?" not in front.answer([view])


def test_the_front_page_has_a_figure_of_the_claims_for_a_page_and_for_a_phone(tmp_path):
    synthetic.fill("small")
    views = pages.views_of(front.COLUMNS, pages.views())
    text = front.parts(views, tmp_path)["front.md"]
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"overview.svg", "overview-narrow.svg"}
    rows = [row for row in verdicts.table("small")[: claims.MEASURED] if row["low"] is not None]
    assert rows and all(f"{cells.estimate_cell(row)}, {row['direction']}" in text for row in rows)


def test_the_figure_of_the_claims_is_named_by_how_they_ended():
    ended = {"micro": ["open", "open", "not testable"], "small": ["holds", "fails", "open", "not finished"]}
    rows = [{"scale": scale, "state": state} for scale, states in ended.items() for state in states]
    assert front.title(rows) == (
        "How the claims ended: at micro 0 hold, 0 fail, 2 are open; at small 1 hold, 1 fail, 1 is open, 1 is "
        "not finished."
    )
    assert front.title(rows[:3]) == "No claim is decided yet: at micro 0 hold, 0 fail, 2 are open."


def test_a_claim_about_each_task_says_why_it_is_open_where_the_mean_is_clear():
    row = {"id": "tydiqa", "direction": "open", "low": -4.0, "joint_low": -5.0, "joint_high": -1.0}
    assert cells.is_clear_on_average(row)
    for other in ({"direction": "fails"}, {"low": None}, {"joint_high": 1.0}, {"id": "multitask"}):
        assert not cells.is_clear_on_average(row | other)
    below_its_limit = {"id": "retrieval", "joint_low": 1.0, "joint_high": 4.0}
    assert cells.is_clear_on_average(row | below_its_limit)
    assert not cells.is_clear_on_average(row | below_its_limit | {"joint_high": 6.0})


def test_a_study_is_told_by_the_runs_of_its_plan_alone():
    (planned, *_) = studies.runs(studies.MAIN, SCALES["smoke"])
    synthetic.enter([synthetic.row(planned), synthetic.row(Run("xnli_shift"))])
    count = len(studies.runs(studies.MAIN, SCALES["smoke"]))
    assert front.told(View("smoke")).endswith(f"; 1 of {count} runs are done.")


def test_a_claim_whose_runs_are_missing_is_not_finished_and_none_that_was_measured_is():
    synthetic.fill("small", every=3)
    view = View("small")
    rows = [row for row in view.claims[: claims.MEASURED] if row["direction"] == "open"]
    assert {front.state(row) == "not finished" for row in rows if row["low"] is None} == {True}
    assert "not finished" in front.scale_line(view) and "| not finished |" in front.standing([view])
    measured = {"direction": "open", "low": -1.0, "number": 1}
    assert front.state(measured) == "open" and front.state(measured | {"direction": "holds"}) == "holds"
    unfinished = next(row for row in rows if row["low"] is None)
    assert cells.verdict_cell(unfinished) == "not finished"
    checked = {"direction": "open", "low": None, "number": claims.MEASURED + 1}
    assert front.state(checked) == "open"


def test_before_a_claim_about_each_task_is_judged_the_tasks_that_are_there_are_shown(monkeypatch):
    synthetic.fill("small")
    view = View("small")
    row = next(row for row in view.claims if row["id"] == "retrieval")
    judged = claim_pages._by_task(row, view)
    assert "can be open where their mean is clear" in judged
    told = claim_pages._by_task(row | {"estimate": None}, view)
    assert "9 of 9 tasks have 3 seeds; the claim is" in told
    assert set(judged.splitlines()[3:]) <= set(told.splitlines())
    monkeypatch.setattr(view.ledger, "gap", lambda weights: (_ for _ in ()).throw(Short("no seeds")))
    assert claim_pages._by_task(row | {"estimate": None}, view) == ""


def test_the_notebook_of_the_analysis_shows_every_claim_with_its_state():
    synthetic.fill("small", every=3)
    view = View("small")
    table = cells.claims_frame(view)
    assert list(table.index) == [row["number"] for row in view.claims]
    assert list(table.verdict) == [cells.state(row) for row in view.claims]
    assert table.estimate[1] == cells.estimate_cell(view.claims[0]) and table.claimed[1] == "8.2"


def test_a_verdict_is_explained_step_by_step_with_the_numbers_of_the_table():
    synthetic.fill("small")
    row = verdicts.table("small")[0]
    told = claim_pages.worked_example(pages.views())
    assert told.startswith(f"1. *The claim.* {row['says']}. At `small`")
    assert all(markdown.number(row[key], "+,.1f") in told for key in ("estimate", "low", "joint_high"))
    assert cells.MARK[row["direction"]] in told
    assert claim_pages.worked_example([View("paper")]) == EMPTY


def test_every_measured_claim_stands_once_in_the_discussion_at_each_scale_that_has_run():
    synthetic.fill("small", every=3)
    text = front.standing(pages.views_of(front.COLUMNS, pages.views()))
    assert text.count("**At") == 1 and "`small`" in text
    assert re.findall(r"(\d+) \(", text) and sorted(map(int, re.findall(r"(\d+) \(", text))) == list(
        range(1, 11)
    )


def test_the_groups_of_claims_are_the_whole_study_of_the_paper_and_cost_what_it_costs():
    found = performance.groups()
    planned = studies.runs(studies.MAIN, SCALES["paper"])
    assert [run for runs in found.values() for run in runs] and sum(map(len, found.values())) == len(planned)
    first = {(run.source, run.model) for run in found["1 to 3"]}
    controls = {("", ""), ("", "random"), ("pretrained", "")}
    assert first == controls | {(name, "") for name in studies.MIXED}
    assert {run.source for run in found["4 to 8"]} >= {"qqp", studies.multi(SCALES["paper"])}
    total = estimate.measure()[-1]["baseline_value"]
    assert estimate.hours(planned)[1] == pytest.approx(total)
    assert 0 < estimate.hours(found["1 to 3"])[1] < total


def test_a_figure_has_a_twin_for_dark_pages_and_its_drawing_for_a_phone(tmp_path):
    images, drawn = tmp_path / "_images", tmp_path / "drawn"
    svg = (
        '<svg width="489.6pt" height="30pt"><path d="M 0 0\nz" style="fill: #ffffff"/>'
        '<g style="fill: #ffffff">on a dark cell</g>'
        '<path style="stroke: #000000"/></svg>'
    )
    for name in ("_images/a.svg", "_images/b.svg", "drawn/a-narrow.svg", "drawn/gone-narrow.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(svg)
    sizes = shown.write_twins(images, drawn)
    names = {"a.svg", "a-dark.svg", "a-narrow.svg", "a-narrow-dark.svg", "b.svg", "b-dark.svg"}
    assert set(sizes) == {"a", "a-narrow", "b"} and {file.name for file in images.iterdir()} == names
    twin = (images / "b-dark.svg").read_text()
    assert 'style="fill: none"' in twin and "#000000" not in twin and '<svg fill="#dcdcdc" width' in twin
    assert '<g style="fill: #ffffff">' in twin
    page = shown.themed('<img alt="A" src="../_images/a.svg"/><img src="_images/b.svg" class="x"/>', sizes)
    assert page.count("<picture>") == 2 and page.count("only-light") == page.count("only-dark") == 2
    assert all(f"_images/{name}" in page for name in names) and page.count('alt="A"') == 2
    assert page.count(' width="653" height="40"') == 6
    assert shown.themed(page, sizes) == page


def test_the_front_page_has_micro_small_and_paper_side_by_side_and_says_what_is_reduced(tmp_path):
    synthetic.fill("small", every=40)
    text = front.parts(pages.views_of(front.COLUMNS, pages.views()), tmp_path)["front_claims.md"]
    assert (
        "| constructed languages (`micro`) | multilingual-e5-small (`small`) | XLM-R Large (`paper`) |"
        in text
    )
    assert (
        SCALES["small"].note in text
        and "`udtag` stands in for `ccg`" in text
        and "`paper`: not run yet" in text
    )


def test_a_notebook_is_a_page_with_folded_code_and_the_commands_that_execute_it(tmp_path):
    file = ROOT / "book/executed/micro/mnli-31137700.ipynb"
    page = nbformat.reads(notebook_pages.notebook_page(file, "2_intermediate"), as_version=4)
    stored = nbformat.read(file, as_version=4)
    nbformat.validate(page)
    assert all("hide-input" in cell.metadata.tags for cell in page.cells if cell.cell_type == "code")
    assert [c.get("outputs") for c in page.cells if c.id != "run-it-yourself"] == [
        c.get("outputs") for c in stored.cells
    ]
    box = page.cells[1].source
    assert "xit run mnli --scale micro --seed 0\n" in box
    assert "papermill notebooks/2_intermediate.ipynb again.ipynb" in box and "-p path mnli" in box
    assert "-p seed 0" in box  # all seeds, where the template has the first alone
    spaced = notebook_pages.run_it("3_target", {"path": "mnli > xnli, $(x)", "scale": "micro", "seed": 1})
    assert "xit run 'mnli > xnli, $(x)' --scale micro --seed 1" in spaced
    assert "xit run" not in notebook_pages.run_it("4_analysis", {"scale": "micro"})
    assert "took" not in box + spaced
    row = synthetic.row(Run("mnli", "micro", 1))
    results.write(row | {"provenance": row["provenance"] | {"seconds": 90.0}})
    told = notebook_pages.run_it("2_intermediate", {"path": "mnli", "scale": "micro"})
    assert "this took 1.5 minutes" in told
    results.write(synthetic.row(Run("qqp", "micro", 1)))  # which took no time worth a minute
    told = notebook_pages.run_it("2_intermediate", {"path": "qqp", "scale": "micro"})
    assert re.search(r"this took \d+\.\d seconds", told)


def test_a_notebook_is_opened_where_the_repository_is_known(monkeypatch):
    monkeypatch.delenv("XIT_REPOSITORY", raising=False)
    assert "a service such as binder" in notebook_pages.launch("3_target").lower()
    for address, place in {
        "https://github.com/us/xit": "us/xit/HEAD",
        "https://github.com/us/xit.git/tree/v1.0": "us/xit/v1.0",
    }.items():
        monkeypatch.setenv("XIT_REPOSITORY", address)
        opened = f"/v2/gh/{place}?urlpath=lab/tree/notebooks/3_target.ipynb"
        assert opened in notebook_pages.launch("3_target")
    for other in ("https://github.com/us", "git@github.com:us/xit", "https://example.org/us/xit"):
        monkeypatch.setenv("XIT_REPOSITORY", other)
        assert "mybinder" not in notebook_pages.launch("3_target")


def test_smoke_is_shown_only_when_it_is_alone():
    synthetic.fill("smoke")
    assert [view.scale for view in pages.views()] == ["smoke"]
    synthetic.fill("small", every=40)
    assert [view.scale for view in pages.views()] == ["small"]


def test_data_are_listed_with_hashes_and_stand_ins(tmp_path):
    synthetic.fill("small", every=40)
    text = appendix.data_tables(pages.views()[0])
    lines = [line.split(" | ") for line in text.splitlines() if "made/up" in line]
    assert {line[3] for line in lines} == {"yes", "no"} and "enenenenen" in text
    # every row that was set aside has its reason
    assert "no label" in text and "set aside" not in lines[0][4]


def test_rows_of_the_ledger_that_are_older_than_reasons_still_say_how_many_were_set_aside():
    part = appendix.pd.DataFrame(
        [{"dropped": 3, "counts": {}, "note": ""}, {"dropped": 0, "counts": {}, "note": "a sample"}]
    )
    assert appendix._happened(part) == "3 set aside; a sample"


def test_every_task_is_in_the_catalogue_with_its_commit_and_licence():
    text = appendix.catalogue()
    for task in TASKS.values():
        assert f"`{task.name}`" in text and task.revision[:10] in text and task.licence in text


def test_a_chapter_shows_the_same_predictions_under_every_protocol():
    synthetic.fill("smoke")
    text = chapters.protocols(View("smoke"))
    assert "`made-up/other`" in text and "`made-up`" in text
    assert chapters.protocols(View("base")) == ""


def test_every_run_has_an_anchor_and_its_row_can_be_fetched(tmp_path):
    rows = synthetic.fill("smoke")
    out = pages.build(tmp_path / "generated")
    listing = (out / "runs.md").read_text()
    for row in rows:
        assert f'id="run-{row["id"]}"' in listing
        assert (out / "extra/ledger/smoke" / f"{row['id']}.json").is_file()


def test_executed_notebooks_become_pages_and_downloads(tmp_path):
    rows = synthetic.fill("smoke")
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
    rows = synthetic.fill("smoke")
    before = pages.build(tmp_path / "before")
    assert "left out of the ledger" not in "".join(p.read_text(encoding="utf-8") for p in before.glob("*.md"))
    ledger, executed = places / "results/smoke", places / "executed/smoke"
    gone = spoil(ledger / f"{rows[0]['id']}.json", "[]")
    odd = [spoil(ledger / name, "<<<<<<< HEAD") for name in ("x.json", "._y.json")]
    other = rows[1] | {"id": "gone-s1-00000000", "path": "gone"}
    spoil(ledger / "gone-s1-00000000.json", synthetic.sealed(other))
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
    assert "left out of the ledger: 2 damaged" in front.scale_line(View("smoke"))


def test_a_scale_that_has_damaged_files_only_is_named_too(places):
    spoil(places / "results/small/x.json", "")
    told = front.plain(pages.views_of(front.COLUMNS, pages.views()))
    assert "- `small`: not run yet; left out of the ledger: 1 damaged: `x.json`.\n" in told


def test_rows_with_little_of_their_provenance_are_shown(tmp_path):
    for row in synthetic.fill("smoke"):
        little = {k: v for k, v in row.items() if k != "curve"} | {"provenance": {}}
        place(row).write_text(synthetic.sealed(little))
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
        synthetic.fill(scale, every=40)
    copy = tmp_path / "README.md"
    copy.write_text((ROOT / "README.md").read_text(encoding="utf8"), encoding="utf8")
    before = copy.read_text().split(pages.BEGIN)[0]
    pages.readme(copy)
    once = copy.read_text()
    pages.readme(copy)
    assert copy.read_text() == once and once.startswith(before)
    assert "(`small`)" in once and "`paper`: not run yet" in once and "](#" not in once


def test_the_readme_keeps_what_the_ledger_here_does_not_have(tmp_path):
    synthetic.fill("small", every=40)
    copy = tmp_path / "README.md"
    text = (ROOT / "README.md").read_text(encoding="utf8")
    copy.write_text(text, encoding="utf8")
    with pytest.raises(errors.Bad, match="shows the scale 'micro', of which there are no rows here"):
        pages.readme(copy)
    assert copy.read_text(encoding="utf8") == text


@pytest.mark.parametrize("name", PROSE)
def test_prose_types_no_result(name):
    assert not re.findall(r"\d[.,]\d+ (?:points|%)|[+\N{MINUS SIGN}]\d", PROSE[name])


def test_heads_of_tables_say_what_they_are_of_and_an_empty_one_is_none():
    page = (
        '<table><thead><tr><th></th><th class="head"><p>a</p></th><th colspan="2">b</th></tr></thead>'
        "<tbody><tr><th>c</th><td>1</td></tr></tbody></table>"
    )
    assert shown.mended(page) == (
        '<table><thead><tr><td></td><th scope="col" class="head"><p>a</p></th><th scope="colgroup" '
        'colspan="2">b</th></tr></thead><tbody><tr><th scope="row">c</th><td>1</td></tr></tbody></table>'
    )
    assert shown.mended(shown.mended(page)) == shown.mended(page)


def test_a_figure_without_a_caption_is_named_by_the_heading_above_it():
    page = (
        '<h2>A &amp; <em>b</em><a class="headerlink" href="#a">#</a></h2><img alt="_images/0f.svg" src="x">'
    )
    assert shown.described(page).endswith('<img alt="Figure: A &amp; b" src="x">')
    assert shown.described('<img alt="told" src="x">') == '<img alt="told" src="x">'


def test_of_the_icons_those_stay_that_are_shown():
    icon = '[1,2,[8,"{}"],"f0","M1 2z"]'
    script = f'p={{plus:{icon.format("add")},"a-b":{icon.format("")},minus:{icon.format("less")}}};f(p)'
    used = shown.icons_of('<i class="fa-solid fa-a-b fa-lg"></i><i class="fas fa-add"></i>')
    assert shown.lightened(script, used) == f'p={{plus:{icon.format("add")},"a-b":{icon.format("")},}};f(p)'
    with pytest.raises(ExtensionError, match="not among the icons .*: none"):
        shown.lightened(script, {"plus", "none"})


def test_figures_say_in_words_what_they_show():
    parts = [("average", 0.25), ("xnli", -1.0), ("bucc", 2.0), ("mlqa", 0.0)]
    lines = [claims.Estimate("micro", name, mean, mean - 1, mean + 1) for name, mean in parts]
    assert claim_pages.forest_in_words(lines) == (
        "At micro: +0.2 [−0.8, +1.2] on average, −1.0 [−2.0, +0.0] on xnli, +2.0 [+1.0, +3.0] on bucc."
    )
    assert claim_pages.forest_in_words([]) == ""


def test_figures_of_trainings_are_named_by_what_they_show():
    def trained(path, *losses):
        return {"path": path, "curve": [{"step": i, "loss": x} for i, x in enumerate(losses)] + [{"step": 9}]}

    assert chapters.losses_in_words([trained("mlm", 5.0, 2.0), trained("mlm", 4.0, 3.0)]) == (
        "The loss goes from 4.5 to 2.5 nats."
    )
    several = [trained("mnli", 1.0, 0.5), trained("qqp", 1.0, 1.5), {"path": "squad1"}]
    assert chapters.losses_in_words(several) == "The loss falls by a tenth or more in 1 of 2 trainings."
    assert chapters.losses_in_words([]) == chapters.dose_in_words([]) == performance.reached([]) == ""
    rows = synthetic.fill("smoke")
    frame = View("smoke").frame
    assert re.fullmatch(
        r"Raw retrieval ends a point or more below its start in \d of 2 trainings; (mnli|multi.*), "
        r"which moves the encoder most \([\d.]+ %\), ends at [\d.]+\.",
        chapters.dose_in_words(rows),
    )
    told = chapters.languages_in_words(frame)
    low, high = re.fullmatch(
        r"The baseline scores from (\S+) \(\w+ on \w+\) to (\S+) \(.*\)\.", told
    ).groups()
    assert 40 < float(low) < float(high) < 60
    assert chapters.languages_in_words(frame.iloc[:0]) == ""
    records = [{"name": "mnli: achieved", "value": 40.0}, {"name": "matmul ceiling", "value": 90.0}]
    told = performance.reached([{"device": "a CPU", "records": records}])
    assert told == "The fastest task reaches 40 of 90 GFLOP/s on a CPU."


# -- on paper ------------------------------------------------------------------------------------------------

PAGE = """<link rel="stylesheet" href="book.css"><nav class="bd-docs-nav"><p class="caption">Part</p>
<a class="reference internal" href="b/two.html">Two</a></nav>
<p class="logo__title">Book</p><article class="bd-article"><h1 id="top">{name}</h1>{text}</article>
<p class="component-author">By us</p>"""


def small_book(root: Path) -> Path:
    """A book of two pages, of which the first links to a place in the second."""
    (root / "b").mkdir(parents=True)
    shutil.copy(BOOK / "_assets/book.css", root)
    link = '<details><a href="b/two.html#far">far</a> <a href="row.json">row</a></details><script>x</script>'
    (root / "index.html").write_text(PAGE.format(name="One", text=link))
    long = f'<table><tr><td>{"x" * 40}</td></tr></table><p id="far"><a href="../index.html">back</a></p>'
    (root / "b/two.html").write_text(PAGE.format(name="Two", text=long))
    return root


def test_links_of_the_printed_book_lead_to_its_own_pages(tmp_path):
    text, names = pdf.assembled(small_book(tmp_path), "html")
    assert names == ["index", "b-two"] and [pdf.mark(name) in text for name in names] == [True, True]
    assert '<a href="#b-two--far">far</a> row' in text and '<a href="#index">back</a>' in text
    assert "<script" not in text and '<details open="">' in text and "x<wbr/>x" in text


def made_pdf(headings: list[str]) -> PdfReader:
    """A PDF of two pages with a named place on each, and these bookmarks on the second."""
    writer = PdfWriter()
    for _ in range(2):
        writer.add_blank_page(width=100, height=100)
    places = DictionaryObject()
    for name, page in (("/a", 1), ("/b--c", 0)):
        at = [writer.pages[page].indirect_reference, NameObject("/XYZ"), *[NumberObject(0)] * 3]
        places[NameObject(name)] = ArrayObject(at)
    writer.root_object[NameObject("/Dests")] = places
    parent = None
    for title in headings:
        parent = writer.add_outline_item(title=title, page_number=1, parent=parent)
    writer.write(file := io.BytesIO())
    return PdfReader(file)


def test_a_pdf_in_which_a_chapter_is_not_found_is_an_error():
    content = made_pdf([])
    assert pdf.pages_of(content, ["a", "b--c"]) == [2, 1]
    with pytest.raises(ValueError, match="no place named 'd'"):
        pdf.pages_of(content, ["a", "d"])


def test_bookmarks_have_the_words_of_the_headings():
    content = made_pdf(["onetwo", "threeThree", "four"])
    html = "<title>Book</title><header><p class='author'>us</p></header><h1>one\n two</h1><h2>three</h2>"
    writer = pdf.bookmarked(content, html + "<h3>four <code>x</code></h3>")
    writer.write(file := io.BytesIO())
    told = PdfReader(file)
    assert [entry.title for entry in flat(told.outline)] == ["one two", "three", "four x"]
    assert (told.metadata.title, told.metadata.author) == ("Book", "us")
    with pytest.raises(ValueError, match="3 bookmarks for 2 headings"):
        pdf.bookmarked(content, html)


def flat(outline: list) -> list:
    return [entry for part in outline for entry in (flat(part) if isinstance(part, list) else [part])]


def test_without_chromium_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("", "/no/such"):
        monkeypatch.setenv("CHROMIUM", name)
        with pytest.raises(
            SystemExit, match=f"there is none: CHROMIUM='{name}', and none of .* set CHROMIUM"
        ):
            pdf.browser()


@pytest.mark.skipif(not any(map(shutil.which, pdf.BROWSERS)), reason="no Chromium on the PATH")
def test_the_printed_book_has_a_title_page_contents_and_its_pages(tmp_path):
    root = small_book(tmp_path / "html")
    pages = pdf.main(root, tmp_path / "book.pdf")
    content = PdfReader(tmp_path / "book.pdf")
    assert pages == len(content.pages) == 4 and not (tmp_path / "book.html").exists()
    assert pdf.pages_of(content, ["index", "b-two", "b-two--far"]) == [3, 4, 4]
    assert [entry.title for entry in flat(content.outline)] == ["Contents", "One", "Two"]
    assert content.metadata.author == "us"


def test_bookcheck_finds_a_page_that_is_too_heavy(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(bookcheck.HEAVIEST))
    (tmp_path / "a.html").write_text('<img src="a.png"><img src="a.png">')
    assert [line.split(" bytes")[0] for line in bookcheck.check(tmp_path)[1]] == ["a.html: weighs 2,000,034"]


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


@pytest.fixture
def built(tmp_path) -> Path:
    """A tiny built book with the rows of a ledger."""
    book = tmp_path / "html"
    for row in synthetic.fill("smoke"):
        file = book / "ledger/smoke" / f"{row['id']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place(row), file)
    (book / "index.html").write_text('<a href="more.html#here">more</a>')
    (book / "more.html").write_text('<p id="here"></p>')
    return book


def test_a_book_that_needs_nothing_else_is_laid_beside_the_others_with_a_description_of_its_data(
    built, tmp_path
):
    assert publish.problems(built) == []
    for version in ("v1.9", "v1.10", "v1.10rc1"):
        publish.lay(built, tmp_path / "site", version)
    site = tmp_path / "site"
    shown_first = re.findall(r'href="([^"]*)/index.html"', (site / "index.html").read_text())
    assert shown_first == ["v1.10", "v1.10", "v1.10rc1", "v1.9"]
    assert bookcheck.check(site) == (7, [])
    crate = json.loads((site / "v1.9/ro-crate-metadata.json").read_text())
    parts = {part["@id"]: part for part in crate["@graph"]}
    assert parts["./"]["version"] == "v1.9" and parts["./"]["hasPart"] == [{"@id": "ledger/smoke/"}]
    rows = len(list((built / "ledger/smoke").iterdir()))
    assert parts["ledger/smoke/"]["description"].startswith(f"{rows} finished runs")
    for reference in re.findall(r'{"@id": "([^"]*)"}', json.dumps(crate)):
        assert reference in parts or reference.startswith("https://w3id.org/ro/crate/")


def test_what_keeps_a_book_from_being_put_elsewhere_is_named(built):
    row = next((built / "ledger/smoke").iterdir())
    row.write_text(row.read_text().replace("made-up", "made-over"))
    (built / "more.html").write_text(f'<img src="https://example.org/x.png"> at {ROOT}/book')
    told = "\n".join(publish.problems(built))
    assert row.name in told and "dead fragment" in told and "loads from the net" in told
    assert f"more.html: names a place of this machine, {ROOT}" in told


def test_versions_lie_beside_each_other_on_a_branch_that_other_clones_share(built, tmp_path, monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "x")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "x@x")

    def git(*words: str) -> str:
        return subprocess.check_output(["git", "-C", str(tmp_path), *words], encoding="utf8")

    git("init", "-q", "--bare", "origin")
    for clone, version in (("one", "v1"), ("other", "v2"), ("other", "v2")):
        if not (tmp_path / clone).exists():
            git("clone", "-q", "origin", clone)
        publish.publish(built, version, tmp_path / clone)
        git("-C", clone, "push", "-q", "origin", publish.BRANCH)
        git("-C", clone, "worktree", "add", "-q", str(tmp_path / "gone"), publish.BRANCH)
        shutil.rmtree(tmp_path / "gone")  # as if the work had been killed
    laid = git("-C", "origin", "ls-tree", "--name-only", publish.BRANCH).split()
    assert laid == [".nojekyll", "index.html", "v1", "v2"]
    said = git("-C", "origin", "log", "--format=%s", publish.BRANCH).splitlines()
    assert said == ["The book of v2", "The book of v1", "An empty site"]
    assert not git("-C", "other", "status", "--porcelain")


@pytest.mark.parametrize("version", ["../v1", "", "v1/..", "latest"])
def test_only_a_version_names_a_place_in_a_site(version, built, tmp_path):
    with pytest.raises(SystemExit, match="is no version; name one such as v1.2"):
        publish.lay(built, tmp_path / "site", version)
    assert not (tmp_path / "site").exists()
