"""Adversarial subsets of XNLI are chosen in English, carried to parallel rows, and balanced."""

from collections import Counter

import pytest

from xit_core.data import adversarial
from xit_core.data.local import Part
from xit_core.machine.errors import Bad

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


def test_rows_that_are_not_parallel_are_refused():
    with pytest.raises(Bad, match="not parallel"):
        adversarial.by_overlap(rows()[:-1], "de", 3)


def test_equal_rows_are_in_an_order_that_their_place_does_not_tell():
    turned = rows(("en",))[::-1]
    there, back = (adversarial.by_overlap(told, "en", 3) for told in (rows(("en",)), turned))
    assert sorted(map(str, there)) == sorted(map(str, back))
