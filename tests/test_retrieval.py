"""Exact search, mining and the retrieval tasks, against brute force and by hand."""

import json
import math
import os
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plain import row_of
from xit_core.bench import retrieval as bench
from xit_core.data import mining_pools, reading
from xit_core.data.local import Part
from xit_core.design.encoders import lacking
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.design.worlds import REAL
from xit_core.machine.errors import Bad
from xit_core.model import origins
from xit_core.score import embed, mining, retrieval, search

S = SCALES["smoke"]
MIRROR = os.environ.get("XIT_MIRROR", "")  # conftest unsets it in every test


@pytest.fixture(scope="module")
def net():
    return origins.start(SCALES["smoke"], seed=3)


def brute(a: torch.Tensor, b: torch.Tensor, k: int) -> list[list[int]]:
    """Indices by the cosine of exactly added float64 products, equal ones in order."""
    a, b = ((x / x.norm(dim=1, keepdim=True).clamp_min(1e-30)).tolist() for x in (a.double(), b.double()))
    ranked = []
    for x in a:
        scores = [math.fsum(p * q for p, q in zip(x, y, strict=True)) for y in b]
        ranked.append(sorted(range(len(b)), key=lambda j: (-round(scores[j], 14), j))[:k])
    return ranked


def pool(draw: torch.Generator, n: int, h: int, equal: float, zero: float = 0.05) -> torch.Tensor:
    """Vectors, some of them equal to others, some zero, all near one direction as those of an encoder are."""
    x = torch.randn(n, h, generator=draw) + torch.randn(h, generator=draw)
    same = torch.rand(n, generator=draw) < equal
    x[same] = x[int(torch.randint(n, (), generator=draw))].clone()
    x[torch.rand(n, generator=draw) < zero] = 0
    return x


# -- search --------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 60), m=st.integers(1, 90), seed=st.integers(0, 99), h=st.sampled_from([1, 3, 8, 33]),
    k=st.integers(1, 12), tile=st.sampled_from([1, 7, 33, 0]),
    equal=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
)  # fmt: skip
def test_neighbours_are_those_of_brute_force_in_both_directions(n, m, h, k, tile, equal, seed):
    draw = torch.Generator().manual_seed(seed)
    a, b = pool(draw, n, h, equal), pool(draw, m, h, equal)
    (forward, there), (backward, back) = search.both(a, b, k, tile)
    assert there.tolist() == brute(a, b, k) and back.tolist() == brute(b, a, k)
    assert there.shape == forward.shape == (n, min(k, m)) and back.shape == backward.shape == (m, min(k, n))
    assert torch.equal(search.search(a, b, k, tile)[1], there)


@pytest.mark.parametrize("by", ["rising", "falling"])
def test_many_tiles_whose_best_come_last_or_first_are_searched_as_by_brute_force(by):
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 8, generator=draw), torch.randn(1100, 8, generator=draw)
    b = b[(search.unit(b) @ search.unit(a).mean(0)).argsort(descending=by == "falling")]
    a = a[(search.unit(a) @ search.unit(b).mean(0)).argsort(descending=by == "falling")]
    (_, there), (_, back) = search.both(a, b, 4, tile=48)
    assert there.tolist() == brute(a, b, 4) and back.tolist() == brute(b, a, 4)


def test_vectors_are_searched_in_the_precision_that_they_have():
    draw = torch.Generator().manual_seed(0)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        a, b = torch.randn(60, 16, generator=draw).to(dtype), torch.randn(90, 16, generator=draw).to(dtype)
        assert search.search(a, b, 3, tile=32)[1].tolist() == brute(a, b, 3)


def test_a_search_needs_little_memory_above_its_pools(monkeypatch):
    widest, product = [], search.merge_into_top
    monkeypatch.setattr(
        search, "merge_into_top", lambda tile, *more: widest.append(tile.numel()) or product(tile, *more)
    )
    monkeypatch.setattr(search, "unit", None)  # whole pools in float64
    search.both(torch.randn(500, 4), torch.randn(700, 4), 2, tile=100)
    assert max(widest) == 100 * 100 and len(widest) == 2 * 5 * 7


def test_more_ties_than_candidates_are_kept_still_go_to_the_first():
    a, b = torch.randn(40, 16), torch.randn(900, 16)
    b[100:800] = a[7]
    scores, order = search.search(a, b, 4, tile=64)
    assert order[7].tolist() == [100, 101, 102, 103] and len(set(scores[7].tolist())) == 1


@pytest.mark.parametrize("tile", [0, 64])
def test_neighbours_closer_than_float32_can_tell_are_found(tile):
    draw = torch.Generator().manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(1, 64, generator=draw, dtype=torch.float64))
    aside = torch.randn(500, 64, generator=draw, dtype=torch.float64)
    aside = torch.nn.functional.normalize(aside - (aside @ a.T) * a)
    # cosines 1e-12 apart
    angle = 1e-3 * (1 + 1e-6 * torch.randperm(500, generator=draw).double().unsqueeze(1))
    b = a * angle.cos() + aside * angle.sin()
    assert len(set((a.float() @ b.float().T)[0].tolist())) < 10
    assert search.search(a, b, 20, tile)[1][0].tolist() == angle.flatten().argsort()[:20].tolist()


def test_the_nearer_of_two_neighbours_is_found_also_in_a_block_where_float32_puts_it_second():
    draw = torch.Generator().manual_seed(0)
    a, *aside = (search.unit(torch.randn(300, 8, generator=draw, dtype=torch.float64)) for _ in range(3))
    # two neighbours of each, side by side and so in two blocks; all others are far away
    b = torch.stack([a + 1e-3 * x for x in aside], 1).flatten(0, 1)
    defined = torch.stack([search.added(x * search.unit(b)) for x in a])
    rounded = search.unit(a).float() @ search.unit(b).float().T
    turned = (rounded.argmax(1) != defined.argmax(1)).nonzero().flatten().tolist()
    found = [search.search(a[[k]], b, 1)[1].item() for k in turned]  # one by one: rows share their blocks
    assert found == defined.argmax(1)[turned].tolist() and len(found) > 5


def test_neighbours_that_float32_puts_in_another_order_are_found():
    draw = torch.Generator().manual_seed(0)
    # neighbours in rank are about 1e-7 apart
    a, b = (torch.randn(n, 256, generator=draw) / 100 + 1 for n in (300, 500))
    defined = torch.stack([search.added(x * search.unit(b)) for x in search.unit(a)])
    rounded = torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).T
    wanted = defined.sort(dim=1, descending=True, stable=True).indices[:, :5]
    assert any(
        set(x) != set(y) for x, y in zip(rounded.topk(5).indices.tolist(), wanted.tolist(), strict=True)
    )
    assert torch.equal(search.search(a, b, 5)[1], wanted)


def test_the_error_bound_holds_where_it_is_almost_reached():
    for h in (4, 256, 1024):
        a = search.unit(torch.randn(50, h))
        b = search.unit(a + 0.001 * torch.randn(50, h))
        defined = search.added(a.unsqueeze(1) * b)
        worst = max(
            (running_sum(a.float(), b.float()) - defined).abs().max().item(),
            (a.float() @ b.float().T - defined).abs().max().item(),
        )
        assert 0 < worst < search.error(a, torch.float32)
        assert (a @ b.T - defined).abs().max() < search.error(a, torch.float64) < 1e-12


def running_sum(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Products added one after the other in float32: the worst order."""
    total = torch.zeros(len(a), len(b))
    for i in range(a.shape[1]):
        total = total + a[:, i, None] * b[None, :, i]
    return total


def test_products_in_less_than_float32_do_not_choose():
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 64, generator=draw), torch.randn(1000, 64, generator=draw)
    exact = search.search(a, b, 5)
    for tile in (0, 128):
        with torch.autocast("cpu", torch.bfloat16):
            assert (a @ b.T).dtype == torch.bfloat16
            assert all(torch.equal(x, y) for x, y in zip(search.search(a, b, 5, tile), exact, strict=True))
        torch.set_float32_matmul_precision("medium")
        found = search.search(a, b, 5, tile)
        torch.set_float32_matmul_precision("highest")
        assert all(torch.equal(x, y) for x, y in zip(found, exact, strict=True))


def test_scores_do_not_depend_on_place_or_threads():
    a, b = torch.randn(64, 48), torch.randn(128, 48)
    at = torch.randperm(128)
    scores, order = search.search(a, b, 128)
    moved, there = search.search(a, b[at], 128, tile=5)
    assert torch.equal(scores, moved) and torch.equal(order, at[there])
    threads, found = torch.get_num_threads(), {}
    for n in (1, 2, 5):
        torch.set_num_threads(n)
        found[n] = search.both(a, b, 9, tile=8)
        assert torch.get_num_threads() == n  # as before
    torch.set_num_threads(threads)
    for some in zip(*found.values(), strict=True):
        assert all(torch.equal(x, y) for one in some[1:] for x, y in zip(one, some[0], strict=True))


def test_a_search_has_no_part_in_gradients_and_runs_anywhere():
    a, b = torch.randn(30, 8, requires_grad=True), torch.randn(40, 8)
    wanted = brute(a.detach(), b, 2)
    assert search.search(a, b, 2, tile=8)[1].tolist() == wanted
    with torch.inference_mode():
        assert search.search(a, b, 2, tile=8)[1].tolist() == wanted


def test_vectors_of_a_diverged_encoder_are_refused():
    with pytest.raises(Bad, match="not finite"):
        search.search(torch.tensor([[1.0, float("nan")]]), torch.ones(3, 2), 1)


# -- mining --------------------------------------------------------------------------------------------------


def official(a: torch.Tensor, b: torch.Tensor) -> list[tuple[int, int, float]]:
    """The mining procedure over whole matrices, candidate by candidate."""
    cosine = search.added(search.unit(a).unsqueeze(1) * search.unit(b))
    near = [sorted(range(len(b)), key=lambda j: (-cosine[i, j].item(), j))[:4] for i in range(len(a))]
    back = [sorted(range(len(a)), key=lambda i: (-cosine[i, j].item(), i))[:4] for j in range(len(b))]
    mean_a = [sum(cosine[i, j].item() for j in near[i]) / len(near[i]) for i in range(len(a))]
    mean_b = [sum(cosine[i, j].item() for i in back[j]) / len(back[j]) for j in range(len(b))]

    def margin(i: int, j: int) -> float:
        mean = (mean_a[i] + mean_b[j]) / 2
        return cosine[i, j].item() / mean if mean else 0.0

    proposals = [(i, max(near[i], key=lambda j: margin(i, j))) for i in range(len(a))]
    proposals += [(max(back[j], key=lambda i: margin(i, j)), j) for j in range(len(b))]
    found = []
    for i, j in sorted(proposals, key=lambda p: -round(margin(*p), 12)):
        if margin(i, j) > 0 and i not in [p[0] for p in found] and j not in [p[1] for p in found]:
            found.append((i, j, margin(i, j)))
    return found


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1), (3, 2), (40, 55)])
@pytest.mark.parametrize(("equal", "zero"), [(0.0, 0.05), (0.3, 0.05), (0.0, 0.4)])
def test_mined_pairs_are_those_of_the_official_procedure(n, m, equal, zero):
    draw = torch.Generator().manual_seed(n + m)
    a, b = pool(draw, n, 12, equal, zero), pool(draw, m, 12, equal, zero)
    told, found = official(a, b), mining.mine(a, b, tile=16)
    assert [p[:2] for p in found] == [p[:2] for p in told]
    assert [p[2] for p in found] == pytest.approx([p[2] for p in told], abs=1e-12)


def test_sentences_without_a_vector_are_never_mined():
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 16, generator=draw) + 1, torch.randn(50, 16, generator=draw) + 1
    a[::2], b[:20:3] = 0, 0  # every other one of a proposes the first of b, with a margin of 0 / 0
    found = mining.mine(a, b)
    assert [p[:2] for p in found] == [p[:2] for p in official(a, b)] and len(found) > 10
    assert all(a[i].any() and b[j].any() and margin > 0 for i, j, margin in found)


def test_mining_finds_planted_pairs_and_no_sentence_twice():
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(30, 16, generator=draw) + 1  # cosines above 0, as those of sentences are
    b = torch.cat(
        [a[:20] + 0.01 * torch.randn(20, 16, generator=draw), torch.randn(15, 16, generator=draw) + 1]
    )
    found = mining.mine(a, b)
    planted = {(i, i) for i in range(20)}
    assert planted <= {(i, j) for i, j, _ in found} and {(i, j) for i, j, _ in found[:15]} <= planted
    assert len({i for i, _, _ in found}) == len({j for _, j, _ in found}) == len(found)
    assert [m for *_, m in found] == sorted((m for *_, m in found), reverse=True)


def test_the_threshold_by_hand():
    gold = [{"ids": ids} for ids in (("a", "x"), ("b", "y"), ("d", "z"))]
    found = [("a", "x", 1.5), ("b", "y", 1.3), ("c", "w", 1.2)]
    assert mining.tuned(found, gold) == pytest.approx(1.25)
    assert mining.above_threshold(found, 1.25) == [("a", "x"), ("b", "y")]
    # all are kept
    assert mining.tuned(found[:2], gold) == 1.3 and mining.above_threshold(found[:2], 1.3) == [
        ("a", "x"),
        ("b", "y"),
    ]
    tied = [("a", "x", 1.5), ("c", "w", 1.5)]
    # one threshold cannot part them
    assert mining.above_threshold(tied, mining.tuned(tied, gold)) == [("a", "x"), ("c", "w")]
    assert mining.tuned([], gold) == mining.tuned([("c", "w", 1.2)], gold) == 0.0


def test_a_repeated_sentence_stands_for_all_its_ids_or_for_none():
    side = retrieval.by_text(
        [{"id": "a1", "sentence": "x"}, {"id": "a2", "sentence": " x "}, {"id": "a3", "sentence": "y"}]
    )
    other = retrieval.by_text(
        [{"id": "b1", "sentence": "u"}, {"id": "b2", "sentence": "v"}, {"id": "b3", "sentence": "v\n"}]
    )
    mined = [(0, 1, 1.5), (1, 0, 1.2)]
    said = [("a1", "b2", 1.5), ("a1", "b3", 1.5), ("a2", "b2", 1.5), ("a2", "b3", 1.5), ("a3", "b1", 1.2)]
    assert retrieval.pairs_of_ids(mined, [side, other]) == said
    assert retrieval.pairs_of_ids(mined, [side, other], repeated=False) == said[-1:]
    assert retrieval.pairs_of_ids([(1, 1, 1.5), (0, 0, 1.2)], [side, other], repeated=False) == []


# -- vectors -------------------------------------------------------------------------------------------------


def test_sentence_vectors_do_not_depend_on_the_batch(net):
    one, two = (
        embed.embed(net, ["Mana pima ."], S),
        embed.embed(net, ["Mana pima .", "Mana pima dap semok tal Kudale ."], S),
    )
    assert torch.allclose(one[:, 0], two[:, 0], atol=1e-6)


def test_equal_sentences_have_equal_vectors(net):
    told = ["Mana pima .", "Mana pima dap semok tal Kudale .", "Mana pima ."] + ["Dap semok ."] * 3
    every, alone = embed.embed(net, told, S), torch.cat([embed.embed(net, [x], S) for x in told], dim=1)
    assert torch.equal(every[:, 0], every[:, 2]) and torch.equal(every[:, 3], every[:, 5])
    assert torch.allclose(every, alone, atol=1e-6)


def test_layers_lengths_and_pooling_are_chosen(net):
    told = ["Mana pima .", "Mana pima dap semok tal Kudale ."]
    every, both = embed.embed(net, told, S), embed.embed(net, told, S, first=0)
    assert torch.equal(embed.embed(net, told, S, layers=(2, 0)), every[[2, 0]])
    assert torch.equal(both[:3], every) and not torch.allclose(both[3], every[0])
    assert torch.allclose(both[3, 0], both[3, 1])  # the embedding of <s> is the same in each sentence
    assert torch.equal(
        embed.embed(net, told[1:], S, max_len=4), embed.embed(net, told[1:], S, max_len=4, layers=(0, 1, 2))
    )
    assert not torch.allclose(embed.embed(net, told[1:], S, max_len=4), every[:, 1:])
    # no further than the positions go
    assert embed.embed(net, ["Mana " * 900], S, max_len=5000).isfinite().all()


def test_nearest_neighbours_of_every_layer():
    a, b = torch.randn(2, 30, 8), torch.randn(2, 40, 8)
    there = retrieval.nearest(a, b)
    for layer in range(2):
        assert there[layer].tolist() == [x[0] for x in brute(a[layer], b[layer], 1)]


def test_centring_uncovers_an_alignment_that_a_language_component_hides():
    draw = torch.Generator().manual_seed(0)
    meaning, *offsets = (
        torch.randn(1, n, 16, generator=draw) * size for n, size in ((50, 1), (1, 20), (1, 20))
    )
    queries, database = (meaning + 0.1 * torch.randn(1, 50, 16, generator=draw) + x for x in offsets)
    right = {
        c: (retrieval.nearest(queries, database, c) == torch.arange(50)).float().mean().item()
        for c in (False, True)
    }
    assert right[True] > 0.95 > 0.5 > right[False]


def test_the_other_direction_searches_the_pivot_language_for_the_other():
    pivot, other = torch.randn(3, 6, 4), torch.randn(3, 6, 4)  # two layers, and the first tokens
    found = retrieval.ways(pivot, other, 1)
    forward, back = brute(pivot[1], other[1], 1), brute(other[1], pivot[1], 1)
    assert found["forward"][1].tolist() == [x[0] for x in forward]
    assert found["backward"].tolist() == [x[0] for x in back] != [x[0] for x in forward]
    centred = [x - x.mean(0) for x in (other[1], pivot[1])]
    assert found["backward_centred"].tolist() == [x[0] for x in brute(*centred, 1)]
    assert found["forward_first"].tolist() == [x[0] for x in brute(pivot[2], other[2], 1)]


def test_language_explains_all_or_nothing():
    same, apart = torch.randn(1, 40, 8), torch.zeros(1, 40, 8)
    assert embed.language_share([apart, apart + 1])[0] == pytest.approx(1)
    assert embed.language_share([same, same])[0] == pytest.approx(0, abs=1e-6)


# -- the tasks -----------------------------------------------------------------------------------------------


def by_language(found: dict) -> dict[str, list[dict]]:
    """Predictions of each language, in order."""
    langs = dict.fromkeys(p["lang"] for p in found["predictions"])
    return {lang: [p for p in found["predictions"] if p["lang"] == lang] for lang in langs}


def test_every_layer_direction_and_pooling_can_be_scored_again(net):
    found = row_of(retrieval.retrieve(net, TASKS["tatoeba"], S))
    assert {(x["layer"], x["centred"]) for x in found["layers"]} == {
        (k, c) for k in range(3) for c in (False, True)
    }
    assert len(found["language_share"]) == 3 and all(0 <= v <= 1 for v in found["language_share"])
    assert {p["task"] for p in found["predictions"]} == {"tatoeba"}
    for lang, rows in by_language(found).items():
        for way, centred in (("forward", False), ("forward_centred", True)):
            for k in range(3):
                right = 100 * sum(row[way][k] == i for i, row in enumerate(rows)) / len(rows)
                told = [
                    x["value"]
                    for x in found["layers"]
                    if (x["lang"], x["layer"], x["centred"]) == (lang, k, centred)
                ]
                assert told == [pytest.approx(right, abs=1e-4)]
        back = 100 * sum(row["backward"] == i for i, row in enumerate(rows)) / len(rows)
        told = {(p["metric"], p["protocol"]): p["value"] for p in found["protocols"] if p["lang"] == lang}
        assert told["accuracy", "tatoeba/mteb"] == pytest.approx(back, abs=1e-4)
        tenth = 100 * sum(row["forward"][embed.at_depth(net, 10 / 24)] == i for i, row in enumerate(rows))
        assert told["accuracy", "tatoeba/pr104"] == pytest.approx(tenth / len(rows), abs=1e-4)
        assert {name for _, name in told} == {"tatoeba/mteb", "tatoeba/pr104", "tatoeba/first"}
        assert [row["prediction"] for row in rows] == [row["forward"][1] for row in rows]
    assert {x["protocol"] for x in found["scores"]} == {"tatoeba/jiant"}
    json.dumps(found, allow_nan=False)


def test_a_probe_is_what_the_whole_task_scores_first(net):
    found, told = (
        row_of(retrieval.retrieve(net, TASKS["tatoeba"], S))["scores"],
        retrieval.probe_retrieval(net, S),
    )
    for name, metric in (("tatoeba", "accuracy"), ("tatoeba_centred", "accuracy_centred")):
        values = [x["value"] for x in found if x["metric"] == metric]
        assert told[name] == pytest.approx(sum(values) / len(values), abs=1e-4)
    assert list(told) == ["tatoeba", "tatoeba_centred"]


def test_the_headline_layer_is_at_the_relative_depth_of_jiants():
    class Net:
        class encoder:
            class config:
                num_hidden_layers = 24

    assert embed.headline_layer(Net) == 14
    depths = {protocol: embed.at_depth(Net, depth) for _, protocol, _, depth in retrieval.TATOEBA if depth}
    assert depths == {"tatoeba/jiant": 14, "tatoeba/pr104": 10}
    Net.encoder.config.num_hidden_layers = 12
    assert embed.headline_layer(Net) == 7


def test_items_add_up_to_the_headline(net):
    found = row_of(retrieval.retrieve(net, TASKS["tatoeba"], S))
    raw = [x["value"] for x in found["scores"] if x["metric"] == "accuracy"]
    assert (
        sum(found["items"]) == pytest.approx(sum(raw) / len(raw), abs=1e-3)
        and len(found["items"]) == S.eval_rows
    )


def test_bucc_is_mined_from_its_pools_with_the_best_threshold(net):
    found = row_of(retrieval.retrieve(net, TASKS["bucc"], S))
    assert {(x["metric"], x["protocol"]) for x in found["scores"]} == {
        ("f1", "bucc/jiant-dev"),
        ("f1_centred", "bucc/jiant-dev"),
    }
    assert {x["protocol"] for x in found["protocols"]} == {"bucc/xtreme-2020"}
    for score in (x for x in found["scores"] if x["metric"] == "f1"):
        rows, limit = by_language(found)[score["lang"]], found["thresholds"][score["lang"]]
        gold = {
            tuple(r["ids"])
            for r in reading.examples(TASKS["bucc"], "validation", score["lang"], S, S.eval_rows)[0]
        }
        pairs = [tuple(r["id"].split()) for r in rows]
        f1 = [200 * len(gold & set(pairs[:n])) / (n + len(gold)) for n in range(1, len(pairs) + 1)]
        said = [tuple(r["prediction"]) for r in rows if r["prediction"]]
        assert score["value"] == pytest.approx(max(f1), abs=1e-5) and score["n"] == len(gold) == S.eval_rows
        assert said == pairs[: len(said)] and score["value"] == pytest.approx(f1[len(said) - 1], abs=1e-5)
        assert all((r["margin"] >= limit) == bool(r["prediction"]) for r in rows)
    json.dumps(found, allow_nan=False)


def test_each_way_of_mining_has_pairs_and_a_threshold_of_its_own(net, monkeypatch):
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 30, 16, generator=draw) + 0.5, torch.randn(2, 40, 16, generator=draw) + 0.5
    b[:, :20] = a[:, :20] + torch.randn(2, 20, 16, generator=draw)
    ids = [{f"{k}": [f"{side}{k}"] for k in range(n)} for side, n in (("a", 30), ("b", 40))]
    ids[0]["3"], ids[1]["7"] = ["a3", "again"], ["b7", "again"]
    gold = [{"ids": (f"a{k}", f"b{k}")} for k in range(20)]
    monkeypatch.setattr(retrieval, "corpora", lambda *_: (ids, list(zip(a, b, strict=True)), gold, []))
    raw, limit, cases, _ = retrieval.minings(net, TASKS["bucc"], "al", S)
    pairs = [
        retrieval.pairs_of_ids(mining.mine(a[0], b[0]), ids),
        retrieval.pairs_of_ids(mining.mine(embed.centred(a[0]), embed.centred(b[0])), ids),
        retrieval.pairs_of_ids(mining.mine(a[1], b[1]), ids, repeated=False),
    ]
    thresholds = [mining.tuned(found, gold) for found in pairs]
    assert [case[:2] for case in cases] == [
        ("f1", "bucc/jiant-dev"), ("f1_centred", "bucc/jiant-dev"), ("f1", "bucc/xtreme-2020"),
    ]  # fmt: skip
    assert [case[2] for case in cases] == pairs and [case[4] for case in cases] == thresholds
    assert (raw, limit) == (pairs[0], thresholds[0]) and len(set(thresholds)) == 3
    # an instance is a gold pair that is found by the headline
    monkeypatch.setattr(retrieval, "languages", lambda task, s: ("al",))
    found = {pair[:2] for pair in pairs[0] if pair[2] >= limit}
    points = retrieval.mined_pairs(net, TASKS["bucc"], S).instances["al"]
    assert points == [100.0 * (tuple(x["ids"]) in found) for x in gold] and 0 < sum(points) < 2000


def test_pools_are_embedded_at_the_headline_layer_and_at_layer_20_of_24(net, monkeypatch):
    told = []
    monkeypatch.setattr(
        retrieval, "embed", lambda net, texts, s, layers: told.append(layers) or torch.ones(2, len(texts), 4)
    )
    retrieval.corpora(net, TASKS["bucc"], "al", S)
    assert told == [(embed.headline_layer(net), embed.at_depth(net, 20 / 24))] * 2 and told[0] == (1, 2)


def test_a_threshold_is_applied_to_pools_that_did_not_choose_it(net, monkeypatch):
    source, target, gold, _ = retrieval.pools_and_gold(TASKS["bucc"], "al", S)
    pairs, asked = [tuple(g["ids"]) for g in gold], []

    def given(lang: str, split: str) -> tuple:
        asked.append(split)
        wanted = pairs if split == "validation" else pairs[::2]
        return source, target, wanted, Part([], "made/up", "0" * 40, False, True)

    monkeypatch.setattr(retrieval, "languages", lambda task, s: ("al",))
    monkeypatch.setattr(mining_pools, "bucc_pools", given)
    monkeypatch.setattr(mining_pools, "official_pools", lambda lang, split: "there")
    found = row_of(retrieval.retrieve(net, TASKS["bucc"], replace(S, world=REAL)))
    said = {tuple(p["prediction"]) for p in found["predictions"] if p["prediction"]}
    (held,) = [x for x in found["protocols"] if x["protocol"] == "bucc/heldout"]
    wanted = 200 * len(said & set(pairs[::2])) / (len(said) + len(pairs[::2]))
    assert held["value"] == pytest.approx(wanted, abs=1e-5) and held["n"] == len(pairs[::2])
    assert asked == ["validation", "test"] and len(found["seen"]) == 4
    monkeypatch.setattr(
        mining_pools, "bucc_pools", lambda lang, split: (*given(lang, split)[:2], None, given(lang, split)[3])
    )
    with pytest.raises(Bad, match="made/up: pools without gold"):
        retrieval.pools_and_gold(TASKS["bucc"], "al", replace(S, world=REAL), "test")


def paragraphs(lang: str) -> list[dict]:
    """Two paragraphs with three questions; every language says the same."""
    one, two = [f"{lang} eins .", f"{lang} zwei ."], [f"{lang} drei .", f"{lang} vier ."]
    asked = (("q1", one, 1), ("q2", one, 0), ("q3", two, 1))
    return [
        {
            "id": name,
            "question": f"{lang} {said[at]}",
            "sentences": said,
            "answer": at,
            "context": " ".join(said),
        }
        for name, said, at in asked
    ]


def test_a_question_wants_its_answer_sentence_in_every_language_from_one_pool(net, monkeypatch):
    monkeypatch.setattr(retrieval, "languages", lambda task, s: ("de", "en"))
    monkeypatch.setattr(
        retrieval.reading, "examples", lambda task, split, lang, s, n=0: (paragraphs(lang), [{"lang": lang}])
    )
    gold = {}
    pool = {lang: retrieval.candidates(lang, paragraphs(lang), gold) for lang in ("de", "en")}
    # a paragraph stands there once, however many questions it has
    assert [len(x) for x in pool.values()] == [4, 4]
    assert gold == {"q1": ["de_1_1", "en_1_1"], "q2": ["de_1_0", "en_1_0"], "q3": ["de_2_1", "en_2_1"]}
    ranking, texts, lengths = retrieval.ranking, [], []

    def recorded(*given):
        texts.append(given[4])
        lengths.append(given[5])
        return ranking(*given)

    monkeypatch.setattr(retrieval, "ranking", recorded)
    found = row_of(retrieval.retrieve(net, TASKS["lareqa"], S))
    # as the official script joins them
    assert [x["en"]["en_1_1"] for x in texts] == ["en zwei .en eins . en zwei .", "en zwei ."]
    assert lengths == [(96, 256)] * 2  # tokens of a question, and of a candidate
    assert {x["metric"] for x in found["scores"]} == {"map@20", "map@20_centred"} and len(found["seen"]) == 2
    assert {x["protocol"] for x in found["protocols"]} == {"lareqa/sentence"}
    for i, (de, en) in enumerate(zip(*by_language(found).values(), strict=True)):
        assert de["gold"] == en["gold"] == gold[de["id"]]
        assert sorted(de["prediction"]) == sorted(en["prediction"]) == sorted([*pool["de"], *pool["en"]])
        places = [sorted(row["prediction"].index(x) + 1 for x in row["gold"]) for row in (de, en)]
        precision = [(1 / first + 2 / second) / 2 for first, second in places]
        assert found["items"][i] == pytest.approx(100 * sum(precision) / 2 / 3, abs=1e-5)


def test_queries_and_candidates_are_centred_language_by_language(net, monkeypatch):
    """Each language lies far from the others; centred, a question is nearest to its answers in both."""
    meaning, asked = torch.eye(4), []
    places = {"de": 50 * meaning[0], "en": 50 * meaning[1], "?": 50 * meaning[2]}
    vectors = {f"{of}{k}": places[of] + meaning[k] for of in places for k in range(4)}

    def embedded(net, texts, s, length, layers):
        asked.append(length)
        return torch.stack([vectors[text] for text in texts])[None]

    monkeypatch.setattr(retrieval, "embed", embedded)
    texts = {lang: {f"{lang}{k}": f"{lang}{k}" for k in range(4)} for lang in ("de", "en")}
    queries = [{"id": k, "text": f"?{k}", "gold": [f"de{k}", f"en{k}"]} for k in range(4)]
    monkeypatch.setattr(retrieval, "RANKED", 2)
    scores, points, _ = retrieval.ranking(net, S, TASKS["lareqa"], {"de": queries}, texts, (96, 256))
    told = {score.metric: score.value for score in scores}
    assert told["map@20_centred"] == 100.0 > told["map@20"] == sum(points["de"]) / 4
    assert asked == [256, 256, 96]


CANDIDATE = {
    "entity_id": "Q1", "description": "one", "description_language": "de",
    "sentence_spans": [{"start": 0, "end": 3}],
}  # fmt: skip


def test_a_mention_finds_its_entity(net, monkeypatch):
    texts = {"Q1": "Mana pima .", "Q2": "Kudale semok tal .", "Q3": "Dap dap dap ."}
    rows = [
        {
            "entity_id": name, "description": f"{text} Not this.",
            "description_language": "en" if name == "Q1" else "de",
            "sentence_spans": [{"start": 0, "end": len(text)}],
        }
        for name, text in texts.items()
    ]  # fmt: skip
    asked = [{"id": f"m{i}", "mention": text, "entity": name} for i, (name, text) in enumerate(texts.items())]
    monkeypatch.setattr(retrieval, "languages", lambda task, s: ("de",))
    monkeypatch.setattr(retrieval.reading, "examples", lambda task, split, lang, s, n=0: (asked, []))
    monkeypatch.setattr(
        retrieval.sources, "fetch", lambda *where: [Part(rows, "made/up", "0" * 40, False, True)]
    )
    found = row_of(retrieval.retrieve(net, TASKS["mewslix"], S))
    assert [x["value"] for x in found["scores"] if x["metric"] == "map@20"] == [100.0]
    assert [row["prediction"][0] for row in found["predictions"]] == ["Q1", "Q2", "Q3"]
    assert [x["rows"] for x in found["seen"]] == [3]


# -- the benchmark -------------------------------------------------------------------------------------------


def test_gold_pairs_that_the_pools_do_not_have_are_refused(net, monkeypatch):
    swapped = [{"ids": ("en-1", "de-1")}]
    monkeypatch.setattr(reading, "gold_pairs", lambda *_: (swapped, []))
    with pytest.raises(Bad, match="1 of 1 gold pairs are not in the pools, such as en-1 de-1"):
        retrieval.pools_and_gold(TASKS["bucc"], "al", SCALES["micro"])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "mewslix: no candidates are at hand"),
        ([CANDIDATE | {"entity_id": 7}], "row 0: no candidate"),
        ([CANDIDATE], "1 mentions are of no entity among the candidates, such as Q2"),
    ],
)
def test_mentions_and_candidates_belong_together(net, monkeypatch, found, said):
    mentions = [{"id": "1", "mention": "a", "entity": "Q2"}]
    monkeypatch.setattr(retrieval.reading, "examples", lambda *_: (mentions, []))
    parts = [Part(found, "candidates", "r")] if found else []
    monkeypatch.setattr(retrieval.sources, "fetch", lambda *_: parts)
    task = replace(TASKS["mewslix"], langs="de")
    with pytest.raises(Bad, match=said):
        retrieval.entities(net, task, SCALES["base"])


def test_the_benchmark_searches_what_brute_force_searches():
    pytest.importorskip("faiss")
    found = {x["name"].split(": ")[1]: x for x in bench.benchmark(600, 16, rounds=1)}
    right = found["neighbours as by brute force in float64"]
    assert right["value"] == 100.0 and right["baseline_value"] > 99
    assert found["speed"]["ratio"] == pytest.approx(1 / found["both directions"]["ratio"])
    assert found["memory above the vectors"]["unit"] == "GiB"


def test_sentences_of_the_pools_are_nearer_the_more_words_they_share(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path))
    said = {
        "zh": ["湖很深。", "湖很大。", "…"],
        "en": ["The lake is deep.", "The lake is wide.", "A horse sleeps.", "The lake is deep."],
    }
    (tmp_path / "bucc2018").mkdir()
    for code, lines in said.items():
        text = "".join(f"{code}-{i}\t{line}\n" for i, line in enumerate(lines))
        (tmp_path / f"bucc2018/zh-en.dev.{code}").write_text(text, encoding="utf-8")
    ours, theirs = bench.bucc_vectors(64)
    assert ours.shape == theirs.shape == (3, 64)  # equal sentences are one, one without a word is one too
    assert torch.allclose(torch.cat([ours, theirs]).norm(dim=1), torch.ones(6), atol=1e-5)
    near = theirs @ theirs.T
    assert near[0, 1] > near[0, 2] + 0.3 and torch.equal(bench.bucc_vectors(64)[1], theirs)


def test_the_benchmark_sees_a_wrong_neighbour():
    pools = bench.drawn_vectors(300, 16)
    forward, back = bench.our_search(*pools, 4)
    assert bench.agreement(pools, (forward, back)) == 100.0
    forward[7, 2] = forward[7, 3]
    assert bench.agreement(pools, (forward, back)) == pytest.approx(100 - 100 / (2 * 300 * 4))
    near = (search.unit(pools[0]) @ search.unit(pools[1]).T).amax(1)
    assert 0.5 < near.mean() < 0.95  # the planted ones


# -- real rows -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not MIRROR or bool(lacking(SCALES["small"].encoder)),
    reason="the full BUCC pools (XIT_MIRROR) or the encoder of small are not at hand",
)
def test_bucc_zh_is_mined_from_its_full_pools_as_by_brute_force(monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", MIRROR)
    real = SCALES["small"]
    source, target, gold, seen = retrieval.pools_and_gold(TASKS["bucc"], "zh", real)
    assert (len(source), len(target), len(gold), len(seen)) == (8624, 13589, 257, 3)
    table = origins.start(real).encoder.get_input_embeddings().weight.detach().float()
    pieces = origins.tokenizer(real)
    ids = [retrieval.by_text(side) for side in (source, target)]
    a, b = (torch.stack([table[x.ids].mean(0) for x in pieces.encode_batch(list(side))]) for side in ids)
    a, b = embed.centred(a), embed.centred(b)
    found = search.both(a, b, 4)
    for (values, order), x, y in zip(found, (a, b), (b, a), strict=True):
        x, y = (torch.nn.functional.normalize(z.double()) for z in (x, y))
        for rows in torch.arange(len(x)).split(1024):
            wanted = (x[rows] @ y.T).topk(4)
            assert torch.equal(wanted.indices, order[rows]) and torch.allclose(
                wanted.values, values[rows], rtol=0, atol=1e-14
            )
    mined = retrieval.pairs_of_ids(mining.mine(a, b), ids)
    pairs = mining.above_threshold(mined, mining.tuned(mined, gold))
    right = len({tuple(g["ids"]) for g in gold} & set(pairs))
    # the table of an aligned encoder finds pairs, chance does not
    assert 200 * right / (len(pairs) + len(gold)) > 25


@pytest.mark.skipif(not MIRROR, reason="XIT_MIRROR names no mirror: XQuAD-R is not at hand")
@pytest.mark.parametrize(("lang", "number"), [("en", 1180), ("th", 852), ("de", 1276)])
def test_xquad_r_has_the_candidates_that_it_declares(lang, number, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", MIRROR)
    rows, _ = reading.examples(TASKS["lareqa"], "validation", lang, SCALES["paper"])
    gold = {}
    assert len(retrieval.candidates(lang, rows, gold)) == number  # google-research-datasets/lareqa, README.md
    assert len(rows) == len(gold) == 1190 and all(len(x) == 1 for x in gold.values())
