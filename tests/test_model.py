"""The encoder: transformers' own layout, heads dropped between stages, damage named."""

import numpy as np
import pytest
import torch
from transformers import XLMRobertaForMaskedLM

import plain
from xit_core import model, packed
from xit_core.config import SCALES, Bad, encoder_dir

NEEDS_ENCODER = pytest.mark.skipif(
    not (encoder_dir("micro") / "model.safetensors").is_file(), reason="the micro encoder is not made yet"
)


@pytest.fixture
def net():
    return model.start("smoke", seed=1)


def test_random_weights_are_a_function_of_the_seed():
    one, same, other = (model.start("smoke", seed=s).state_dict()["encoder.embeddings.word_embeddings.weight"] for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_what_is_written_is_read_by_transformers_with_the_same_logits(net, tmp_path):
    net.add_head("mlm", ())
    model.write(net, tmp_path)
    theirs = XLMRobertaForMaskedLM.from_pretrained(tmp_path).eval()
    features = [{"ids": [0, 7, 8, 9, 2], "hidden": np.arange(5)}, {"ids": [0, 7, 2], "hidden": np.arange(3)}]
    ids, mask = plain.pad(features)
    with torch.inference_mode():
        ours = net.eval()("mlm", packed.pack(features, torch.device("cpu")))
        expected = theirs(input_ids=ids, attention_mask=mask).logits[mask == 1]
    assert torch.allclose(ours, expected, atol=1e-5)


def test_the_encoder_is_kept_and_the_heads_are_dropped_between_stages(net, tmp_path):
    net.add_head("mnli", ("a", "b", "c"))
    model.write(net, tmp_path)
    again = model.read(tmp_path, net.tokenizer, SCALES["smoke"])
    assert not again.heads and model.distance(again, net.encoder.state_dict()) == 0


def test_a_damaged_checkpoint_is_named(net, tmp_path):
    model.write(net, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(Bad, match="damaged checkpoint"):
        model.read(tmp_path, net.tokenizer, SCALES["smoke"])
    file.unlink()
    with pytest.raises(Bad, match=r"model\.safetensors is missing"):
        model.read(tmp_path, net.tokenizer, SCALES["smoke"])


def test_distance_is_relative():
    net = model.start("smoke")
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    for p in net.encoder.parameters():
        p.data.mul_(1.1)
    assert model.distance(net, before) == pytest.approx(0.1, rel=1e-4)


@NEEDS_ENCODER
def test_the_shipped_micro_encoder_is_small_and_whole():
    assert (encoder_dir("micro") / "model.safetensors").stat().st_size <= 1.5e6
    net = model.start("micro")
    assert net.lm_head and net.encoder.config.num_hidden_layers == SCALES["micro"].pretraining.layers


def test_a_hub_model_that_cannot_be_had_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Bad, match="xlm-roberta-base"):
        model.start("base")
