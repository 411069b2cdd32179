"""Retrieval by sentence vectors: every layer from one forward pass, exact search in bounded memory, mining by margin."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from . import data, sources
from .config import PIVOT, Bad, Scale, Score
from .model import Model
from .protocols import PROTOCOLS
from .results import row
from .tasks import TASKS, languages

DEPTH = 14 / 24  # jiant scores hidden_states[14] of 24 layers; a shallower encoder is scored at the same relative depth
NEIGHBOURS = 4  # of BUCC's margin
RANKED = 20  # of mAP@20
TILES = {"cpu": 2048, "cuda": 8192}  # rows and columns of the similarity matrix at a time: in cache, or few launches
BLOCK = 16  # numbers of a row, or column, of a tile that are looked at only where their maximum is of use
SLACK = 12  # candidates kept beyond k
CELLS = 2**23  # numbers in an intermediate result of the second look
GATHERED = 2**17  # numbers of candidates that are compared at a time: in cache

# -- vectors -----------------------------------------------------------------------------------------------------------


def at_depth(net: Model, share: float) -> int:
    """The layer at a relative depth; 0 = embeddings."""
    return round(share * net.encoder.config.num_hidden_layers)


def headline_layer(net: Model) -> int:
    return at_depth(net, DEPTH)


@torch.inference_mode()
def embed(
    net: Model, sentences: list[str], s: Scale, max_len: int = 0, layers: tuple[int, ...] = (), first: bool = False
) -> Tensor:
    """Mean over a sentence's pieces, special ones included, at every layer: (layers + 1, N, H), float32; 0 = embeddings.

    Equal sentences are embedded once, so that they tie exactly. `max_len`: tokens of a sentence, 0 = the scale's; `layers`:
    only those; `first`: as many layers again, of the first token's vector in place of the mean.
    """
    config = net.encoder.config
    place = {text: i for i, text in enumerate(dict.fromkeys(sentences))}
    # positions start at 2
    net.tokenizer.enable_truncation(min(max_len or s.longest("retrieve"), config.max_position_embeddings - 2))
    features = [{"ids": x.ids, "length": len(x.ids)} for x in net.tokenizer.encode_batch(list(place))]
    layers = layers or tuple(range(config.num_hidden_layers + 1))
    out = torch.empty(len(layers) * (1 + first), len(place), config.hidden_size)
    for some, batch in net.passes(features):
        with net.autocast():
            for layer, states in enumerate(net.states(batch, max(layers))):
                for at in (k for k, wanted in enumerate(layers) if wanted == layer):
                    out[at, some] = batch["sequences"].means(states).cpu()
                    if first:
                        out[at + len(layers), some] = states[batch["sequences"].cu[:-1]].float().cpu()
    return out if len(place) == len(sentences) else out[:, [place[text] for text in sentences]]


def centred(x: Tensor) -> Tensor:
    """Vectors less the mean of their language: (..., N, H)."""
    return x - x.mean(-2, keepdim=True)


def language_share(groups: list[Tensor]) -> list[float]:
    """Share of the variance of sentence vectors that their language explains, by layer. groups: (L, N, H) a language."""
    every = torch.cat(groups, dim=1)
    centre = every.mean(1, keepdim=True)
    total = (every - centre).square().sum((1, 2))
    between = sum(g.shape[1] * (g.mean(1, keepdim=True) - centre).square().sum((1, 2)) for g in groups)
    return (between / total.clamp_min(1e-12)).tolist()


# -- exact search ------------------------------------------------------------------------------------------------------
# The similarity of two vectors is defined as the cosine in float64, products added in halves (`added`): elementwise IEEE
# operations only, so that a score is the same to the bit on every machine and equal vectors tie. Matrix products, whose
# order of additions is the library's own, only choose candidates, with a bound on how far they can be off.

Found = tuple[Tensor, Tensor]  # similarities, float64, and indices, each (N, k)


class Pool(NamedTuple):
    """Vectors as they were given (N, H) and their lengths in float64: rows of length 1 exist only while they are looked at."""

    x: Tensor
    length: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def unit(self, rows: Tensor | slice) -> Tensor:
        """Rows of length 1 in float64; rows of zeros stay."""
        return self.x[rows].double() / self.length[rows].unsqueeze(-1)


def measured(x: Tensor) -> Pool:
    """Raises: Bad for vectors that are not finite."""
    parts = (part.double() for part in x.split(max(1, CELLS // x.shape[1])))
    length = torch.cat([added(part * part) for part in parts]).sqrt().clamp_min(1e-30)
    if not length.isfinite().all():
        raise Bad("a sentence vector is not finite; retrieval needs an encoder whose training did not diverge: lower its rate")
    return Pool(x, length)


def unit(x: Tensor) -> Tensor:
    """Rows of length 1 in float64; rows of zeros stay."""
    return measured(x).unit(slice(None))


def added(x: Tensor) -> Tensor:
    """The sum over the last dimension, always in the same order: halves are added until one number is left."""
    while x.shape[-1] > 1:
        if x.shape[-1] % 2:
            x = functional.pad(x, (0, 1))
        x = x[..., : x.shape[-1] // 2] + x[..., x.shape[-1] // 2 :]
    return x.squeeze(-1)


def search(queries: Tensor, database: Tensor, k: int, tile: int = 0) -> Found:
    """The min(k, M) most similar rows of the database of each query: (N, H), (M, H) -> cosines and indices, best first.

    Ties go to the smaller index; a zero vector has similarity 0 to everything.
    Raises: Bad for vectors that are not finite.
    """
    return both(queries, database, k, tile, backward=False)[0]


def both(a: Tensor, b: Tensor, k: int, tile: int = 0, backward: bool = True) -> tuple[Found, Found | None]:
    """`search` of a in b and of b in a, from one pass over the similarities, on a GPU where there is one.

    `tile`: rows and columns of the similarities at a time, 0 = TILES.
    """
    home, there = a.device, "cuda" if torch.cuda.is_available() else "cpu"
    a, b, tile = measured(a.to(there)), measured(b.to(there)), tile or TILES[there]
    forward, back = screen(a, b, k, tile, backward)
    forward, back = settled(a, b, k, *forward, tile), settled(b, a, k, *back, tile) if backward else None
    return tuple(x.to(home) for x in forward), back and tuple(x.to(home) for x in back)


def screen(a: Pool, b: Pool, k: int, tile: int, backward: bool) -> tuple[Found, Found]:
    """Candidates for the k best of each row of a among the rows of b, and the reverse: products, descending, and indices."""
    # TF32 makes float32 products less than that, and the bound untrue: then float64 chooses
    dtype = torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64
    av, bv = (a.length.new_full((len(x), min(k + SLACK, len(y))), -torch.inf, dtype=dtype) for x, y in ((a, b), (b, a)))
    ai, bi = (torch.zeros_like(x, dtype=torch.long) for x in (av, bv))
    margin, starts = 3 * error(a.x, dtype), range(0, len(b), tile)
    locks = {j: Lock() for j in starts}

    def compare(i: int) -> None:
        rows, first = slice(i, i + tile), i // tile % len(starts)  # threads begin at different columns
        queries = a.unit(rows).to(dtype)
        for j in [*starts[first:], *starts[:first]]:
            columns = slice(j, j + tile)
            products = queries @ b.unit(columns).to(dtype).T
            keep(products, 1, j, min(k, len(b)), margin, av[rows], ai[rows])
            if backward:
                with locks[j]:
                    keep(products, 0, i, min(k, len(a)), margin, bv[columns], bi[columns])

    spread(compare, range(0, len(a), tile), a.x.device)
    return (av, ai), (bv, bi)


def spread(work: Callable, parts: range, device: torch.device) -> list:
    """The work on each part, in order; on a CPU by as many threads as torch may use, each on its own part with one core.

    Threads that share each operation instead wait for the slowest thousands of times a second.
    """
    threads = torch.get_num_threads()

    def alone(part: int):
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):  # both are a thread's own
            return work(part)

    if device.type != "cpu" or threads == 1 or len(parts) == 1:
        return [alone(part) for part in parts]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, parts))
    finally:
        torch.set_num_threads(threads)


def keep(products: Tensor, dim: int, start: int, k: int, margin: float, values: Tensor, indices: Tensor) -> None:
    """Let a tile's columns (dim 1; or rows, dim 0), from index `start` on, compete for places in `values` and `indices`.

    What is more than `margin`, over 2 e of `settle`, below a row's k-th best so far is not needed. Most blocks hold nothing
    above that: only their maxima are computed.
    """
    blocks, odd = -(-products.shape[dim] // BLOCK), -products.shape[dim] % BLOCK
    if odd:
        products = functional.pad(products, (0, odd) if dim else (0, 0, 0, odd), value=-torch.inf)
    tops = products.unflatten(dim, (BLOCK, blocks)).amax(dim)  # column c is in block c % blocks: whole lines are compared
    if dim == 0:
        products, tops = products.T, tops.T
    needed = values[:, k - 1] - margin
    rows = (tops.amax(1) >= needed).nonzero().flatten()
    if not len(rows):
        return
    # the n largest numbers of a row are in the n blocks with the largest maxima; the k-th is no less than the k-th maximum
    best, at = tops[rows].topk(min(values.shape[1], blocks))
    needed = torch.maximum(needed[rows], best[:, k - 1] - margin) if k <= blocks else needed[rows]
    at = at[:, : int((best >= needed.unsqueeze(1)).sum(1).max())]
    at = (at.unsqueeze(2) + torch.arange(0, BLOCK * blocks, blocks, device=at.device)).flatten(1)
    best, chosen = torch.cat([values[rows], products[rows.unsqueeze(1), at]], 1).topk(values.shape[1])
    indices[rows] = torch.cat([indices[rows], at + start], 1).gather(1, chosen)
    values[rows] = best


def settled(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Found:
    """`settle` of each tile's rows."""

    def some(i: int) -> Found:
        rows = slice(i, i + tile)
        return settle(Pool(a.x[rows], a.length[rows]), b, k, values[rows], indices[rows], tile)

    return tuple(map(torch.cat, zip(*spread(some, range(0, len(a), tile), a.x.device), strict=True)))


def settle(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Found:
    """The true k best of each row among the screened candidates, and a second look at rows where one may be missing.

    With e the most by which a product differs from the defined similarity, the k-th best similarity is at least the k-th
    best product less e; so whatever is among the k best, ties included, has a product within 2 e of that one. Nothing is
    missing where the least candidate is below that; elsewhere all within 2 e are candidates, by float64 products.
    """
    k = min(k, len(b))
    reach = values[:, k - 1 : k].double() - 2 * error(a.x, values.dtype)
    scores, order = rescored(a, b, values, indices, reach, k)
    doubt = (values[:, -1] >= reach[:, 0]).nonzero().flatten() if values.shape[1] < len(b) else order.new_empty(0)
    for rows in doubt.split(max(1, CELLS // len(b))) if len(doubt) else ():
        some = Pool(a.x[rows], a.length[rows])
        queries = some.unit(slice(None))
        products = torch.cat([queries @ b.unit(slice(j, j + tile)).T for j in range(0, len(b), tile)], 1)
        reach = products.topk(k).values[:, -1:] - 2 * error(a.x, torch.float64)
        near = products.topk(int((products >= reach).sum(1).max()))
        scores[rows], order[rows] = rescored(some, b, *near, reach, k)
    return scores, order


def error(x: Tensor, dtype: torch.dtype) -> float:
    """How far a matrix product of unit vectors, in any order of additions, can be from their similarity as defined here.

    H u for H multiplications and additions, 2 u for rounding the vectors, and the error of the definition itself; u = half
    the machine epsilon (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1).
    """
    h = x.shape[1]
    return 1.001 * (h + 8) * torch.finfo(dtype).eps / 2 + h * torch.finfo(torch.float64).eps


def rescored(a: Pool, b: Pool, values: Tensor, indices: Tensor, reach: Tensor, k: int) -> Found:
    """The k best of each row's candidates by the defined similarity, ties to the smaller index.

    values, indices: (N, C), the candidates by matrix product; reach: (N, 1), below which none can be among the k best.
    """
    indices, at = indices.sort(1)
    i, j = (values.gather(1, at) >= reach).nonzero(as_tuple=True)
    scores, size = values.new_full(indices.shape, -torch.inf, dtype=torch.float64), max(1, GATHERED // a.x.shape[1])
    for x, y in zip(i.split(size), j.split(size), strict=True):
        scores[x, y] = added(a.unit(x) * b.unit(indices[x, y]))
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, order)[:, :k]


# -- mining ------------------------------------------------------------------------------------------------------------

Mined = list[tuple[str, str, float]]  # ids of both sides and the margin, best first


def mine(a: Tensor, b: Tensor, tile: int = 0) -> list[tuple[int, int, float]]:
    """Candidate pairs (i, j, margin), best first, each sentence once: (N, H), (M, H) -> at most min(N, M) pairs.

    Margin: cosine over the mean cosine of both sides' four nearest neighbours. Each sentence of either side proposes the one
    of its neighbours with the largest margin; proposals are taken in order of margin, while both sentences are free and it
    is above 0. Equal margins: the nearer neighbour; a's proposals before b's, in order (the official sort leaves it open).
    Source: Artetxe & Schwenk 2019 ("ratio", "max"); nyu-mll/jiant@daa5a25, jiant/tasks/lib/bucc2018.py.
    """
    (forward, near), (backward, back) = both(a, b, NEIGHBOURS, tile)
    fwd, bwd = (added(x) / x.shape[1] for x in (forward, backward))
    ahead = (forward / ((fwd.unsqueeze(1) + bwd[near]) / 2)).nan_to_num(0.0)
    behind = (backward / ((bwd.unsqueeze(1) + fwd[back]) / 2)).nan_to_num(0.0)  # 0 / 0: zero vectors
    proposed = {}
    for margins, to, swap in ((ahead, near, False), (behind, back, True)):
        best = margins.argmax(1, keepdim=True)
        for i, (j, margin) in enumerate(zip(to.gather(1, best).flatten().tolist(), margins.amax(1).tolist(), strict=True)):
            proposed[(j, i) if swap else (i, j)] = margin
    taken_a, taken_b, found = set(), set(), []
    for (i, j), margin in sorted(proposed.items(), key=lambda p: -p[1]):
        if margin > 0 and i not in taken_a and j not in taken_b:
            found.append((i, j, margin))
            taken_a.add(i)
            taken_b.add(j)
    return found


def tuned(found: Mined, gold: list[dict]) -> float:
    """The threshold with the best F1 on the gold pairs {ids}: halfway between the last pair that is kept and the next.

    Source: as `mine`. That code fails when the best is to keep every pair: the threshold is then the last margin.
    """
    right, best, at, wanted = 0, 0.0, -1, {tuple(g["ids"]) for g in gold}
    for n, (a, b, _) in enumerate(found, 1):
        right += (a, b) in wanted
        if 2 * right / (n + len(wanted)) > best:
            best, at = 2 * right / (n + len(wanted)), n - 1
    margins = [m for *_, m in found[at : at + 2]] if at >= 0 else [0.0]
    return sum(margins) / len(margins)


def kept(found: Mined, threshold: float) -> list[tuple[str, str]]:
    """The pairs whose margin reaches the threshold."""
    return [(a, b) for a, b, margin in found if margin >= threshold]


# -- the tasks ---------------------------------------------------------------------------------------------------------

# metric, protocol, way of searching, relative depth
TATOEBA = (
    ("accuracy", "tatoeba/jiant", "forward", DEPTH), ("accuracy_centred", "tatoeba/jiant", "forward_centred", DEPTH),
    ("accuracy", "tatoeba/mteb", "backward", DEPTH), ("accuracy_centred", "tatoeba/mteb", "backward_centred", DEPTH),
    ("accuracy", "tatoeba/pr104", "forward", 10 / 24), ("accuracy", "tatoeba/first", "forward_first", DEPTH),
)  # fmt: skip


def tatoeba(net: Model, s: Scale) -> dict:
    """Nearest neighbour of each English sentence in the other language (tatoeba/jiant), raw and language-centred, by layer.

    `protocols`: the other direction (tatoeba/mteb), layer 10 of 24 (tatoeba/pr104), the first token's vector in place of the
    mean (tatoeba/first). `predictions`: of each row the neighbour at every layer, in each direction and pooling.
    """
    best, scores, layers, x, predictions, seen, groups = headline_layer(net), [], [], {}, {}, [], {}
    for lang in languages("tatoeba", s):
        rows, read = data.examples("tatoeba", "validation", lang, s, s.eval_rows)
        other, pivot = (embed(net, [r[side] for r in rows], s, first=True) for side in "ab")
        near, depth = ways(pivot, other), len(other) // 2
        groups[lang], groups[PIVOT], seen = other[:depth], pivot[:depth], seen + read
        right = {way: (found == torch.arange(len(rows))).float() * 100 for way, found in near.items()}
        scores += [Score(lang, m, p, right[way][at_depth(net, d)].mean().item(), len(rows)) for m, p, way, d in TATOEBA]
        layers += [
            {"lang": lang, "layer": k, "centred": centre, "value": round(v, 6)}
            for centre in (False, True)
            for k, v in enumerate(right["forward" + "_centred" * centre].mean(1).tolist())
        ]
        x[lang], told = right["forward"][best].tolist(), {way: found.T.tolist() for way, found in near.items()}
        predictions[lang] = [
            {"id": r["id"], "prediction": told["forward"][i][best]} | {way: by_layer[i] for way, by_layer in told.items()}
            for i, r in enumerate(rows)
        ]
    return entry("tatoeba", scores, x, predictions, seen, layers=layers, language_share=language_share(list(groups.values())))


def probe(net: Model, s: Scale) -> dict[str, float]:
    """The means over languages of what `tatoeba` scores first, raw and language-centred, and nothing else, to be quick."""
    rows = [data.examples("tatoeba", "validation", lang, s, s.eval_rows)[0] for lang in languages("tatoeba", s)]
    sides = [[r[side] for r in some] for some in rows for side in "ab"]
    vectors = embed(net, sum(sides, []), s, layers=(headline_layer(net),))[0].split([*map(len, sides)])
    found = {}
    for other, pivot in zip(vectors[::2], vectors[1::2], strict=True):
        for name, a, b in (("tatoeba", pivot, other), ("tatoeba_centred", centred(pivot), centred(other))):
            right = search(a, b, 1)[1][:, 0] == torch.arange(len(a))
            found.setdefault(name, []).append(100 * right.float().mean().item())
    return {name: sum(each) / len(each) for name, each in found.items()}


def ways(pivot: Tensor, other: Tensor) -> dict[str, Tensor]:
    """Nearest neighbours by way of searching, each (layers, N); "forward" is from the pivot language to the other.

    pivot, other: (2 layers, N, H), means before first tokens.
    """
    found, depth = {}, len(pivot) // 2
    for name, some, centre in (("", slice(depth), False), ("_centred", slice(depth), True), ("_first", slice(depth, None), False)):
        found["forward" + name], found["backward" + name] = nearest(pivot[some], other[some], centre)
    return found


def nearest(a: Tensor, b: Tensor, centre: bool = False) -> tuple[Tensor, Tensor]:
    """Index of the most similar vector on the other side, by layer: (L, N, H), (L, M, H) -> (L, N), (L, M).

    `centre`: each side's mean vector is subtracted first.
    """
    found = [both(centred(x) if centre else x, centred(y) if centre else y, 1) for x, y in zip(a, b, strict=True)]
    return torch.stack([f[0][1][:, 0] for f in found]), torch.stack([f[1][1][:, 0] for f in found])


def entry(name: str, scores: list[Score], x: dict, predictions: dict, seen: list[dict], **more) -> dict:
    """The row of a retrieval task: scores under its own protocol, and apart from them, as `protocols`, under others."""
    own, other = ([z for z in scores if (z.protocol == TASKS[name].protocol) == mine] for mine in (True, False))
    told = [{"task": name, "lang": lang} | each for lang, some in predictions.items() for each in some]
    return row(own, x, told, seen, protocols=other, **more)


def bucc(net: Model, s: Scale) -> dict:
    """Mining by ratio margin from the full pools, raw and language-centred, threshold tuned on the same gold (bucc/jiant-dev).

    `protocols`: layer 20 of 24 (bucc/xtreme-2020; there a sentence that stands in a pool twice counts for nothing, while with
    jiant each of its ids stands for it), and the threshold applied to the test pools where they are at hand (bucc/heldout).
    `thresholds`: the tuned ones. `predictions`: every pair that was mined; None below the threshold.
    """
    own, chose, scores, x, predictions, seen = TASKS["bucc"].protocol, {}, [], {}, {}, []
    for lang in languages("bucc", s):
        ids, vectors, gold, read = corpora(net, lang, s)
        raw, centre = expanded(mine(*vectors[0]), ids), expanded(mine(*map(centred, vectors[0])), ids)
        once, chose[lang] = expanded(mine(*vectors[1]), ids, repeated=False), tuned(raw, gold)
        cases = [("f1", own, raw, gold, chose[lang]), ("f1_centred", own, centre, gold, tuned(centre, gold))]
        cases += [("f1", "bucc/xtreme-2020", once, gold, tuned(once, gold))]
        if s.world == "real" and all(sources.official_pools(lang, split) for split in ("validation", "test")):
            others, new, held, more = corpora(net, lang, s, "test")
            cases, read = cases + [("f1", "bucc/heldout", expanded(mine(*new[0]), others), held, chose[lang])], read + more
        for metric, protocol, found, wanted, limit in cases:
            told, points = PROTOCOLS["bucc/pairs"](kept(found, limit), wanted, lang)
            scores.append(Score(lang, metric, protocol, told["f1"], len(wanted)))
            x.setdefault(lang, points)  # of the first, the headline
        predictions[lang] = [
            {"id": f"{p} {q}", "prediction": (p, q) if margin >= chose[lang] else None, "margin": margin} for p, q, margin in raw
        ]
        seen += read
    return entry("bucc", scores, x, predictions, seen, thresholds=chose)


def corpora(net: Model, lang: str, s: Scale, split: str = "validation") -> tuple[list[dict], list[tuple], list[dict], list[dict]]:
    """Ids by sentence on both sides, their vectors at the headline layer and at layer 20 of 24, gold pairs, what was read."""
    source, target, gold, seen = pools(lang, s, split)
    ids = [by_text(source), by_text(target)]
    a, b = (embed(net, list(side), s, layers=(headline_layer(net), at_depth(net, 20 / 24))) for side in ids)
    return ids, list(zip(a, b, strict=True)), gold, seen


def by_text(pool: list[dict]) -> dict[str, list[str]]:
    """The ids of each different sentence of a pool, in its order."""
    ids = {}
    for each in pool:
        ids.setdefault(each["sentence"].strip(), []).append(each["id"])
    return ids


def expanded(found: list[tuple[int, int, float]], ids: list[dict[str, list[str]]], repeated: bool = True) -> Mined:
    """Pairs of different sentences as pairs of ids: all ids of each; without `repeated` only of sentences that have one."""
    a, b = (list(side.values()) for side in ids)
    return [(p, q, m) for i, j, m in found if repeated or len(a[i]) == len(b[j]) == 1 for p in a[i] for q in b[j]]


def pools(lang: str, s: Scale, split: str = "validation") -> tuple[list[dict], list[dict], list[dict], list[dict]]:
    """BUCC's sentences on both sides {id, sentence}, all gold pairs among them {ids}, and what was read.

    All gold pairs at every scale: with a sample of them, true pairs would count as wrong.
    """
    if s.world == "micro":
        from . import micro

        gold, seen = data.examples("bucc", "validation", lang, s, s.eval_rows)
        n = round(len(gold) / micro.BUCC_GOLD)
        return micro.rows("bucc_pool", "source", lang, n), micro.rows("bucc_pool", "target", lang, n), gold, seen
    source, target, pairs, part = sources.pools(lang, split)
    if pairs is None and split == "test":
        raise Bad(f"{part.source}: pools without gold pairs cannot be scored; add the .gold file, or take these pools away")
    gold, seen = ([{"ids": p} for p in pairs], []) if pairs is not None else data.examples("bucc", split, lang, s)
    for side, rows in (("source", source), ("target", target)):
        seen.append(noted("bucc", f"{split}: {side}", lang, part._replace(rows=rows)))
    return source, target, gold, seen


def noted(name: str, split: str, lang: str, part: sources.Part) -> dict:
    """What was read of a pool, as `data.Seen` tells it of examples."""
    digest = hashlib.sha256(json.dumps(part.rows, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    where = (part.source, part.revision, part.stand_in, TASKS[name].licence)
    return asdict(data.Seen(name, split, lang, len(part.rows), 0, digest, *where, {}, part.note))


def lareqa(net: Model, s: Scale) -> dict:
    """Each question finds the sentences with its answer, in every language, among the sentences of all languages (mAP@20).

    A candidate is a sentence followed by its paragraph (256 tokens; questions 96), as in XTREME-R, which fine-tunes a dual
    encoder on SQuAD first: a deviation, for here the encoder itself is scored. `protocols`: by the sentence alone.
    Source: google-research/xtreme@838c13b, third_party/utils_lareqa.py and evaluate_retrieval.py, scripts/run_eval_lareqa.sh.
    """
    queries, pool, gold, seen = {}, {}, {}, []
    for lang in languages("lareqa", s):
        examples, read = data.examples("lareqa", "validation", lang, s, s.eval_rows)
        pool[lang], seen = candidates(lang, examples, gold), seen + read
        queries[lang] = [{"id": e["id"], "text": e["question"], "gold": gold[e["id"]]} for e in examples]
    alone = {lang: {name: text for name, (text, _) in of.items()} for lang, of in pool.items()}
    whole = {lang: {name: text + context for name, (text, context) in of.items()} for lang, of in pool.items()}
    scores, x, predictions = ranking(net, s, "lareqa", queries, whole, (96, 256))
    bare, *_ = ranking(net, s, "lareqa", queries, alone, (96, 256))
    return entry("lareqa", scores + [replace(z, protocol="lareqa/sentence") for z in bare], x, predictions, seen)


def candidates(lang: str, examples: list[dict], gold: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """A language's sentences with their paragraphs, each once, by id "<language>_<paragraph>_<sentence>".

    Adds those that answer a question to its list in `gold`, which all languages share.
    """
    numbers, found = {}, {}
    for e in examples:
        number = numbers.setdefault(e["context"], len(numbers) + 1)
        for at, text in enumerate(e["sentences"]):
            found[f"{lang}_{number}_{at}"] = (text.replace("\n", ""), e["context"].replace("\n", ""))
            if text == e["sentences"][e["answer"]]:
                gold.setdefault(e["id"], []).append(f"{lang}_{number}_{at}")
    return found


def mewslix(net: Model, s: Scale) -> dict:
    """Each mention in its sentence finds its entity among descriptions in all languages (mAP@20; one answer is right).

    64 tokens, as in XTREME-R, which fine-tunes a dual encoder first: a deviation, for here the encoder itself is scored.
    Source: google-research/xtreme@838c13b, third_party/utils_mewslix.py, scripts/run_eval_mewslix.sh.
    """
    queries, pool, seen, task = {}, {}, [], TASKS["mewslix"]
    for lang in languages("mewslix", s):
        rows, read = data.examples("mewslix", "validation", lang, s, s.eval_rows)
        queries[lang], seen = [{"id": e["id"], "text": e["mention"], "gold": [e["entity"]]} for e in rows], seen + read
    for part in sources.fetch(*task.config(PIVOT), "candidate_set_entities", task.revision, task.obtain):
        seen.append(noted("mewslix", "candidates", "", part))
        for i, each in enumerate(part.rows):
            try:
                told = " ".join(each["description"][span["start"] : span["end"]] for span in each["sentence_spans"])
                pool.setdefault(each["description_language"], {})[each["entity_id"]] = " ".join(told.split())
            except (KeyError, TypeError) as error:
                raise Bad(f"{part.source}: row {i}: no candidate ({type(error).__name__}: {error}); make the file again") from None
    return entry("mewslix", *ranking(net, s, "mewslix", queries, pool, (64, 64)), seen)


def ranking(
    net: Model, s: Scale, name: str, queries: dict[str, list[dict]], texts: dict[str, dict[str, str]], lengths: tuple[int, int]
) -> tuple[list[Score], dict, dict]:
    """Queries {id, text, gold} by language against one pool of candidates {id: text} by language, at the headline layer.

    Raw, and with the mean of each language's queries and of each language's candidates subtracted. `lengths`: tokens of
    a query and of a candidate. Returns scores, the average precision of each query, and the first 20 candidates of each.
    """
    scores, x, predictions, (metric,) = [], {}, {}, TASKS[name].metrics
    names = [each for of in texts.values() for each in of]
    apart = [embed(net, list(of.values()), s, lengths[1], (headline_layer(net),))[0] for of in texts.values()]
    pool = {"": torch.cat(apart), "_centred": torch.cat([centred(of) for of in apart])}
    for lang, asked in queries.items():
        found = embed(net, [q["text"] for q in asked], s, lengths[0], (headline_layer(net),))[0]
        for how, vector in {"": found, "_centred": centred(found)}.items():
            ranked = [[names[j] for j in some] for some in search(vector, pool[how], RANKED)[1].tolist()]
            told, points = PROTOCOLS["map@20"](ranked, asked, lang)
            scores.append(Score(lang, metric + how, TASKS[name].protocol, told["map@20"], len(asked)))
            x.setdefault(lang, points)  # of the raw ones, the headline
            predictions.setdefault(lang, list(map(answered, asked, ranked)))
    return scores, x, predictions


def answered(query: dict, ranked: list[str]) -> dict:
    return {"id": query["id"], "prediction": ranked, "gold": query["gold"]}
