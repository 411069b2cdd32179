"""Every declaration: its rows read, its revision is a commit, its languages are XTREME's."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from xit_core.config import SCALES, Bad
from xit_core.tasks import MICRO_VERSION, TARGETS, TASKS, declare, languages, task

ROWS = Path(__file__).parent / "rows"
COUNTS = {
    "xnli": 15,
    "pawsx": 7,
    "udpos": 33,
    "panx": 40,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 9,
    "bucc": 4,
    "tatoeba": 36,
}
FIELDS = {
    "classify": {"a", "b", "label"}, "choose": {"a", "choices", "label"}, "span": {"id", "context", "question", "answers"},
    "tag": {"tokens", "tags"}, "retrieve": {"a", "b", "ids"}, "mlm": {"a"},
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_stored_rows_of_the_real_layout_read_as_examples_of_the_kind(name):
    declared, rows = TASKS[name], json.loads((ROWS / f"{name}.json").read_text())
    read = [e for row in rows for e in declared.read(row, "de" if name in TARGETS else "en")]
    assert len(read) >= 2 and all(set(e) == FIELDS[declared.kind] for e in read)
    if "label" in read[0]:
        assert all(0 <= e["label"] < (len(declared.labels) or len(e["choices"])) for e in read)
    if declared.kind == "span":
        assert all(e["context"][start:].startswith(said) for e in read for start, said in e["answers"])


@pytest.mark.parametrize("declared", TASKS.values(), ids=lambda t: t.name)
def test_a_declaration_is_complete(declared):
    assert re.fullmatch("[0-9a-f]{40}", declared.revision) and declared.licence and declared.genre and declared.metrics
    assert declared.source.count("/") == 2 or declared.name == "ccg"
    assert declared.train_on in (*TASKS, "") and len(set(declared.langs.split())) == len(declared.langs.split())


def test_languages_are_as_many_as_xtreme_scores():
    assert {t: len(TASKS[t].langs.split()) for t in TARGETS} == COUNTS


def test_a_row_of_another_language_or_without_a_label_gives_nothing():
    french, no_label = json.loads((ROWS / "xnli.json").read_text())[2], json.loads((ROWS / "mnli.json").read_text())[3]
    korean = json.loads((ROWS / "tydiqa.json").read_text())[2]
    assert not list(TASKS["xnli"].read(french, "de")) and not list(TASKS["mnli"].read(no_label, "en"))
    assert not list(TASKS["tydiqa"].read(korean, "de")) and list(TASKS["tydiqa"].read(korean, "ko"))


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="twice"):
        declare("xnli", "classify", "target", "a/b", "0" * 40, None, "nli")


def test_an_unknown_task_is_named_with_what_is_known():
    with pytest.raises(Bad, match=r"no task 'xnil' in path 'mnli > xnil'; known: anli, mnli"):
        task("xnil", within="mnli > xnil")


def test_two_targets_share_the_squad_training():
    assert TASKS["xquad"].train_on == TASKS["mlqa"].train_on == "squad1" and TASKS["xnli"].train_on == "mnli"
    assert TASKS["bucc"].train_on == TASKS["tatoeba"].train_on == ""


def test_a_scale_may_choose_languages():
    assert languages("xnli", SCALES["paper"])[:2] == ("ar", "bg")
    assert set(languages("xnli", replace(SCALES["paper"], langs=("de", "sw", "xx")))) == {"de", "sw"}
    assert "en" not in languages("tatoeba", SCALES["micro"]) and languages("xnli", SCALES["micro"])[0] == "en"


def test_the_revision_of_micro_data_is_the_version_of_the_world():
    assert TASKS["xnli"].version("micro") == MICRO_VERSION and TASKS["xnli"].version("real") == TASKS["xnli"].revision
