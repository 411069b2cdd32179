"""Research questions: plans, contrasts, gates, pages; and what is lost between a target and its twin."""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm, rankdata, ttest_1samp

import synthetic
from xit_core import cli
from xit_core.data import adversarial
from xit_core.data.local import Part
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, NLI, TARGETS, TASKS, languages
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.report import (
    contrasts,
    drops,
    figures,
    gates,
    markdown,
    pages,
    published,
    question_pages,
    questions,
    stats,
    subsets,
)
from xit_core.report.contrasts import BASELINE, Ledger, versus
from xit_core.report.questions import shift, size
from xit_core.report.view import View
from xit_core.run.jobs import job_of, jobs_of

MICRO = SCALES["micro"]


@pytest.fixture
def question(monkeypatch):
    """Does training on MNLI help XNLI? As a file of the folder would declare it."""
    monkeypatch.setattr(questions, "QUESTIONS", {})
    monkeypatch.setattr(studies, "STUDIES", studies.STUDIES)
    weights = contrasts.versus(("mnli", "en"), contrasts.BASELINE, ("xnli",))
    made = questions.Question(
        "made_up", 9, "Does it?", ("micro",),
        runs=lambda scale: [Run(p, scale, seed) for seed in (1, 2, 3) for p in ("xnli", "mnli",
        "mnli > xnli")],
        contrasts=lambda scale: {"gain": weights, "elsewhere": {("qqp", "en", "xnli"): 1.0}},
    )  # fmt: skip
    questions.add(made)
    yield made
    del studies.STUDIES["made_up"]


def test_its_study_is_one_of_the_studies(question):
    assert len(studies.runs("made_up", MICRO)) == 9
    with pytest.raises(ValueError, match="declared twice"):
        questions.add(question)


def test_its_contrasts_are_measured_or_say_why_not(question):
    for run in studies.runs("made_up", MICRO):
        results.write(synthetic.row(run))
    gain, elsewhere = questions.answers(question, MICRO)
    assert gain["low"] < gain["estimate"] < gain["high"] and not gain["note"]
    assert elsewhere["estimate"] is None and elsewhere["note"] == "not part of the study at this scale"


def test_runs_that_differ_in_rows_are_cells_of_their_own(monkeypatch):
    monkeypatch.setattr(questions, "QUESTIONS", {})
    known = dict(studies.STUDIES)
    for module in (studies, questions):
        monkeypatch.setattr(module, "STUDIES", known)
    sizes = (100, 200)
    made = questions.Question(
        "sizes", 9, "More?", ("micro",),
        runs=lambda scale: [Run("mnli > xnli", scale, seed, size=n) for n in sizes for seed in (1, 2, 3)],
        contrasts=lambda scale: {"more": contrasts.versus(("200", "en"), ("100", "en"), ("xnli",))},
    )  # fmt: skip
    questions.add(made)
    with pytest.raises(ValueError, match="tell them apart"):
        questions.answers(made, MICRO)
    for run in studies.runs("sizes", MICRO):
        row = synthetic.row(run)
        results.write(row | {"scores": [s | {"value": run.size / 10} for s in row["scores"]]})
    told = replace(made, cell_of=lambda run: (str(run.size), run.lang, run.on))
    assert questions.answers(told, MICRO)[0]["estimate"] == pytest.approx(10)
    assert View("micro").stored and not View("micro").rows  # in its own chapter only


def test_its_page_is_written_for_every_scale_with_rows(question, tmp_path):
    for run in studies.runs("made_up", MICRO):
        results.write(synthetic.row(run))
    text = (pages.build(tmp_path / "book") / "questions/made_up.md").read_text()
    assert "## Scale `micro`" in text and "All 9 runs are in the ledger" in text


def test_every_question_has_its_chapter_in_the_book():
    chapters = {p.stem for p in (pages.ROOT / "book/questions").glob("*.md")}
    assert chapters == set(questions.QUESTIONS) and len(TARGETS) == 9


# -- question 1: adapters


def planted(study, add):
    """Rows of a whole study at micro; `add(run)` points are planted in every score of a target's run."""
    return [raised(row, add(run) if run.phase == 3 else 0.0) for run, row in made_up(study)]


@cache
def made_up(study):
    """The runs of a study at micro and their rows, which are made once and which no test may change."""
    control = [run for run in studies.runs("main", MICRO) if run.model and run.seed <= 3]
    runs = dict.fromkeys((*studies.runs(study, MICRO), *control))
    return [(run, synthetic.row(run)) for run in runs]


def joint_by_adapters(run):
    return run.method == "adapter" and "+" in run.source and run.steps == "single"


@pytest.mark.parametrize(
    ("points", "word"), [(6.0, "yes"), (0.0, "no difference"), (-6.0, "no, the opposite")]
)
def test_a_planted_effect_of_joint_adapters_is_found_and_a_null_is_not(points, word):
    question = questions.QUESTIONS["adapters"]
    rows = planted("adapters", lambda run: points * joint_by_adapters(run))
    found = {row["name"]: row for row in questions.answers(question, MICRO, rows)}
    first, *rest = found.values()
    assert first["estimate"] == pytest.approx(points, abs=1.5) and first["low"] < points < first["high"]
    assert first["verdict"] in ((word,) if points else (word, "open"))
    assert abs(found["joint − mean of single tasks, full training"]["estimate"]) < 1.5
    interaction = found["adapters − full training, in joint − single"]
    assert interaction["low"] < points < interaction["high"]
    assert all(row["estimate"] is not None for row in rest)


def test_the_best_single_task_is_chosen_on_other_seeds():
    def lucky(run):  # another task is lucky at each seed
        name = ("mnli", "squad1", "hellaswag", "ccg")[run.seed % 4]
        return 20.0 * (run.source == name and run.method == "adapter")

    rows = planted("adapters", lucky)
    found = questions.answers(questions.QUESTIONS["adapters"], MICRO, rows)[1]
    assert found["low"] < found["estimate"] < found["high"] and found["estimate"] > -10


def test_the_adapters_question_reads_f1_alone():
    rows = planted("adapters", lambda run: 0.0)
    for score in (score for row in rows if row["phase"] == 3 for score in row["scores"]):
        if score["metric"] == "exact_match":
            score["value"] = 0.0
    found = questions.answers(questions.QUESTIONS["adapters"], MICRO, rows)
    assert (
        found[0]
        == questions.answers(questions.QUESTIONS["adapters"], MICRO, planted("adapters", lambda run: 0.0))[0]
    )


def test_a_question_whose_targets_are_not_learned_is_not_testable():
    def untaught(run):
        return -30.0 * (not run.model)  # at the level of random weights

    rows = planted("adapters", untaught)
    first = questions.answers(questions.QUESTIONS["adapters"], MICRO, rows)[0]
    assert first["verdict"] == "not testable" and "0 of 5, 3 needed" in first["note"]


def test_the_adapters_study_shares_its_full_runs_with_the_main_study():
    main = {run.id for run in studies.runs("main", MICRO)}
    own = studies.runs("adapters", MICRO)
    shared = {run.id for run in own if run.method == "full" and run.seed <= 3}
    assert len(shared) > 300 and shared <= main
    small = studies.runs("adapters", SCALES["small"])
    assert {run.on for run in small if run.phase == 3} == {"udpos", "panx", "xquad"}
    assert {(run.method, "+" in run.source) for run in small if run.phase == 3} == {
        ("full", False), ("adapter", False), ("adapter", True),
    }  # fmt: skip


def test_its_page_answers_shows_gates_and_draws_its_figure_and_the_front_page_says_the_same(tmp_path, capsys):
    synthetic.enter(
        row | {"dose": row["dose"] | {"trained": 8 if "adapter" in row["method"] else 100}}
        for row in planted("adapters", lambda run: 6.0 * joint_by_adapters(run))
    )
    out = pages.build(tmp_path / "book") / "questions"
    answer, text = (out / "adapters_answer.md").read_text(), (out / "adapters.md").read_text()
    assert answer.startswith("**At `micro`, a simulation: yes.** *joint − mean of single tasks, adapters*: +")
    folded = re.search(r"\n\n:+{dropdown} Beside it: (\d+) contrasts, \d.*\n(- .*\n)+", answer)
    assert folded.group().count("\n- ") == int(folded.group(1)) and "finds a true" not in answer
    assert f"\n- {questions.adapters.BEST}: +" in folded.group()
    assert "| targets learned by full training | 5 of 5, 3 needed | passed |" in text
    assert "without an intermediate task (adapter) |" in text and "## How the answer is read" in text
    assert (tmp_path / "book/figures/micro-weights-adapters.svg").is_file()
    assert cli.main(["questions", "--json", "--scale", "micro"]) == 0
    told = next(row for row in json.loads(capsys.readouterr().out) if row["question"] == "adapters")
    front = (tmp_path / "book/front_questions.md").read_text()
    cell = f"**{told['verdict']}**<br>{told['name']}: {question_pages.interval_cell(told)}, 8 seeds"
    first = questions.adapters.TARGETS_LEARNED
    folded = f"<details><summary>3 other readings: 3 above zero</summary>{first} ‡: "
    assert f"(questions/adapters) | {cell}{folded}" in front
    control = "<details><summary>the positive control is not found</summary>the positive control is"
    assert f"{control} **not found**: *SQuAD" in front
    assert front.startswith("Each interval stands alone. ‡: added after")


def test_a_scale_without_questions_and_a_damaged_row_are_told(capsys):
    assert cli.main(["questions", "--scale", "paper"]) == 2
    assert "no question is asked at paper; name one of micro, small" in capsys.readouterr().err
    results.write(synthetic.row(Run("xnli", "small")))
    results.row_file(Run("xnli", "small")).write_text("{")
    assert cli.main(["questions", "--scale", "small"]) == 0 and "damaged" in capsys.readouterr().err


def test_the_command_tells_every_contrast_of_every_question(capsys):
    assert cli.main(["questions", "--json", "--scale", "micro"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["question"] for row in told} == set(questions.QUESTIONS)
    assert {row["scale"] for row in told} == {"micro"} and all("verdict" in row for row in told)
    later = {row["name"] for row in told if row["later"] and row["question"] == "size"}
    assert later == set(questions.QUESTIONS["size"].later)
    assert cli.main(["questions", "--scale", "micro"]) == 0
    text = capsys.readouterr().out
    assert f"{questions.size.TARGETS_LEARNED} ‡ " in text and text.endswith("decides nothing\n")


def test_an_answer_is_told_with_its_gates_and_no_verdict_is_before_every_run_is_there():
    rows = planted("adapters", lambda run: 6.0 * joint_by_adapters(run))
    runs = studies.runs("adapters", MICRO)
    planned, last = len(runs), runs[-1].id

    def told(rows):
        return questions.told(questions.QUESTIONS["adapters"], MICRO, rows)

    assert {(row["verdict"], row["estimate"], *row["runs"]) for row in told([])} == {
        ("not finished", None, 0, planned)
    }
    first, *others = told([row for row in rows if row["id"] != last])
    assert (first["verdict"], first["note"], first["runs"]) == (
        "not finished", "so far: yes", [planned - 1, planned],
    )  # fmt: skip
    assert not any("gates" in row for row in others)
    assert {row["verdict"] for row in told(rows)[1:]} <= {"above zero", "below zero", "open", "no difference"}
    first = told(rows)[0]
    assert (first["verdict"], first["note"]) == ("yes", "")
    assert first["gates"]["targets learned by full training"] == {"passed": True, "says": "5 of 5, 3 needed"}


def test_seeds_that_a_study_adds_to_those_of_the_scale_have_notebooks_of_their_own():
    jobs = jobs_of(studies.runs("adapters", MICRO))
    assert {job.seed for job in jobs} == {0, 1, *range(4, 9)}
    for job in jobs:
        assert {run.id for run in job_of(**job.parameters).runs} == {run.id for run in job.runs}


# -- questions 2 and 5: a start against its sham

STARTS = [("alignment", "prefer", 4), ("multimodal", "scenes", 6)]  # question, start, contrast of the starts


def rows_of_starts(name, start, add):
    """Rows of the whole study at micro, with `add(run)` points planted, and a start that is learned."""
    rows = planted(name, add)
    for row in rows:
        for score in row["scores"] if row["on"] in (start, f"{start}_sham") else ():
            score |= {"value": 85.0 if row["on"] == start else 10.0, "n": 100}
    return rows


@pytest.mark.parametrize(
    ("points", "word"), [(5.0, "yes"), (0.0, "no difference"), (-5.0, "no, the opposite")]
)
@pytest.mark.parametrize(("name", "start", "alone"), STARTS)
def test_a_planted_interaction_with_the_start_is_found_and_a_null_is_not(name, start, alone, points, word):
    def add(run):  # the tasks add 3 points after any start, and more after this one
        stages = run.source.split(" > ")
        return 3.0 * (stages[-1] in studies.MIXED) + points * run.source.startswith(f"{start} > ")

    question, rows = questions.QUESTIONS[name], rows_of_starts(name, start, add)
    ledger = questions.ledger_of(question, MICRO, rows)
    gates_then = [gate for told, gate in question.gates(ledger).items() if told not in question.later]
    assert [gate.passed for gate in gates_then] == [True] * 3
    found = questions.answers_from(question, ledger)
    assert found[0]["verdict"] in ((word,) if points else (word, "open"))
    assert found[0]["low"] < points < found[0]["high"] and abs(found[alone]["estimate"]) < 1
    by_name = {row["name"]: row["estimate"] for row in found}
    own = next(
        x for told, x in by_name.items() if told.endswith(("gain after preferences", "tasks after scenes"))
    )
    assert own == pytest.approx(3 + points, abs=1)


@pytest.mark.parametrize(("name", "start", "alone"), STARTS)
def test_a_level_that_the_start_raises_is_no_interaction(name, start, alone):
    rows = rows_of_starts(name, start, lambda run: 8.0 * (run.source.split(" > ")[0] == start))
    found = questions.answers(questions.QUESTIONS[name], MICRO, rows)
    assert found[0]["verdict"] in ("no difference", "open") and found[alone]["verdict"] == "yes"


@pytest.mark.parametrize(("name", "start", "alone"), STARTS)
def test_a_start_that_is_not_learned_or_a_sham_that_is_leaves_the_question_untestable(name, start, alone):
    rows = rows_of_starts(name, start, lambda run: 0.0)
    for row in rows:
        for score in row["scores"] if row["on"] in (start, f"{start}_sham") else ():
            score["value"] = 10.0 if row["on"] == start else 85.0
    first = questions.answers(questions.QUESTIONS[name], MICRO, rows)[0]
    assert first["verdict"] == "not testable"
    assert "are learned" in first["note"] and "shuffled" in first["note"]


def test_before_rows_in_translation_stands_the_start_that_stands_before_english_ones():
    plan = studies.runs("multimodal", MICRO)
    starts = {run for run in plan if run.phase == 2 and " > " not in run.path}
    assert {(run.path, run.lang) for run in starts} == {(s, "en") for s in ("mlm", "scenes_sham", "scenes")}
    for run in plan:
        assert not run.source or all(parent in plan for parent in run.parents)
    assert {run.lang for run in plan if run.path == "scenes > mnli"} == {"en", "mt"}


def test_the_alignment_study_trains_the_sham_as_the_treatment():
    own = studies.runs("alignment", SCALES["small"])
    assert {run.on for run in own if run.phase == 3} == {"xnli", "panx", "xquad"}
    pairs = [
        {(run.path.replace("prefer_sham", "prefer"), run.seed) for run in own if run.path.startswith(start)}
        for start in ("prefer_sham", "prefer ", "prefer")
    ]
    assert pairs[0] == pairs[2] > pairs[1] and len(pairs[0]) == 3 * 8


def test_runs_that_only_a_question_has_are_in_its_chapter_alone():
    others, main = questions.own_runs(MICRO), {run.id for run in studies.runs("main", MICRO)}
    assert others and not others & main and questions.own_runs(SCALES["base"]) == set()
    synthetic.enter(synthetic.row(run) for run in studies.runs("adapters", MICRO)[:700:7])
    view = View("micro")
    assert {row["id"] for row in view.rows} <= main and len(view.stored) == 100 > len(view.rows) > 0


def test_what_was_added_after_the_answer_decides_nothing_and_is_marked():
    question, view = questions.QUESTIONS["adapters"], View("micro")
    rows = planted("adapters", lambda run: 6.0 * joint_by_adapters(run))
    failed = {"old": gates.Gate(True, "2 of 2"), question.later[0]: gates.Gate(False, "4 of 9")}
    question = replace(question, gates=lambda ledger: failed)
    first = questions.answers(question, MICRO, rows)[0]
    assert (first["verdict"], first["note"]) == ("yes", f"{question.later[0]} (added later): 4 of 9")
    assert f"| {question.later[0]} ‡ | 4 of 9 | failed |" in question_pages.gate_table(failed, question.later)
    first = questions.answers(question, MICRO, [])[0]  # why there is no estimate is not hidden
    assert first["verdict"] == "open" and "0 of 3 seeds complete" in first["note"]
    failed["old"] = gates.Gate(False, "1 of 2")
    assert questions.answers(question, MICRO, rows)[0]["verdict"] == "not testable"
    for name, asked in questions.QUESTIONS.items():
        names = {*asked.contrasts(MICRO), *asked.gates(view.asked(asked)[0])}
        qualify = {*asked.beside, *asked.literal, *asked.on_front, *filter(None, [asked.control])}
        assert {*asked.later, *qualify} <= names, name
        assert bool(asked.control) == (asked.control_on in TARGETS), name


def test_an_end_of_an_interval_is_on_its_side_of_zero():
    ends = [(-1.5, -2.9, -0.004), (0.0, -0.04, 0.0), (1.0, 0.96, 1234.0)]
    assert [markdown.with_interval(*each) for each in ends] == [
        "−1.5 [−2.9, −0.004]", "+0.0 [−0.04, +0.0]", "+1.0 [+1.0, +1,234.0]",
    ]  # fmt: skip


def test_a_contrast_that_sees_less_than_a_point_has_two_digits():
    row = {
        "estimate": 0.291,
        "low": 0.081,
        "high": 0.503,
        "detectable": 0.31,
        "wide": [0.012, 0.57],
        "alone": None,
    }
    assert question_pages.interval_cell(row) == "+0.29 [+0.08, +0.50]"
    assert question_pages.detectable(row) == "0.31" and "[+0.01, +0.57]" in question_pages.widened(row)
    assert question_pages.interval_cell(row | {"detectable": 1.2}) == "+0.3 [+0.1, +0.5]"


def told_view(question, found, finished, ledger=None):
    view = View("micro")
    view._asked[question.id] = ledger, found
    view._progress[question.id] = questions.Progress(9 if finished else 8, 9, 5, 5, 3)
    return view


def test_what_is_said_before_every_run_is_there_is_no_answer():
    row = {"name": "joint − single", "verdict": "yes", "note": "", "estimate": 3.0, "low": 1.0, "high": 5.0}
    row |= {"detectable": 4.0, "narrow": True, "wide": [0.5, 5.5], "alone": [0.1, 5.9]}
    question = questions.QUESTIONS["adapters"]
    view = told_view(question, [row], finished=True)
    answer = (
        "yes.** *joint − single*: +3.0 [+1.0, +5.0] points; this design finds a true difference of 4.0 in "
        "eight of ten repetitions, so the estimate is probably too large; widened to cover all "
        f"{len(questions.QUESTIONS)} answers together, [+0.5, +5.5]."
    )
    assert question_pages.short_answer(question, view) == f"**At `micro`, a simulation: {answer}"
    view = told_view(question, [row], finished=False)
    told = question_pages.short_answer(question, view)
    assert told == f"**At `micro`, a simulation: not finished, and no answer; so far: {answer}"
    assert not question_pages.is_finished(question, view)
    wide = [row | {"wide": [-0.1, 6.1], "note": "single tasks: 4 of 9", "verdict": "yes"}]
    told = question_pages.short_answer(question, told_view(question, wide, finished=True))
    assert told.endswith(
        ". But checks that were added later, and decide nothing, fail: single tasks: 4 of 9."
    )
    views = {name: told_view(question, wide, True) for name in question.scales}
    assert "questions, zero lies in the interval of 1." in question_pages.alone([question], views)
    wide[0]["verdict"] = "not testable"
    assert question_pages.failing(wide[0]) == "a gate fails: single tasks: 4 of 9"
    synthetic.enter(planted("adapters", lambda run: 0.0))
    finished = View("micro")
    assert question_pages.is_finished(question, finished)
    cell, plain = (question_pages.answer_cell(question, finished, plain) for plain in (False, True))
    assert "not finished" not in cell and "<summary>the positive control is not found</summary>" in cell
    assert plain.endswith("; the positive control is not found") and "<summary>" not in plain


def test_what_qualifies_an_answer_stands_with_it():
    rows = planted("adapters", lambda run: 6.0 * joint_by_adapters(run))
    question = questions.QUESTIONS["adapters"]
    ledger = questions.ledger_of(question, MICRO, rows)
    found = questions.answers_from(question, ledger)
    assert all(row["wide"][0] < row["low"] < row["high"] < row["wide"][1] for row in found)
    view = told_view(question, found, True, ledger)
    told = question_pages.short_answer(question, view)
    assert f"The positive control is **not found**: *{question.control}*, " in told
    (control,) = question_pages.controls(question, found)
    finds = question_pages.detectable(control)
    assert told.count(f"; this design finds {finds} or more in eight of ten repetitions.") == 1
    for change, says in (({"verdict": "yes"}, "is found"), ({"estimate": None}, "is not measured yet")):
        assert f"control {says}" in question_pages.control(question, view, control | change)
    assert "not learned" not in told
    ledger.gates.targets["xquad"] = gates.Gate(False, "")
    assert "on a target that is not learned" in question_pages.short_answer(question, view)
    literal = replace(question, literal=(found[2]["name"], found[0]["name"]))
    cells = [question_pages.interval_cell(row) for row in found]
    assert question_pages.literally(literal, found) == (
        f"taken literally, the question asks for *{found[0]['name']}: {cells[0]}, above zero*; and for "
        f"*{found[2]['name']} ‡: {cells[2]}, {question_pages.side(found[2])}*"
    )


def test_other_readings_are_folded_on_the_front_page_and_their_sides_are_counted():
    question = replace(questions.QUESTIONS["alignment"], literal=("a",), on_front=("b", "c", "not measured"))
    blank = {"estimate": 1.0, "low": 0.5, "high": 1.5, "detectable": 2.0, "verdict": "yes", "alone": None}
    found = [blank | {"name": name} for name in ("a", "b")] + [blank | {"name": "c", "verdict": "open"}]
    told = question_pages.readings(question, found + [blank | {"name": "not measured", "estimate": None}])
    ((head, listed),) = told.items()
    assert head == "3 other readings: 2 above zero, 1 open" and listed.startswith(
        "taken literally: a: +1.0 ["
    )
    assert "<br>b: " in listed and "<br>c: " in listed and "not measured" not in listed
    assert [*question_pages.readings(question, found[:1])] == ["another reading: above zero"]
    assert question_pages.readings(question, []) == {}
    other = found[0] | {"alone": [-0.1, 2.1]}
    (listed,) = question_pages.readings(question, [other]).values()
    assert "+1.0 [+0.5, +1.5], above zero (by its own seeds alone [−0.1, +2.1], open)" in listed
    assert "| own seeds |" in question_pages.contrast_table([other], ()) and "| own seeds |" not in (
        question_pages.contrast_table(found[:1], ())
    )


def test_an_answer_that_is_not_finished_says_so_before_anything_else():
    rows = size_rows(1.5)
    question, kept = questions.QUESTIONS["size"], [row for row in rows if row["seed"] < 5]
    found = questions.answers_from(question, questions.ledger_of(question, MICRO, kept))
    view = told_view(question, found, finished=False)
    told = question_pages.short_answer(question, view)
    assert told.startswith(
        "**At `micro`, a simulation (adversarial rows by construction): not finished, and no answer; so "
        "far.** Taken literally, the question asks for *Spearman"
    )
    assert "By the contrast that was fixed as the answer, **yes**: *drop per doubling" in told
    assert question_pages.alone([question], {name: view for name in question.scales}).count(".") == 1


def test_an_interval_that_reaches_into_no_difference_says_so():
    question = questions.QUESTIONS["size"]
    row = {"verdict": "yes", "low": 0.2, "high": 0.9, "narrow": True}
    assert question_pages.reach(row, question) == (
        "the interval reaches into *no difference* (within 0.25 of zero)"
    )
    assert question_pages.reach(row | {"low": 0.3}, question) == ""
    assert question_pages.reach(row | {"verdict": "open"}, question) == ""
    assert "too wide" in question_pages.reach(row | {"verdict": "open", "narrow": False}, question)


def test_what_is_simulated_is_said_where_it_is_not_the_real_thing():
    question = questions.QUESTIONS["alignment"]
    assert "no human feedback" in question_pages.simulated(question, View("micro"))
    assert question_pages.simulated(question, View("small")) == ""
    assert question_pages.tested(question, View("micro")).endswith("at most 100 rows of a language")
    assert "100 to 1,000 rows" in question_pages.tested(question, View("small"))


def test_scores_in_other_languages_leave_out_english():
    question = questions.QUESTIONS["adapters"]
    ledger = questions.ledger_of(question, MICRO, planted("adapters", lambda run: 0.0))
    cell = ("adapter:", "en", "panx")
    whole, other = ledger.cells[cell][1], drops.abroad(ledger).cells[cell][1]
    values = {score["lang"]: score["value"] for score in whole.row["scores"]}
    assert other.score == pytest.approx(np.mean([x for lang, x in values.items() if lang != "en"]))
    assert whole.score == pytest.approx(np.mean([*values.values()])) and len(values) == 8
    assert other.items == pytest.approx(whole.row["abroad"])
    for score in whole.row["scores"]:
        score["lang"] = "en"
    del whole.__dict__["by_language"]
    assert 1 not in drops.abroad(ledger).cells[cell]  # a run that was scored in English alone


def test_an_effect_in_other_languages_alone_is_found_there():
    question, rows = questions.QUESTIONS["adapters"], planted("adapters", lambda run: 0.0)
    treated = {run.id for run in studies.runs("adapters", MICRO) if joint_by_adapters(run)}
    for row in rows:
        for score in row["scores"] if row["id"] in treated and row["phase"] == 3 else ():
            score["value"] += 8.0 * (score["lang"] != "en")
    found = {row["name"]: row["estimate"] for row in questions.answers(question, MICRO, rows)}
    assert found[questions.adapters.ELSEWHERE] == pytest.approx(8, abs=1)
    assert found[questions.adapters.EQUAL] == pytest.approx(7, abs=1)


def test_what_is_lost_a_doubling_is_what_both_sides_do_also_where_their_languages_differ():
    small = SCALES["small"]
    question, runs = questions.QUESTIONS["size"], studies.runs("size", small)
    rows = learned([synthetic.row(run) for run in runs])
    found = {row["name"]: row["estimate"] for row in questions.answers(question, small, rows)}
    both = found[questions.size.USUAL["sum"]] - found[questions.size.ADVERSARIAL["sum"]]
    assert both == pytest.approx(found["drop per doubling, fixed steps"])
    assert not any("in proportion" in name for name in found)


def test_a_design_on_real_data_has_runs_for_each_of_its_contrasts():
    for name, question in questions.QUESTIONS.items():
        runs = studies.runs(name, SCALES["small"])
        cells = {question.cell_of(run) for run in runs if run.phase == 3}
        found = question.contrasts(SCALES["small"])
        told = {told for told, weights in found.items() if not callable(weights)}
        assert all(set(found[each]) <= cells for each in told), name
        rows = learned([synthetic.row(run) for run in runs])
        measured = questions.answers(question, SCALES["small"], rows)
        missing = {row["name"]: row["note"] for row in measured if row["estimate"] is None}
        assert "not part of the study" not in str(missing), name


def test_preferences_and_their_sham_are_compared_after_the_task_too():
    rows = rows_of_starts("alignment", "prefer", lambda run: 4.0 * run.source.startswith("prefer > "))
    found = questions.answers(questions.QUESTIONS["alignment"], MICRO, rows)
    by_name = {row["name"]: row["estimate"] for row in found}
    assert by_name[questions.alignment.BOTH] == pytest.approx(4, abs=1)
    assert by_name[questions.alignment.ANSWER] == pytest.approx(4, abs=1.5)


def test_the_answer_is_told_target_by_target():
    rows = planted("adapters", lambda run: 6.0 * (run.on == "xquad" and joint_by_adapters(run)))
    question = questions.QUESTIONS["adapters"]
    lines = questions.target_by_target(question, questions.ledger_of(question, MICRO, rows))
    found = {line.target: line.found["estimate"] for line in lines}
    assert tuple(found) == questions.adapters.F1 and found["xquad"] == pytest.approx(6, abs=1.5)
    assert abs(found["mlqa"]) < 1.5
    alone = [row for row in rows if (row["source"], row["method"], row["on"]) == ("", "adapter", "xquad")]
    f1 = [
        np.mean([score["value"] for score in row["scores"] if score["metric"] == "f1"]) for row in alone
    ]  # without an intermediate task the question's own method counts
    assert next(line for line in lines if line.target == "xquad").baseline == pytest.approx((np.mean(f1),))
    assert question_pages.target_table([]) == ""


def test_the_answer_on_a_pair_names_both_and_compares_what_both_have():
    question, small = questions.QUESTIONS["shift"], SCALES["small"]
    runs = [run for run in studies.runs("shift", small) if run.phase == 3]
    rows = [synthetic.row(run) for run in runs]
    for row in rows:
        for score in row["scores"]:
            score["value"] = 80.0 if score["lang"] == "en" else 40.0
    lines = questions.target_by_target(question, questions.ledger_of(question, small, rows))
    assert [(line.target, line.outside) for line in lines] == list(question.pairs(small))
    found = {line.outside: line.baseline for line in lines}
    assert found["shift_snli"] == (80.0, 80.0)  # in English alone, where XNLI has fifteen languages
    text = question_pages.target_table(lines)
    assert "| `xnli` against `shift_snli` | not known yet | 80.0 | 80.0 |" in text
    bare = questions.target_by_target(question, questions.ledger_of(question, small, []))
    text = question_pages.target_table(bare)
    assert "| `xnli` against `shift_snli` | not known yet | – | – | – |" in text


def test_robustness_is_not_known_while_there_is_nothing_to_draw_a_line_through():
    question, small = questions.QUESTIONS["shift"], SCALES["small"]
    runs = studies.runs("shift", small)
    told = questions.told(question, small, [synthetic.row(run) for run in runs if not run.source])
    assert told[0]["estimate"] is None and 0 < told[0]["runs"][0] < len(runs)


def test_parts_of_an_answer_read_what_was_learned_alone():
    def add(run):  # one target is no better than random weights, and there the joint training is far ahead
        lost = -30.0 * (run.on == "tydiqa" and not run.model)
        return lost + 20.0 * (run.on == "tydiqa" and joint_by_adapters(run))

    rows = learned(planted("adapters", add))
    found = {row["name"]: row for row in questions.answers(questions.QUESTIONS["adapters"], MICRO, rows)}
    assert found[questions.adapters.EQUAL]["estimate"] == pytest.approx(4, abs=1)
    assert found[questions.adapters.TARGETS_LEARNED]["estimate"] == pytest.approx(0, abs=1)
    assert found[questions.adapters.TASKS_LEARNED]["estimate"] == pytest.approx(4, abs=1)
    assert questions.answers(questions.QUESTIONS["adapters"], MICRO, [])[-1]["estimate"] is None
    with pytest.raises(contrasts.Short, match="nothing is learned"):
        questions.learned({"xnli": gates.Gate(False, ""), "pawsx": None})


def test_tasks_that_are_not_learned_after_a_start_are_named():
    rows = learned(rows_of_starts("multimodal", "scenes", lambda run: 0.0))
    for row in rows:
        if (row["phase"], row["on"], row["lang"]) == (2, "mnli", "mt"):
            row["scores"] = [score | {"value": 10.0} for score in row["scores"]]
    question = questions.QUESTIONS["multimodal"]
    ledger = questions.ledger_of(question, MICRO, rows)
    found = question.gates(ledger)[questions.multimodal.ABROAD_LEARNED]
    assert found == gates.Gate(True, "2 of 3, 2 needed; not mnli")
    empty = questions.ledger_of(question, MICRO, [])
    assert questions.multimodal.tasks_learned(empty) == gates.Gate(None, "0 of 3, 2 needed; 3 not known yet")


def test_runs_that_other_studies_have_too_are_counted():
    main = {run.id for run in studies.runs("main", MICRO)}
    own = {run.id for run in studies.runs("adapters", MICRO)}
    question = questions.QUESTIONS["adapters"]
    shared = questions.shared_runs(question, MICRO)
    assert own & main < shared < own
    common = [{"id": name} for name in shared]
    found = questions.progress(question, MICRO, common)
    assert found[:4] == (len(shared), len(own), 0, len(own) - len(shared))
    view = View("micro")
    view._progress[question.id] = found
    assert question_pages.missing(question, view) == f"not begun: 0 of {len(own - shared):,} runs of its own"
    view._progress[question.id] = questions.progress(question, MICRO, [*common, {"id": min(own - shared)}])
    assert question_pages.missing(question, view).startswith("not finished: 1 of ")


# -- what is lost between a target and its twin --------------------------------------------------------------


PAIR = ("xnli", "xnli_shift")
MEASURES = [
    drops.drop, drops.relative_drop, drops.effective_robustness, drops.inside, drops.outside,
]  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.__name__)
def test_the_gradient_of_a_measure_is_its_change(measure):
    draw = np.random.default_rng(1)
    scores = np.stack([draw.uniform(40, 80, 30), draw.uniform(20, 60, 30)], 1)
    sources = np.repeat(np.arange(10), 3)
    values, gradients = measure(scores, sources)
    step = 1e-4
    for k in (0, 1):
        moved = scores.copy()
        moved[0, k] += step  # the line through thirty runs hardly moves with one of them
        assert (measure(moved, sources)[0][0] - values[0]) / step == pytest.approx(gradients[0, k], abs=0.12)


def test_a_model_on_the_line_is_not_robust_and_one_above_it_is():
    x = np.linspace(-1, 2, 20)
    inside, outside = (100 / (1 + np.exp(-v)) for v in (x, 0.8 * x - 1))
    found = drops.effective_robustness(np.stack([inside, outside], 1), np.arange(20))[0]
    assert np.abs(found).max() < 1e-9
    raised = outside + 10.0 * (np.arange(20) == 7)
    found = drops.effective_robustness(np.stack([inside, raised], 1), np.arange(20))[0]
    assert found.argmax() == 7 and found[7] > 8


def rows_of(add, pairs=(PAIR,), seeds=(1, 2, 3), sources=("", "mnli", "squad1")):
    """Rows of sources on both sides of pairs; `add(run)` points are added."""
    runs = [
        Run(f"{source} > {target}" if source else target, MICRO, seed)
        for source in sources
        for pair in pairs
        for target in pair
        for seed in seeds
    ]
    return [raised(synthetic.row(run), add(run)) for run in runs]


def raised(row, points):
    scores = [score | {"value": score["value"] + points} for score in row["scores"]]
    return row | {"scores": scores}


@pytest.fixture
def ledger(monkeypatch):
    def made(add, **given):
        rows = rows_of(add, **given)
        runs = [Run(row["path"], MICRO, row["seed"]) for row in rows]
        monkeypatch.setattr(studies, "STUDIES", studies.STUDIES | {"pairs": lambda scale: runs})
        return Ledger(MICRO, "pairs", stored=rows)

    return made


def test_a_drop_is_the_difference_of_both_scores_at_every_seed(ledger):
    plain = ledger(lambda run: -20.0 * run.on.endswith("_shift"))
    told = drops.Drops(plain, [PAIR], drops.drop)
    for seed, entry in told.cells[*BASELINE, "xnli_shift"].items():
        inside, outside = (plain.cells[*BASELINE, name][seed].score for name in PAIR)
        assert entry.score == pytest.approx(inside - outside)
    gap = told.gap(versus(("mnli", "en"), BASELINE, ("xnli_shift",)))
    assert gap.low < 0 < gap.high


def test_pairs_whose_sides_were_trained_in_two_environments_are_counted(ledger):
    made, asked = ledger(lambda run: 0.0), SimpleNamespace(pairs=lambda scale: [PAIR])
    assert question_pages.of_two_trainings(asked, made) == ""
    assert question_pages.of_two_trainings(SimpleNamespace(pairs=None), made) == ""
    for name in PAIR:  # a pair whose sides are alike, and two that are not
        made.cells[*BASELINE, name][1].row["provenance"]["device"] = "another"
    for seed, name in ((2, PAIR[0]), (3, PAIR[1])):
        made.cells[*BASELINE, name][seed].row["provenance"]["device"] = "another"
    assert "The sides of 2 of 9 pairs of scores" in question_pages.of_two_trainings(asked, made)


def test_english_and_other_languages_are_told_apart(ledger):
    told = ledger(lambda run: 0.0)
    for seeds in told.cells.values():
        for entry in seeds.values():
            for score in entry.row["scores"]:
                score["value"] = 80.0 if score["lang"] == "en" else 60.0 - 30 * entry.id.count("_shift")
    means = {
        part: drops.Drops(told, [PAIR], drops.drop, part).cells[*BASELINE, "xnli_shift"][1].score
        for part in (drops.WHOLE, drops.ENGLISH, drops.ABROAD)
    }
    assert means == pytest.approx({"all": 7 / 8 * 30, "en": 0.0, "other": 30.0})


def test_instances_of_english_are_what_others_leave():
    scores = [{"lang": lang, "metric": "accuracy", "value": 50.0} for lang in ("en", "de", "fr")]
    english, german, french = np.eye(3) * 90
    items, abroad = (english + german + french) / 3, (german + french) / 2
    entry = drops.Entry("", 50.0, items, {"on": "xnli", "scores": scores, "abroad": abroad.tolist()})
    assert drops.side(entry, {"en"}).items == pytest.approx(english)
    assert drops.side(entry, {"de", "fr"}).items == pytest.approx(abroad)
    assert drops.side(entry, {"en", "de", "fr"}).items == pytest.approx(items)


def test_a_target_in_two_pairs_is_one_sample(ledger):
    pairs = [PAIR, ("xnli", "xnli_adversarial")]
    found = ledger(lambda run: 0.0, pairs=[("xnli", "xnli_shift", "xnli_adversarial")])
    told = drops.Drops(found, pairs, drops.drop)
    weights = {(*BASELINE, outside): 0.5 for _, outside in pairs}
    keys = told.instances[(*BASELINE, "xnli_shift"), 1].keys()
    assert keys == {("xnli", 20), ("xnli_shift", 20)}
    inside = np.array([found.cells[*BASELINE, "xnli"][seed].items for seed in (1, 2, 3)])
    others = [np.array([found.cells[*BASELINE, o][s].items for s in (1, 2, 3)]) for _, o in pairs]
    expected = drops.instance_variance(inside) + sum(drops.instance_variance(x / 2) for x in others)
    assert told.over_instances(weights, [1, 2, 3]) == pytest.approx(expected)


def test_other_rows_that_are_no_harder_fail_their_gate(ledger):
    assert drops.costs(ledger(lambda run: -20.0 * run.on.endswith("_shift")), [PAIR]).passed
    assert drops.costs(ledger(lambda run: 20.0 * run.on.endswith("_shift")), [PAIR]).passed is False
    assert drops.costs(ledger(lambda run: 0.0, seeds=(1,)), [PAIR]).passed is None


@pytest.mark.parametrize(("z", "passed"), [(2.1, True), (1.8, False), (-2.1, False)])
def test_other_rows_are_harder_significantly_or_fail_their_gate(ledger, monkeypatch, z, passed):
    made = ledger(lambda run: 0.0)
    monkeypatch.setattr(drops.Drops, "gap", lambda self, weights: stats.Interval(z, (stats.Spread(1.0),)))
    assert drops.costs(made, [PAIR]).passed is passed


def test_pairs_that_are_harder_are_counted_while_a_study_goes_on(ledger):
    pairs = [PAIR, ("tatoeba", "tatoeba_shift")]
    told = ledger(lambda run: -20.0 * (run.on == "xnli_shift"), pairs=pairs, seeds=(1, 2, 3, 4))
    for (source, *_), seeds in told.cells.items():
        if source:  # nothing trained has the seed in which the encoder alone was scored in retrieval
            seeds.pop(4)
    assert drops.costs(told, pairs).says.endswith("; 1 of 2 pairs are harder")


# -- questions 3 and 4


def learned(rows):
    """The same rows, with every intermediate training far above guessing."""
    for row in rows:
        for score in row["scores"] if row["phase"] == 2 else ():
            score |= {"value": 90.0, "n": 100}
    return rows


def ability(run):
    """Sources differ in what they can, wherever it is asked; the joint one can most."""
    return 8.0 if "+" in run.source else sum(run.source.encode()) % 17 - 8.0


def other_domain(run):
    return -15.0 * run.on.endswith("_shift")


@pytest.mark.parametrize(
    ("points", "word"), [(6.0, "yes"), (0.0, "no difference"), (-6.0, "no, the opposite")]
)
def test_a_planted_robustness_is_found_and_a_null_is_not(points, word):
    def add(run):  # the joint training is also better wherever it is asked
        joint = "+" in run.source
        return other_domain(run) + ability(run) + points * (joint and run.on.endswith("_shift"))

    rows = learned(planted("shift", add))
    question = questions.QUESTIONS["shift"]
    ledger = questions.ledger_of(question, MICRO, rows)
    assert [gate.passed for gate in question.gates(ledger).values()] == [True] * 4
    first, plain, *rest = questions.answers_from(question, ledger)
    assert first["verdict"] in ((word,) if points else (word, "open"))
    assert first["low"] < points < first["high"] and plain["low"] < points < plain["high"]
    assert all(row["estimate"] is not None for row in rest)
    relative = next(row for row in rest if row["name"].startswith("relative"))
    assert relative["verdict"] != "no difference"  # it is in percent, and has no margin
    assert question_pages.drawn_pairs(question, told_view(question, [], True, ledger))


def test_a_joint_training_that_is_better_everywhere_is_not_more_robust():
    rows = learned(planted("shift", lambda run: other_domain(run) + ability(run)))
    found = questions.answers(questions.QUESTIONS["shift"], MICRO, rows)
    assert found[0]["verdict"] != "yes" and abs(found[0]["estimate"]) < 1.5
    assert next(row for row in found if row["name"].startswith("score inside"))["verdict"] == "yes"


def test_a_domain_that_costs_nothing_leaves_the_question_untestable():
    first = questions.answers(
        questions.QUESTIONS["shift"], MICRO, learned(planted("shift", lambda run: 0.0))
    )[0]
    assert first["verdict"] == "not testable" and "the other domain is harder" in first["note"]


def test_joint_and_single_trainings_take_as_many_steps_and_rows():
    runs = [run for run in studies.runs("shift", MICRO) if run.phase == 2]
    joint = next(run for run in runs if "+" in run.path)
    alone = [run for run in runs if "+" not in run.path]
    assert {run.size for run in alone} == {9 * MICRO.stage_rows} and joint.size == 0
    assert {run.share for run in alone} == {9.0} and joint.steps == "sum"


def size_rows(slope):
    """A loss that grows by `slope` points per doubling."""

    def add(run):
        twin = run.on.endswith("_adversarial")
        return (-15.0 - slope * np.log2(run.size / 125 if run.size else 1)) * twin

    return learned(planted("size", add))


@pytest.mark.parametrize(
    ("slope", "word"), [(1.5, "yes"), (0.0, "no difference"), (-1.5, "no, the opposite")]
)
def test_a_planted_slope_is_found_and_a_null_is_not(slope, word):
    question = questions.QUESTIONS["size"]
    ledger = questions.ledger_of(question, MICRO, size_rows(slope))
    assert [gate.passed for gate in question.gates(ledger).values()] == [True] * 3
    found = {row["name"]: row for row in questions.answers_from(question, ledger)}
    first = next(iter(found.values()))
    assert first["verdict"] in ((word,) if slope else (word, "open"))
    assert first["low"] < slope < first["high"]
    mixed = found["drop per doubling by a mixed model, fixed steps"]
    assert mixed["estimate"] == pytest.approx(first["estimate"], abs=0.1)
    rank = found["Spearman correlation × 100 of rows and drop, fixed steps"]
    assert -100 <= rank["low"] < rank["estimate"] < rank["high"] <= 100.5
    assert abs(rank["estimate"]) > 60 if slope else rank["low"] < 0 < rank["high"]
    assert question_pages.drawn_sizes(question, told_view(question, [], True, ledger))


# -- every contrast, from scores that are added up by hand ---------------------------------------------------


def value(weights, score):
    """A weighted sum of scores, which are a function of the source and the language of its rows."""
    return sum(weight * score(source, lang) for (source, lang, _), weight in weights.items())


def on_targets(weights):
    return {target for *_, target in weights}


def values(name, score):
    """What each contrast of a question is at micro, by name, of those that are weights of cells."""
    found = questions.QUESTIONS[name].contrasts(MICRO)
    return {told: value(weights, score) for told, weights in found.items() if not callable(weights)}


def test_each_contrast_of_the_alignment_question_is_what_its_name_says():
    level, gain = {"": 0, "prefer_sham": 2, "prefer": 5}, {"": 1, "prefer_sham": 10, "prefer": 100}

    def score(source, lang):
        start, _, task = source.rpartition(" > ") if "prefer" not in source[-11:] else (source, "", "")
        # the two tasks add a half more and a half less
        share = {"squad1": 1.5, "mnli": 0.5, "": 0.0}[task]
        return level[start] + gain[start] * share

    q = questions.alignment
    assert values("alignment", score) == pytest.approx({
        q.ANSWER: 90, q.GAIN: 100, "gain after shuffled preferences": 10, "gain without either": 1,
        "preferences − shuffled ones, no intermediate task": 3,
        "preferences − nothing, no intermediate task": 5,
        q.OVER_NEITHER: 99, q.SHAM_OVER_NEITHER: 9,
        "shuffled preferences − nothing, no intermediate task": 2, q.TUNED: 90, q.BOTH: 105 - 12,
        q.OVER_TASK: 105 - 1, "shuffled preferences, then the task − the task alone": 12 - 1,
        "preferences, then the task − nothing": 105,
    })  # fmt: skip
    found = questions.QUESTIONS["alignment"].contrasts(MICRO)
    parts = {told: on_targets(weights) for told, weights in found.items() if not callable(weights)}
    assert parts.pop(q.TUNED) == set(TARGETS) - {"bucc", "tatoeba"}
    assert all(on == set(TARGETS) for on in parts.values())


def test_each_contrast_of_the_scenes_question_is_what_its_name_says():
    level = {"": 0, "mlm": 1, "scenes_sham": 2, "scenes": 4}
    gain = {
        "en": {"mlm": 10, "scenes_sham": 20, "scenes": 50},
        "mt": {"mlm": 100, "scenes_sham": 300, "scenes": 900},
    }

    def score(source, lang):
        start, _, task = source.partition(" > ")
        return level[start] + (gain[lang][start] if task else 0)

    q = questions.multimodal
    english = "gain of English tasks after scenes − after shuffled ones"
    assert values("multimodal", score) == pytest.approx({
        q.ANSWER: 600, "gain of non-English tasks after scenes − after text alone": 800,
        "gain of non-English tasks after scenes": 900,
        "gain of non-English tasks after shuffled scenes": 300,
        "gain of non-English tasks after text alone": 100, english: 30,
        "scenes − shuffled ones, no intermediate task": 2, "scenes − text alone, no intermediate task": 3,
        q.AGAINST_ENGLISH: 570, q.TUNED: 600, q.LITERAL_TUNED: 904 - 101, q.LITERAL: 904 - 101,
        q.OVER_SHAM: 904 - 302, "scenes − no start": 4, "shuffled scenes − no start": 2,
        "text alone − no start": 1, **{q.each_task(task): 600 for task in studies.MIXED},
    })  # fmt: skip
    found = questions.QUESTIONS["multimodal"].contrasts(MICRO)
    tuned = {
        told for told, weights in found.items() if not callable(weights) and len(on_targets(weights)) < 9
    }
    assert tuned == {q.TUNED, q.LITERAL_TUNED}
    assert (
        on_targets(found[q.TUNED]) == on_targets(found[q.LITERAL_TUNED]) == set(TARGETS) - {"bucc", "tatoeba"}
    )
    assert {source for source, *_ in found[q.each_task("mnli")]} == {
        "scenes > mnli", "scenes", "scenes_sham > mnli", "scenes_sham",
    }  # fmt: skip


def test_each_contrast_of_the_adapters_question_is_what_its_name_says():
    together = "+" * 8
    score_of = {  # nothing, a single task, all at equal steps, and all in the steps of all
        "full": (1, 10, 100, 1000), "adapter": (2, 20, 200, 2000), "lora": (3, 30, 400, 4000),
        "fusion": (0, 0, 0, 5000),
    }  # fmt: skip

    def score(source, lang):
        method, _, name = source.partition(":") if ":" in source else ("full", "", source)
        many = name.count("+") == len(together)
        kind = 0 if not name else 1 if not many else 2 if name.endswith(contrasts.EQUAL_STEPS) else 3
        return score_of[method.split(" > ")[-1]][kind] + 9 * (name == " squad1")

    q, all_nine = questions.adapters, "joint − mean of single tasks, {}, all nine targets"
    assert values("adapters", score) == pytest.approx({
        q.EQUAL: 200 - 21, "joint − none, adapters": 198, q.SINGLES_OVER_NONE: 21 - 2,
        "adapters − full training, no intermediate task": 1, q.CONTROL: 29 - 2, q.OVER_SQUAD: 200 - 29,
        q.SPANS: 200 - 21, q.TAGS: 200 - 21, "fusion of single tasks − their mean": 5000 - 21,
        q.IN_FULL: 90, "adapters − full training, in joint − single": 200 - 21 - 90,
        "joint: LoRA − full training": 300, q.LONGER["adapter"]: 2000 - 21, q.LONGER["full"]: 990,
        q.LONG_OVER_NONE["adapter"]: 1998, q.LONG_OVER_NONE["full"]: 999,
        all_nine.format("adapters"): 200 - 21, all_nine.format("full training"): 90,
    })  # fmt: skip
    found = questions.QUESTIONS["adapters"].contrasts(MICRO)
    parts = {told: on_targets(weights) for told, weights in found.items() if not callable(weights)}
    assert parts[q.SPANS] == {"xquad", "mlqa", "tydiqa"} and parts[q.TAGS] == {"udpos", "panx"}
    assert parts[q.CONTROL] == {"xquad"} and parts[q.EQUAL] == parts[q.IN_FULL] == set(q.F1)
    assert all(on == set(TARGETS) for told, on in parts.items() if "nine targets" in told)


@pytest.fixture
def recorded(monkeypatch):
    """Contrasts of pairs are not measured, but say what they compare, how, and in which languages."""
    monkeypatch.setattr(shift, "robust", lambda scale, weights, part="", only=(), apart=(): (
        weights, "robust", part or "all", only or shift.pairs(scale), apart))  # fmt: skip
    for module in (shift, size):
        monkeypatch.setattr(module, "on_pairs", lambda pairs, weights, measure, part="": (
            weights, measure.__name__, part or "all", pairs, ()))  # fmt: skip


def test_each_contrast_of_the_question_of_domains_is_what_its_name_says(recorded):
    def score(source, lang):
        return {"": 1, "mnli_shift": 40}.get(source, 100 if "+" in source else 10 + 9 * (source == "squad1"))

    q, pairs, found = shift, shift.pairs(MICRO), shift.contrasts(MICRO)
    twins = {outside for _, outside in pairs}
    home = {outside for target, outside in pairs if "en" in drops.shared((target, outside), MICRO)}
    away = {outside for target, outside in pairs if drops.shared((target, outside), MICRO) - {"en"}}
    inside, callables = found.pop("score inside: joint − mean of single tasks"), (q.TARGETS_LEARNED,)
    assert value(inside, score) == pytest.approx(100 - 11) and on_targets(inside) == {x for x, _ in pairs}
    told = {
        name: (round(value(x[0], score), 6), on_targets(x[0]), x[1], x[2], x[4])
        for name, x in found.items()
        if name not in callables
    }
    none, relative = (("", "en"),), "relative drop, % of the score inside: mean of single tasks − joint"
    assert told == {
        q.ANSWER: (89, twins, "robust", "all", ()),
        "drop: mean of single tasks − joint": (-89, twins, "drop", "all", ()),
        relative: (-89, twins, "relative_drop", "all", ()),
        q.DROP_AT_HOME: (-89, home, "drop", "en", ()),
        "drop in other languages: mean of single tasks − joint": (-89, away, "drop", "other", ()),
        q.FOUND_BY: (30, {"xnli_shift"}, "robust", "all", ()),
        q.OVER_NONE: (99, twins, "robust", "all", none),
        q.AT_HOME: (89, home, "robust", "en", ()),
        q.ABROAD: (89, away, "robust", "other", ()),
    }


def test_what_is_compared_is_kept_out_of_what_is_expected(monkeypatch):
    monkeypatch.setattr(drops, "robustness", lambda ledger, pairs, weights, out, part: (set(out), part))
    judged = {(questions.joint(MICRO), "en"), ("mnli_shift", "en")}
    assert shift.robust(MICRO, {})(None) == (judged, "all")
    assert shift.robust(MICRO, {}, apart=(("", "en"),))(None) == (judged | {("", "en")}, "all")


def test_each_slope_of_the_question_of_sizes_is_what_its_name_says(recorded):
    found, outside = size.contrasts(MICRO), {x for _, x in size.pairs(MICRO)}
    told = {name: x for name, x in found.items() if isinstance(x, tuple)}
    wanted = {
        f"drop per doubling, {name}, fixed steps": ("drop", "fixed steps") for name in size.stages(MICRO)
    }
    for steps, rule in size.REGIMES.items():
        wanted |= {
            f"drop per doubling, {rule}": ("drop", rule), size.USUAL[steps]: ("inside", rule),
            size.ADVERSARIAL[steps]: ("outside", rule), size.RELATIVE[steps]: ("relative_drop", rule),
        }  # fmt: skip
    assert {name: x[1] for name, x in told.items()} == {name: x for name, (x, _) in wanted.items()}
    for name, (weights, *_) in told.items():
        rule, alone = wanted[name][1], {x for x in size.stages(MICRO) if f", {x}," in name}
        parts = [source.split(", ") for source, *_ in weights]
        rows = [int(of.removesuffix(" rows")) for _, of, _ in parts]
        assert sum(weights.values()) == pytest.approx(0) and on_targets(weights) == outside
        # a score that rises by two points a doubling has a slope of two
        rise = sum(w * 2 * np.log2(n) for w, n in zip(weights.values(), rows, strict=True))
        assert rise == pytest.approx(2)
        assert {task for task, *_ in parts} == (alone or set(size.stages(MICRO)))
        assert {(int(of.split()[0]) == MICRO.stage_rows or told == rule) for _, of, told in parts} == {True}


# -- words, margins and gates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "margin", "word"),
    [
        (2.0, 0.0, "yes"), (1.9, 0.0, "open"), (-1.9, 0.0, "open"), (-2.0, 0.0, "no, the opposite"),
        (0.3, 2.0, "no difference"), (0.4, 2.0, "open"), (-0.4, 2.0, "open"), (0.0, 1.6, "open"),
    ],
)  # fmt: skip
def test_a_word_is_that_of_a_two_sided_test_or_of_two_one_sided_ones(mean, margin, word):
    assert questions.verdict(stats.Interval(mean, (stats.Spread(1.0),)), margin) == word


def test_no_difference_is_judged_within_the_margin_of_the_question():
    def told(name, contrast):
        made = replace(
            questions.QUESTIONS["size"], contrasts=lambda scale: {name: contrast}, gates=lambda ledger: {}
        )
        return questions.answers_from(made, SimpleNamespace(scale=MICRO))[0]

    wide, narrow = (lambda ledger, v=v: stats.Interval(0.0, (stats.Spread(v),)) for v in (0.04, 0.01))
    assert (told("drop", wide)["verdict"], told("drop", narrow)["verdict"]) == ("open", "no difference")
    assert not told("drop", wide)["narrow"] and told("drop", narrow)["narrow"]
    assert told("Spearman", narrow)["verdict"] == "open"
    far = told("drop", lambda ledger: stats.Interval(5.0, (stats.Spread(0.01),)))
    assert far["verdict"] == "yes" and far["narrow"]  # an estimate of zero would be no difference
    half = norm.ppf(1 - 0.025 / len(questions.QUESTIONS)) * 0.2
    assert told("drop", wide)["wide"] == pytest.approx([-half, half])


def gated(name, stages=(), targets=()):
    """The gates of a question in a ledger without rows, in which this many stages and targets are learned."""
    question = questions.QUESTIONS[name]
    made = questions.ledger_of(question, MICRO, [])
    yes, no = gates.Gate(True, ""), gates.Gate(False, "")
    names = {
        "adapters": [questions.adapters.source("adapter", x) for x in questions.singles(MICRO)],
        "shift": [(x, "en") for x in questions.singles(MICRO)],
        "size": [(size.grid(MICRO, x, "sum")[-1], "en") for x in size.stages(MICRO)],
    }.get(name, ())
    made.gates = gates.Gates(
        {x: yes if k < targets else no for k, x in enumerate(targets_of(name))},
        {x: yes if k < stages else no for k, x in enumerate(names)},
    )
    return {told: gate.passed for told, gate in question.gates(made).items()}


def targets_of(name):
    return questions.adapters.F1 if name == "adapters" else questions.inside(pairs_of(name)) or TARGETS


def pairs_of(name):
    return {"shift": shift, "size": size}[name].pairs(MICRO) if name in ("shift", "size") else ()


@pytest.mark.parametrize(
    ("name", "stages", "told", "targets", "on"),
    [
        ("adapters", 5, "single tasks learned by adapters", 3, "targets learned by full training"),
        ("shift", 5, "single tasks learned", 6, "targets learned"),
        ("size", 3, "intermediate tasks are learned from the most rows", 3, "targets learned"),
        ("alignment", 0, "", 6, "targets learned"), ("multimodal", 0, "", 6, "targets learned"),
    ],
)  # fmt: skip
def test_as_many_tasks_and_targets_must_be_learned_as_the_design_says(name, stages, told, targets, on):
    found = gated(name, stages, targets)
    assert found[on] is True and (not told or found[told] is True)
    found = gated(name, stages - 1, targets - 1)
    assert found[on] is False and (not told or found[told] is False)


def test_what_was_added_for_learned_targets_and_for_other_languages_has_these_alone(monkeypatch):
    monkeypatch.setattr(shift, "robust", lambda scale, weights: lambda ledger: on_targets(weights))
    monkeypatch.setattr(
        size, "drop_of", lambda scale, weights, part="": lambda _: (on_targets(weights), part)
    )
    yes, no = gates.Gate(True, ""), gates.Gate(False, "")
    made = SimpleNamespace(scale=MICRO, gates=gates.Gates(dict.fromkeys(TARGETS, no) | {"xnli": yes}, {}))
    assert shift.on_learned(made) == {"xnli_shift"}
    assert size.on_learned(made) == ({"xnli_adversarial"}, "")
    away = {pair[1] for pair in size.pairs(MICRO) if drops.shared(pair, MICRO) - {"en"}}
    assert size.elsewhere(made) == (away, "other")


def test_a_contrast_over_what_is_learned_has_these_targets_alone():
    kinds = {"xnli": gates.Gate(True, ""), "panx": gates.Gate(False, ""), "udpos": gates.Gate(None, "")}
    made = SimpleNamespace(scale=MICRO, gates=gates.Gates(kinds, {}), gap=lambda targets: targets)
    found = questions.over_learned(lambda scale, on: on, ("xnli", "panx", "udpos", "bucc"))
    assert found(made) == ("xnli",)


def test_a_task_is_learned_after_both_starts_or_not():
    made = questions.ledger_of(questions.QUESTIONS["multimodal"], MICRO, [])
    yes, no = gates.Gate(True, ""), gates.Gate(False, "")

    def passed(**sham):  # after the scenes all are learned
        stages = {(f"scenes > {task}", "mt"): yes for task in studies.MIXED}
        stages |= {(f"scenes_sham > {task}", "mt"): gate for task, gate in sham.items()}
        made.gates = gates.Gates({}, stages)
        return questions.multimodal.tasks_learned(made).passed

    assert passed(squad1=yes, mnli=yes, hellaswag=no) is True
    assert passed(squad1=yes, mnli=no, hellaswag=no) is False
    assert passed(squad1=yes, mnli=yes) is True and passed(squad1=yes, mnli=no) is None


# -- intervals that are a question's own ---------------------------------------------------------------------


def jackknifed(values):
    """The jackknife's variance, from what is found without each seed."""
    return (len(values) - 1) / len(values) * sum((x - np.mean(values)) ** 2 for x in values)


def test_the_best_single_task_on_other_seeds_by_hand(monkeypatch):
    q, draw, seeds, asked = questions.adapters, np.random.default_rng(4), [1, 2, 3, 4], []
    ours, others = ("ours", "en"), [q.source("adapter", x) for x in questions.singles(MICRO)]
    scores = {
        (*s, t): {k: draw.normal(50, 3) for k in seeds} for s in (ours, *others) for t in ("panx", "xquad")
    }
    cells = {cell: {k: SimpleNamespace(score=x) for k, x in of.items()} for cell, of in scores.items()}
    made = SimpleNamespace(
        scale=MICRO, cells=cells, seeds=lambda cells: seeds,
        over_instances=lambda weights, of: asked.append(weights) or 0.7,
    )  # fmt: skip

    def mean(source, of):
        return np.mean([scores[*source, t][k] for t in ("panx", "xquad") for k in of])

    chosen = [max(others, key=lambda s, out=out: mean(s, [k for k in seeds if k != out])) for out in seeds]
    values = [mean(ours, [k]) - mean(s, [k]) for k, s in zip(seeds, chosen, strict=True)]
    found = q.over_best(made, ours, ("panx", "xquad"))
    assert found.mean == pytest.approx(np.mean(values)) and len(set(chosen)) > 1
    assert found.parts[0] == stats.held_out_variance(values) and found.parts[1].variance == 0.7
    share = Counter(source for source in chosen)
    assert asked[0] == pytest.approx(
        {(*ours, t): 0.5 for t in ("panx", "xquad")}
        | {(*s, t): -n / 8 for s, n in share.items() for t in ("panx", "xquad")}
    )


@pytest.fixture
def drawn(monkeypatch):
    """Drops of four tasks at six sizes with five seeds, and the scores of the tasks on their own rows."""
    draw = np.random.default_rng(2)
    rise = np.arange(6)[:, None] * np.array([0.5, 1.0, 1.5, -0.2])[:, None, None]
    own = draw.normal(0, 1, (4, 6, 5)) + rise
    lost = 10 + draw.normal(0, 1, (4, 6, 5)) + 0.7 * own + rise
    monkeypatch.setattr(size, "drops_by_size", lambda ledger, steps: (lost, [1, 2, 3, 4, 5]))
    monkeypatch.setattr(size, "own_scores", lambda ledger, steps, seeds: own)
    return lost, own


def test_scores_of_tasks_on_their_own_rows_are_by_task_size_and_seed():
    def row(task, value):
        scores = [
            {"metric": m, "protocol": f"{task}: x", "value": value, "n": 7} for m in TASKS[task].metrics
        ]
        return {"on": task, "scores": scores}

    stages = {
        (source, "en"): {seed: row(task, 100.0 * i + 10 * j + seed) for seed in (1, 2)}
        for i, task in enumerate(size.stages(MICRO))
        for j, source in enumerate(size.grid(MICRO, task, "rows"))
    }
    found = size.own_scores(SimpleNamespace(scale=MICRO, stages=stages), "rows", [1, 2])
    wanted = [[[100 * i + 10 * j + seed for seed in (1, 2)] for j in range(6)] for i in range(4)]
    assert found.tolist() == wanted
    del stages[size.grid(MICRO, "mnli", "rows")[2], "en"][2]
    with pytest.raises(contrasts.Short, match="not every training"):
        size.own_scores(SimpleNamespace(scale=MICRO, stages=stages), "rows", [1, 2])


def rank_correlation(lost, own=None):
    """Fisher's mean over tasks of Pearson's correlation of ranks, or of what a line through `own` leaves."""
    found = []
    for k, values in enumerate(lost):
        both = [rankdata(x) for x in (np.repeat(np.arange(len(values)), values.shape[1]), values.ravel())]
        if own is not None:
            ranks = rankdata(own[k].ravel())
            both = [x - np.polyval(np.polyfit(ranks, x, 1), ranks) for x in both]
        found.append(np.arctanh(np.corrcoef(*both)[0, 1]))
    return 100 * np.tanh(np.mean(found))


@pytest.mark.parametrize("given", [False, True])
def test_a_rank_correlation_is_that_of_numpy_and_its_interval_the_jackknife(drawn, given):
    lost, own = drawn[0], drawn[1] if given else None
    found = size.correlated("sum", given)(None)
    assert found.mean == pytest.approx(rank_correlation(lost, own))
    without = [
        rank_correlation(np.delete(lost, k, 2), own if own is None else np.delete(own, k, 2))
        for k in range(5)
    ]
    (part,) = found.parts
    assert (part.variance, part.df) == (pytest.approx(jackknifed(without)), 4)


def test_the_mixed_model_is_the_t_test_of_the_slopes_of_the_tasks(drawn):
    """In a balanced design whose slopes differ between tasks."""
    lost, away = drawn[0], np.array(size.doublings(MICRO))
    slopes = [np.polyfit(away, task.mean(1), 1)[0] for task in lost]
    found, wanted = size.mixed(MICRO, "sum")(None), ttest_1samp(slopes, 0).confidence_interval()
    assert found.mean == pytest.approx(np.mean(slopes), abs=1e-3)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.05)


def test_the_interval_of_robustness_is_the_jackknife_over_seeds(ledger):
    made = ledger(lambda run: -20.0 * run.on.endswith("_shift"), seeds=(1, 2, 3, 4))
    weights, out = versus(("mnli", "en"), ("squad1", "en"), ("xnli_shift",)), (("mnli", "en"),)
    found = drops.robustness(made, [PAIR], weights, out)
    without = [
        drops.robustness(made.restricted(lambda cell, seed, k=k: seed != k), [PAIR], weights, out).mean
        for k in (1, 2, 3, 4)
    ]
    assert np.ptp(without) > 0.1 and found.parts[0].df == 3
    assert found.parts[0].variance == pytest.approx(jackknifed(without))


# -- the designs on the rows that were really made -----------------------------------------------------------

# the runs that an answer is about; the runs that are like them but for the treatment, as what differs; and
# how much of the effect that is planted each of the former gets
TREATED = {
    "adapters": (
        joint_by_adapters,
        lambda run: {"source": single(run.seed), "steps": "sum"},
        lambda run: 1.0,
    ),
    "alignment": (
        lambda run: run.source.split(" > ")[0] == "prefer",
        lambda run: {"source": run.source.replace("prefer", "prefer_sham")},
        lambda run: float(" > " in run.source),
    ),
    "shift": (
        lambda run: "+" in run.source,
        lambda run: {"source": single(run.seed), "size": 9 * MICRO.stage_rows, "steps": "rows"},
        lambda run: float(run.on.endswith(shift.SUFFIX)),
    ),
    "size": (  # runs of every size get the rows of one size, each of another seed
        lambda run: run.source and run.steps == "sum",
        lambda run: {"size": 500, "seed": run.seed + sizes_before(run)},
        lambda run: -float(sizes_before(run)) * run.on.endswith(size.SUFFIX),
    ),
    "multimodal": (
        lambda run: run.source.split(" > ")[0] == "scenes",
        lambda run: {"source": run.source.replace("scenes", "scenes_sham")},
        lambda run: float(run.lang != "en"),
    ),
}


def sizes_before(run):
    return size.sizes(MICRO).index(run.size)


def single(seed):
    return INTERMEDIATES[seed % len(INTERMEDIATES)]


@cache
def published_rows():
    return results.rows("micro")


@pytest.mark.parametrize("name", TREATED)
def test_in_the_published_rows_a_planted_effect_is_found_and_a_placebo_is_not(name, monkeypatch):
    monkeypatch.delenv("XIT_RESULTS")
    question, rows = questions.QUESTIONS[name], published_rows()
    runs = {run.id: run for run in studies.runs(name, MICRO) if run.phase == 3}
    if not set(runs) <= {row["id"] for row in rows}:
        pytest.skip("its study is not finished in this ledger")
    is_treated, like, share = TREATED[name]
    fields = ("source", "lang", "method", "on", "size", "steps", "seed")
    by_cell = {tuple(getattr(run, x) for x in fields): run.id for run in runs.values()}
    stored, seeds = {row["id"]: row for row in rows}, max(run.seed for run in runs.values())

    def placebo(run):  # of the seed after, so that noise is as it is between two trainings
        cell = {x: getattr(run, x) for x in fields} | like(run)
        return stored[by_cell[*(cell | {"seed": cell["seed"] % seeds + 1}).values()]]

    def answer(points):
        made = []
        for row in rows:
            run = runs.get(row["id"])
            if run and is_treated(run):
                beside = placebo(run)
                row = row | {key: beside[key] for key in ("scores", "items", "abroad")}
                row = raised(row, points * share(run))
            made.append(row)
        return questions.answers(question, MICRO, made)[0]

    null = answer(0.0)
    assert null["verdict"] in ("open", "no difference") and null["low"] < 0 < null["high"]
    for sign, word in ((1, "yes"), (-1, "no, the opposite")):
        assert answer(sign * 2 * null["detectable"])["verdict"] == word


def test_every_figure_of_a_question_has_a_caption():
    assert set(question_pages.FIGURES) <= set(figures.CAPTIONS)


def test_a_size_of_the_scale_itself_is_trained_once():
    runs = [run for run in studies.runs("size", MICRO) if run.phase == 2 and run.size == 2000]
    assert {run.steps for run in runs} == {"sum"} and len(runs) == 4 * 12
    assert {run.share for run in studies.runs("size", MICRO) if run.size == 125 and run.steps == "rows"} == {
        1 / 16
    }


# -- adversarial subsets -------------------------------------------------------------------------------------

ROWS = [  # premise, hypothesis, label
    ("a dog sees the cat", "a dog sees the cat", "entailment"),
    ("a dog sees the cat", "an animal looks", "entailment"),
    ("a dog sees the cat", "the cat sees a dog", "neutral"),
    ("a dog sees the cat", "he is tired", "neutral"),
    ("a dog sees the cat", "a dog never sees the cat", "contradiction"),
    ("a dog sees the cat", "nobody is there", "contradiction"),
]


def rows(langs=("en", "de")):
    return [
        {"language": lang, "sentence1": f"{a}{mark}", "sentence2": f"{b}{mark}", "gold_label": label}
        for lang in langs
        for a, b, label in ROWS
        for mark in ["" if lang == "en" else " in German"]
    ]


def numbers(found, lang):
    own = [row for row in rows() if row["language"] == lang]
    return [own.index(row) for row in found]


@pytest.mark.parametrize("lang", ["en", "de"])
def test_words_in_common_mislead(lang):
    found = adversarial.by_overlap(rows(), lang, 3)
    assert numbers(found, lang) == [1, 2, 4]
    assert len(adversarial.by_overlap(rows(), lang, 0)) == 6  # no more are there


def test_every_label_has_as_many_rows():
    found = adversarial.by_overlap(rows(), "de", 5)
    assert Counter(row["gold_label"] for row in found) == dict.fromkeys(adversarial.NLI, 1)


def test_the_hypothesis_alone_misleads(monkeypatch):
    trained = [
        {"premise": "x", "hypothesis": hypothesis, "label": label}
        for hypothesis, label in (("nobody never", 2), ("animal a dog", 0), ("tired he", 1), ("no label", -1))
        for _ in range(5)
    ]
    monkeypatch.setattr(adversarial.sources, "fetch", lambda *where: [Part(trained, "m", "r", False, True)])
    adversarial.label_model.cache_clear()
    found = adversarial.by_hypothesis(rows(), "de", 3)
    # what is surest to be read as another label: "a dog sees ..." of what does not follow
    assert {4} <= set(numbers(found, "de")) and 5 not in numbers(found, "de")
    adversarial.label_model.cache_clear()


def nli(*texts, lang="en"):
    """Rows of XNLI from (premise, hypothesis, label)."""
    return [{"language": lang, "sentence1": a, "sentence2": b, "gold_label": label} for a, b, label in texts]


def test_words_in_common_are_a_share_of_the_hypothesis_in_english():
    english = [
        ("a b c d", "a", "entailment"), ("a b c d", "a b c x y z", "entailment"),
        ("a b c d", "a b x", "neutral"), ("a b c d", "a b c x y z w", "neutral"),
        ("a b c d", "a", "contradiction"),
    ]  # fmt: skip
    other = [(a, a if k % 2 else "x", label) for k, (a, _, label) in enumerate(english)]
    found = adversarial.by_overlap([*nli(*english), *nli(*other, lang="de")], "de", 3)
    # a half of the words is less than all of them, and two thirds are more than three sevenths
    assert found == [nli(*other, lang="de")[k] for k in (1, 2, 4)]


def test_the_model_of_the_hypothesis_is_naive_bayes_by_hand(monkeypatch):
    trained = [
        {"premise": "x", "hypothesis": hypothesis, "label": label}
        for hypothesis, label in (("A dog, a dog.", 0), ("dog sees", 0), ("tired", 1), ("nobody sees", 2))
    ]
    monkeypatch.setattr(adversarial.sources, "fetch", lambda *where: [Part(trained, "m", "r", False, True)])
    adversarial.label_model.cache_clear()
    # five words are known; a word counts once a row, and those of a label are 4, 1 and 2
    found = adversarial.label_model(None, None)("dog DOG sees new")
    adversarial.label_model.cache_clear()
    counts = [(2, 1, 0, 9), (0, 0, 0, 6), (0, 1, 0, 7)]
    assert found == pytest.approx([sum(np.log((n + 1) / total) for n in of) for *of, total in counts])


def test_rows_that_are_not_parallel_are_refused():
    with pytest.raises(Bad, match="not parallel"):
        adversarial.by_overlap(rows()[:-1], "de", 3)


def test_equal_rows_are_in_an_order_that_their_place_does_not_tell():
    turned = rows(("en",))[::-1]
    there, back = (adversarial.by_overlap(told, "en", 3) for told in (rows(("en",)), turned))
    assert sorted(map(str, there)) == sorted(map(str, back))


def test_of_breaking_nli_as_many_rows_have_either_of_two_labels_and_none_the_third():
    rows = [
        {"premise": f"p{i}", "hypothesis": f"h{i}", "label": label}
        for i, label in enumerate([2, 0, 2, 2, 1, 2, 0, 2, 0])
    ]
    for n, each in ((0, 3), (4, 2), (100, 3)):
        found = adversarial.by_replacement(rows, "en", n)
        assert Counter(row["label"] for row in found) == {0: each, 2: each}
        assert found == [row for row in rows if row in found]  # in their order
    turned = adversarial.by_replacement(rows[::-1], "en", 4)
    assert sorted(map(str, turned)) == sorted(map(str, adversarial.by_replacement(rows, "en", 4)))


def test_the_book_counts_adversarial_rows_by_language_and_shows_five_of_each_kind():
    text, real = subsets.page(), SCALES[subsets.SCALE]
    for _, name in size.PAIRS:
        part = text.partition(f"**`{name}`**")[2].partition("**`")[0]
        assert part.count("\n| ") == 2 + subsets.SHOWN  # with the head and its rule
        lines = [
            line for line in published.csv_table(subsets.NAME) if line["subset"] == name and line["rows"]
        ]
        assert [line["lang"] for line in lines] == [*languages(TASKS[name], real)]
        assert all(int(line["rows"]) == sum(int(line[label]) for label in NLI) for line in lines)
    assert "600 rows in 15 languages (200 entailment, 200 neutral, 200 contradiction in each)" in text
