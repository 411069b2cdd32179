"""Each protocol against an independent oracle: seqeval, scikit-learn, torchmetrics, and numbers of the
official scripts.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score, sequence_labeling
from sklearn import metrics as sklearn
from torchmetrics.functional.text import squad as torchmetrics_squad

from xit_core.design.tasks import TASKS
from xit_core.metrics.protocols import PROTOCOLS, also, chunks, corpus_f1, mlqa, squad_en, token_f1

OFFICIAL = json.loads((Path(__file__).parent / "official.json").read_text())
UPOS = TASKS["udpos"].labels
some = settings(max_examples=150, deadline=None)
pytestmark = pytest.mark.filterwarnings("ignore")  # seqeval warns of every tag that is not IOB


# -- tags ----------------------------------------------------------------------------------------------------

iob = st.builds(
    str.__add__, st.sampled_from("BIESO.X"), st.sampled_from(["-PER", "-PER", "-LOC", "-PER-X", "-", ""])
)
tags = st.one_of(st.sampled_from([*UPOS, "X", "X"]), iob, st.text(min_size=1, max_size=3))
sentence = st.lists(st.tuples(tags, tags), max_size=6)
sentences = st.lists(sentence, min_size=1, max_size=6)


def split(pairs: list) -> tuple[list, list]:
    return [[a for a, _ in s] for s in pairs], [[b for _, b in s] for s in pairs]


@some
@given(st.lists(tags, max_size=12))
def test_chunks_are_those_of_seqeval(found):
    assert chunks(found) == set(sequence_labeling.get_entities(found))


@some
@given(sentences)
def test_corpus_scores_are_those_of_seqeval(pairs):
    said, gold = split(pairs)
    expected = [100 * x(gold, said) for x in (f1_score, precision_score, recall_score)]
    assert list(corpus_f1(said, gold).values()) == pytest.approx(expected, abs=1e-9)


def test_an_x_that_begins_a_later_sentence_is_scored_as_seqeval_has_it():
    gold, said = [["NOUN", "VERB"], ["X", "NOUN"]], [["VERB", "VERB"], ["X", "NOUN"]]
    assert corpus_f1(said, gold)["f1"] == pytest.approx(100 * f1_score(gold, said), abs=1e-9)
    alone = [corpus_f1([p], [g])["f1"] for p, g in zip(said, gold, strict=True)]
    # not what the sentences give one by one
    assert alone == [0.0, 100.0] and corpus_f1(said, gold)["f1"] < 50


@pytest.mark.parametrize("name", ["udpos/seqeval-1.2.2", "panx/iob2-f1", "udpos/accuracy", "accuracy"])
@some
@given(pairs=sentences)
def test_token_accuracy_is_that_of_scikit_learn(name, pairs):
    said, gold = split(pairs)
    assume(any(gold))
    found, items = PROTOCOLS[name](said, [{"tags": g} for g in gold], "en")
    expected = sklearn.accuracy_score([t for s in gold for t in s], [t for s in said for t in s])
    assert found["accuracy"] == pytest.approx(100 * expected, abs=1e-9)
    assert len(items) == len(gold) and all(0 <= x <= 100 for x in items)


@pytest.mark.parametrize(("said", "gold", "scores"), OFFICIAL["seqeval-0.0.12"]["cases"])
def test_the_seqeval_that_jiant_pins_gives_its_own_scores(said, gold, scores):
    found, _ = PROTOCOLS["udpos/seqeval-0.0.12"](said, [{"tags": g} for g in gold], "en")
    assert found == pytest.approx(scores, abs=1e-9)


def test_a_sentence_counts_with_its_own_f1_and_with_100_when_it_has_no_chunk_and_gets_none():
    examples = [{"tags": ["B-PER", "I-PER", "O", "B-LOC"]}, {"tags": ["O"]}, {"tags": ["B-PER"]}]
    found, items = PROTOCOLS["panx/iob2-f1"]([["B-PER", "I-PER", "O", "O"], ["O"], ["O"]], examples, "en")
    assert items == pytest.approx([200 / 3, 100, 0]) and found == pytest.approx(
        {"f1": 50, "accuracy": 100 * 4 / 6}
    )


# -- answers -------------------------------------------------------------------------------------------------

words = st.lists(
    st.sampled_from("the a an The cat lake U.S. naïve naı̈ve １２ 。 — $5 of , ال 北京".split()), max_size=4
).map(" ".join)
texts = st.one_of(words, st.text(max_size=8))


def oracle(said: list[str], golds: list[list[str]]) -> dict[str, float]:
    """EM and F1 of torchmetrics, which computes in single precision."""
    preds = [{"id": str(i), "prediction_text": p} for i, p in enumerate(said)]
    target = [
        {"id": str(i), "answers": {"answer_start": [0] * len(g), "text": g}} for i, g in enumerate(golds)
    ]
    return {k: float(v) for k, v in torchmetrics_squad(preds, target).items()}


def examples_of(golds: list[list[str]]) -> list[dict]:
    return [{"answers": [(0, text) for text in g]} for g in golds]


questions = st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=5)


@some
@given(questions)
def test_squad_scores_are_those_of_torchmetrics(rows):
    rows = [(said, [g for g in golds if squad_en(g)]) for said, golds in rows]
    assume(all(golds for _, golds in rows))
    said, golds = map(list, zip(*rows, strict=True))
    for name in ("qa/squad-en", "qa/squad2"):
        found, items = PROTOCOLS[name](said, examples_of(golds), "de")
        assert {k: found[k] for k in ("exact_match", "f1")} == pytest.approx(oracle(said, golds), abs=1e-3)
        assert sum(items) / len(items) == pytest.approx((found["exact_match"] + found["f1"]) / 2, abs=1e-9)


@pytest.mark.parametrize(("said", "golds", "scores"), OFFICIAL["squad2"]["cases"])
def test_squad_2_gives_the_official_scores(said, golds, scores):
    names = {
        "exact": "exact_match",
        "f1": "f1",
        "HasAns_f1": "has_answer_f1",
        "NoAns_exact": "no_answer_accuracy",
    }
    expected = {names[k]: v for k, v in scores.items() if k in names}
    assert PROTOCOLS["qa/squad2"](said, examples_of(golds), "en")[0] == pytest.approx(expected, abs=1e-9)


def test_two_texts_without_a_token_agree_in_squad_2_only():
    row = [{"answers": [(0, "The")]}]
    assert PROTOCOLS["qa/squad-en"](["..."], row, "en")[0] == {"exact_match": 100.0, "f1": 0.0}
    assert PROTOCOLS["qa/squad2"](["..."], row, "en")[0]["f1"] == 100.0
    assert token_f1("", "") == 1.0 and token_f1("", "", empty=0.0) == 0.0 and token_f1("", "x") == 0.0


def test_no_answer_is_wrong_and_an_empty_one_is_right_where_there_is_none():
    rows = [{"answers": [(0, "lake")]}, {"answers": []}]
    assert PROTOCOLS["qa/squad-en"]([None, ""], rows, "en") == (
        {"exact_match": 50.0, "f1": 50.0},
        [0.0, 100.0],
    )
    assert PROTOCOLS["qa/squad2"](["", ""], rows, "en")[0] == {
        "exact_match": 50.0, "f1": 50.0, "has_answer_f1": 0.0, "no_answer_accuracy": 100.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "lang", "normal"),
    [
        (
            "约3.5公里 iPhone 5S，龥龦㐀",
            "zh",
            "约 35 公 里 iphone 5s 龥 龦㐀",
        ),  # 龦 and 㐀 are out of the range, and stay whole
        ("The A-team — an “x”", "en", "ateam x"),
        ("El Niño, unos y la señora", "es", "niño y señora"),
        ("$5 + 3~4 €", "en", "5 34 €"),  # of symbols, only the ASCII ones go
        ("Der See des Königs", "de", "see königs"),
        ("ein eine einen einem eines einer der die das den dem des derer", "de", "derer"),
        ("un una unos unas el la los las lasso", "es", "lasso"),
        ("a an the those", "en", "those"),
        ("của là cái chiếc những hồ", "vi", "hồ"),
        ("của hồ", "vi", "hồ"),
        ("الكتاب والكتاب؟", "ar", "كتاب و كتاب"),  # the article goes inside a word too
        ("झील। १२", "hi", "झील १२"),
        ("１２。北京の", "ja", "１２北京の"),
    ],
)
def test_mlqa_normalises_by_language(text, lang, normal):
    assert mlqa(text, lang) == normal


@some
@given(texts, st.sampled_from("ar de en es hi vi zh ru".split()))
def test_normalising_leaves_no_punctuation_and_single_spaces(text, lang):
    assert mlqa(text, lang).split() == [t for t in mlqa(text, lang).split(" ") if t]
    assert not set(squad_en(text)) & set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    assert set("。—«»¿") & set(mlqa(text, lang)) == set()


# -- labels and retrieval ------------------------------------------------------------------------------------


@some
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_that_of_scikit_learn(pairs):
    said, gold = zip(*pairs, strict=True)
    found, items = PROTOCOLS["accuracy"](list(said), [{"label": g} for g in gold], "de")
    assert found == {"accuracy": pytest.approx(100 * sklearn.accuracy_score(gold, said), abs=1e-9)}
    assert sum(items) / len(items) == pytest.approx(found["accuracy"])


@some
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))),
)
def test_scores_of_mined_pairs_are_those_of_scikit_learn(said, gold):
    every = [(a, b) for a in range(4) for b in range(4)]
    found, items = PROTOCOLS["bucc/pairs"]([list(p) for p in said], [{"ids": g} for g in gold], "de")
    marks = [[p in pairs for p in every] for pairs in (gold, said)]
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
        *marks, average="binary", zero_division=0
    )
    assert found == pytest.approx(
        {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}, abs=1e-9
    )
    assert items == [100.0 * (g in said) for g in gold]


@some
@given(st.permutations(range(20)), st.sets(st.integers(0, 19), min_size=1))
def test_mean_average_precision_is_that_of_scikit_learn(ranking, gold):
    found, items = PROTOCOLS["map@20"]([list(ranking)], [{"gold": gold}], "de")
    expected = sklearn.average_precision_score([i in gold for i in ranking], [-k for k in range(20)])
    assert items == [pytest.approx(100 * expected, abs=1e-9)] and found == {"map@20": items[0]}


def test_what_is_ranked_after_20_or_twice_does_not_count():
    ranked = ["Q2", "Q2", "Q1"]
    score = PROTOCOLS["map@20"]
    assert score([ranked], [{"gold": "Q1"}], "de")[0]["map@20"] == pytest.approx(100 / 3)
    assert score([ranked], [{"gold": {"Q1", "Q2"}}], "de")[0]["map@20"] == pytest.approx(
        100 * (1 + 2 / 3) / 2
    )
    assert score([["Q0"] * 20 + ["Q1"], []], [{"gold": "Q1"}, {"gold": "Q1"}], "de") == (
        {"map@20": 0.0},
        [0.0, 0.0],
    )
    many = {f"Q{i}" for i in range(30)}
    # 20 of 30 is all that can be
    assert score([sorted(many)], [{"gold": many}], "de")[0]["map@20"] == pytest.approx(100)


def test_nothing_to_score_gives_zero():
    ours = {name: score for name, score in PROTOCOLS.items() if name != "checklist/failure"}
    assert all(
        set(score([], [], "en")[0].values()) <= {0.0} and score([], [], "en")[1] == []
        for score in ours.values()
    )


# -- the table -----------------------------------------------------------------------------------------------


def test_what_a_task_is_also_scored_under():
    assert also(TASKS["udpos"]) == ("udpos/accuracy", "udpos/seqeval-0.0.12")
    assert also(TASKS["mlqa"]) == ("qa/squad-en",) and also(TASKS["xquad"]) == ("qa/mlqa",)
    assert also(SimpleNamespace(retrieves="", protocol="qa/squad-en", no_answer=True)) == (
        "qa/mlqa",
        "qa/squad2",
    )
    assert also(TASKS["xnli"]) == also(TASKS["panx"]) == also(TASKS["bucc"]) == ()


def test_the_declared_protocols_that_are_scored_here_exist():
    elsewhere = {"bucc/jiant-dev", "tatoeba/jiant", "mlm/masked-accuracy"}
    assert {t.protocol for t in TASKS.values()} - elsewhere <= set(PROTOCOLS)
