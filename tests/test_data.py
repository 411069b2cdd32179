"""Rows: pinned, counted, hashed, and mixed as a function of the step."""

import csv
import hashlib
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from xit_core import data
from xit_core.config import SCALES, Bad
from xit_core.data import Mixture

REAL = replace(SCALES["pocket"], langs=("de", "en"))
SMOKE = SCALES["smoke"]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror of two repositories with stored rows, in the layout of the hub."""
    listed = []

    def put(repository, config, split, rows, complete="yes", note=""):
        file = tmp_path / repository / config / f"{split}.parquet"
        file.parent.mkdir(parents=True)
        parquet.write_table(pa.Table.from_pylist(rows), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entry = {"repo": repository, "config": config, "split": split, "rows": len(rows), "sha256": digest, "commit": "c" * 40}
        listed.append(entry | {"complete": complete, "note": note})
        with open(tmp_path / "MANIFEST.csv", "w", newline="") as f:
            writer = csv.DictWriter(f, listed[0])
            writer.writeheader()
            writer.writerows(listed)
        data.manifest.cache_clear()
        data.from_mirror.cache_clear()
        return file

    put("somebody", "else", "train", [{"x": 1}])
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    yield put
    data.from_mirror.cache_clear()
    data.manifest.cache_clear()


def nli(n, start=0):
    return [{"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 3, "idx": i} for i in range(start, start + n)]


def test_rows_of_a_mirror_are_read_and_an_incomplete_split_is_filled_up_by_declared_stand_ins(mirror):
    mirror("nyu-mll/glue", "mnli", "train", nli(5), complete="partial")
    mirror("metaeval/lingnli", "default", "train", nli(7, 100))
    rows, seen = data.examples("mnli", "train", "en", REAL)
    assert len(rows) == 12 and [(s["rows"], s["stand_in"]) for s in seen] == [(5, False), (7, True)]
    assert seen[1]["source"] == "metaeval/lingnli/default/train" and len(seen[0]["sha256"]) == 64


def test_rows_of_all_data_sets_that_make_up_a_task_are_joined(mirror):
    mirror("stanfordnlp/snli", "plain_text", "train", nli(4))
    mirror("nyu-mll/glue", "mnli", "train", nli(5))
    rows, seen = data.examples("anli", "train", "en", REAL)
    assert len(rows) == 9 and [s["source"].split("/")[1] for s in seen] == ["snli", "glue"]


def test_a_changed_byte_in_a_mirror_is_found_and_named(mirror):
    file = mirror("nyu-mll/glue", "mnli", "train", nli(5))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Bad, match=r"train\.parquet: sha256 .* the mirror is damaged"):
        data.examples("mnli", "train", "en", REAL)


def test_what_a_mirror_lacks_is_named(mirror):
    with pytest.raises(Bad, match="qqp/train/en: the mirror holds no"):
        data.examples("qqp", "train", "en", REAL)


def test_an_unlabelled_row_is_dropped_and_counted(mirror):
    mirror("nyu-mll/glue", "qqp", "train", [{"question1": "a", "question2": "b", "label": x, "idx": 0} for x in (0, 1, -1)])
    rows, (seen,) = data.examples("qqp", "train", "en", REAL)
    assert len(rows) == 2 and seen["dropped"] == 1


def test_a_cap_chooses_the_same_rows_every_time(mirror):
    mirror("nyu-mll/glue", "mnli", "train", nli(50))
    once, again = (data.examples("mnli", "train", "en", REAL, 10)[0] for _ in range(2))
    assert once == again and len(once) == 10 and once != data.examples("mnli", "train", "en", REAL)[0][:10]


def test_micro_rows_come_with_a_content_hash_that_follows_the_content():
    (_, (one,)), (_, (two,)) = (data.examples("xnli", "validation", x, SMOKE, 6) for x in ("en", "al"))
    assert one["rows"] == two["rows"] == 6 and one["sha256"] != two["sha256"] and not one["stand_in"]


def test_machine_translated_rows_go_round_the_other_languages():
    rows, _ = data.examples("mnli", "train", "en", SMOKE, 14, data_lang="mt")
    english, _ = data.examples("mnli", "train", "en", SMOKE, 14)
    assert len(rows) == 14 and not {e["a"] for e in rows} & {e["a"] for e in english}


def features(n, length=5):
    return [{"ids": [0] * (length + i % 3), "length": length + i % 3, "i": i} for i in range(n)]


def test_an_epoch_shows_every_feature_once():
    mixture = Mixture({"a": features(24)}, batch=4, steps=6, seed=1)
    assert sorted(f["i"] for step in range(6) for f in mixture.at(step)[1]) == list(range(24))


def test_a_batch_is_a_function_of_the_step():
    one, two = (Mixture({"a": features(40), "b": features(24)}, 4, 30, seed=3) for _ in range(2))
    late = [two.at(step) for step in range(20, 30)]
    assert [one.at(step) for step in range(30)][20:] == late
    assert Mixture({"a": features(40)}, 4, 30, seed=4).at(0) != Mixture({"a": features(40)}, 4, 30, seed=3).at(0)


def test_sampling_is_proportional_with_a_cap_and_a_temperature():
    sizes = {"a": features(300), "b": features(100)}
    assert Mixture(sizes, 4, 10, 1).share == {"a": 0.75, "b": 0.25}
    assert Mixture(sizes, 4, 10, 1, cap=100).share == {"a": 0.5, "b": 0.5}
    warm = Mixture(sizes, 4, 10, 1, temperature=2).share
    assert warm["a"] == pytest.approx(3**0.5 / (3**0.5 + 1))


def test_all_tasks_of_a_mixture_are_drawn():
    drawn = [Mixture({t: features(40) for t in "abc"}, 4, 300, 1).at(step)[0] for step in range(300)]
    assert all(70 < drawn.count(t) < 130 for t in "abc")


def test_padding_goes_to_the_longest_sequence_of_a_batch():
    batch = data.collate([{"ids": [0, 5, 2], "length": 3}, {"ids": [0, 5, 6, 2], "length": 4}])
    assert batch["input_ids"].tolist() == [[0, 5, 2, 1], [0, 5, 6, 2]] and batch["attention_mask"].sum().item() == 7


def test_the_content_of_the_micro_world_belongs_to_its_version():
    """When this fails the micro-world tells another story: raise tasks.MICRO_VERSION, and store the new hash."""
    from xit_core import micro
    from xit_core.tasks import MICRO_VERSION, TASKS

    told = [micro.rows(t, "validation", lang, 5) for t in TASKS for lang in ("en", list(micro.LANGUAGES)[-1])]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    assert (MICRO_VERSION, digest) == ("micro-1", STORY)


STORY = "a326618d10221e4f"
