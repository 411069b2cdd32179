"""Scores, retrieval and mining, against brute force and by hand."""

import pytest
import torch

from xit_core import evaluate, model
from xit_core.config import SCALES

S = SCALES["smoke"]


@pytest.fixture(scope="module")
def net():
    return model.start("smoke", seed=3)


def test_items_add_up_to_the_headline(net):
    found = evaluate.target(net, "tatoeba", S)
    raw = [x["value"] for x in found["scores"] if x["metric"] == "accuracy"]
    assert sum(found["items"]) == pytest.approx(sum(raw) / len(raw), abs=1e-3) and len(found["items"]) == S.eval_rows


def test_every_layer_is_scored_raw_and_centred(net):
    found = evaluate.target(net, "tatoeba", S)
    assert {(x["layer"], x["centred"]) for x in found["layers"]} == {(k, c) for k in range(3) for c in (False, True)}
    assert len(found["language_share"]) == 3 and all(0 <= v <= 1 for v in found["language_share"])


def test_the_headline_layer_is_at_the_relative_depth_of_jiants():
    class Net:
        class encoder:
            class config:
                num_hidden_layers = 24

    assert evaluate.headline_layer(Net) == 14
    Net.encoder.config.num_hidden_layers = 12
    assert evaluate.headline_layer(Net) == 7


def test_sentence_vectors_do_not_depend_on_the_batch(net):
    one, two = (
        evaluate.embed(net, ["Mana pima ."], S),
        evaluate.embed(net, ["Mana pima .", "Mana pima dap semok tal Kudale ."], S),
    )
    assert torch.allclose(one[:, 0], two[:, 0], atol=1e-6)


def test_nearest_neighbours_are_those_of_brute_force():
    a, b = torch.randn(2, 30, 8), torch.randn(2, 40, 8)
    near = evaluate.nearest(a, b, centred=False)
    for layer in range(2):
        for i in range(30):
            best = max(range(40), key=lambda j: torch.cosine_similarity(a[layer, i], b[layer, j], dim=0).item())
            assert near[layer, i] == best


def test_centring_uncovers_an_alignment_that_a_language_component_hides():
    draw = torch.Generator().manual_seed(0)
    meaning, *offsets = (torch.randn(1, n, 16, generator=draw) * size for n, size in ((50, 1), (1, 20), (1, 20)))
    queries, database = (meaning + 0.1 * torch.randn(1, 50, 16, generator=draw) + x for x in offsets)
    right = {c: (evaluate.nearest(queries, database, c) == torch.arange(50)).float().mean().item() for c in (False, True)}
    assert right[True] > 0.95 > 0.5 > right[False]


def test_language_explains_all_or_nothing():
    same, apart = torch.randn(1, 40, 8), torch.zeros(1, 40, 8)
    assert evaluate.language_share([apart, apart + 1])[0] == pytest.approx(1)
    assert evaluate.language_share([same, same])[0] == pytest.approx(0, abs=1e-6)


def test_mining_finds_planted_pairs_and_no_sentence_twice():
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(30, 16, generator=draw) + 1  # cosines above 0, as those of sentences are
    b = torch.cat([a[:20] + 0.01 * torch.randn(20, 16, generator=draw), torch.randn(15, 16, generator=draw) + 1])
    found = evaluate.mine(a, b)
    planted = {(i, i) for i in range(20)}
    assert planted <= {(i, j) for i, j, _ in found} and {(i, j) for i, j, _ in found[:15]} <= planted
    assert len({i for i, _, _ in found}) == len({j for _, j, _ in found}) == len(found)
    assert [m for *_, m in found] == sorted((m for *_, m in found), reverse=True)


def test_the_best_threshold_by_hand():
    assert evaluate.best_f1([("a", "x"), ("b", "y"), ("c", "w")], {("a", "x"), ("b", "y"), ("d", "z")}) == (
        pytest.approx(80),
        2,
    )
    assert evaluate.best_f1([], {("a", "x")}) == (0.0, 0)


def test_logits_come_back_in_the_order_of_the_features(net):
    from xit_core.phases import training_set

    features, _ = training_set(net, ("udpos",), S, 12, seed=1)
    whole = evaluate.predict(net, "udpos", features["udpos"])
    alone = [evaluate.predict(net, "udpos", [f])[0] for f in features["udpos"]]
    assert all(
        torch.allclose(x, y, atol=1e-5) and len(x) == f["length"] for x, y, f in zip(whole, alone, features["udpos"], strict=True)
    )
