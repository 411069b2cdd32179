"""Pretraining: text packed as told, and a killed run that ends as an unbroken one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from xit_core import phases
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.machine import errors
from xit_core.machine.places import runs_dir
from xit_core.model import pieces, pretrain, train

RUN = Run("pretrained", "smoke", model="remake")
MADE = pieces.unigram_tokenizer([("▁", -1.0), ("a", -2.0), ("b", -2.0), ("c", -2.0)])


def spelt(lines: list[str], length: int, together: bool) -> list[str]:
    found = pretrain.packed(lines, MADE, length, together)
    return ["".join(MADE.id_to_token(piece) for piece in ids) for ids in found]


def test_neighbouring_lines_share_a_sequence_where_they_fit_and_are_never_cut_for_it():
    assert spelt(["ab", "c", "abc"], 5, together=True) == ["▁ab▁c", "▁abc"]
    assert spelt(["ab", "c", "abc"], 5, together=False) == ["▁ab", "▁c", "▁abc"]
    assert spelt(["abcabc", "", "c"], 4, together=True) == ["▁abc", "▁c"]


def test_all_text_of_the_world_is_read_once_and_every_word_is_a_piece():
    s = SCALES["smoke"]
    made, features, read = pretrain.prepared(s, s.pretraining)
    assert [entry["lang"] for entry in read] == ["en", "al", "zi"]
    assert {entry["rows"] for entry in read} == {s.pretraining.rows}
    assert max(features.lengths) <= s.pretraining.length and made.token_to_id("<unk>") not in features.ids
    again = pretrain.prepared(s, s.pretraining)
    assert again[0].to_str() == made.to_str() and np.array_equal(again[1].ids, features.ids)
    assert again[2] == read


def test_a_killed_pretraining_goes_on_where_it_was_and_gives_the_same_curve_and_weights(
    monkeypatch, tmp_path
):
    learn, at = train.learn, int(np.random.default_rng().integers(1, 8))
    monkeypatch.setattr(pretrain, "SAVE", 1)
    calls = iter(range(at + 1))
    monkeypatch.setattr(
        train, "learn", lambda *given: learn(*given) if next(calls) < at else pytest.exit("killed")
    )
    with pytest.raises(pytest.exit.Exception):
        pretrain.remake(RUN)
    monkeypatch.setattr(train, "learn", learn)
    assert train.spent(RUN.folder) > 0, "the seconds of the killed run count"
    again, resumed, _ = pretrain.remake(RUN)
    folder = runs_dir() / "smoke/encoder"
    assert json.loads((folder / "card.json").read_text())["curve"] == resumed.curve
    assert not (RUN.folder / "resume.pt").exists()
    monkeypatch.setenv("XIT_RUNS", str(tmp_path / "unbroken"))
    net, told, _ = pretrain.remake(RUN)
    assert resumed == told, f"killed at step {at}"
    assert all((x == again.state_dict()[k]).all() for k, x in net.state_dict().items())


def test_what_is_finished_is_not_made_again_unless_it_was_made_of_something_else(monkeypatch):
    first, training, seconds = pretrain.remake(RUN)
    with monkeypatch.context() as frozen:
        frozen.setattr(pretrain, "fit", lambda *_, **__: pytest.fail("it is finished"))
        net, told, spent = pretrain.remake(RUN)
    assert (told.curve, told.dose, spent) == (training.curve, training.dose, seconds)
    assert all((x == first.state_dict()[k]).all() for k, x in net.state_dict().items())
    assert pretrain.remake(replace(RUN, seed=2))[1] != training, "another seed starts anew"


@pytest.mark.parametrize("content", [b"", b"[]", None], ids=ascii)
def test_an_encoder_whose_tokenizer_is_damaged_is_made_again(content):
    pretrain.remake(RUN)
    file = runs_dir() / "smoke/encoder/tokenizer.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + b"x" + whole[-8:] if content is None else content)
    pretrain.remake(RUN)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("content", ["", "[]", '{"of": 1}', None], ids=ascii)
def test_a_damaged_card_is_made_again_with_its_encoder(content):
    card = runs_dir() / "smoke/encoder/card.json"
    pretrain.remake(RUN)
    whole = card.read_text()
    card.write_text(whole.replace('"steps": 8', '"steps": 7') if content is None else content)
    net, told, _ = pretrain.remake(RUN)
    assert told.dose["steps"] == 8 and json.loads(card.read_text())["curve"] == told.curve
    assert pretrain.remake(RUN)[1] == told


def test_a_scale_with_a_public_model_makes_none():
    with pytest.raises(errors.Bad, match="starts from a public model"):
        phases.pretrained(Run("pretrained", "base", model="remake"))
