"""A question is one file: its study runs, its contrasts are measured and its page is written without another
edit.
"""

from dataclasses import replace

import pytest

import synthetic
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TARGETS
from xit_core.ledger import results
from xit_core.report import chapters, contrasts, pages, questions


@pytest.fixture
def question(monkeypatch):
    """Does training on MNLI help XNLI? As a file of the folder would declare it."""
    monkeypatch.setattr(questions, "QUESTIONS", {})
    monkeypatch.setattr(studies, "STUDIES", studies.STUDIES)
    weights = contrasts.versus(("mnli", "en"), contrasts.BASELINE, ("xnli",))
    made = questions.Question(
        "made_up", 9, "Does it?",
        runs=lambda scale: [Run(p, scale, seed) for seed in (1, 2, 3) for p in ("xnli", "mnli",
        "mnli > xnli")],
        contrasts=lambda scale: {"gain": weights, "elsewhere": {("qqp", "en", "xnli"): 1.0}},
        page=lambda view, out: f"{len(view.rows)} rows at {view.scale}",
    )  # fmt: skip
    questions.add(made)
    yield made
    del studies.STUDIES["made_up"]


def test_its_study_is_one_of_the_studies(question):
    assert len(studies.runs("made_up", SCALES["micro"])) == 9
    with pytest.raises(ValueError, match="declared twice"):
        questions.add(question)


def test_its_contrasts_are_measured_or_say_why_not(question):
    for run in studies.runs("made_up", SCALES["micro"]):
        results.write(synthetic.row(run))
    gain, elsewhere = questions.answers(question, SCALES["micro"])
    assert gain["low"] < gain["estimate"] < gain["high"] and not gain["note"]
    assert elsewhere["estimate"] is None and elsewhere["note"] == "not part of the study at this scale"


def test_runs_that_differ_in_rows_are_cells_of_their_own(monkeypatch):
    monkeypatch.setattr(questions, "QUESTIONS", {})
    known = dict(studies.STUDIES)
    for module in (studies, questions):
        monkeypatch.setattr(module, "STUDIES", known)
    sizes = (100, 200)
    made = questions.Question(
        "sizes", 9, "Does more help?",
        runs=lambda scale: [Run("mnli > xnli", scale, seed, size=n) for n in sizes for seed in (1, 2, 3)],
        contrasts=lambda scale: {"more": contrasts.versus(("200", "en"), ("100", "en"), ("xnli",))},
        page=lambda view, out: "",
    )  # fmt: skip
    questions.add(made)
    with pytest.raises(ValueError, match="tell them apart"):
        questions.answers(made, SCALES["micro"])
    for run in studies.runs("sizes", SCALES["micro"]):
        row = synthetic.row(run)
        results.write(row | {"scores": [s | {"value": run.size / 10} for s in row["scores"]]})
    told = replace(made, cell_of=lambda run: (str(run.size), run.lang, run.on))
    assert questions.answers(told, SCALES["micro"])[0]["estimate"] == pytest.approx(10)
    assert chapters.View("micro").rows and not chapters.View("micro").main  # in its own chapter only


def test_its_page_is_written_for_every_scale_with_rows(question, tmp_path):
    for run in studies.runs("made_up", SCALES["micro"]):
        results.write(synthetic.row(run))
    text = (pages.build(tmp_path / "book") / "questions/made_up.md").read_text()
    assert "## Scale `micro`" in text and "9 rows at micro" in text


def test_every_question_has_its_chapter_in_the_book():
    chapters = {p.stem for p in (pages.ROOT / "book/questions").glob("*.md")}
    assert chapters == set(questions.QUESTIONS) and len(TARGETS) == 9
