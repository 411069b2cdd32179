"""Exact nearest-neighbour search in bounded memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..machine.errors import Bad

# rows and columns of the similarity matrix at a time: on the CPU they stay in cache, on the GPU there are
# few launches
TILES = {"cpu": 2048, "cuda": 8192}
BLOCK = 16  # numbers of a tile's row or column that are examined only if their maximum is large enough
SLACK = 12  # candidates kept beyond k
CELLS = 2**23  # numbers in an intermediate result of the exact recheck
GATHERED = 2**17  # numbers of candidates compared at a time, so that they stay in cache


# -- exact search --------------------------------------------------------------------------------------------
# The similarity of two vectors is defined as the cosine in float64, with the products summed in halves
# (`added`). This uses elementwise IEEE operations only, so a score is bit-identical on every machine and
# equal vectors tie. Matrix products add in an order that the library chooses, so they only select
# candidates, with a bound on their error.

Neighbours = tuple[Tensor, Tensor]  # similarities, float64, and indices, each (N, k)


class Pool(NamedTuple):
    """Vectors as they were given (N, H), and their lengths in float64.

    Rows of length 1 exist only while they are used.
    """

    x: Tensor
    length: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def unit(self, rows: Tensor | slice) -> Tensor:
        """Rows scaled to length 1, in float64; rows of zeros stay. Shapes: -> (rows, H)."""
        return self.x[rows].double() / self.length[rows].unsqueeze(-1)


def with_lengths(x: Tensor) -> Pool:
    """Make a pool of vectors. Shapes: (N, H) -> a pool of N.

    Raises: Bad for vectors that are not finite.
    """
    parts = (part.double() for part in x.split(max(1, CELLS // x.shape[1])))
    length = torch.cat([added(part * part) for part in parts]).sqrt().clamp_min(1e-30)
    if not length.isfinite().all():
        raise Bad(
            "a sentence vector is not finite; retrieval needs an encoder whose training did not diverge: "
            "lower its rate"
        )
    return Pool(x, length)


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1, in float64; rows of zeros stay. Shapes: (N, H) -> (N, H)."""
    return with_lengths(x).unit(slice(None))


def added(x: Tensor) -> Tensor:
    """The sum over the last dimension, always in the same order: halves are added until one number is left.

    Shapes: (..., H) -> (...).
    """
    while x.shape[-1] > 1:
        if x.shape[-1] % 2:
            x = functional.pad(x, (0, 1))
        x = x[..., : x.shape[-1] // 2] + x[..., x.shape[-1] // 2 :]
    return x.squeeze(-1)


def search(queries: Tensor, database: Tensor, k: int, tile: int = 0) -> Neighbours:
    """The min(k, M) database rows most similar to each query: cosines and indices, best first.

    Ties go to the smaller index; a zero vector has similarity 0 to everything.
    Raises: Bad for vectors that are not finite.
    Shapes: (N, H), (M, H) -> (N, min(k, M)) twice.
    """
    return both(queries, database, k, tile, backward=False)[0]


def both(
    a: Tensor, b: Tensor, k: int, tile: int = 0, backward: bool = True
) -> tuple[Neighbours, Neighbours | None]:
    """`search` of a in b and of b in a, from one pass over the similarities, on a GPU where there is one.

    `tile`: rows and columns of the similarities at a time, 0 for TILES.
    Shapes: (N, H), (M, H) -> (N, k) twice, (M, k) twice.
    """
    origin, device = a.device, "cuda" if torch.cuda.is_available() else "cpu"
    a, b, tile = with_lengths(a.to(device)), with_lengths(b.to(device)), tile or TILES[device]
    forward, back = screen(a, b, k, tile, backward)
    forward, back = (
        exact_top_k_by_tile(a, b, k, *forward, tile),
        exact_top_k_by_tile(b, a, k, *back, tile) if backward else None,
    )
    return tuple(x.to(origin) for x in forward), back and tuple(x.to(origin) for x in back)


def screen(a: Pool, b: Pool, k: int, tile: int, backward: bool) -> tuple[Neighbours, Neighbours]:
    """Candidates for the k best rows of b for each row of a, and the reverse.

    Returns the products, descending, and the indices of each.
    """
    # TF32 makes float32 products less precise, which breaks the bound; float64 then selects candidates
    dtype = torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64
    values_a, values_b = (
        a.length.new_full((len(x), min(k + SLACK, len(y))), -torch.inf, dtype=dtype)
        for x, y in ((a, b), (b, a))
    )
    indices_a, indices_b = (torch.zeros_like(x, dtype=torch.long) for x in (values_a, values_b))
    margin, starts = 3 * error(a.x, dtype), range(0, len(b), tile)
    locks = {j: Lock() for j in starts}

    def compare(i: int) -> None:
        rows, first = slice(i, i + tile), i // tile % len(starts)  # threads start at different columns
        queries = a.unit(rows).to(dtype)
        for j in [*starts[first:], *starts[:first]]:
            columns = slice(j, j + tile)
            products = queries @ b.unit(columns).to(dtype).T
            merge_into_top(products, 1, j, min(k, len(b)), margin, values_a[rows], indices_a[rows])
            if backward:
                with locks[j]:
                    merge_into_top(
                        products, 0, i, min(k, len(a)), margin, values_b[columns], indices_b[columns]
                    )

    in_threads(compare, range(0, len(a), tile), a.x.device)
    return (values_a, indices_a), (values_b, indices_b)


def in_threads(work: Callable, parts: range, device: torch.device) -> list:
    """Do the work on each part and return the results in order.

    On a CPU there are as many threads as torch may use, each with its own part and one core. Threads that
    shared each operation instead would wait for the slowest thousands of times a second.
    """
    threads = torch.get_num_threads()

    def alone(part: int):
        # both settings are per thread
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
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
    """Merge a tile into the running top k, in place.

    The tile's columns (dim 1; or rows, dim 0) have indices from `start` on. A value more than `margin` below
    a row's k-th best so far is not needed. `margin` is above the 2 e of `exact_top_k`. Most blocks hold
    nothing above that limit, so only their maxima are computed.
    Shapes: products (rows, columns), values and indices (N, k + SLACK).
    """
    blocks, padding = -(-products.shape[dim] // BLOCK), -products.shape[dim] % BLOCK
    if padding:
        products = functional.pad(products, (0, padding) if dim else (0, 0, 0, padding), value=-torch.inf)
    # column c is in block c % blocks, so that contiguous lines are compared
    maxima = products.unflatten(dim, (BLOCK, blocks)).amax(dim)
    if dim == 0:
        products, maxima = products.T, maxima.T
    needed = values[:, k - 1] - margin
    rows = (maxima.amax(1) >= needed).nonzero().flatten()
    if not len(rows):
        return
    # The n largest numbers of a row are in the n blocks with the largest maxima. The k-th largest number is
    # at least the k-th largest maximum.
    best, cols = maxima[rows].topk(min(values.shape[1], blocks))
    needed = torch.maximum(needed[rows], best[:, k - 1] - margin) if k <= blocks else needed[rows]
    cols = cols[:, : int((best >= needed.unsqueeze(1)).sum(1).max())]
    cols = (cols.unsqueeze(2) + torch.arange(0, BLOCK * blocks, blocks, device=cols.device)).flatten(1)
    best, chosen = torch.cat([values[rows], products[rows.unsqueeze(1), cols]], 1).topk(values.shape[1])
    indices[rows] = torch.cat([indices[rows], cols + start], 1).gather(1, chosen)
    values[rows] = best


def exact_top_k_by_tile(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Neighbours:
    """`exact_top_k` for each tile's rows. Shapes: values, indices (N, C) -> (N, k) twice."""

    def best_of_tile(i: int) -> Neighbours:
        rows = slice(i, i + tile)
        return exact_top_k(Pool(a.x[rows], a.length[rows]), b, k, values[rows], indices[rows], tile)

    return tuple(
        map(torch.cat, zip(*in_threads(best_of_tile, range(0, len(a), tile), a.x.device), strict=True))
    )


def exact_top_k(a: Pool, b: Pool, k: int, values: Tensor, indices: Tensor, tile: int) -> Neighbours:
    """The true k best of each row among the screened candidates.

    Rows where one may be missing are checked again. Let e be the largest difference between a product and the
    defined similarity. The k-th best similarity is at least the k-th best product minus e. So every one of
    the k best, ties included, has a product within 2 e of the k-th best product. Nothing is missing where the
    lowest candidate is below that limit. In the other rows, all rows of b within 2 e become candidates, by
    float64 products.
    Shapes: values, indices (N, C) -> (N, k) twice.
    """
    k = min(k, len(b))
    reach = values[:, k - 1 : k].double() - 2 * error(a.x, values.dtype)
    scores, order = rescored(a, b, values, indices, reach, k)
    doubt = (
        (values[:, -1] >= reach[:, 0]).nonzero().flatten() if values.shape[1] < len(b) else order.new_empty(0)
    )
    for rows in doubt.split(max(1, CELLS // len(b))) if len(doubt) else ():
        doubtful = Pool(a.x[rows], a.length[rows])
        queries = doubtful.unit(slice(None))
        products = torch.cat([queries @ b.unit(slice(j, j + tile)).T for j in range(0, len(b), tile)], 1)
        reach = products.topk(k).values[:, -1:] - 2 * error(a.x, torch.float64)
        candidates = products.topk(int((products >= reach).sum(1).max()))
        scores[rows], order[rows] = rescored(doubtful, b, *candidates, reach, k)
    return scores, order


def error(x: Tensor, dtype: torch.dtype) -> float:
    """The largest error of a matrix product of unit vectors as their similarity.

    The product may add in any order. The bound sums H u for H multiplications and additions, 2 u for rounding
    the vectors, and the error of the defined similarity itself; u is half the machine epsilon (Higham 2002,
    Accuracy and Stability of Numerical Algorithms, section 3.1).
    """
    h = x.shape[1]
    return 1.001 * (h + 8) * torch.finfo(dtype).eps / 2 + h * torch.finfo(torch.float64).eps


def rescored(a: Pool, b: Pool, values: Tensor, indices: Tensor, reach: Tensor, k: int) -> Neighbours:
    """The k best of each row's candidates by the defined similarity, ties to the smaller index.

    Shapes: values, indices (N, C), the candidates by matrix product; reach (N, 1), the limit below which none
    can be among the k best.
    """
    indices, positions = indices.sort(1)
    i, j = (values.gather(1, positions) >= reach).nonzero(as_tuple=True)
    scores, size = (
        values.new_full(indices.shape, -torch.inf, dtype=torch.float64),
        max(1, GATHERED // a.x.shape[1]),
    )
    for x, y in zip(i.split(size), j.split(size), strict=True):
        scores[x, y] = added(a.unit(x) * b.unit(indices[x, y]))
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, order)[:, :k]
