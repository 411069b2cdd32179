"""A question is one file: its study runs, its contrasts are measured and its page is written without another
edit.
"""

import json
from dataclasses import replace

import pytest

import synthetic
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TARGETS
from xit_core.ledger import results
from xit_core.report import chapters, contrasts, pages, question_pages, questions
from xit_core.run import launch


@pytest.fixture
def question(monkeypatch):
    """Does training on MNLI help XNLI? As a file of the folder would declare it."""
    monkeypatch.setattr(questions, "QUESTIONS", {})
    monkeypatch.setattr(studies, "STUDIES", studies.STUDIES)
    weights = contrasts.versus(("mnli", "en"), contrasts.BASELINE, ("xnli",))
    made = questions.Question(
        "made_up", 9, "Does it?", "Does it?", ("micro",),
        runs=lambda scale: [Run(p, scale, seed) for seed in (1, 2, 3) for p in ("xnli", "mnli",
        "mnli > xnli")],
        contrasts=lambda scale: {"gain": weights, "elsewhere": {("qqp", "en", "xnli"): 1.0}},
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
        "sizes", 9, "Does more help?", "More?", ("micro",),
        runs=lambda scale: [Run("mnli > xnli", scale, seed, size=n) for n in sizes for seed in (1, 2, 3)],
        contrasts=lambda scale: {"more": contrasts.versus(("200", "en"), ("100", "en"), ("xnli",))},
    )  # fmt: skip
    questions.add(made)
    with pytest.raises(ValueError, match="tell them apart"):
        questions.answers(made, SCALES["micro"])
    for run in studies.runs("sizes", SCALES["micro"]):
        row = synthetic.row(run)
        results.write(row | {"scores": [s | {"value": run.size / 10} for s in row["scores"]]})
    told = replace(made, cell_of=lambda run: (str(run.size), run.lang, run.on))
    assert questions.answers(told, SCALES["micro"])[0]["estimate"] == pytest.approx(10)
    assert chapters.View("micro").stored and not chapters.View("micro").rows  # in its own chapter only


def test_its_page_is_written_for_every_scale_with_rows(question, tmp_path):
    for run in studies.runs("made_up", SCALES["micro"]):
        results.write(synthetic.row(run))
    text = (pages.build(tmp_path / "book") / "questions/made_up.md").read_text()
    assert "## Scale `micro`" in text and "9 of 9 runs are in the ledger" in text


def test_every_question_has_its_chapter_in_the_book():
    chapters = {p.stem for p in (pages.ROOT / "book/questions").glob("*.md")}
    assert chapters == set(questions.QUESTIONS) and len(TARGETS) == 9


# -- question 1: adapters


def planted(study, add):
    """Rows of a whole study at micro; `add(run)` points are planted in every score of a target's run."""
    rows = {}
    control = [run for run in studies.runs("main", SCALES["micro"]) if run.model and run.seed <= 3]
    for run in (*studies.runs(study, SCALES["micro"]), *control):
        row = synthetic.row(run)
        points = add(run) if run.phase == 3 else 0.0
        scores = [score | {"value": score["value"] + points} for score in row["scores"]]
        rows[run.id] = row | {"scores": scores}
    return list(rows.values())


def adapters_ledger(add):
    return planted("adapters", add)


def joint_by_adapters(run):
    return run.method == "adapter" and run.source.count("+") and run.steps == "single"


@pytest.mark.parametrize(
    ("points", "word"), [(6.0, "yes"), (0.0, "no difference"), (-6.0, "no, the opposite")]
)
def test_a_planted_effect_of_joint_adapters_is_found_and_a_null_is_not(points, word):
    question = questions.QUESTIONS["adapters"]
    rows = adapters_ledger(lambda run: points * bool(joint_by_adapters(run)))
    found = {row["name"]: row for row in questions.answers(question, SCALES["micro"], rows)}
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

    rows = adapters_ledger(lucky)
    found = questions.answers(questions.QUESTIONS["adapters"], SCALES["micro"], rows)[1]
    assert found["low"] < found["estimate"] < found["high"] and found["estimate"] > -10


def test_the_adapters_question_reads_f1_alone():
    rows = adapters_ledger(lambda run: 0.0)
    for score in (score for row in rows if row["phase"] == 3 for score in row["scores"]):
        if score["metric"] == "exact_match":
            score["value"] = 0.0
    found = questions.answers(questions.QUESTIONS["adapters"], SCALES["micro"], rows)
    assert (
        found[0]
        == questions.answers(
            questions.QUESTIONS["adapters"], SCALES["micro"], adapters_ledger(lambda run: 0.0)
        )[0]
    )


def test_a_question_whose_targets_are_not_learned_is_not_testable():
    def untaught(run):
        return -30.0 * (not run.model)  # at the level of random weights

    rows = adapters_ledger(untaught)
    first = questions.answers(questions.QUESTIONS["adapters"], SCALES["micro"], rows)[0]
    assert first["verdict"] == "not testable" and "0 of 5, 3 needed" in first["note"]


def test_the_adapters_study_shares_its_full_runs_with_the_main_study():
    main = {run.id for run in studies.runs("main", SCALES["micro"])}
    own = studies.runs("adapters", SCALES["micro"])
    shared = {run.id for run in own if run.method == "full" and run.seed <= 3}
    assert len(shared) > 300 and shared <= main
    small = studies.runs("adapters", SCALES["small"])
    assert {run.on for run in small if run.phase == 3} == {"udpos", "panx", "xquad", "tydiqa"}


def test_its_page_answers_shows_gates_and_draws_its_figure_and_the_front_page_says_the_same(tmp_path, capsys):
    for row in adapters_ledger(lambda run: 6.0 * bool(joint_by_adapters(run))):
        results.write(row | {"dose": row["dose"] | {"trained": 8 if "adapter" in row["method"] else 100}})
    text = (pages.build(tmp_path / "book") / "questions/adapters.md").read_text()
    assert "**Short answer: yes**. joint − mean of single tasks, adapters: +" in text
    assert " points. Beside it, joint − best single task, adapters: " in text
    assert "| targets learned | 5 of 5, 3 needed | passed |" in text and "could have been seen" not in text
    assert (tmp_path / "book/figures/micro-weights-adapters.svg").is_file()
    assert cli.main(["questions", "--json", "--scale", "micro"]) == 0
    told = next(row for row in json.loads(capsys.readouterr().out) if row["question"] == "adapters")
    front = (tmp_path / "book/front_questions.md").read_text()
    cell = f"**{told['verdict']}**<br>{told['name']}: {question_pages.interval_cell(told)}"
    assert f"(questions/adapters) | {cell} |" in front


def test_the_command_tells_every_contrast_of_every_question(capsys):
    assert cli.main(["questions", "--json", "--scale", "micro"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["question"] for row in told} == set(questions.QUESTIONS)
    assert {row["scale"] for row in told} == {"micro"} and all("verdict" in row for row in told)


def test_seeds_that_a_study_adds_to_those_of_the_scale_have_notebooks_of_their_own():
    jobs = launch.jobs(studies.runs("adapters", SCALES["micro"]))
    assert {job.seed for job in jobs} == {0, 1, *range(4, 9)}
    for job in jobs:
        assert {run.id for run in launch.job(**job.parameters).runs} == {run.id for run in job.runs}


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
    ledger = questions.ledger_of(question, SCALES["micro"], rows)
    assert [gate.passed for gate in questions.gates_of(question, ledger).values()] == [True] * 3
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
    found = questions.answers(questions.QUESTIONS[name], SCALES["micro"], rows)
    assert found[0]["verdict"] in ("no difference", "open") and found[alone]["verdict"] == "yes"


@pytest.mark.parametrize(("name", "start", "alone"), STARTS)
def test_a_start_that_is_not_learned_or_a_sham_that_is_leaves_the_question_untestable(name, start, alone):
    rows = rows_of_starts(name, start, lambda run: 0.0)
    for row in rows:
        for score in row["scores"] if row["on"] in (start, f"{start}_sham") else ():
            score["value"] = 10.0 if row["on"] == start else 85.0
    first = questions.answers(questions.QUESTIONS[name], SCALES["micro"], rows)[0]
    assert first["verdict"] == "not testable"
    assert "are learned" in first["note"] and "by lot" in first["note"]


def test_before_rows_in_translation_stands_the_start_that_stands_before_english_ones():
    plan = studies.runs("multimodal", SCALES["micro"])
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
    micro = SCALES["micro"]
    others, main = questions.own_runs(micro), {run.id for run in studies.runs("main", micro)}
    assert others and not others & main and questions.own_runs(SCALES["base"]) == set()
    for run in studies.runs("adapters", micro)[:700:7]:
        results.write(synthetic.row(run))
    view = chapters.View("micro")
    assert {row["id"] for row in view.rows} <= main and len(view.stored) == 100 > len(view.rows) > 0


def test_what_is_said_before_every_run_is_there_is_no_answer():
    row = {"name": "joint − single", "verdict": "yes", "note": "", "estimate": 3.0, "low": 1.0, "high": 5.0}
    row |= {"detectable": 4.0}
    assert question_pages.short_answer([row], True).startswith("**Short answer: yes**. joint − single: +3.0")
    assert question_pages.short_answer([row], False).startswith(
        "**Not finished, and no answer; so far: yes**"
    )
    view, question = chapters.View("micro"), questions.QUESTIONS["adapters"]
    assert not question_pages.is_finished(question, view)
    for row in adapters_ledger(lambda run: 0.0):
        results.write(row)
    finished = chapters.View("micro")
    assert question_pages.is_finished(question, finished)
    assert question_pages.answer_cell(question, finished).count("not finished") == 0
