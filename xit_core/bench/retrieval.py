"""Our exact search compared with faiss' exact index: both directions, on the same vectors and threads.

They run in turns in one process. `faiss.IndexFlatIP` searches one way, so it needs an index and a search for
each direction; building an index copies the vectors.
"""

import statistics
import time
from functools import partial
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from ..data import mining_pools, overlap
from ..data.mirror import from_mirror
from ..machine.errors import Bad
from ..machine.places import mirror_dir
from ..score import embed, retrieval, search
from . import record
from .train import peak

FAISS = "faiss IndexFlatIP on the CPU"
SAMPLE = 256  # rows of each side that are compared by brute force with all rows of the other
NOISE = 1.0  # length of the noise added to a vector to make its neighbour, a cosine of about 0.7
LANGUAGE = "zh"  # the smallest of BUCC's pools

Sides = tuple[Tensor, Tensor]  # (N, H) and (M, H), float32, of length 1


def measure(rows: int = 100_000, dims: int = 256, k: int = 4, rounds: int = 3) -> list[dict]:
    """Speed, seconds, memory and agreement on drawn pools of `rows` sentences a side.

    BUCC's pools are measured too, where the mirror has them.
    Raises: Bad without faiss.
    """
    try:
        import faiss
    except ImportError:
        raise Bad(
            "xit bench retrieval measures beside faiss, which is not installed: pip install 'xit[bench]'"
        ) from None
    faiss.omp_set_num_threads(torch.get_num_threads())
    records = compared_searches(f"{rows} x {rows} x {dims}", drawn_vectors(rows, dims), k, rounds)
    mirrored = mirror_dir() and from_mirror("bucc2018", f"{LANGUAGE}-en", "source")
    if mirrored or mining_pools.official_pools(LANGUAGE):
        records += compared_searches(f"BUCC {LANGUAGE}", bucc_vectors(dims), k, rounds)
    return records


def drawn_vectors(rows: int, dims: int, seed: int = 0) -> Sides:
    """Random unit vectors; each vector of one side has a near neighbour on the other, in another order."""
    draw = torch.Generator().manual_seed(seed)
    a, noise = (functional.normalize(torch.randn(rows, dims, generator=draw)) for _ in range(2))
    return a, functional.normalize(a + NOISE * noise)[torch.randperm(rows, generator=draw)]


def bucc_vectors(dims: int = 256, seed: int = 0) -> Sides:
    """BUCC's sentences as means of random vectors of their words; the mean of the language is subtracted.

    No encoder is needed: sentences that share words lie near each other, as they do in an encoder's space.
    """
    pools = mining_pools.bucc_pools(LANGUAGE)[:2]
    sides = [[overlap.units(text) or [""] for text in retrieval.by_text(side)] for side in pools]
    words = {word: i for i, word in enumerate(dict.fromkeys(chain.from_iterable(chain(*sides))))}
    table = torch.randn(len(words), dims, generator=torch.Generator().manual_seed(seed))
    means = [torch.stack([table[[words[w] for w in said]].mean(0) for said in side]) for side in sides]
    return tuple(functional.normalize(embed.centred(side)) for side in means)


def compared_searches(name: str, pools: Sides, k: int, rounds: int) -> list[dict]:
    """The records of one pair of pools.

    They are medians over rounds, and the share of neighbours that are those of brute force.
    """
    times, memory, neighbours = {}, {}, {}
    for _ in tqdm(range(rounds), desc=name, unit="round"):
        for method, way in {"ours": our_search, FAISS: their_search}.items():
            begin = time.perf_counter()
            neighbours[method], used = peak(partial(way, *pools, k))
            times.setdefault(method, []).append(time.perf_counter() - begin)
            memory.setdefault(method, []).append(used / 1024)
    seconds, used = (
        {method: statistics.median(x) for method, x in measured.items()} for measured in (times, memory)
    )
    right = {method: agreement(pools, measured) for method, measured in neighbours.items()}
    speed = {method: 2e-9 * len(pools[0]) * len(pools[1]) / x for method, x in seconds.items()}
    return [
        record(f"{name}: both directions", "s", seconds["ours"], FAISS, seconds[FAISS]),
        record(f"{name}: speed", "10^9 similarities/s", speed["ours"], FAISS, speed[FAISS]),
        record(f"{name}: memory above the vectors", "GiB", used["ours"], FAISS, used[FAISS]),
        record(f"{name}: neighbours as by brute force in float64", "%", right["ours"], FAISS, right[FAISS]),
    ]


def our_search(a: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Indices of the neighbours of each row of a in b, and of each row of b in a.

    Shapes: (N, H), (M, H) -> indices (N, k) and (M, k).
    """
    forward, back = search.both(a, b, k)
    return forward[1], back[1]


def their_search(a: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The same with faiss, exact and flat. Shapes: (N, H), (M, H) -> indices (N, k) and (M, k)."""
    import faiss

    results = []
    for x, y in ((a, b), (b, a)):
        index = faiss.IndexFlatIP(x.shape[1])
        index.add(y.numpy())
        results.append(torch.from_numpy(index.search(x.numpy(), k)[1]))
    return tuple(results)


def agreement(pools: Sides, found: tuple[Tensor, Tensor]) -> float:
    """Percentage of a sample's neighbours, in order, that equal those of whole float64 products.

    Both directions are counted.
    Shapes: found (N, k) and (M, k).
    """
    same = []
    for (x, y), indices in zip((pools, pools[::-1]), found, strict=True):
        rows = torch.arange(0, len(x), max(1, len(x) // SAMPLE))
        exact = (search.unit(x[rows]) @ search.unit(y).T).topk(indices.shape[1]).indices
        same.append((exact == indices[rows]).flatten())
    return 100 * torch.cat(same).double().mean().item()
