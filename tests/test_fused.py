"""The layer with a written-out gradient equals transformers' own."""

import pytest
import torch
from torch import nn

from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.model import encoder, families, fused, origins, packed
from xit_core.model.flat import flattened

CPU = torch.device("cpu")
LENGTHS = {"uneven": [3, 7, 1, 12], "even": [5, 5, 5], "one": [9]}


@pytest.fixture
def layer():
    torch.manual_seed(1)
    net = families.empty(encoder.shape(SCALES["micro"].pretraining, 50))
    net.set_attn_implementation("packed")
    for p in net.encoder.layer[0].parameters():
        nn.init.normal_(p, std=0.3)
    return net.encoder.layer[0]


def gradients(layer, x, states, weights):
    """What the states and the gradients of the input and of every parameter are."""
    for p in [x, *layer.parameters()]:
        p.grad = None
    (states.float() * weights).sum().backward()
    return [states.detach().float(), x.grad, *(p.grad for p in layer.parameters())]


def alike(ours, theirs, tolerance):
    # the gradient of the keys' bias is zero but for rounding
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= tolerance * (1 + b.abs().max())


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("first", [False, True], ids=["all tokens", "first tokens"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_states_and_gradients_are_those_of_transformers(layer, lengths, first, half):
    s = packed.Sequences(lengths, CPU)
    x = torch.randn(s.tokens, 64, requires_grad=True)
    weights = torch.randn(len(lengths) if first else s.tokens, 64)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        theirs = layer(x[None], sequences=s)[0]
        ours = fused.run(layer, x, s, s.firsts if first else s, half)
    theirs = theirs[s.begins] if first else theirs
    assert ours.shape == weights.shape and ours.dtype == torch.float32
    expected = gradients(layer, x, theirs, weights)
    found = gradients(layer, x, ours, weights)
    alike(found, expected, 0.03 if half else 1e-5)


def with_dropout(layer):
    layer.train()
    layer.attention.self.dropout.p = 0.1


def with_an_adapter(layer):
    layer.output.dense = nn.Sequential(layer.output.dense, nn.Linear(64, 64))


def with_another_activation(layer):
    layer.intermediate.intermediate_act_fn = nn.ReLU()


@pytest.mark.parametrize("change", [with_dropout, with_an_adapter, with_another_activation])
def test_a_layer_that_is_something_else_is_left_to_transformers(layer, change):
    assert fused.fits(layer, CPU) and not fused.fits(layer, torch.device("cuda"))
    change(layer)
    assert not fused.fits(layer, CPU)


def test_dropout_counts_only_in_training(layer):
    with_dropout(layer)
    assert fused.fits(layer.eval(), CPU)


def test_a_step_moves_the_encoder_and_the_head_of_its_task_alone():
    net = origins.start(SCALES["smoke"])
    for name in ("mnli", "qqp"):
        net.add_head(TASKS[name], TASKS[name].labels)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    flats = flattened(net, net.trained)
    assert [flat.owner for flat in flats] == ["", "", "mnli", "mnli", "qqp", "qqp"]
    optimiser = torch.optim.AdamW([flat.group for flat in flats], lr=0.1)
    for p in net.parameters():
        p.grad.fill_(1.0)
    for flat in flats:
        flat.use(flat.owner in ("", "mnli"))
    optimiser.step()
    for flat in flats:
        flat.clear()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if not name.startswith("heads.qqp")}
    assert not any(p.grad.any() for p in net.parameters())
    for flat in flats:
        flat.release()
    storages = {p.data.untyped_storage().data_ptr() for p in net.parameters()}
    assert len(storages) == len(before) and all(p.grad is None for p in net.parameters())
