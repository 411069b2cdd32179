"""The learning-rate schedule and the optimiser's constants."""

WARM_UP, CLIP, DECAY, EPSILON = 0.1, 1.0, 0.01, 1e-8  # recipe/jiant: nyu-mll/jiant@daa5a25


def rates(lr: float, steps: int, alone: tuple[int, float] = (0, 0.0)) -> list[float]:
    """The rate of each step. `alone`: how many first steps move heads alone, and the rate of these."""
    first, own = alone
    return [own] * first + [lr * slope(step, steps - first) for step in range(steps - first)]


def slope(step: int, steps: int) -> float:
    """Linear warm-up over the first tenth, then linear decay to nothing."""
    warm = max(1, int(WARM_UP * steps))
    return (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))
