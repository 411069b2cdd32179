"""The encoder: transformers' own layout, heads dropped between stages, damage named."""

import hashlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import XLMRobertaForMaskedLM

import plain
from xit_core.design.encoders import INDEX, Encoder, hub, weights_hash
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine.errors import Bad
from xit_core.model import checkpoints, encoder, origins, packed

TABLE = "embeddings.word_embeddings.weight"
NEEDS_ENCODER = pytest.mark.skipif(
    not (SCALES["micro"].encoder.folder / "model.safetensors").is_file(),
    reason="the micro encoder is not made yet",
)


@pytest.fixture
def net():
    return origins.start(SCALES["smoke"], seed=1)


def test_random_weights_are_a_function_of_the_seed():
    one, same, other = (
        origins.start(SCALES["smoke"], seed=s).state_dict()["encoder.embeddings.word_embeddings.weight"]
        for s in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_what_is_written_is_read_by_transformers_with_the_same_logits(net, tmp_path):
    net.add_head(TASKS["mlm"], ())
    checkpoints.write_model(net, tmp_path)
    theirs = XLMRobertaForMaskedLM.from_pretrained(tmp_path).eval()
    features = [{"ids": [0, 7, 8, 9, 2], "hidden": np.arange(5)}, {"ids": [0, 7, 2], "hidden": np.arange(3)}]
    ids, mask = plain.pad(features)
    with torch.inference_mode():
        ours = net.eval()("mlm", packed.pack(features, torch.device("cpu")))
        expected = theirs(input_ids=ids, attention_mask=mask).logits[mask == 1]
    assert torch.allclose(ours, expected, atol=1e-5)


def same(one, other):
    return all(torch.equal(x, other.state_dict()[k]) for k, x in one.state_dict().items())


def test_a_checkpoint_that_is_written_anew_leaves_only_its_own_files(net, tmp_path):
    for dtype in (torch.bfloat16, torch.float32):
        checkpoints.write_model(net, tmp_path, dtype)
        again = checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"]).encoder
        assert all(
            torch.equal(x.to(dtype).float(), again.state_dict()[k])
            for k, x in net.encoder.state_dict().items()
        )
    sums = {x.name for x in tmp_path.glob("model.*.sha256")}
    assert {x.name for x in tmp_path.iterdir()} - sums == {"config.json", "model.safetensors"}


def test_what_cannot_be_written_whole_is_not_written(net, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(Bad, match="cannot write the checkpoint"):
        checkpoints.write_model(net, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_hash_of_an_encoder_is_that_of_its_file_or_of_all_its_parts(net, tmp_path):
    hashed = weights_hash.__wrapped__
    assert hashed(tmp_path) == ""
    checkpoints.write_model(net, tmp_path)
    whole = tmp_path / "model.safetensors"
    assert hashed(tmp_path) == hashlib.sha256(whole.read_bytes()).hexdigest()
    parts = [whole.rename(tmp_path / "model-1.safetensors"), tmp_path / "model-2.safetensors"]
    parts[1].write_bytes(b"second")
    named = {"a": parts[1].name, "b": parts[0].name, "c": parts[1].name}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": named}))
    assert hashed(tmp_path) == hashlib.sha256(b"".join(x.read_bytes() for x in parts)).hexdigest()
    parts[1].unlink()
    assert hashed(tmp_path) == ""
    (tmp_path / INDEX).write_text('{"weight_map": ')
    with pytest.raises(Bad, match=f"{INDEX}: damaged; restore it"):
        hashed(tmp_path)


def test_the_encoder_is_kept_and_the_heads_are_dropped_between_stages(net, tmp_path):
    net.add_head(TASKS["mnli"], ("a", "b", "c"))
    checkpoints.write_model(net, tmp_path)
    again = checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"])
    assert not again.heads and encoder.distance(again, net.encoder.state_dict()) == 0


def test_a_damaged_checkpoint_is_named(net, tmp_path):
    checkpoints.write_model(net, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(Bad, match="damaged checkpoint"):
        checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"])
    file.unlink()
    with pytest.raises(Bad, match=r"model\.safetensors is missing"):
        checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_changed_byte_of_a_checkpoint_is_found(net, tmp_path, name):
    checkpoints.write_model(net, tmp_path)
    content = (tmp_path / name).read_bytes()
    for at in np.random.default_rng(0).integers(0, len(content), 20):
        (tmp_path / name).write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(Bad, match="damaged checkpoint .*; delete the folder, it is made again") as error:
            checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"])
        assert "\n" not in str(error.value)


CONFIGS = [
    "", "[]", "{", "null", '{"hidden_size": "x"}', '{"hidden_size": 0}', '{"num_attention_heads": 0}',
    '{"vocab_size": -1}', '{"num_hidden_layers": 1.5}', '{"hidden_act": "no such"}',
    '{"num_attention_heads": [1]}',
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS)
def test_a_damaged_config_is_one_line_also_where_no_hashes_are(net, tmp_path, config):
    checkpoints.write_model(net, tmp_path)
    for sums in tmp_path.glob("model.*.sha256"):
        sums.unlink()
    # as older checkpoints are
    assert same(checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"]).encoder, net.encoder)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Bad, match="damaged checkpoint") as error:
        checkpoints.read_model(tmp_path, net.tokenizer, SCALES["smoke"])
    assert "\n" not in str(error.value)


@NEEDS_ENCODER
@pytest.mark.parametrize("kind", ["", "random"])
def test_a_damaged_encoder_of_the_package_is_to_be_restored(tmp_path, monkeypatch, kind):
    shutil.copytree(SCALES["micro"].encoder.folder, tmp_path / "micro")
    shipped = SCALES["micro"].encoder.folder
    monkeypatch.setattr(Encoder, "folder", property(lambda _: tmp_path / "micro"))
    origins.start(SCALES["micro"], kind)
    (tmp_path / "micro/config.json").write_text('{"hidden_size": "x"}')
    with pytest.raises(
        Bad, match=r"micro: damaged .*; restore it \(git checkout, or install the package again\)"
    ) as error:
        origins.start(SCALES["micro"], kind)
    assert "\n" not in str(error.value)
    shutil.copy(shipped / "config.json", tmp_path / "micro")
    origins.start(SCALES["micro"], kind)
    (tmp_path / "micro/config.json").unlink()
    with pytest.raises(Bad, match="config.json is missing.*; restore it .*make encoder SCALE=micro"):
        origins.start(SCALES["micro"])


def test_a_model_and_the_heads_it_gets_are_where_it_would_be_trained(net, monkeypatch):
    monkeypatch.setattr(encoder, "PartialState", lambda: SimpleNamespace(device=torch.device("meta")))
    net = encoder.Model(net.encoder, net.tokenizer, SCALES["smoke"])
    net.add_head(TASKS["mnli"], ("a", "b", "c"))
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_distance_is_relative():
    net = origins.start(SCALES["smoke"])
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    for p in net.encoder.parameters():
        p.data.mul_(1.1)
    assert encoder.distance(net, before) == pytest.approx(0.1, rel=1e-4)


@NEEDS_ENCODER
def test_the_shipped_micro_encoder_is_small_and_whole():
    assert (SCALES["micro"].encoder.folder / "model.safetensors").stat().st_size <= 1.5e6
    net = origins.start(SCALES["micro"])
    assert net.lm_head and net.encoder.config.num_hidden_layers == SCALES["micro"].pretraining.layers


def hub_folder(folder, with_head):
    """Files as the hub has them for XLM-R: an encoder of the size of smoke's, with its tokenizer."""
    net = origins.start(SCALES["smoke"])
    torch.manual_seed(7)
    model = XLMRobertaForMaskedLM(net.encoder.config)
    torch.nn.init.normal_(model.lm_head.bias)
    kept = {k: v.contiguous() for k, v in model.state_dict().items() if k.startswith("roberta.") or with_head}
    save_file(
        {k: v for k, v in kept.items() if "decoder" not in k}, folder / "model.safetensors", {"format": "pt"}
    )
    net.encoder.config.save_pretrained(folder)
    net.tokenizer.save(str(folder / "tokenizer.json"))
    return model


def from_hub(folder, monkeypatch):
    """The start of a scale whose encoder the hub would give from a folder."""
    monkeypatch.setattr(origins, "hub_file", lambda encoder, name: folder / name)
    return origins.start(replace(SCALES["smoke"], encoder=hub(str(folder), "", layers=2, hidden=64)))


def test_masked_lm_goes_on_with_the_head_that_the_hub_gives(tmp_path, monkeypatch):
    theirs = hub_folder(tmp_path, with_head=True)
    net = from_hub(tmp_path, monkeypatch)
    net.add_head(TASKS["mlm"], ())
    head = net.heads["mlm"].state_dict()
    assert torch.equal(head["dense.weight"], theirs.lm_head.dense.weight)
    assert torch.equal(head["bias"], theirs.lm_head.bias)
    assert torch.equal(net.encoder.state_dict()[TABLE], theirs.roberta.state_dict()[TABLE])


def test_an_encoder_of_the_hub_without_that_head_gets_a_new_one(tmp_path, monkeypatch):
    theirs = hub_folder(tmp_path, with_head=False)
    net = from_hub(tmp_path, monkeypatch)
    assert net.lm_head is None
    assert torch.equal(net.encoder.state_dict()[TABLE], theirs.roberta.state_dict()[TABLE])


def test_a_hub_model_that_cannot_be_had_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Bad, match="xlm-roberta-base"):
        origins.start(SCALES["base"])
