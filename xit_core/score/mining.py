"""Mining of translation pairs by margin."""

from torch import Tensor

from .search import added, both

NEIGHBOURS = 4  # neighbours in BUCC's margin


# -- mining --------------------------------------------------------------------------------------------------

Mined = list[tuple[str, str, float]]  # ids of both sides and the margin, best first


def mine(a: Tensor, b: Tensor, tile: int = 0) -> list[tuple[int, int, float]]:
    """Find candidate pairs (i, j, margin), best first, each sentence once.

    Shapes: (N, H), (M, H) -> at most min(N, M) pairs.

    The margin is the cosine over the mean cosine of both sides' four nearest neighbours. Each sentence of
    either side proposes the neighbour with the largest margin. Proposals are accepted in order of margin,
    while both sentences are free and the margin is above 0. Of equal margins, the nearer neighbour comes
    first, then a's proposals before b's, in order (the official sort leaves this open).
    Source: Artetxe & Schwenk 2019 ("ratio", "max"); nyu-mll/jiant@daa5a25, jiant/tasks/lib/bucc2018.py.
    """
    (forward, forward_index), (backward, backward_index) = both(a, b, NEIGHBOURS, tile)
    mean_a, mean_b = (added(x) / x.shape[1] for x in (forward, backward))
    # zero vectors give 0 / 0
    forward_margins = (forward / ((mean_a.unsqueeze(1) + mean_b[forward_index]) / 2)).nan_to_num(0.0)
    backward_margins = (backward / ((mean_b.unsqueeze(1) + mean_a[backward_index]) / 2)).nan_to_num(0.0)
    proposed = {}
    for margins, indices, swap in (
        (forward_margins, forward_index, False),
        (backward_margins, backward_index, True),
    ):
        best = margins.argmax(1, keepdim=True)
        for i, (j, margin) in enumerate(
            zip(indices.gather(1, best).flatten().tolist(), margins.amax(1).tolist(), strict=True)
        ):
            proposed[(j, i) if swap else (i, j)] = margin
    taken_a, taken_b, pairs = set(), set(), []
    for (i, j), margin in sorted(proposed.items(), key=lambda p: -p[1]):
        if margin > 0 and i not in taken_a and j not in taken_b:
            pairs.append((i, j, margin))
            taken_a.add(i)
            taken_b.add(j)
    return pairs


def tuned(found: Mined, gold: list[dict]) -> float:
    """The threshold with the best F1 on the gold pairs {ids}.

    It lies halfway between the last pair that is kept and the next. If it is best to keep every pair, it is
    the last margin; the source code fails in that case.
    Source: as `mine`.
    """
    correct, best, last, gold_pairs = 0, 0.0, -1, {tuple(g["ids"]) for g in gold}
    for n, (a, b, _) in enumerate(found, 1):
        correct += (a, b) in gold_pairs
        if 2 * correct / (n + len(gold_pairs)) > best:
            best, last = 2 * correct / (n + len(gold_pairs)), n - 1
    margins = [m for *_, m in found[last : last + 2]] if last >= 0 else [0.0]
    return sum(margins) / len(margins)


def above_threshold(found: Mined, threshold: float) -> list[tuple[str, str]]:
    """The pairs whose margin reaches the threshold."""
    return [(a, b) for a, b, margin in found if margin >= threshold]
