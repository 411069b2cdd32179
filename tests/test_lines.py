"""Lines of text for masked LM: none with a part of an evaluation set."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xit_core.data import overlap

LONG = [f"w{i}" for i in range(30)]  # an evaluation context of 30 words
TEXTS = [" ".join(LONG), "the small house is green", "good morning"]


@pytest.fixture(scope="module")
def held():
    return overlap.Held(TEXTS)


def within(held, *lines):
    return held.within([overlap.units(line) for line in lines]).tolist()


def test_text_for_masked_lm_is_without_the_lines_that_are_evaluated(held):
    pages = {
        3: {"a": "one of two lines\nthe small house is green today"},
        5: {"a": "Good morning!"},
        8: {"a": "x"},
    }
    found, counts = overlap.without_lines(pages, Counter(), held)
    assert found == {3: {"a": "one of two lines"}, 8: {"a": "x"}} and counts == {"line is evaluated": 2}
    assert overlap.without_lines({}, Counter(), held) == ({}, Counter())


def test_units_are_words_and_in_scripts_without_spaces_characters():
    assert overlap.units("Don't  STOP, हिन्दी 3.5!") == ["don", "t", "stop", "हिन्दी", "3", "5"]
    assert overlap.units("我在1979年出生。") == ["我", "在", "1979", "年", "出", "生"]
    assert overlap.units("...") == []


def test_a_line_with_thirteen_words_of_a_context_is_found_and_one_with_twelve_is_not(held):
    for at in (0, 7, 17):
        assert within(
            held, " ".join(["a", *LONG[at : at + 13], "b"]), " ".join(["a", *LONG[at : at + 12], "b"])
        ) == [True, False]


def test_a_short_evaluation_text_is_found_inside_a_line_and_a_very_short_one_only_as_the_line(held):
    lines = "He says: the SMALL house is green.", "the small house is", "Good morning!", "good morning to you"
    assert within(held, *lines) == [True, False, True, False]


def test_nothing_is_found_across_two_lines_nor_in_empty_ones(held):
    assert within(held, "", " ".join(LONG[:7]), " ".join(LONG[7:19]), "") == [False] * 4
    assert within(overlap.Held([]), "any line at all") == [False]


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=18), min_size=1, max_size=6),
    st.lists(st.sampled_from("abc"), max_size=40),
)
def test_what_is_found_is_what_a_plain_search_finds(lines, text):
    def inside(line, n, runs):
        return any(line[i : i + n] in runs for i in range(len(line) - n + 1))

    grams = [text[i : i + overlap.GRAM] for i in range(len(text) - overlap.GRAM + 1)]

    def plain(line):
        if len(text) >= overlap.GRAM:
            return inside(line, overlap.GRAM, grams)
        return bool(text) and (line == text if len(text) < overlap.SHORT else inside(line, len(text), [text]))

    assert overlap.Held([" ".join(text)]).within(lines).tolist() == [plain(line) for line in lines]
