"""Rows: pinned, counted, hashed, and mixed as a function of the step."""

import hashlib
import json
import time
from dataclasses import replace

import numpy as np
import pytest

from xit_core import cli
from xit_core.data import reading
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine.errors import Bad
from xit_core.machine.places import runs_dir
from xit_core.model import encoded, mixture, origins
from xit_core.model.features import Encoded, piece_ids, sequences
from xit_core.model.mixture import Mixture

REAL = replace(SCALES["small"], langs=("de", "en"))
SMOKE = SCALES["smoke"]


def nli(n, start=0):
    return [
        {"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 3, "idx": i} for i in range(start, start + n)
    ]


def test_rows_of_a_mirror_are_read_and_an_incomplete_split_is_filled_up_by_declared_stand_ins(mirror):
    mirror("nyu-mll/glue", "mnli", "train", nli(5), complete="partial")
    mirror("nyu-mll/glue", "mnli", "validation_matched", nli(2, 50))
    mirror("metaeval/lingnli", "default", "train", nli(7, 100))
    rows, seen = reading.examples(TASKS["mnli"], "train", "en", REAL)
    assert len(rows) == 12 and [(s["rows"], s["stand_in"]) for s in seen] == [(5, False), (7, True)]
    assert seen[1]["source"] == "metaeval/lingnli/default/train" and len(seen[0]["sha256"]) == 64


def test_rows_of_all_data_sets_that_make_up_a_task_are_joined(mirror):
    mirror("stanfordnlp/snli", "plain_text", "train", nli(4))
    mirror("nyu-mll/glue", "mnli", "train", nli(5))
    rows, seen = reading.examples(TASKS["anli"], "train", "en", REAL)
    assert len(rows) == 9 and [s["source"].split("/")[1] for s in seen] == ["snli", "glue"]


def test_a_changed_byte_in_a_mirror_is_found_and_named(mirror):
    file = mirror("nyu-mll/glue", "mnli", "train", nli(5))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Bad, match=r"train\.parquet: sha256 .* the mirror is damaged"):
        reading.examples(TASKS["mnli"], "train", "en", REAL)


def test_what_a_mirror_lacks_is_named(mirror):
    with pytest.raises(Bad, match="qqp/train/en: the mirror holds no"):
        reading.examples(TASKS["qqp"], "train", "en", REAL)


def test_an_unlabelled_row_is_dropped_and_counted(mirror):
    mirror(
        "nyu-mll/glue",
        "qqp",
        "train",
        [{"question1": "a", "question2": "b", "label": x, "idx": 0} for x in (0, 1, -1)],
    )
    rows, (seen,) = reading.examples(TASKS["qqp"], "train", "en", REAL)
    assert len(rows) == 2 and seen["dropped"] == 1


def test_a_row_that_is_not_what_is_declared_is_named_with_source_row_and_field(mirror):
    wrong = [
        {"question1": "a", "question2": "b", "label": "1"},
        {"question1": "a", "question2": "b", "label": "maybe"},
    ]
    mirror("nyu-mll/glue", "qqp", "train", wrong)
    said = "row 1, field 'label': got 'maybe'; allowed: a whole number.*columns question1"
    with pytest.raises(Bad, match=f"nyu-mll/glue/qqp/train: {said}"):
        reading.examples(TASKS["qqp"], "train", "en", REAL)
    mirror(
        "tau/commonsense_qa",
        "default",
        "train",
        [{"question": "q", "choices": {"text": ["x"], "label": ["A"]}}],
    )
    with pytest.raises(Bad, match=r"commonsense_qa/default/train: row 0, field 'answerKey': it is missing"):
        reading.examples(TASKS["csqa"], "train", "en", REAL)


@pytest.mark.parametrize(
    ("name", "example", "said"),
    [
        ("mnli", {"a": "x", "b": None, "label": 0}, "field 'b' of a mnli example: got None; allowed: str"),
        ("mnli", {"a": "x", "b": "y", "label": 3}, "field 'label': got 3; allowed: 0 to 2"),
        ("csqa", {"a": "x", "choices": ["y"], "label": 1}, "field 'label': got 1; allowed: 0 to 0"),
        ("panx", {"tokens": ["a", "b"], "tags": ["O"]}, "2 tokens and 1 tags"),
    ],
)
def test_an_example_of_the_wrong_form_is_refused(name, example, said):
    with pytest.raises(Bad, match=said):
        reading.sound(TASKS[name], example, "a file: row 7")


def test_evaluation_rows_that_all_have_one_label_are_placeholders(mirror):
    rows = [{"sentence1": "a", "sentence2": "b", "label": "0"}] * 20
    mirror("google/xtreme", "PAWS-X.de", "validation", rows)
    with pytest.raises(Bad, match="pawsx/de: all 20 evaluation rows have label 0: placeholders"):
        reading.examples(TASKS["pawsx"], "validation", "de", REAL)
    mirror("google/xtreme", "PAWS-X.en", "validation", rows[:19])
    assert len(reading.examples(TASKS["pawsx"], "validation", "en", REAL)[0]) == 19


def squad(context, start, said):
    return {
        "id": f"{start}",
        "context": context,
        "question": "?",
        "answers": {"answer_start": [start], "text": [said]},
    }


def test_answers_are_mended_and_what_cannot_be_trained_on_is_set_aside_and_counted(mirror):
    for split, lake in (("train", "The lake."), ("validation", "One lake.")):
        rows = [squad(lake, 4, "lake"), squad(lake, 6, "lake"), squad(lake, 4, "mill")]
        mirror("rajpurkar/squad", "plain_text", split, rows)
    trained, (told,) = reading.examples(TASKS["squad1"], "train", "en", REAL)
    assert [e["answers"][0][0] for e in trained] == [4, 4] and told["dropped"] == 1
    assert told["counts"] == {"answer moved to where its text is": 1, "gold answer not in the context": 1}
    scored, (told,) = reading.examples(TASKS["squad1"], "validation", "en", REAL)
    assert len(scored) == 3 and told["dropped"] == 0  # its text can still be compared


def test_a_file_that_mixes_languages_loses_nothing_by_it(mirror):
    words = ("entailment", "neutral", "contradiction")
    rows = [
        {"language": x, "sentence1": "a", "sentence2": "b", "gold_label": w}
        for x in ("de", "fr")
        for w in words
    ]
    mirror("google/xtreme", "XNLI", "validation", rows)
    found, (told,) = reading.examples(TASKS["xnli"], "validation", "de", REAL)
    assert [e["label"] for e in found] == [0, 1, 2] and (told["rows"], told["dropped"], told["counts"]) == (
        3,
        0,
        {},
    )


def test_every_example_has_an_id_that_a_cap_does_not_change(mirror):
    mirror("nyu-mll/glue", "mnli", "train", nli(50))
    whole, _ = reading.examples(TASKS["mnli"], "train", "en", REAL)
    some, _ = reading.examples(TASKS["mnli"], "train", "en", REAL, 10)
    assert len({e["id"] for e in whole}) == 50 and all(e in whole for e in some)


def test_translated_rows_take_the_languages_in_turn(mirror):
    for k, lang in enumerate(("de", "fr")):
        mirror(
            "facebook/xnli",
            lang,
            "train",
            [{"premise": f"{lang}{i}", "hypothesis": "h", "label": k} for i in range(6)],
        )
    rows, seen = reading.examples(
        TASKS["mnli"], "train", "en", replace(REAL, langs=("en", "de", "fr")), data_lang="mt"
    )
    assert {e["a"] for e in rows} == {"de0", "de2", "de4", "fr1", "fr3", "fr5"} and len(seen) == 2
    few, _ = reading.examples(
        TASKS["mnli"], "train", "en", replace(REAL, langs=("en", "de", "fr")), 4, data_lang="mt"
    )
    assert sorted(e["a"][:2] for e in few) == ["de", "de", "fr", "fr"]
    with pytest.raises(Bad, match="squad1: no machine translation .*XIT_LOCAL/mt/squad1"):
        reading.examples(TASKS["squad1"], "train", "en", REAL, data_lang="mt")


def test_ones_own_translation_and_licensed_data_come_from_a_folder(mirror, tmp_path, monkeypatch):
    with pytest.raises(Bad, match="ccg/train/en: .*CCGbank is licensed .*'udtag'"):
        reading.examples(TASKS["ccg"], "train", "en", REAL)
    own = tmp_path / "own/mt/squad1/de"
    own.mkdir(parents=True)
    (own / "train.jsonl").write_text(json.dumps(squad("Der See.", 4, "See")) + "\n")
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "own"))
    rows, (told,) = reading.examples(TASKS["squad1"], "train", "en", REAL, data_lang="mt")
    assert len(rows) == 1 and told["source"].startswith("local/mt/squad1/de")


def test_a_cap_chooses_the_same_rows_every_time(mirror):
    mirror("nyu-mll/glue", "mnli", "train", nli(50))
    once, again = (reading.examples(TASKS["mnli"], "train", "en", REAL, 10)[0] for _ in range(2))
    assert (
        once == again
        and len(once) == 10
        and once != reading.examples(TASKS["mnli"], "train", "en", REAL)[0][:10]
    )


def test_micro_rows_come_with_a_content_hash_that_follows_the_content():
    (_, (one,)), (_, (two,)) = (
        reading.examples(TASKS["xnli"], "validation", x, SMOKE, 6) for x in ("en", "al")
    )
    assert one["rows"] == two["rows"] == 6 and one["sha256"] != two["sha256"] and not one["stand_in"]


def test_machine_translated_rows_go_round_the_other_languages():
    rows, _ = reading.examples(TASKS["mnli"], "train", "en", SMOKE, 14, data_lang="mt")
    english, _ = reading.examples(TASKS["mnli"], "train", "en", SMOKE, 14)
    assert len(rows) == 14 and not {e["a"] for e in rows} & {e["a"] for e in english}


def some_features(n, length=5):
    return [{"ids": [0] * (length + i % 3), "length": length + i % 3, "i": i} for i in range(n)]


def test_an_epoch_shows_every_feature_once():
    mixture = Mixture({"a": some_features(24)}, batch=4, steps=6, seed=1)
    assert sorted(f["i"] for step in range(6) for f in mixture.at(step)[1]) == list(range(24))


def test_a_batch_is_a_function_of_the_step():
    one, two = (Mixture({"a": some_features(40), "b": some_features(24)}, 4, 30, seed=3) for _ in range(2))
    late = [two.at(step) for step in range(20, 30)]
    assert [one.at(step) for step in range(30)][20:] == late
    assert Mixture({"a": some_features(40)}, 4, 30, seed=4).at(0) != Mixture(
        {"a": some_features(40)}, 4, 30, seed=3
    ).at(0)


def test_sampling_is_proportional_with_a_cap_and_a_temperature():
    sizes = {"a": some_features(300), "b": some_features(100)}
    assert Mixture(sizes, 4, 10, 1).share == {"a": 0.75, "b": 0.25}
    assert Mixture(sizes, 4, 10, 1, cap=100).share == {"a": 0.5, "b": 0.5}
    warm = Mixture(sizes, 4, 10, 1, temperature=2).share
    assert warm["a"] == pytest.approx(3**0.5 / (3**0.5 + 1))


def test_all_tasks_of_a_mixture_are_drawn():
    drawn = [Mixture({t: some_features(40) for t in "abc"}, 4, 300, 1).at(step)[0] for step in range(300)]
    assert all(70 < drawn.count(t) < 130 for t in "abc")


def test_a_step_is_cut_where_its_tokens_exceed_the_budget():
    some = [{"ids": [0] * n, "length": n} for n in (3, 3, 9, 1, 2, 3)]
    assert [[f["length"] for f in part] for part in mixture.cut(some, 6)] == [[3, 3], [9], [1, 2, 3]]
    choices = {"ids": [[0] * 2, [0] * 3], "length": 3}
    assert len(list(mixture.cut([choices, choices], 9))) == 2 and list(mixture.cut([], 9)) == []


def test_batches_hold_every_feature_once_neighbours_in_length():
    some = some_features(5000)
    found = list(mixture.batches(some, 900))
    assert sorted(i for part in found for i in part) == list(range(5000)) and len(found) > 1
    assert [some[i]["length"] for part in found for i in part] == sorted(f["length"] for f in some)
    assert all(sum(some[i]["length"] for i in part) <= 900 for part in found)


def test_what_is_encoded_comes_back_from_its_file_unread(tmp_path):
    some = [
        {"ids": [0, 5, 2], "gold": [1]},
        {"ids": [[0, 6, 2], [0, 7, 8, 2]], "gold": [0, 3]},
        {"ids": [0, 2], "gold": []},
    ]
    Encoded.of(some).write(tmp_path / "some/file.npy")
    found = Encoded.read(tmp_path / "some/file.npy")
    told = [
        {"ids": [x.tolist() for x in sequences(f)], "gold": f["gold"].tolist(), "length": f["length"]}
        for f in found
    ]
    assert told == [
        {"ids": sequences(f), "gold": f["gold"], "length": n} for f, n in zip(some, (3, 4, 2), strict=True)
    ]
    assert (
        found[-1]["length"] == 2
        and found.longest.tolist() == [3, 4, 2]
        and isinstance(found.ids.base, np.memmap)
    )
    assert (
        piece_ids(found).tolist() == piece_ids(some).tolist()
        and Mixture({"a": found}, 1, 6, 1).tokens() == 24
    )
    with pytest.raises(IndexError):
        found[3]


def test_files_of_encoded_rows_are_bounded_and_the_oldest_go_first(capsys):
    made = []

    def make(number):
        made.append(number)
        return Encoded.of([{"ids": [number] * 100_000, "gold": [0]}])

    for key in (1, 2, 3, 1):  # the first is used again
        encoded.shared([key], lambda key=key: make(key))
        time.sleep(0.01)
    (size,) = {file.stat().st_size for file in encoded.folder().iterdir()}
    assert made == [1, 2, 3] and cli.main("data --prune 1 --json".split()) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"deleted": 1, "freed": size, "kept": 2, "bytes": 2 * size}
    for key in (1, 3, 2):
        assert encoded.shared([key], lambda key=key: make(key)).ids[0] == key
    assert made == [1, 2, 3, 2]


def test_examples_are_encoded_once_and_anew_when_anything_changed(monkeypatch):
    from xit_core.model import kinds

    done, (rows, seen), pieces = (
        [],
        reading.examples(TASKS["mnli"], "train", "en", SMOKE, 8),
        origins.tokenizer(SCALES["smoke"]),
    )
    encode = kinds.KINDS["classify"].encode

    def told(task, examples, tokenizer, s, names):
        done.append(task.name)
        return encode(examples, tokenizer, s.max_len, names)

    monkeypatch.setattr(kinds, "encode", told)
    first, again = (kinds.encoded(TASKS["mnli"], rows, seen, pieces, SMOKE) for _ in range(2))
    assert len(done) == 1 and first.ids.tolist() == again.ids.tolist()
    kinds.encoded(TASKS["mnli"], rows, seen, pieces, replace(SMOKE, max_len=20))
    kinds.encoded(TASKS["mnli"], rows, [seen[0] | {"sha256": "another"}], pieces, SMOKE)
    assert len(done) == 3
    for file in (runs_dir() / "encoded").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    assert (
        kinds.encoded(TASKS["mnli"], rows, seen, pieces, SMOKE).ids.tolist() == first.ids.tolist()
        and len(done) == 4
    )


def test_the_content_of_the_micro_world_belongs_to_its_version():
    """When this fails the micro-world tells another story: raise `worlds.MICRO.version`, and store the new
    hashes. A task that is added has a hash of its own.
    """
    from xit_core import micro
    from xit_core.design.worlds import MICRO

    def digest(names):
        told = [
            micro.rows(t, "validation", lang, 5) for t in names for lang in ("en", list(micro.LANGUAGES)[-1])
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    first = [name for name in MICRO.tasks if name not in ADDED]
    assert (MICRO.version, digest(first)) == ("micro-1", STORY)
    assert {name: digest([name]) for name in MICRO.tasks if name in ADDED} == ADDED


STORY = "a326618d10221e4f"
ADDED = dict.fromkeys(("prefer", "prefer_sham"), "625ae83309ed1d81")
ADDED |= dict.fromkeys(("scenes", "scenes_sham"), "ec325243f3cb989e")
ADDED |= {
    "mnli_shift": "867e9f6b7f8f937f",
    "xnli_shift": "62fae6399a063b8c",
    "pawsx_shift": "3c11cb554f1ed735",
    "udpos_shift": "0da1251d060f5e78",
    "panx_shift": "028e602eca9f3081",
    "xquad_shift": "9a39f8fe5fee7400",
    "mlqa_shift": "ad9624984c19927d",
    "tydiqa_shift": "1c98e1aece912cb8",
    "tatoeba_shift": "eabab31d20c217bc",
    "xnli_adversarial": "e8428ff866829cac",
    "xquad_adversarial": "8a449936a2044749",
    "mlqa_adversarial": "1af1840c73e22f65",
    "tydiqa_adversarial": "e8ac51e23fa9f8a4",
}
