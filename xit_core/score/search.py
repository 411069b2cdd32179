"""Exact nearest-neighbour search in bounded memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..machine.errors import Bad

# rows and columns of the similarity matrix at a time: in cache, or few launches
TILES = {
    "cpu": 2048,
    "cuda": 8192,
}
BLOCK = 16  # numbers of a row, or column, of a tile that are looked at only where their maximum is of use
SLACK = 12  # candidates kept beyond k
CELLS = 2**23  # numbers in an intermediate result of the second look
GATHERED = 2**17  # numbers of candidates that are compared at a time: in cache


# -- exact search --------------------------------------------------------------------------------------------
# The similarity of two vectors is defined as the cosine in float64, products added in halves (`added`):
# elementwise IEEE operations only, so that a score is the same to the bit on every machine and equal
# vectors tie. Matrix products, whose order of additions is the library's own, only choose candidates,
# with a bound on how far they can be off.

Neighbours = tuple[Tensor, Tensor]  # similarities, float64, and indices, each (N, k)


class Pool(NamedTuple):
    """Vectors as they were given (N, H) and their lengths in float64: rows of length 1 exist only while they
    are looked at.
    """

    x: Tensor
    length: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def unit(self, rows: Tensor | slice) -> Tensor:
        """Rows of length 1 in float64; rows of zeros stay. Shapes: -> (rows, H)."""
        return self.x[rows].double() / self.length[rows].unsqueeze(-1)


def with_lengths(x: Tensor) -> Pool:
    """Raises: Bad for vectors that are not finite. Shapes: (N, H) -> a pool of N."""
    parts = (part.double() for part in x.split(max(1, CELLS // x.shape[1])))
    length = torch.cat([added(part * part) for part in parts]).sqrt().clamp_min(1e-30)
    if not length.isfinite().all():
        raise Bad(
            "a sentence vector is not finite; retrieval needs an encoder whose training did not diverge: "
            "lower its rate"
        )
    return Pool(x, length)


def unit(x: Tensor) -> Tensor:
    """Rows of length 1 in float64; rows of zeros stay. Shapes: (N, H) -> (N, H)."""
    return with_lengths(x).unit(slice(None))


def added(x: Tensor) -> Tensor:
    """The sum over the last dimension, always in the same order: halves are added until one number is
    left.
    Shapes: (..., H) -> (...).
    """
    while x.shape[-1] > 1:
        if x.shape[-1] % 2:
            x = functional.pad(x, (0, 1))
        x = x[..., : x.shape[-1] // 2] + x[..., x.shape[-1] // 2 :]
    return x.squeeze(-1)


def search(queries: Tensor, database: Tensor, k: int, tile: int = 0) -> Neighbours:
    """The min(k, M) most similar rows of the database of each query: (N, H), (M, H) -> cosines and indices,
    best first.

    Ties go to the smaller index; a zero vector has similarity 0 to everything.
    Raises: Bad for vectors that are not finite.
    """
    return both(queries, database, k, tile, backward=False)[0]


def both(
    a: Tensor, b: Tensor, k: int, tile: int = 0, backward: bool = True
) -> tuple[Neighbours, Neighbours | None]:
    """`search` of a in b and of b in a, from one pass over the similarities, on a GPU where there is one.

    `tile`: rows and columns of the similarities at a time, 0 = TILES.
    Shapes: (N, H), (M, H) -> (N, k) twice, (M, k) twice.
    """
    home, there = a.device, "cuda" if torch.cuda.is_available() else "cpu"
    a, b, tile = with_lengths(a.to(there)), with_lengths(b.to(there)), tile or TILES[there]
    forward, back = screen(a, b, k, tile, backward)
    forward, back = (
        exact_top_k_by_tile(a, b, k, *forward, tile),
        exact_top_k_by_tile(b, a, k, *back, tile) if backward else None,
    )
    return tuple(x.to(home) for x in forward), back and tuple(x.to(home) for x in back)


def screen(a: Pool, b: Pool, k: int, tile: int, backward: bool) -> tuple[Neighbours, Neighbours]:
    """Candidates for the k best of each row of a among the rows of b, and the reverse: products, descending,
    and indices.
    """
    # TF32 makes float32 products less than that, and the bound untrue: then float64 chooses
    dtype = torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64
    av, bv = (
        a.length.new_full((len(x), min(k + SLACK, len(y))), -torch.inf, dtype=dtype)
        for x, y in ((a, b), (b, a))
    )
    ai, bi = (torch.zeros_like(x, dtype=torch.long) for x in (av, bv))
    margin, starts = 3 * error(a.x, dtype), range(0, len(b), tile)
    locks = {j: Lock() for j in starts}

    def compare(i: int) -> None:
        rows, first = slice(i, i + tile), i // tile % len(starts)  # threads begin at different columns
        queries = a.unit(rows).to(dtype)
        for j in [*starts[first:], *starts[:first]]:
            columns = slice(j, j + tile)
            products = queries @ b.unit(columns).to(dtype).T
            merge_into_top(products, 1, j, min(k, len(b)), margin, av[rows], ai[rows])
            if backward:
                with locks[j]:
                    merge_into_top(products, 0, i, min(k, len(a)), margin, bv[columns], bi[columns])

    in_threads(compare, range(0, len(a), tile), a.x.device)
    return (av, ai), (bv, bi)


def in_threads(work: Callable, parts: range, device: torch.device) -> list:
    """The work on each part, in order; on a CPU by as many threads as torch may use, each on its own part
    with one core.

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


def merge_into_top(
    products: Tensor, dim: int, start: int, k: int, margin: float, values: Tensor, indices: Tensor
) -> None:
    """Merge a tile's columns (dim 1; or rows, dim 0), from index `start` on, into the running top k,
    in place.

    What is more than `margin`, over 2 e of `exact_top_k`, below a row's k-th best so far is not needed. Most
    blocks hold nothing above that: only their maxima are computed.
    Shapes: products (rows, columns), values and indices (N, k + SLACK).
    """
    blocks, odd = -(-products.shape[dim] // BLOCK), -products.shape[dim] % BLOCK
    if odd:
        products = functional.pad(products, (0, odd) if dim else (0, 0, 0, odd), value=-torch.inf)
    # column c is in block c % blocks: whole lines are compared
    tops = products.unflatten(dim, (BLOCK, blocks)).amax(dim)
    if dim == 0:
        products, tops = products.T, tops.T
    needed = values[:, k - 1] - margin
    rows = (tops.amax(1) >= needed).nonzero().flatten()
    if not len(rows):
        return
    # the n largest numbers of a row are in the n blocks with the largest maxima; the k-th is no less than the
    # k-th maximum
    best, at = tops[rows].topk(min(values.shape[1], blocks))
    needed = torch.maximum(needed[rows], best[:, k - 1] - margin) if k <= blocks else needed[rows]
    at = at[:, : int((best >= needed.unsqueeze(1)).sum(1).max())]
    at = (at.unsqueeze(2) + torch.arange(0, BLOCK * blocks, blocks, device=at.device)).flatten(1)
    best, chosen = torch.cat([values[rows], products[rows.unsqueeze(1), at]], 1).topk(values.shape[1])
    indices[rows] = torch.cat([indices[rows], at + start], 1).gather(1, chosen)
    values[rows] = best


def exact_top_k_by_tile(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Neighbours:
    """`exact_top_k` of each tile's rows. Shapes: values, indices (N, C) -> (N, k) twice."""

    def some(i: int) -> Neighbours:
        rows = slice(i, i + tile)
        return exact_top_k(Pool(a.x[rows], a.length[rows]), b, k, values[rows], indices[rows], tile)

    return tuple(map(torch.cat, zip(*in_threads(some, range(0, len(a), tile), a.x.device), strict=True)))


def exact_top_k(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Neighbours:
    """The true k best of each row among the screened candidates, and a second look at rows where one may be
    missing.

    With e the most by which a product differs from the defined similarity, the k-th best similarity is at
    least the k-th best product less e; so whatever is among the k best, ties included, has a product within 2
    e of that one. Nothing is missing where the least candidate is below that; elsewhere all within 2 e are
    candidates, by float64 products.
    Shapes: values, indices (N, C) -> (N, k) twice.
    """
    k = min(k, len(b))
    reach = values[:, k - 1 : k].double() - 2 * error(a.x, values.dtype)
    scores, order = rescored(a, b, values, indices, reach, k)
    doubt = (
        (values[:, -1] >= reach[:, 0]).nonzero().flatten() if values.shape[1] < len(b) else order.new_empty(0)
    )
    for rows in doubt.split(max(1, CELLS // len(b))) if len(doubt) else ():
        some = Pool(a.x[rows], a.length[rows])
        queries = some.unit(slice(None))
        products = torch.cat([queries @ b.unit(slice(j, j + tile)).T for j in range(0, len(b), tile)], 1)
        reach = products.topk(k).values[:, -1:] - 2 * error(a.x, torch.float64)
        near = products.topk(int((products >= reach).sum(1).max()))
        scores[rows], order[rows] = rescored(some, b, *near, reach, k)
    return scores, order


def error(x: Tensor, dtype: torch.dtype) -> float:
    """How far a matrix product of unit vectors, in any order of additions, can be from their similarity as
    defined here.

    H u for H multiplications and additions, 2 u for rounding the vectors, and the error of the definition
    itself; u = half the machine epsilon (Higham 2002, Accuracy and Stability of Numerical Algorithms, section
    3.1).
    """
    h = x.shape[1]
    return 1.001 * (h + 8) * torch.finfo(dtype).eps / 2 + h * torch.finfo(torch.float64).eps


def rescored(a: Pool, b: Pool, values: Tensor, indices: Tensor, reach: Tensor, k: int) -> Neighbours:
    """The k best of each row's candidates by the defined similarity, ties to the smaller index.

    values, indices: (N, C), the candidates by matrix product; reach: (N, 1), below which none can be among
    the k best.
    """
    indices, at = indices.sort(1)
    i, j = (values.gather(1, at) >= reach).nonzero(as_tuple=True)
    scores, size = (
        values.new_full(indices.shape, -torch.inf, dtype=torch.float64),
        max(1, GATHERED // a.x.shape[1]),
    )
    for x, y in zip(i.split(size), j.split(size), strict=True):
        scores[x, y] = added(a.unit(x) * b.unit(indices[x, y]))
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, order)[:, :k]
