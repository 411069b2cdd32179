"""The encoder: layout of transformers, heads dropped between stages, damage named; ways to train a stage."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import XLMRobertaForMaskedLM

import plain
from xit_core import phases
from xit_core.data import reading
from xit_core.design.encoders import INDEX, Encoder, hub, weights_hash
from xit_core.design.methods import FUSION, METHODS
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.model import checkpoints, encoder, families, methods, origins, packed
from xit_core.model.kinds import encoded, labels
from xit_core.model.methods import adapter, fusion, lora

SMOKE = SCALES["smoke"]
TABLE = "embeddings.word_embeddings.weight"
NEEDS_ENCODER = pytest.mark.skipif(
    not (SCALES["micro"].encoder.folder / "model.safetensors").is_file(),
    reason="the micro encoder is not made yet",
)


@pytest.fixture
def net():
    return origins.start(SMOKE, seed=1)


def test_random_weights_are_a_function_of_the_seed():
    one, same, other = (
        origins.start(SMOKE, seed=s).state_dict()["encoder.embeddings.word_embeddings.weight"]
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
        again = checkpoints.read_model(tmp_path, net.tokenizer, SMOKE).encoder
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
    again = checkpoints.read_model(tmp_path, net.tokenizer, SMOKE)
    assert not again.heads and encoder.distance(again, net.encoder.state_dict()) == 0


def test_a_damaged_checkpoint_is_named(net, tmp_path):
    checkpoints.write_model(net, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(Bad, match="damaged checkpoint"):
        checkpoints.read_model(tmp_path, net.tokenizer, SMOKE)
    file.unlink()
    with pytest.raises(Bad, match=r"model\.safetensors is missing"):
        checkpoints.read_model(tmp_path, net.tokenizer, SMOKE)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_changed_byte_of_a_checkpoint_is_found(net, tmp_path, name):
    checkpoints.write_model(net, tmp_path)
    content = (tmp_path / name).read_bytes()
    for at in np.random.default_rng(0).integers(0, len(content), 20):
        (tmp_path / name).write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(Bad, match="damaged checkpoint .*; delete the folder, it is made again") as error:
            checkpoints.read_model(tmp_path, net.tokenizer, SMOKE)
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
    assert same(checkpoints.read_model(tmp_path, net.tokenizer, SMOKE).encoder, net.encoder)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Bad, match="damaged checkpoint") as error:
        checkpoints.read_model(tmp_path, net.tokenizer, SMOKE)
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
    net = encoder.Model(net.encoder, net.tokenizer, SMOKE)
    net.add_head(TASKS["mnli"], ("a", "b", "c"))
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_distance_is_relative():
    net = origins.start(SMOKE)
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
    net = origins.start(SMOKE)
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
    return origins.start(replace(SMOKE, encoder=hub(str(folder), "", layers=2, hidden=64)))


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


# -- ways to train a stage: what each leaves unchanged, what it saves, and the equations of the papers ------

# methods that train a stage by itself and leave the encoder's own weights
ALONE = [m.name for m in METHODS.values() if not m.whole and m.name != FUSION]


def features(net, name="xnli", rows=5):
    examples, read = reading.training_examples(TASKS[name], SMOKE, rows, "en")
    net.add_head(TASKS[name], labels(TASKS[name], examples))
    return list(encoded(TASKS[name], examples, read, net.tokenizer, SMOKE, net.labels[name]))


def states(net, batch):
    with torch.inference_mode():
        return list(net.states(batch))[-1]


def jolted(net, seed=1):
    """The model with its trained weights moved far from where they start."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in net.trained:
            weights.add_(torch.randn_like(weights) * 0.1)
    return net


@pytest.fixture
def batch(net):
    return packed.pack(features(net), torch.device("cpu"))


@pytest.mark.parametrize("method", ALONE)
def test_a_stage_leaves_the_encoder_s_own_weights_to_the_bit(method):
    run = Run("mnli", method=method)
    phases.intermediate(run)
    start = origins.start(SMOKE).encoder.state_dict()
    net = origins.start(SMOKE)
    methods.of(METHODS[method]).add(net)
    before = {name: x.clone() for name, x in net.encoder.state_dict().items()}
    phases.fit(net, mixture_of(net), 1e-2, 1, run.folder.parent / "again")
    after = net.encoder.state_dict()
    own = {name: name.replace(".base_layer", "") for name in after}
    kept = [name for name in after if own[name] in start]
    assert {own[name] for name in kept} == set(start)
    assert all(torch.equal(after[name], start[own[name]]) for name in kept)
    added = [name for name in after if name not in kept]
    assert added and any(not torch.equal(after[name], before[name]) for name in added)


def mixture_of(net):
    return phases.mixture.Mixture({"xnli": features(net)}, 4, 6, 1)


@pytest.mark.parametrize("method", ALONE)
def test_what_a_stage_saves_is_what_it_trained_and_gives_its_states_back(method, net, batch):
    run = Run("mnli", method=method)
    methods.of(METHODS[method]).add(net)
    trained = states(jolted(net), batch)
    methods.of(run.stages[-1].method).write(net, run.folder)
    size = (run.folder / "model.safetensors").stat().st_size
    saved = sum(x.numel() for name, x in net.encoder.named_parameters() if x.requires_grad)
    assert run.has_checkpoint and size < 4 * saved + 4096
    again = methods.of(run.stages[-1].method).read(run, lambda: origins.start(SMOKE, seed=1))
    assert torch.allclose(states(again, batch), trained, atol=1e-5)


def test_lora_merged_equals_unmerged(net, batch):
    handle = lora.wrapped(net)
    unmerged = states(jolted(net), batch)
    assert not torch.allclose(unmerged, states(origins.start(SMOKE, seed=1), batch), atol=1e-2)
    net.encoder = handle.merge_and_unload()
    assert torch.allclose(states(net, batch), unmerged, atol=1e-5)
    assert net.encoder.state_dict().keys() == origins.start(SMOKE).encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("method", "weights"), [(lora, lora.added), (adapter, adapter.newest)], ids=["lora", "adapter"]
)
def test_the_fused_layer_has_the_gradients_of_the_plain_one(method, weights, net, batch, monkeypatch):
    method.add(net)
    jolted(net)
    found = []
    for fits in (phases.encoder.fused.fits, lambda *_: False):
        monkeypatch.setattr(phases.encoder.fused, "fits", fits)
        net.zero_grad()
        list(net.states(batch))[-1].square().sum().backward()
        found.append([x.grad.clone() for x in weights(net).values()])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4) and theirs.abs().max() > 0


def test_an_adapter_is_the_equation_of_its_paper(net, batch, monkeypatch):
    adapter.add(net)
    jolted(net)
    layer, x = net.encoder.encoder.layer[0], families.embedded(net.encoder, batch)
    norm = layer.output.LayerNorm
    (bottleneck,) = norm.added
    norm.added = torch.nn.ModuleList()
    monkeypatch.setattr(norm, "forward", lambda y: y)
    y = layer(x[None], sequences=batch["sequences"])[0]
    monkeypatch.undo()
    norm.added.append(bottleneck)
    normed = lambda y: functional.layer_norm(y, y.shape[-1:], norm.weight, norm.bias, norm.eps)  # noqa: E731
    down, up = bottleneck.down, bottleneck.up
    inner = torch.relu(normed(y) @ down.weight.T + down.bias) @ up.weight.T + up.bias
    assert torch.allclose(list(net.states(batch, 1))[-1], normed(y + inner), atol=1e-5)
    assert down.weight.shape == (8, 32)


def test_a_fusion_of_one_adapter_equals_that_adapter(net, batch):
    adapter.add(net)
    alone = states(jolted(net), batch)
    fusion.add(net)
    assert torch.allclose(states(net, batch), alone, atol=1e-6)
    trained = {name for name, x in net.encoder.named_parameters() if x.requires_grad}
    assert trained and all(".adapters." not in name and ".added.0." in name for name in trained)


def test_a_fusion_attends_to_what_its_adapters_make(net):
    for seed in (1, 2, 3):
        adapter.add(net)
        jolted(net, seed)
    fusion.add(net)
    jolted(net, 4)
    part = net.encoder.encoder.layer[1].output.LayerNorm.added[0]
    assert len(part.adapters) == 3
    h = torch.randn(7, 32)
    for row, found in zip(h, part(h), strict=True):
        made = [one(row) for one in part.adapters]
        scores = torch.stack([part.query(row) @ part.key(z) for z in made]).softmax(0)
        assert torch.allclose(
            found, sum(s * part.value(z) for s, z in zip(scores, made, strict=True)), atol=1e-5
        )


def test_a_fusion_starts_from_each_task_s_own_adapter():
    run = Run("mnli+squad1 > xnli", method="adapter > fusion", steps="single")
    assert run.steps == "sum" and {x.path for x in run.parents} == {"mnli", "squad1"}
    row = phases.targets("mnli+squad1 > xnli", method="adapter > fusion")[0]
    assert all(results.read(parent) for parent in run.parents) and not results.read(run.parent)
    width = 32
    assert row["dose"]["trained"] == 2 * (3 * width * width + 2 * width)
    assert row["id"] != phases.targets("mnli+squad1 > xnli", method="adapter")[0]["id"]


def test_a_target_s_adapter_is_stacked_on_the_stage_s():
    run = Run("mnli > xnli", method="adapter")
    net = phases.reach(run)
    adapter.add(net)
    added = [len(norm.added) for norm in adapter.norms(net)]
    assert added == [2, 2] and sum(x.requires_grad for x in net.encoder.parameters()) == 2 * 4


def test_a_full_target_on_a_stage_s_adapter_trains_everything():
    row = phases.targets("mnli > xnli", method="adapter > full")[0]
    net = phases.reach(Run("mnli > xnli", method="adapter > full"))
    assert row["dose"]["trained"] == sum(x.numel() for x in net.encoder.parameters())


@pytest.mark.parametrize(
    ("path", "method", "told"),
    [
        ("mnli > squad1 > xnli", "adapter > full > full", "an intermediate stage cannot be 'full' after one"),
        ("mnli > xnli", "full > fusion", "'fusion' joins the adapters of one joint stage on a target"),
        ("xnli", "fusion", "allowed: 'adapter > fusion'"),
        ("mnli > xnli", "adapter > fusion", "'fusion' joins several tasks; name them with + in one stage"),
        ("mnli+squad1 > tatoeba", "adapter > fusion", "is trained on a target's rows, and tatoeba has none"),
        ("mnli+squad1 > squad2", "adapter > fusion", "is trained on a target's rows, and squad2 has none"),
    ],
)  # fmt: skip
def test_a_method_that_cannot_stand_where_it_does_gets_one_line(path, method, told):
    with pytest.raises(Bad, match=re.escape(told)):
        Run(path, method=method)


def test_an_interrupted_adapter_training_ends_with_the_same_weights(tmp_path):
    def trained(folder, stop=None):
        net = origins.start(SMOKE)
        torch.manual_seed(1)
        adapter.add(net)
        batches = mixture_of(net)
        if stop:
            at = batches.at
            batches.at = lambda step: (_ for _ in ()).throw(KeyboardInterrupt) if step == stop else at(step)
        phases.fit(net, batches, 1e-2, 1, folder, save_every=2)
        return adapter.newest(net)

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", stop=4)
    one, other = trained(tmp_path / "a"), trained(tmp_path / "b")
    assert all(torch.equal(x, other[name]) for name, x in one.items())
