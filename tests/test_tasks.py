"""Every declaration: its rows read, its revision is a commit, its languages are XTREME's."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from xit_core import micro
from xit_core.data import pictures
from xit_core.data.checklist import checks
from xit_core.design import tasks
from xit_core.design.readers import MISPLACED, SCENES, Note, aligned
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, REAL_TASKS, TARGETS, TASKS, declare, languages, task
from xit_core.design.worlds import MICRO, REAL
from xit_core.machine.errors import Bad
from xit_core.metrics.protocols import PROTOCOLS
from xit_core.model import kinds
from xit_core.score import retrieval

ROWS = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))  # raw rows of each task
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
    "classify": {"a", "b", "label"}, "choose": {"a", "choices", "label"},
    "span": {"id", "context", "question", "answers"},
    "tag": {"tokens", "tags"}, "ground": {"a", "scene", "label"}, "retrieve": {"a", "b", "ids"}, "mlm": {"a"},
    "lareqa": {"id", "question", "context", "sentences", "answer"}, "mewslix": {"id", "mention", "entity"},
}  # fmt: skip


def stored(name):
    assert name in ROWS, f"put two or three rows of {name} as they are stored into tests/rows.json"
    rows = copy.deepcopy(ROWS[name])
    return checks(rows, "de", 0) if TASKS[name].expand == "checklist" else rows


def examples(declared, rows):
    """What the rows give in German, or where the task has none in the language that gives most."""
    langs = declared.langs.split() if declared.scored else [declared.train_lang]
    return max(
        (
            [e for row in rows for e in declared.read(row, lang) if not isinstance(e, str)]
            for lang in (["de"] if "de" in langs else langs)
        ),
        key=len,
    )


@pytest.mark.parametrize("name", REAL_TASKS)
def test_stored_rows_of_the_real_layout_read_as_examples_of_the_kind(name):
    declared, rows = TASKS[name], stored(name)
    read = examples(declared, rows)
    assert len(read) >= 2 and all(set(e) == FIELDS.get(name, FIELDS[declared.kind]) for e in read)
    assert set(declared.columns.split()) <= set(rows[0])
    if "label" in read[0]:
        choices = len(declared.labels) or (SCENES if declared.kind == "ground" else len(read[0]["choices"]))
        assert all(0 <= e["label"] < choices for e in read)
    if declared.kind == "span":
        assert all(e["context"][start:].startswith(said) for e in read for start, said in e["answers"])


@pytest.mark.parametrize("declared", TASKS.values(), ids=lambda t: t.name)
def test_a_declaration_is_complete(declared):
    pinned = re.fullmatch("[0-9a-f]{40}", declared.revision) or declared.name == "ccg" or declared.made
    assert pinned, "revision: a commit of 40 hex digits"
    for field in ("licence", "genre", "metrics", "columns", "citation"):
        assert getattr(declared, field), f"{field} is missing"
    assert declared.source.count("/") == 2 or declared.obtain, (
        "source: owner/name/config of the hub; otherwise obtain says how to get it"
    )
    assert declared.train_on in (*TASKS, ""), "train_on: no declared task"
    assert len(set(declared.langs.split())) == len(declared.langs.split()), "langs: one is there twice"
    assert all(
        re.search("@[0-9a-f]{40}$", spec)
        for spec in (*declared.joined, *(x.spec for x in declared.translated))
    ), "joined, translated: each ends in @ and a commit"
    others = ("mlm/masked-accuracy", "bucc/jiant-dev", "tatoeba/jiant")
    assert declared.protocol in (*PROTOCOLS, *others), "protocol: none that scores"


def test_languages_are_as_many_as_xtreme_scores():
    assert {t: len(TASKS[t].langs.split()) for t in TARGETS} == COUNTS


def test_a_row_of_another_language_or_without_a_label_gives_nothing():
    french, no_label, korean = stored("xnli")[2], stored("mnli")[3], stored("tydiqa")[2]
    assert not list(TASKS["xnli"].read(french, "de")) and list(TASKS["mnli"].read(no_label, "en")) == [
        "no label"
    ]
    assert not list(TASKS["tydiqa"].read(korean, "de")) and list(TASKS["tydiqa"].read(korean, "ko"))


def read(name, row, lang="en"):
    return list(TASKS[name].read(row, lang))


def test_a_preference_is_read_from_two_dialogues_or_from_two_replies():
    said = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: How old is it?\n\nAssistant: "
    (one,) = read("prefer", {"chosen": f"{said}A year.", "rejected": f"{said}I see."})
    assert one["a"] == "How old is it?" and one["choices"][one["label"]] == "A year."
    assert set(one["choices"]) == {"A year.", "I see."}
    turns = [{"role": "assistant", "text": "Hello."}, {"role": "prompter", "text": "How old is it?"}]
    assert read("prefer", {"prompt": turns, "chosen": "A year.", "rejected": "I see."}) == [one]
    (other,) = read("prefer", {"prompt": "How old is it?", "chosen": "I see.", "rejected": "A year."})
    assert other == one | {"label": 1 - one["label"]}  # the order does not tell which is preferred
    other_dialogue = said.replace("Hello", "Hi")
    assert (
        "differ before the last reply"
        in read("prefer", {"chosen": f"{said}A.", "rejected": f"{other_dialogue}B."})[0]
    )


def test_a_preference_by_lot_differs_in_labels_alone():
    rows = [{"prompt": f"Which {i}?", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(400)]
    pairs = [(read("prefer", row)[0], read("prefer_sham", row)[0]) for row in rows]
    assert all(a | {"label": 0} == b | {"label": 0} for a, b in pairs)
    same = sum(a["label"] == b["label"] for a, b in pairs)
    assert 160 < same < 240 and 160 < sum(b["label"] for _, b in pairs) < 240
    assert [read("prefer_sham", row)[0] for row in rows] == [b for _, b in pairs]


def test_labels_are_words_in_one_data_set_digits_in_another_and_numbers_in_a_third():
    words, digits, numbers = (stored(name)[0] for name in ("xnli", "pawsx", "mnli"))
    assert (
        isinstance(words["gold_label"], str)
        and isinstance(digits["label"], str)
        and isinstance(numbers["label"], int)
    )
    for name, row in (("xnli", words), ("pawsx", digits), ("mnli", numbers)):
        (example,) = TASKS[name].read(row, row.get("language", "en"))
        assert type(example["label"]) is int


def qa(context, start, said):
    return {
        "id": "x",
        "context": context,
        "question": "?",
        "answers": {"answer_start": [start], "text": [said]},
    }


def test_an_answer_is_looked_for_around_its_offset_where_the_context_was_stripped():
    whole = "  The lake is deep. Boats cross the lake."
    row = qa(whole.strip(), whole.rindex("lake"), "lake")
    note, example = TASKS["squad1"].read(row, "en")
    assert isinstance(note, Note) and example["answers"] == [(whole.strip().rindex("lake"), "lake")]
    assert list(TASKS["squad1"].read(qa("The lake.", 4, "lake"), "en"))[0]["answers"] == [(4, "lake")]
    assert list(TASKS["squad1"].read(qa("The lake.", 4, "mill"), "en"))[0] == MISPLACED


@pytest.mark.parametrize(
    ("context", "start", "said", "found"),
    [
        ("aXbXc", 2, "X", 1),
        ("aXbXc", 3, "X", 3),
        ("aXbbbX", 3, "X", 1),
        ("abc", 1, "X", -1),
        ("Xab", 9, "X", 0),
        ("abX", -1, "X", 2),
    ],
)
def test_the_nearest_occurrence_counts_and_of_two_the_earlier(context, start, said, found):
    assert aligned(context, start, said) == found


def test_bucc_pairs_carry_the_ids_of_their_sentences():
    (example,) = TASKS["bucc"].read(stored("bucc")[0], "de")
    assert all("-" in i for i in example["ids"])


def test_kinds_and_ways_of_retrieval_are_those_that_there_are():
    assert set(tasks.KINDS) == set(kinds.KINDS) and set(tasks.RETRIEVES) == set(retrieval.WAYS)


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="twice"):
        declare("xnli", "classify", "target", "a/b", "0" * 40, None, "nli")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "classification"}, "kind 'classification'; allowed: 'classify', 'choose'"),
        ({"role": "intermediates"}, "role 'intermediates'; allowed: 'intermediate', 'target'"),
        ({"kind": "retrieve", "role": "shift"}, "retrieves ''; allowed: 'nearest', 'mined'"),
        ({"retrieves": "nearest"}, "retrieves 'nearest'; allowed: ''"),
        ({"labels": ()}, "it declares no labels"),
        ({"train_on": ""}, "train_on ''; allowed: its own name"),
        ({"train_on": "", "role": "shift"}, "train_on ''; allowed: the task whose rows train it"),
        ({"kind": "retrieve", "retrieves": "nearest"}, "role 'alternative'; a task of kind 'retrieve'"),
    ],
)
def test_a_declaration_that_no_run_could_follow_is_refused(given, told):
    fields = {"kind": "classify", "role": "alternative", "labels": ("no", "yes"), "train_on": "rte"} | given
    more = {"source": "a/b/c", "revision": "0" * 40, "read": None, "genre": "nli"}
    with pytest.raises(ValueError, match=f"task 'rte'.*{re.escape(told)}"):
        declare("rte", **fields, **more)
    assert "rte" not in TASKS


def test_an_unknown_task_is_named_with_what_is_known():
    with pytest.raises(Bad, match=r"no task 'xnil' in path 'mnli > xnil'; known: anli, mnli"):
        task("xnil", within="mnli > xnil")


def test_two_targets_share_the_squad_training():
    assert TASKS["xquad"].train_on == TASKS["mlqa"].train_on == "squad1" and TASKS["xnli"].train_on == "mnli"
    assert TASKS["bucc"].train_on == TASKS["tatoeba"].train_on == ""
    assert len(INTERMEDIATES) == 9 and "udtag" not in INTERMEDIATES and len(TARGETS) == 9


def test_a_scale_may_choose_languages():
    assert languages(TASKS["xnli"], SCALES["paper"])[:2] == ("ar", "bg")
    assert set(languages(TASKS["xnli"], replace(SCALES["paper"], langs=("de", "sw", "xx")))) == {"de", "sw"}
    assert (
        "en" not in languages(TASKS["tatoeba"], SCALES["micro"])
        and languages(TASKS["xnli"], SCALES["micro"])[0] == "en"
    )


def test_the_revision_of_micro_data_is_the_version_of_the_world():
    assert (
        TASKS["xnli"].version(MICRO) == MICRO.version
        and TASKS["xnli"].version(REAL) == TASKS["xnli"].revision
    )


def test_captions_come_with_what_was_marked_in_their_pictures_and_with_that_of_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path))
    folder = tmp_path / "multi30k/image_frames"
    folder.mkdir(parents=True)
    marks = [(f"{i}.jpg", [f"Frame{i}", "People"]) for i in range(20)] + [("0.jpg", ["Boats"])]
    lines = [
        {"image": image, "frames": [{"frame": f, "element": "Item"} for f in told]} for image, told in marks
    ]
    (folder / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stored_rows = [{"image": f"{i}.jpg", "en": f"picture {i}", "de": f"Bild {i}"} for i in range(22)]
    german = pictures.captions(stored_rows, "de", 0)
    by_caption = {row["caption"]: row["scene"] for row in german}
    assert len(german) == 20 and by_caption["Bild 0"] == ["Boats", "Frame0", "People"]  # two were not marked
    english = pictures.captions(stored_rows, "en", 12)
    assert [row["caption"].split()[1] for row in english] == [
        row["caption"].split()[1] for row in german[:12]
    ]
    same = sum(row["scene"] == row["other"] for row in german)
    assert same < 5 and sorted(map(str, (r["other"] for r in german))) == sorted(
        map(str, by_caption.values())
    )
    assert [r["other"] for r in pictures.captions(stored_rows, "en", 0)] != [r["other"] for r in german]
    read = [[*TASKS[name].read(row, "de")][0] for name in ("scenes", "scenes_sham") for row in german]
    pairs = list(zip(read[:20], read[20:], strict=True))
    assert all(a | {"scene": 0} == b | {"scene": 0} for a, b in pairs)  # they differ in the scenes alone
    (folder / "all.jsonl").write_text('{"image": "0.jpg"}\n')
    with pytest.raises(Bad, match="image_frames/all.jsonl: row 0 has no image with frames"):
        pictures.captions(stored_rows, "de", 0)


def test_scenes_of_the_micro_world_are_those_of_the_sentence_in_every_language():
    one, two = (micro.rows("scenes", "train", lang, 200) for lang in ("en", "zi"))
    assert [row["scene"] for row in one] == [row["scene"] for row in two]
    assert [row["other"] for row in one] != [row["other"] for row in two]
    assert all(row["scene"] for row in one) and len({str(row["scene"]) for row in one}) > 190
    assert micro.rows("scenes_sham", "train", "en", 200) == one
