"""MultiCheckList: cases follow the templates in every language, hold their answers, and fail by one wrong
answer.
"""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from xit_core.data import checklist
from xit_core.design.readers import question
from xit_core.design.tasks import TASKS
from xit_core.machine import places
from xit_core.machine.errors import Bad
from xit_core.metrics.checklist import clean_answer, failure

TEMPLATES = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))["multichecklist"]
MIRROR = places.mirror_dir()  # where it is; within a test it is not seen
TASK = TASKS["multichecklist"]


@pytest.fixture(scope="module")
def german():
    return checklist.cases(TEMPLATES, "de", 40)


def of(rows, test):
    return [r for r in rows if r["test"] == test]


def test_every_test_has_its_cases_each_with_every_question_of_every_context(german):
    numbers = {t: Counter(r["id"].rsplit("-", 1)[0] for r in of(german, t)) for t in checklist.TESTS.values()}
    assert {t: len(n) for t, n in numbers.items()} == dict.fromkeys(checklist.TESTS.values(), 40)
    asked = {t: set(n.values()) for t, n in numbers.items()}
    # German's template for an age asks for the wrong property of the two
    assert asked.pop("properties") == {1, 2}
    assert asked == {"comparison": {2}, "intensifiers": {4}, "profession": {4}, "animal": {4}, "bought": {4}}
    assert len({r["id"] for r in german}) == len(german)


def test_an_answer_stands_in_its_context_where_it_is_said_to(german):
    for row in german + checklist.cases(TEMPLATES, "en", 40):
        ((text,), (start,)) = row["answers"].values()
        assert (
            text
            and row["context"][start:].startswith(text)
            and "{" not in row["context"] + row["question"] + text
        )
        (example,) = question(row, "de")
        assert example["answers"] == [(start, text)]


def test_the_answer_is_that_of_the_right_person_or_thing():
    for row in of(checklist.cases(TEMPLATES, "en", 60), "comparison"):
        taller, _, *_, shorter = row["context"].rstrip(".").split()
        assert row["answers"]["text"] == [shorter if " less " in row["question"] else taller]
    for row in of(checklist.cases(TEMPLATES, "en", 60), "properties"):
        first, second = row["context"].rstrip(".").split(" is ")[-1].split(" and ")
        kinds = {"red": "color", "blue": "color", "big": "size", "old": "age", "new": "age"}
        assert (
            row["question"].startswith(f"What {kinds[row['answers']['text'][0]]} is the ")
            and kinds[first] != kinds[second]
        )
        assert row["answers"]["text"][0] in (first, second)


def test_a_case_has_the_same_fillers_and_id_in_every_language(german):
    english = {r["id"]: r for r in checklist.cases(TEMPLATES, "en", 40)}
    words = {"sehr": "very", "wirklich": "really", "glücklich": "happy", "neugierig": "curious"}
    both = [
        (r["context"], english[r["id"]]["context"]) for r in of(german, "intensifiers") if r["id"] in english
    ]
    assert len(both) > 40 and all((de in a) == (en in b) for a, b in both for de, en in words.items())


def test_a_translation_is_used_for_the_fillers_it_is_for_and_nothing_is_asked_without_one(german):
    for row in of(german, "intensifiers"):
        assert (
            ("glücklich" in row["context"])
            == ("über das Projekt" in row["question"])
            == ("über" in row["context"])
        )
        assert ("neugierig" in row["context"]) == ("wegen des Projekts" in row["question"])
    assert all("rotes" not in r["context"] or "Das Sofa" in r["context"] for r in of(german, "properties"))
    blue = [r["context"] for r in of(german, "properties") if "blau" in r["context"]]
    # what is for a lamp goes before what is for all
    assert blue and all(("blaue" in c) == ("Lampe" in c) for c in blue)
    dogs = [r["context"] for t in ("animal", "bought") for r in of(german, t) if "Hund" in r["context"]]
    assert dogs and all(("den Hund" in c and "einen Hund" not in c) == ("kaufte" in c) for c in dogs)
    age = [r for r in of(german, "properties") if r["question"].startswith("Wie alt")]
    assert age and all(r["answers"]["text"][0] in ("alt", "neu") for r in age)
    assert {r["question"] for r in age} == {"Wie alt ist es, das Sofa?", "Wie alt ist sie, die Lampe?"}


def test_an_object_that_begins_a_sentence_gets_a_capital(german):
    assert all(r["context"].split(". ")[1][:3] in ("Das", "Die") for r in of(german, "properties"))
    assert (
        checklist.filled_template("{obj[1]} is. {obj[1]} or {obj[1]}", {"obj[1]": "the sofa"})
        == "The sofa is. The sofa or the sofa"
    )
    # Georgian has no capital at the start of a sentence
    assert checklist.filled_template("{obj[1]}", {"obj[1]": "მაგიდა"}) == "მაგიდა"


def test_forms_of_a_cell_are_split_at_any_comma_and_in_thai_at_spaces():
    for cell in ("a, b", "a،b", "a，b", "a၊, b", "a b"):
        values = checklist.slots({"adj": cell})
        assert (values["adj[0]"], values["adj[1]"]) == ("a", "b")
    assert (
        checklist.slots({"obj": "masa, masa, masa", "state": "x"})["obj[2]"] == "masa"
        and checklist.slots({"state": "x"})["s"] == "x"
    )


def test_people_of_a_case_differ_are_named_in_the_language_and_are_men_where_words_are_inflected_for_them(
    german,
):
    women = {*checklist.names("de", False)} - {*checklist.names("de", True)}
    with_women = {r["test"] for r in german if women & {*re.findall(r"\w+", r["context"])}}
    assert len(women) == 20 and with_women == {"animal", "bought"}
    assert all(
        len({*r["context"].rstrip(".").split()} & {*checklist.names("de", True)}) == 2
        for r in of(german, "comparison")
    )
    assert checklist.names("yo", True) == checklist.names("en", True) and checklist.names(
        "th", True
    ) != checklist.names("en", True)


def test_cases_are_deterministic_and_more_of_them_begin_with_the_same(german):
    assert checklist.cases(TEMPLATES, "de", 40) == german
    assert [r for r in checklist.cases(TEMPLATES, "de", 50) if r in german] == german
    assert checklist.checks(TEMPLATES, "de", 0) == checklist.cases(TEMPLATES, "de", checklist.CASES)


def test_a_language_without_templates_is_refused():
    with pytest.raises(Bad, match="no templates in 'xx'; there are: en, de"):
        checklist.cases(TEMPLATES, "xx")


@pytest.mark.parametrize(
    ("said", "gold", "lang", "same"),
    [
        ("a dog.", "dog", "en", True),
        ("dog", "Dog", "en", False),
        ("in the dog", "dog", "en", True),
        ("einen Hund", "Hund", "de", True),
        ("der Hund", "Hund", "de", False),
        ("dog a", "dog", "de", False),
        ("একজন মডেল৷", "মডেল", "bn", True),
        ("bananas", "banans", "en", False),
        ("الكلب", "كلب", "ar", True),
        ("„aktor”", "aktor", "pl", True),
        ("„aktor”", "aktor", "de", False),
        ("\u200fکتا", "کتا", "ur", True),
        ("湖", "湖。", "zh", False),
    ],
)
def test_answers_are_compared_as_the_official_suites_do(said, gold, lang, same):
    assert (clean_answer(said, lang) == clean_answer(gold, lang)) == same


def test_a_case_fails_by_one_wrong_answer_and_rates_are_by_test():
    rows = [e for r in checklist.cases(TEMPLATES, "en", 4) for e in question(r, "en")]
    right = [e["answers"][0][1] for e in rows]
    metrics, x = failure(right, rows, "en")
    assert (
        metrics == {"accuracy": 100} | {f"failed/{t}": 0 for t in checklist.TESTS.values()}
        and x == [100] * 24
    )
    wrong = list(right)
    for k in ("comparison-0-1", "intensifiers-2-0", "intensifiers-2-3"):
        wrong[[e["id"] for e in rows].index(k)] = "nobody"
    metrics, x = failure(wrong, rows, "en")
    assert (metrics["failed/comparison"], metrics["failed/intensifiers"], metrics["failed/bought"]) == (
        25,
        25,
        0,
    )
    assert (
        metrics["accuracy"] == pytest.approx(100 * 22 / 24) == pytest.approx(sum(x) / len(x))
        and x.count(0) == 2
    )


@pytest.fixture(scope="module")
def official():
    lines = [
        x.split("\t")
        for x in (MIRROR / "multichecklist/checklist_templates.tsv").read_text("utf-8").split("\n")
    ]
    seen, columns = Counter(), []
    for c in lines[0]:
        columns.append(f"{c}.{seen[c]}" if seen[c] else c)
        seen[c] += 1
    return [dict(zip(columns, x, strict=True)) for x in lines[1:] if len(x) > 1]


@pytest.mark.skipif(not MIRROR, reason="needs the data mirror (XIT_MIRROR)")
@pytest.mark.parametrize("lang", TASK.langs.split())
def test_the_official_templates_give_200_cases_of_every_test_in_every_language(official, lang):
    rows = checklist.cases(official, lang)
    made = Counter(k.split("-")[0] for k in {r["id"].rsplit("-", 1)[0] for r in rows})
    assert made == dict.fromkeys(checklist.TESTS.values(), checklist.CASES)
    for r in rows:
        ((text,), (start,)) = r["answers"].values()
        assert (
            text.strip() and r["context"][start:].startswith(text) and "{" not in r["context"] + r["question"]
        )
