"""Ways to train a stage: what each leaves unchanged, what it saves, and the equations of the papers."""

import re

import pytest
import torch
from torch.nn import functional

from xit_core import phases
from xit_core.data import reading
from xit_core.design.methods import FUSION, METHODS
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.model import families, methods, origins, packed
from xit_core.model.kinds import encoded, labels
from xit_core.model.methods import adapter, fusion, lora

SMOKE = SCALES["smoke"]
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
def net():
    return origins.start(SMOKE, seed=3)


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
    again = methods.of(run.stages[-1].method).read(run, lambda: origins.start(SMOKE, seed=3))
    assert torch.allclose(states(again, batch), trained, atol=1e-5)


def test_lora_merged_equals_unmerged(net, batch):
    handle = lora.wrapped(net)
    unmerged = states(jolted(net), batch)
    assert not torch.allclose(unmerged, states(origins.start(SMOKE, seed=3), batch), atol=1e-2)
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
