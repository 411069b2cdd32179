"""Pretraining: languages in their shares, text packed once, and a killed run that ends as an unbroken one."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from stores import mirrored
from xit_core import phases
from xit_core.design import scales
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.machine import errors
from xit_core.machine.places import runs_dir
from xit_core.model import embeddings, pretrain, train
from xit_core.model.features import Encoded


def encoded(*ids):
    return Encoded.of([{"ids": list(x)} for x in ids])


def test_small_languages_are_sampled_more_often_than_they_are_large():
    assert pretrain.sampling([100, 300], 0.0) == [0.25, 0.75]
    low, high = pretrain.sampling([100, 300], 0.3)
    assert np.isclose(high / low, 3**0.3) and np.isclose(low + high, 1)


@pytest.mark.parametrize("at_once", [3, pretrain.TAKEN])
def test_each_part_gives_its_share_and_no_sequence_a_second_time_before_all_have_been(at_once, monkeypatch):
    monkeypatch.setattr(pretrain, "TAKEN", at_once)
    parts = [encoded([1, 2], [3], [4, 5, 6]), encoded([7], [8, 9], [10], [11], [12], [13])]
    found = [f["ids"].tolist() for f in pretrain.drawn_sequences(parts, [0.7, 0.3], 10)]
    first, second = found[:7], found[7:]
    assert (
        len(found) == 10
        and all(x in ([1, 2], [3], [4, 5, 6]) for x in first)
        and all(x[0] >= 7 for x in second)
    )
    for turn in (first[:3], first[3:6]):
        assert sorted(turn) == [[1, 2], [3], [4, 5, 6]]
    assert len(set(map(tuple, second))) == 3


def test_joined_parts_are_the_features_of_one_after_the_other():
    parts = [encoded([1, 2], [3]), encoded([4, 5])]
    assert [f["ids"].tolist() for f in pretrain.concatenated(parts)] == [[1, 2], [3], [4, 5]]


@pytest.fixture
def text(tmp_path, monkeypatch):
    """A mirror with a little text in two languages, and a scale that pretrains on it from scratch."""
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path / "mirror"))
    for lang, words in (
        ("en", "the small house stands by a river"),
        ("de", "das kleine Haus steht an einem Fluss"),
    ):
        lines = [
            f"{words.split()[i % 7]} {words.split()[i % 5]} {i} {words}."
            for i in range(60 if lang == "en" else 20)
        ]
        mirrored(
            tmp_path / "mirror", "pretrain_text", lang, "train", [{"text": x, "source": "web"} for x in lines]
        )
    small = replace(
        SCALES["mini-scratch"], langs=("en", "de"),
        pretraining=scales.Pretraining(1, 16, 2, 90, steps=6, batch=4, length=24, lr=1e-3, rows=0, alpha=0.3),
    )  # fmt: skip
    monkeypatch.setitem(SCALES, "mini-scratch", small)
    return small


def test_pieces_learned_from_text_cover_its_characters_and_its_card_tells_the_languages(text):
    folder = runs_dir() / "there"
    folder.mkdir(parents=True)
    pieces, start, features, read = pretrain.prepared(text, text.pretraining, folder, [])
    assert start is None and pieces.get_vocab_size() <= 90
    assert 3 not in pieces.encode("das kleine house 17.").ids, "no unknown piece"
    card = read["corpus"]["languages"]
    assert np.isclose(sum(x["share"] for x in card.values()), 1, atol=1e-4) and card["de"]["share"] > 0.3
    assert all(x["fertility"] == round(x["pieces"] / x["words"], 4) >= 1 for x in card.values())
    assert len(features) == pytest.approx(24, abs=1) and read["corpus"]["alpha"] == 0.3
    again = pretrain.prepared(text, text.pretraining, folder, [])
    assert (
        again[0].get_vocab() == pieces.get_vocab()
        and np.array_equal(again[2].ids, features.ids)
        and again[3] == read
    )


def test_a_killed_pretraining_goes_on_where_it_was_and_gives_the_same_curve_and_weights(
    text, monkeypatch, tmp_path
):
    run, learn, at = (
        Run("pretrained", "mini-scratch", model="remake"),
        train.learn,
        int(np.random.default_rng().integers(1, 6)),
    )
    monkeypatch.setattr(pretrain, "SAVE", 1)
    calls = iter(range(at + 1))
    monkeypatch.setattr(
        train, "learn", lambda *given: learn(*given) if next(calls) < at else pytest.exit("killed")
    )
    with pytest.raises(pytest.exit.Exception):
        pretrain.remake(run)
    monkeypatch.setattr(train, "learn", learn)
    monkeypatch.setattr(pretrain, "training_text", lambda *_: pytest.fail("the text was prepared before"))
    # begins from the same pieces: learning them on several threads is not exact
    unbroken = tmp_path / "unbroken"
    shutil.copytree(runs_dir(), unbroken, ignore=shutil.ignore_patterns("resume.*"))
    assert train.spent(runs_dir() / "mini-scratch/encoder") > 0, "the seconds of the killed run count"
    again, resumed, _ = pretrain.remake(run)
    folder = runs_dir() / "mini-scratch/encoder"
    assert json.loads((folder / "card.json").read_text())["curve"] == resumed.curve
    assert not [x for x in (*pretrain.PREPARED, "resume.pt") if (folder / x).exists()]
    monkeypatch.setenv("XIT_RUNS", str(unbroken))
    net, told, _ = pretrain.remake(run)
    assert resumed == told, f"killed at step {at}"
    assert all((x == again.state_dict()[k]).all() for k, x in net.state_dict().items())


def test_what_is_finished_is_not_made_again_unless_it_was_made_of_something_else(text, monkeypatch):
    run = Run("pretrained", "mini-scratch", model="remake")
    first = pretrain.remake(run)
    with monkeypatch.context() as frozen:
        frozen.setattr(pretrain, "fit", lambda *_, **__: pytest.fail("it is finished"))
        net, *told = pretrain.remake(run)
    assert told == list(first[1:]) and all(
        (x == first[0].state_dict()[k]).all() for k, x in net.state_dict().items()
    )
    (runs_dir() / "mini-scratch/encoder/resume.pt").write_text("of the first seed")
    assert pretrain.remake(replace(run, seed=2))[1] != first[1], "another seed starts anew"


@pytest.mark.parametrize("name", [*pretrain.PREPARED, "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"[]", None], ids=ascii)
def test_what_was_prepared_and_is_damaged_is_prepared_again(text, name, content, monkeypatch):
    folder = runs_dir() / "there"
    monkeypatch.setattr(pretrain, "vocabulary", lambda *_: (pieces, np.ones((90, 4), np.float32)))
    pieces = embeddings.unigram_tokenizer(
        pretrain.learned_pieces({"en": ["small house"] * 9}, text.pretraining)
    )
    *_, features, read = pretrain.prepared(text, text.pretraining, folder, ["x"])
    whole = (folder / name).read_bytes()
    changed = whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
    (folder / name).write_bytes(changed if content is None else content)
    (folder / "resume.pt").write_text("of what was there before")
    _, start, again, told = pretrain.prepared(text, text.pretraining, folder, ["x"])
    assert told == read and start.shape == (90, 4) and np.array_equal(again.ids, features.ids)
    assert (folder / name).read_bytes() == whole and not (folder / "resume.pt").exists()
    monkeypatch.setattr(pretrain, "training_text", lambda *_: pytest.fail("prepared again"))
    pretrain.prepared(text, text.pretraining, folder, ["x"])


@pytest.mark.parametrize("content", ["", "[]", '{"of": 1}', None], ids=ascii)
def test_a_damaged_card_is_made_again_with_its_encoder(text, content):
    run, card = (
        Run("pretrained", "mini-scratch", model="remake"),
        runs_dir() / "mini-scratch/encoder/card.json",
    )
    pretrain.remake(run)
    whole = card.read_text()
    card.write_text(whole.replace('"steps": 6', '"steps": 7') if content is None else content)
    net, told, _ = pretrain.remake(run)
    assert told.dose["steps"] == 6 and json.loads(card.read_text())["curve"] == told.curve
    assert pretrain.remake(run)[1] == told


def test_a_scale_with_a_public_model_makes_none():
    with pytest.raises(errors.Bad, match="starts from a public model"):
        phases.pretrained(Run("pretrained", "base", model="remake"))
