"""What a scale reads is listed whole, with the rows it should have, and what is wrong with what is there."""

import csv
from dataclasses import replace

import pytest

from stores import packed, rows
from xit_core import micro
from xit_core.data import inventory
from xit_core.design.scales import SCALES
from xit_core.design.tasks import REAL_TASKS, TASKS
from xit_core.machine.places import PACKAGE


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    monkeypatch.delenv("XIT_LOCAL", raising=False)


def lines(scale="paper"):
    return {(r["task"], r["source"], r["split"]): r for r in inventory.presence(SCALES[scale])}


def test_every_split_that_the_paper_scale_reads_is_listed_with_its_rows():
    told = inventory.presence(SCALES["paper"])
    assert {r["task"] for r in told} == set(REAL_TASKS) and all(
        tuple(r) == inventory.PRESENCE_KEYS for r in told
    )
    assert len({(r["task"], r["source"], r["split"]) for r in told}) == len(told)
    unstated = {(r["task"], r["source"].rpartition("/")[0]) for r in told if r["expected_rows"] is None}
    assert unstated == {
        ("ccg", "ccgbank"),
        ("mlm", "wikimedia/wikipedia"),
        ("squad1", "squad_mt_fi"),
        ("shift_gum", "ud_genre"),
        ("shift_sick", "sick_multi"),
        ("snli", "snli_mt_fi"),
        ("paws", "paws_mt_id"),
        ("hellaswag", "mt/hellaswag"),
        ("prefer", "Anthropic/hh-rlhf"),
        ("prefer_sham", "Anthropic/hh-rlhf"),
        ("scenes", "multi30k"),
        ("scenes_sham", "multi30k"),
    }
    assert all(r["state"] and r["licence"] and r["rows"] is None for r in told)


def test_what_is_joined_translated_or_searched_is_listed_too():
    found = lines()
    assert found["anli", "stanfordnlp/snli/plain_text", "train"]["expected_rows"] == 550152
    assert found["anli", "nyu-mll/glue/mnli", "train"]["revision"] == TASKS["mnli"].revision
    assert sum(t == "mnli" and source.startswith("facebook/xnli/") for t, source, _ in found) == 14
    assert found["mewslix", "mewsli-x/dataset", "candidate_set_entities"]["expected_rows"] == 1003893
    assert {source for t, source, _ in found if t == "bucc"} >= {
        f"mteb/BUCC/{x}-en" for x in ("de", "fr", "ru", "zh")
    }


def test_the_sums_that_claims_need_come_from_the_table():
    assert (
        inventory.expected_examples(TASKS["anli"]) == 1104934
        and inventory.expected_examples(TASKS["mnli"]) == 392702
    )
    assert (
        inventory.expected_examples(TASKS["ccg"]) is None and inventory.expected_examples(TASKS["xnli"]) == 0
    )
    assert inventory.rows_of(TASKS["anli"], TASKS["anli"].train) == 162865


def test_what_the_hub_has_at_no_known_commit_says_how_to_get_it():
    found = lines()
    assert found["ccg", "ccgbank/supertags", "train"]["state"].startswith(
        "missing: CCGbank is licensed (LDC2005T13)"
    )
    assert "XIT_LOCAL/mt/hellaswag" in found["hellaswag", "mt/hellaswag/<language>", "train"]["state"]
    assert "TurkuNLP/squad2-fi" in found["squad1", "squad_mt_fi/squad_v1", "train"]["state"]
    assert found["qqp", "nyu-mll/glue/qqp", "train"]["state"] == "on the hub: fetched when needed"


def test_universal_dependencies_are_counted_as_xtreme_converts_them_and_the_hubs_copy_is_told_apart(
    monkeypatch,
):
    greek = lines()["udpos", "google/xtreme/udpos.Greek", "validation"]
    assert greek["expected_rows"] == 403 and "2,559 rows; not XTREME's own conversion" in greek["state"]
    monkeypatch.setitem(SCALES, "paper", replace(SCALES["paper"], gaps=()))
    thai = lines()["udpos", "google/xtreme/udpos.Thai", "validation"]
    assert thai["expected_rows"] == 0 and thai["state"].startswith("there is none")


def test_a_mirrors_rows_are_compared_with_those_that_should_be_there(mirror):
    mirror("tau/commonsense_qa", "default", "train", rows(9741))
    mirror("tau/commonsense_qa", "default", "validation", rows(7), complete="partial", licence="theirs")
    mirror("rajpurkar/squad_v2", "squad_v2", "train", rows(5), note="STAND-IN: other rows")
    found = lines()
    whole = found["csqa", "tau/commonsense_qa/default", "train"]
    assert (whole["rows"], whole["state"], len(whole["sha256"]), whole["stand_in"]) == (
        9741,
        "complete",
        64,
        "",
    )
    part = found["csqa", "tau/commonsense_qa/default", "validation"]
    assert part["state"] == "7 rows where 1,221 are expected" and part["licence"] == "theirs"
    other = found["squad2", "rajpurkar/squad_v2/squad_v2", "train"]
    assert other["stand_in"] == "STAND-IN: other rows" and "5 rows where 130,319" in other["state"]
    assert (
        found["qqp", "nyu-mll/glue/qqp", "train"]["state"]
        == "missing in the mirror; unset XIT_MIRROR to take it from the hub"
    )
    assert found["ccg", "ccgbank/supertags", "train"]["state"].startswith(
        "missing in the mirror; CCGbank is licensed"
    )


def test_declared_stand_ins_are_named_where_the_mirror_holds_them(mirror):
    assert lines()["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == ""
    mirror("metaeval/lingnli", "default", "train", rows(3))
    mirror("pretrain_text", "de", "train", rows(3), complete="derived")
    found = lines()
    assert found["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == "metaeval/lingnli/default/train"
    assert found["mnli", "facebook/xnli/de", "train"]["stand_in"] == ""  # in English they are no translations
    assert found["mlm", "wikimedia/wikipedia/20231101.de", "train"]["state"].endswith(
        "pretrain_text/de/train stands in"
    )
    mirror("nyu-mll/glue", "mnli", "train", rows(4), complete="partial")
    assert lines()["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == "metaeval/lingnli/default/train"


def test_damage_is_shown_in_the_state(mirror):
    changed = mirror("nyu-mll/glue", "qqp", "train", rows(3))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    mirror("nyu-mll/glue", "qqp", "validation", rows(3)).unlink()
    found = lines()
    state = {split: found["qqp", "nyu-mll/glue/qqp", split]["state"] for split in ("train", "validation")}
    assert state["train"] == "damaged: train.parquet is not what the manifest lists; copy it again"
    assert state["validation"] == "damaged: validation.parquet is listed, but not there; copy it again"


def test_the_users_own_files_are_counted_and_a_broken_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path))
    for path, content in {
        "tau/commonsense_qa/default/train.parquet": packed(rows(9741)),
        "nyu-mll/glue/qqp/train.jsonl": b"{",
        "mt/squad1/de/train.jsonl": b'{"x": 1}\n',
        "ccgbank/data/AUTO/00/wsj_0001.auto": b"ID=wsj_0001.1\n(<L N NNP NNP Vinken N>)\n",
        "bucc2018/de-en.sample.de": b"de-1\tEins.\nde-2\tZwei.\n",
        "bucc2018/de-en.sample.en": b"en-1\tOne.\n",
        "ud-treebanks-v2.5/UD_Greek-GDT/el_gdt-ud-dev.conllu": b"1\tx\t_\tX\t_\t_\t0\t_\t_\t_\n\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    found = lines()
    own = found["csqa", "tau/commonsense_qa/default", "train"]
    assert (own["rows"], own["state"], len(own["sha256"])) == (9741, "your own copy", 64)
    assert "row 0: no JSON" in found["qqp", "nyu-mll/glue/qqp", "train"]["state"]
    assert (
        found["squad1", "mt/squad1/de", "train"]["rows"] == 1
        and ("squad1", "mt/squad1/<language>", "train") not in found
    )
    assert (
        found["ccg", "ccgbank/supertags", "validation"]["state"]
        == "your own copy; nobody states its number of rows"
    )
    assert [found["bucc", "bucc2018/de-en", side]["rows"] for side in ("source", "target")] == [2, 1]
    assert ("bucc", "mteb/BUCC/de-en", "test") not in found and ("bucc", "mteb/BUCC/fr-en", "test") in found
    greek = found["udpos", "google/xtreme/udpos.Greek", "validation"]
    assert (greek["rows"], greek["state"]) == (1, "1 rows where 403 are expected")


@pytest.mark.parametrize("scale", ["smoke", "micro"])
def test_the_micro_world_lists_the_tasks_it_tells(scale):
    told = inventory.presence(SCALES[scale])
    assert {r["task"] for r in told} == set(micro.TELLS) and {r["state"] for r in told} == {
        "generated when needed"
    }


def test_every_number_of_the_table_has_a_source_and_stands_there_once():
    with open(PACKAGE / "sizes.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert all(row["source"] and row["value"] for row in table)
    assert len({(row["data"], row["item"]) for row in table}) == len(table)
