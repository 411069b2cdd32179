"""The loop: same seed, same loss; stop and resume is no stop, to the bit; a tiny model learns."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xit_core import phases
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine import errors
from xit_core.machine.errors import Bad
from xit_core.machine.places import runs_dir
from xit_core.model import flat, origins, pieces, pretrain, schedule, train
from xit_core.model.kinds import KINDS
from xit_core.model.mixture import Mixture
from xit_core.phases import training_set

ONE_OF_EACH = ("mnli", "hellaswag", "squad1", "udpos", "mlm")


class Killed(Exception):
    pass


def setting(names=ONE_OF_EACH, steps=12, rows=16):
    net = origins.start(SCALES["smoke"], seed=5)
    features, _ = training_set(net, tuple(TASKS[n] for n in names), SCALES["smoke"], rows, seed=5)
    return net, Mixture(features, 4, steps, seed=5)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_the_first_steps_can_train_the_heads_alone(tmp_path):
    net, batches = setting(("mlm",))
    before = {name: x.clone() for name, x in net.state_dict().items()}

    def look(now):
        return {"moved": [n for n, x in now.state_dict().items() if not torch.equal(x, before[n])]}

    curve = train.fit(net, batches, 1e-3, 5, tmp_path, probe=(3, look), alone=(8, 1e-2))
    moved = {point["step"]: point["moved"] for point in curve if "moved" in point}
    assert moved[4] == moved[8] and moved[4] and all(name.startswith("heads.") for name in moved[8])
    assert any(name.startswith("encoder.") for name in look(net)["moved"])
    rates = [point["rate"] for point in curve if "rate" in point]
    assert rates[:8] == [1e-2] * 8 and rates[8:] == pytest.approx(
        [1e-3 * schedule.slope(i, 4) for i in range(4)]
    )


def test_the_same_seed_gives_the_same_weights(tmp_path):
    (one, a), (two, b) = setting(), setting()
    first, second = train.fit(one, a, 1e-3, 5, tmp_path / "a"), train.fit(two, b, 1e-3, 5, tmp_path / "b")
    assert first == second and torch.equal(weights(one), weights(two))


@pytest.mark.parametrize(
    "names", [ONE_OF_EACH, ONE_OF_EACH[:-1]], ids=["with the whole table", "with a compact vocabulary"]
)
def test_stop_and_resume_is_no_stop_to_the_bit(tmp_path, names):
    whole, batches = setting(names)
    curve = train.fit(whole, batches, 1e-3, 5, tmp_path / "whole", save_every=4)
    net, batches = setting(names)

    def die(now):
        raise Killed

    with pytest.raises(Killed):  # after the checkpoint of step 4, at the probe of step 6
        train.fit(net, batches, 1e-3, 5, tmp_path / "cut", save_every=4, probe=(2, die))
    assert (tmp_path / "cut/resume.pt").is_file()
    net, batches = setting(names)
    resumed = train.fit(net, batches, 1e-3, 5, tmp_path / "cut", save_every=4)
    assert torch.equal(weights(whole), weights(net)) and curve == resumed
    assert not (tmp_path / "cut/resume.pt").exists()


@pytest.mark.parametrize("names", [ONE_OF_EACH, ("mnli",)])
def test_a_probe_sees_the_whole_model_and_does_not_change_the_training(tmp_path, names):
    (one, a), (two, b) = setting(names), setting(names)
    size = one.encoder.get_input_embeddings().weight.shape

    def look(net):
        assert net.encoder.get_input_embeddings().weight.shape == size
        return {"seen": 1.0}

    train.fit(one, a, 1e-3, 5, tmp_path / "a")
    curve = train.fit(two, b, 1e-3, 5, tmp_path / "b", probe=(3, look))
    assert torch.equal(weights(one), weights(two)) and [p["step"] for p in curve if "seen" in p] == [4, 8]


def cut_off(folder):
    """Leave the checkpoint of a training that was killed after a step."""
    net, batches = setting(("mnli",))

    def die(now):
        raise Killed

    with pytest.raises(Killed):
        train.fit(net, batches, 1e-3, 5, folder, save_every=1, probe=(4, die))
    return folder / "resume.pt"


def of_another_model(file):
    state = torch.load(file, weights_only=True)
    torch.save(state | {"net": {name: x[:1] for name, x in state["net"].items()}}, file)


DAMAGE = {
    "text": lambda file: file.write_bytes(b"half a file"),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-200]),
    "byte": lambda file: file.write_bytes(file.read_bytes().replace(b"\x3f", b"\x3e", 1)),
    "folder": lambda file: file.unlink() or file.mkdir(),
    "another model": of_another_model,
    "list": lambda file: torch.save([1, 2], file),
    "types": lambda file: torch.save(
        torch.load(file, weights_only=True) | {"losses": "x", "random": 3}, file
    ),
    "field": lambda file: torch.save(
        {k: v for k, v in torch.load(file, weights_only=True).items() if k != "probed"}, file
    ),
    "probed": lambda file: torch.save(torch.load(file, weights_only=True) | {"probed": [1]}, file),
}


def test_a_step_has_a_feature_for_each_process_or_is_one_line():
    net, batches = setting(("mnli",))
    name, features = batches.at(0)
    parts = [
        train.share(name, features, net, (5, 0), 0.15, SimpleNamespace(num_processes=4, process_index=i))[0]
        for i in range(4)
    ]
    assert [len(part) for part in parts] == [1] * 4
    with pytest.raises(Bad, match="a step of mnli has 4 features for 5 processes; .*start fewer processes"):
        train.share(name, features, net, (5, 0), 0.15, SimpleNamespace(num_processes=5, process_index=0))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_kept_and_the_advice_works(tmp_path, how):
    file = cut_off(tmp_path)
    DAMAGE[how](file)
    net, batches = setting(("mnli",))
    with pytest.raises(
        Bad, match=r"resume\.pt: damaged checkpoint .*; delete it, the training then starts again"
    ) as error:
        train.fit(net, batches, 1e-3, 5, tmp_path)
    assert file.exists() and "\n" not in str(error.value) and train.spent(tmp_path) >= 0
    file.rmdir() if file.is_dir() else file.unlink()
    net, batches = setting(("mnli",))
    assert train.fit(net, batches, 1e-3, 5, tmp_path)


@pytest.mark.parametrize(
    ("broken", "said"), [(0, "loss is nan at step 1,"), (11, "weight is no number at step 12")]
)
def test_a_training_that_diverges_is_one_line_and_leaves_no_checkpoint(tmp_path, monkeypatch, broken, said):
    net, batches = setting(("mnli",))
    move, steps = train.move, iter(range(12))

    def breaks(optimiser, flats, *given):  # the last weights break after the last loss was computed
        move(optimiser, flats, *given)
        if next(steps) == broken:
            flats[0].whole.data[0] = torch.nan

    monkeypatch.setattr(train, "move", breaks)
    if not broken:
        for weights in net.parameters():
            weights.data.fill_(torch.nan)
    with pytest.raises(Bad, match=said):
        train.fit(net, batches, 1e-3, 5, tmp_path, save_every=5)
    assert not (tmp_path / "resume.pt").exists() or broken


def test_the_rate_warms_up_and_decays():
    slopes = [schedule.slope(i, 100) for i in range(101)]
    assert slopes[0] == 0.1 and max(slopes) == slopes[9] == slopes[10] == 1 and slopes[100] == 0
    assert slopes[55] == pytest.approx(0.5)


def test_biases_and_norms_do_not_decay():
    net = origins.start(SCALES["smoke"])
    flats = flat.flattened(net, net.trained)
    for part in flats:
        assert {p.ndim for p in part.parameters} == ({2} if part.group["weight_decay"] == 0.01 else {1})
    assert [part.group["weight_decay"] for part in flats] == [0.01, 0.0]


@pytest.mark.parametrize("name", ["mnli", "csqa", "squad1", "udpos", "scenes"])
def test_a_tiny_model_overfits_eight_examples(name, tmp_path):
    net, batches = setting((name,), steps=150, rows=8)
    batches = Mixture(batches.features, 8, 150, 5)
    net.encoder.config.hidden_dropout_prob = net.encoder.config.attention_probs_dropout_prob = 0.0
    for layer in net.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    curve = train.fit(net, batches, 5e-3, 5, tmp_path)
    assert curve[-1]["loss"] < 0.2 * curve[0]["loss"], (name, KINDS[TASKS[name].kind])


def test_the_core_is_loaded_without_the_libraries_that_read_data():
    code = (
        "import sys; sys.modules |= dict.fromkeys(('datasets', 'pandas', 'pyarrow')); import "
        "xit_core.model.train, xit_core.phases"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- pretraining ---------------------------------------------------------------------------------------------


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
    backward, at = train.backward, int(np.random.default_rng().integers(1, 8))
    monkeypatch.setattr(pretrain, "SAVE", 1)
    calls = iter(range(at + 1))
    monkeypatch.setattr(
        train, "backward", lambda *given: backward(*given) if next(calls) < at else pytest.exit("killed")
    )
    with pytest.raises(pytest.exit.Exception):
        pretrain.remake(RUN)
    monkeypatch.setattr(train, "backward", backward)
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
