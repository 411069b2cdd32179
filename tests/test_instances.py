"""Which evaluation rows are one draw: by id across languages, by paragraph or premise within one."""

import pytest

from xit_core.design.run import Run
from xit_core.ledger.outcomes import Evaluation
from xit_core.phases import intermediate
from xit_core.score.evaluate import commonest, constant_score
from xit_core.score.instances import clusters, ties


def test_rows_of_one_id_are_one_cluster_in_whatever_order_the_languages_have_them():
    keys = {
        "en": ties([{"id": "x"}, {"id": "y"}], "en", made=False),
        "de": ties([{"id": "z"}, {"id": "y"}, {"id": "x"}], "de", made=False),
    }
    assert clusters(keys) == {"en": [0, 1], "de": [2, 1, 0]}


def test_questions_about_a_paragraph_are_one_cluster_and_carry_it_to_other_languages():
    def question(name, context):
        return {"id": name, "context": context}

    keys = {
        "en": ties([question("1", "Rome"), question("2", "Oslo"), question("3", "Rome")], "en", made=False),
        "de": ties([question("2", "Stadt"), question("4", "Stadt"), question("5", "Rome")], "de", made=False),
    }
    assert clusters(keys) == {"en": [0, 1, 0], "de": [1, 1, 2]}


def test_a_later_row_can_connect_two_clusters():
    keys = {"en": [("a", "p"), ("b", "q"), ("c", "r"), ("p", "q")]}
    assert clusters(keys) == {"en": [0, 0, 1, 0]}


def test_premises_are_shared_within_a_language_only():
    rows = [{"id": "0", "a": "It rains.", "b": "x"}, {"id": "1", "a": "It rains.", "b": "y"}]
    assert clusters({"en": ties(rows, "en", False), "de": ties(rows[1:], "de", False)}) == {
        "en": [0, 0],
        "de": [0],
    }
    assert clusters({"en": ties(rows[:1], "en", False), "de": ties(rows[1:], "de", False)}) == {
        "en": [0],
        "de": [1],
    }


def test_a_made_world_tells_the_same_event_under_the_same_number():
    rows = [{"id": "al-00ff-3", "context": "one"}], [{"id": "zi-aa00-3", "context": "other"}]
    assert clusters({"al": ties(rows[0], "al", True), "zi": ties(rows[1], "zi", True)}) == {
        "al": [0],
        "zi": [0],
    }


def test_items_add_up_to_the_score_by_cluster():
    instances = {"en": [100.0, 0.0], "de": [100.0, 100.0, 0.0, 100.0]}
    by_id = Evaluation([], instances, clusters={"en": [0, 1], "de": [1, 0, 0, 2]})
    assert by_id.items == [37.5, 12.5, 12.5] and sum(by_id.items) == (50 + 75) / 2
    assert by_id.items_zero_shot == [25.0, 25.0, 25.0]
    assert Evaluation([], instances).items == [37.5, 12.5, 0.0, 12.5]


@pytest.mark.parametrize(
    ("answers", "share"),
    [(["a", "a", "a"], 1.0), (["a", "b", "a", ""], 0.5), ([["X", "Y"], ["X", "X"]], 0.75)],
)
def test_a_constant_answer_is_seen(answers, share):
    assert commonest(answers) == share


def test_the_best_constant_answer_is_what_a_stage_must_beat():
    assert constant_score([{"label": 1}, {"label": 1}, {"label": 0}, {"label": 2}]) == 50.0
    assert constant_score([{"answers": []}, {"answers": [["a", 0]]}, {"answers": []}]) == 66.666667
    assert constant_score([{"tags": ["N", "N"]}, {"tags": ["V", "N"]}]) == 75.0


def test_a_stage_keeps_what_guessing_scores_on_its_own_rows():
    row = intermediate(Run("mnli+squad2+mlm"))
    assert set(row["guess"]) == {"mnli", "squad2"} and all(30 <= v <= 75 for v in row["guess"].values())
