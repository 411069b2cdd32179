"""Packed sequences give what padded ones do and never see each other; the layer with a written-out gradient
equals transformers' own.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import plain
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.model import bf16, compact, encoder, families, flat, fused, origins, packed, schedule, train
from xit_core.model.features import piece_ids
from xit_core.model.flat import flattened
from xit_core.model.mixture import BUDGET, READ, Mixture, cut
from xit_core.phases import training_set
from xit_core.score import evaluate

ONE_OF_EACH = ("mnli", "csqa", "squad1", "udpos", "mlm")
CPU = torch.device("cpu")
SMALL = origins.start(SCALES["smoke"], seed=2).eval()
OTHER = plain.twin(SMALL).eval()
LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=9)


def setting(name, rows=40, batch=8, steps=20, pooling="first"):
    net = origins.start(SCALES["smoke"], seed=5)
    net.pooling = pooling
    features, _ = training_set(net, (TASKS[name],), SCALES["smoke"], rows, seed=5)
    return net, Mixture(features, batch, steps, seed=5)


def drawn(lengths):
    draw = np.random.default_rng(sum(lengths))
    return [
        {"ids": draw.integers(4, SMALL.encoder.config.vocab_size, n).tolist(), "length": n} for n in lengths
    ]


def states(features):
    batch = packed.pack(features, CPU)
    return batch["sequences"], list(SMALL.states(batch))[-1]


@given(LENGTHS)
@example([1])
@example([1] * 9)
@example([33] * 5)
@example([1, 1, 90, 2])
@settings(max_examples=40, deadline=None)
@torch.inference_mode()
def test_every_sequence_is_read_as_if_it_were_alone(lengths):
    features = drawn(lengths)
    s, found = states(features)
    assert s.cu.tolist() == np.cumsum([0, *lengths]).tolist() and s.at.max() == max(lengths) - 1
    for x, f in zip(found.split(s.lengths), features, strict=True):
        ids = torch.tensor([f["ids"]])
        alone = OTHER.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        assert torch.allclose(x, alone, atol=1e-5)


@given(LENGTHS.filter(lambda x: len(x) > 1))
@example([40] * 4)
@example([1, 90])
@settings(max_examples=25, deadline=None)
def test_neither_states_nor_gradients_leak_between_sequences(lengths):
    features = drawn(lengths)
    s, whole = states(features)
    features[0] = features[0] | {"ids": [5] * lengths[0]}
    with torch.no_grad():
        _, changed = states(features)
    a = lengths[0]
    assert torch.equal(whole[a:], changed[a:]) and not torch.equal(whole[:a], changed[:a])
    x = torch.randn(sum(lengths), 2, 16, requires_grad=True)
    packed.padded(x, x, x, s, 0.25, 0.0)[:a].square().sum().backward()
    assert not x.grad[a:].any() and x.grad[:a].any()


@pytest.mark.parametrize("pooling", ["first", "mean", "match"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_logits_are_those_of_the_padded_path(name, pooling):
    net, mixture = setting(name, pooling=pooling)
    net.eval()
    features = plain.hidden(net, name, mixture.at(0)[1], (5, 0))
    batch = packed.pack(features, CPU)
    with torch.inference_mode():
        ours, theirs = net(name, batch), plain.logits(plain.twin(net), name, features)
    if theirs.ndim == 3:
        theirs = theirs[plain.pad(features)[1] == 1]
    theirs = theirs[batch["hidden"]] if name == "mlm" else theirs
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("budget", [2**14, 60], ids=["one pass", "micro-steps"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_loss_and_gradients_of_a_step_are_those_of_the_padded_path(name, budget, monkeypatch):
    net, mixture = setting(name)
    net.bf16, other, (_, features), accelerator = False, plain.twin(net), mixture.at(0), Accelerator()
    monkeypatch.setitem(BUDGET, "cpu", budget)
    part, count = train.share(name, features, net, (5, 0), 0.15, accelerator)
    assert (len(list(cut(part, budget))) > 1) == (budget == 60)
    ours = train.backward(net, name, part, count, None, accelerator)
    theirs = plain.loss(other, name, plain.hidden(net, name, features, (5, 0)))
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        assert p.grad is None or torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_twenty_steps_are_those_of_the_padded_path_over_the_whole_table(name, tmp_path):
    net, mixture = setting(name)
    other, before = plain.twin(net), net.encoder.get_input_embeddings().weight.detach().clone()
    curve = train.fit(net, mixture, 1e-3, 5, tmp_path)
    theirs = plain.fit(other, mixture, 1e-3, 5)
    assert [p["loss"] for p in curve] == pytest.approx(theirs, abs=1e-4)
    ours, theirs = (m.encoder.get_input_embeddings().weight.detach() for m in (net, other))
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-4)
    unseen = np.setdiff1d(np.arange(len(ours)), piece_ids(mixture.features[name]))
    if name != "mlm":
        kept = np.prod([1 - 1e-3 * schedule.slope(i, 20) * schedule.DECAY for i in range(20)])
        assert len(unseen) and torch.equal(ours[unseen], before[unseen] * kept)
        assert torch.allclose(ours[unseen], theirs[unseen], rtol=1e-5, atol=0)


def test_without_decay_the_compact_vocabulary_is_exact_to_the_bit(tmp_path, monkeypatch):
    for module in (compact, flat, schedule, train):
        monkeypatch.setattr(module, "DECAY", 0.0, raising=False)
        # a norm is added up in another order over less rows
        monkeypatch.setattr(module, "CLIP", 1e9, raising=False)
    (net, mixture), (other, _), accelerator = setting("mnli"), setting("mnli"), Accelerator()

    def whole(model, name, features):
        return train.backward(
            model, name, *train.share(name, features, model, (5, 0), 0.15, accelerator), None, accelerator
        )

    train.fit(net, mixture, 1e-3, 5, tmp_path)
    plain.fit(other, mixture, 1e-3, 5, whole)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))


def test_a_frozen_table_stays_as_it_is(tmp_path):
    net, mixture = setting("mnli", steps=3)
    table = net.encoder.get_input_embeddings().weight.requires_grad_(False)
    before = table.clone()
    train.fit(net, mixture, 1e-3, 5, tmp_path)
    assert net.encoder.get_input_embeddings().weight is table and torch.equal(table, before)


def test_predictions_do_not_depend_on_the_token_budget(monkeypatch):
    net, mixture = setting("squad1")
    features = mixture.features["squad1"]
    whole = evaluate.predict(net, "squad1", features)
    monkeypatch.setitem(READ, "cpu", 100 * net.encoder.config.hidden_size)
    parts = evaluate.predict(net, "squad1", features)
    assert all(
        torch.allclose(x, y, atol=1e-5) and len(x) == f["length"]
        for x, y, f in zip(whole, parts, features, strict=True)
    )


def by_sequence(query, key, value, cu, cu_k, longest, longest_k, scale):
    """What varlen_attn does, on the CPU."""
    assert cu is cu_k and cu.dtype == torch.int32 and longest == longest_k == cu.diff().max()
    parts = [
        [x[a:b].transpose(0, 1) for x in (query, key, value)] for a, b in zip(cu[:-1], cu[1:], strict=True)
    ]
    return torch.cat(
        [torch.nn.functional.scaled_dot_product_attention(*p, scale=scale).transpose(0, 1) for p in parts]
    )


def test_the_kernel_for_ragged_sequences_is_given_what_it_needs(monkeypatch):
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_sequence)
    s, x = packed.Sequences([3, 1, 7], CPU), torch.randn(3, 11, 2, 16)
    assert torch.allclose(packed.varlen(*x, s, 0.25, 0.0), packed.padded(*x, s, 0.25, 0.0), atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_torch_has_the_kernels_as_they_are_called(dropout):
    """Shapes and signatures only: the kernels themselves need a GPU."""
    s, x = packed.Sequences([3, 1, 7], CPU), torch.empty(3, 11, 2, 16, device="meta", dtype=torch.bfloat16)
    s.cu = s.cu.to("meta")
    assert packed.varlen(*x, s, 0.25, dropout).shape == (11, 2, 16)


CPU = torch.device("cpu")
EVEN_AND_UNEVEN = {"uneven": [3, 7, 1, 12], "even": [5, 5, 5], "one": [9]}


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
@pytest.mark.parametrize("lengths", EVEN_AND_UNEVEN.values(), ids=EVEN_AND_UNEVEN)
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


def of_a_layer(layer, x, s):
    """A layer whose gradient is written out: its states, and the gradients of x and of its weights."""
    with torch.autocast("cpu", torch.bfloat16):
        return gradients(layer, x, fused.run(layer, x, s, s, True), torch.ones_like(x))


def of_a_module(layer, x, s):
    """The same of a layer as transformers computes it."""
    with bf16.autocast("cpu"):
        return gradients(layer, x, layer(x[None], sequences=s)[0][0], torch.ones_like(x))


def of_attention(layer, x, s):
    """Attention by its definition, and by torch's function: their sum, and the gradients of x."""
    with bf16.autocast("cpu"):
        scores = torch.matmul(x, x.t()).softmax(-1)
        by_definition = torch.bmm(scores[None], x[None])[0] + scores @ x
        states = by_definition + functional.scaled_dot_product_attention(*[x[None]] * 3)[0]
        return gradients(layer, x, states, torch.ones_like(x))[:2]


@pytest.mark.parametrize("made", [of_a_layer, of_a_module, of_attention])
def test_without_instructions_for_bf16_products_in_float32_round_alike(layer, monkeypatch, made):
    s = packed.Sequences([3, 7, 1, 12], CPU)
    x = torch.randn(s.tokens, 64, requires_grad=True)
    found = {}
    for native in (True, False):
        monkeypatch.setattr(bf16, "native", lambda native=native: native)
        found[native] = made(layer, x, s)
    alike(found[False], found[True], 0.02)
    ours, theirs = (torch.cat([x.flatten() for x in found[native]]) for native in (False, True))
    assert (ours == theirs).float().mean() > 0.5


def test_products_are_rounded_within_autocast_alone():
    x, w = torch.randn(5, 64), torch.randn(7, 64)
    exact = functional.linear(x, w)
    with bf16.Rounded():
        assert torch.equal(functional.linear(x, w), exact)
        with torch.autocast("cpu", torch.bfloat16):
            low = functional.linear(x, w)
            exact, whole = x.double() @ w.t().double(), torch.arange(4) @ torch.arange(4)
    assert torch.equal(low, functional.linear(bf16.rounded(x), bf16.rounded(w)).bfloat16())
    assert exact.dtype == torch.float64 and whole.item() == 14  # as autocast leaves them, too


@pytest.mark.parametrize("half", [True, False])
def test_a_model_in_float32_puts_nothing_in_the_way_of_torch(monkeypatch, half):
    net, entered = plain.twin(SMALL), []
    monkeypatch.setattr(bf16, "native", lambda: False)
    monkeypatch.setattr(bf16, "Rounded", lambda: entered.append(1) or nullcontext())
    net.bf16 = half
    with net.autocast():
        assert bool(entered) is half is torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("machine", "instructions", "known", "native"), [
    ("x86_64", "AVX512", True, True), ("x86_64", "AVX2", True, False), ("AMD64", "DEFAULT", True, False),
    ("arm64", "SVE256", False, False),
])  # fmt: skip
def test_bf16_is_native_where_it_is_fast(monkeypatch, machine, instructions, known, native):
    monkeypatch.setattr(bf16.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: known)
    bf16.native.cache_clear()
    assert bf16.native() is native
    bf16.native.cache_clear()


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
    for each in flats:
        each.use(each.owner in ("", "mnli"))
    optimiser.step()
    for each in flats:
        each.clear()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if not name.startswith("heads.qqp")}
    assert not any(p.grad.any() for p in net.parameters())
    for each in flats:
        each.release()
    storages = {p.data.untyped_storage().data_ptr() for p in net.parameters()}
    assert len(storages) == len(before) and all(p.grad is None for p in net.parameters())
