"""Mining of translation pairs by margin."""

from torch import Tensor

from .search import added, both

NEIGHBOURS = 4  # of BUCC's margin


# -- mining --------------------------------------------------------------------------------------------------

Mined = list[tuple[str, str, float]]  # ids of both sides and the margin, best first


def mine(a: Tensor, b: Tensor, tile: int = 0) -> list[tuple[int, int, float]]:
    """Candidate pairs (i, j, margin), best first, each sentence once: (N, H), (M, H) -> at most min(N, M)
    pairs.

    Margin: cosine over the mean cosine of both sides' four nearest neighbours. Each sentence of either side
    proposes the one of its neighbours with the largest margin; proposals are taken in order of margin, while
    both sentences are free and it is above 0. Equal margins: the nearer neighbour; a's proposals before b's,
    in order (the official sort leaves it open).
    Source: Artetxe & Schwenk 2019 ("ratio", "max"); nyu-mll/jiant@daa5a25, jiant/tasks/lib/bucc2018.py.
    """
    (forward, near), (backward, back) = both(a, b, NEIGHBOURS, tile)
    fwd, bwd = (added(x) / x.shape[1] for x in (forward, backward))
    ahead = (forward / ((fwd.unsqueeze(1) + bwd[near]) / 2)).nan_to_num(0.0)
    behind = (backward / ((bwd.unsqueeze(1) + fwd[back]) / 2)).nan_to_num(0.0)  # 0 / 0: zero vectors
    proposed = {}
    for margins, to, swap in ((ahead, near, False), (behind, back, True)):
        best = margins.argmax(1, keepdim=True)
        for i, (j, margin) in enumerate(
            zip(to.gather(1, best).flatten().tolist(), margins.amax(1).tolist(), strict=True)
        ):
            proposed[(j, i) if swap else (i, j)] = margin
    taken_a, taken_b, found = set(), set(), []
    for (i, j), margin in sorted(proposed.items(), key=lambda p: -p[1]):
        if margin > 0 and i not in taken_a and j not in taken_b:
            found.append((i, j, margin))
            taken_a.add(i)
            taken_b.add(j)
    return found


def tuned(found: Mined, gold: list[dict]) -> float:
    """The threshold with the best F1 on the gold pairs {ids}: halfway between the last pair that is kept and
    the next.

    Source: as `mine`. That code fails when the best is to keep every pair: the threshold is then the last
    margin.
    """
    right, best, at, wanted = 0, 0.0, -1, {tuple(g["ids"]) for g in gold}
    for n, (a, b, _) in enumerate(found, 1):
        right += (a, b) in wanted
        if 2 * right / (n + len(wanted)) > best:
            best, at = 2 * right / (n + len(wanted)), n - 1
    margins = [m for *_, m in found[at : at + 2]] if at >= 0 else [0.0]
    return sum(margins) / len(margins)


def above_threshold(found: Mined, threshold: float) -> list[tuple[str, str]]:
    """The pairs whose margin reaches the threshold."""
    return [(a, b) for a, b, margin in found if margin >= threshold]
