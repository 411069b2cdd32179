"""Batches: which task and which features each optimiser step reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .features import Encoded, longest, size

# tokens of a training forward pass: as many as fit in GPU memory, or stay in the CPU's cache
BUDGET = {"cuda": 2**14, "cpu": 2**11}
# numbers in the states of a forward pass without training, likewise
READ = {"cuda": 2**23, "cpu": 2**19}


@dataclass
class Mixture:
    """Batches of one stage as a function of the step, so a resumed run sees the same ones as an unbroken run.

    `features`: encoded features by task, lists of dictionaries or `Encoded`. `share`: the sampling
    probabilities, p ~ min(rows, cap) ** (1 / temperature).
    """

    features: dict[str, Sequence[dict]]
    batch: int
    steps: int
    seed: int
    cap: int = 0
    temperature: float = 1.0

    def __post_init__(self):
        sizes = np.array([min(len(f), self.cap or len(f)) for f in self.features.values()], float) ** (
            1 / self.temperature
        )
        self.share = dict(zip(self.features, (sizes / sizes.sum()).tolist(), strict=True))
        draw = np.random.default_rng([self.seed, 1])
        names = list(self.features)
        order = (
            draw.choice(len(names), size=self.steps, p=list(self.share.values()))
            if len(names) > 1
            else [0] * self.steps
        )
        self.order = [names[i] for i in order]
        visits = dict.fromkeys(names, -1)
        self.visit = [visits.__setitem__(t, visits[t] + 1) or visits[t] for t in self.order]
        self.epochs: dict[tuple[str, int], list[np.ndarray]] = {}

    def at(self, step: int) -> tuple[str, list[dict]]:
        """The task and the features of one optimiser step."""
        name, visit = self.order[step], self.visit[step]
        features = self.features[name]
        per_epoch = max(1, len(features) // self.batch)
        epoch, k = divmod(visit, per_epoch)
        if (name, epoch) not in self.epochs:
            self.epochs[name, epoch] = self.deal(features, epoch, sum(name.encode()))
        return name, [features[i] for i in self.epochs[name, epoch][k]]

    def deal(self, features: Sequence[dict], epoch: int, salt: int) -> list[np.ndarray]:
        """Shuffle one epoch and cut it into batches of features of similar length, so that steps are even.

        Lengths are sorted within pools of 16 batches.
        Shapes: indices (batch,) each.
        """
        draw = np.random.default_rng([self.seed, 2, epoch, salt])
        order = draw.permutation(len(features))
        pool = 16 * self.batch
        lengths = longest(features)
        pools = [
            chunk[np.argsort(lengths[chunk], kind="stable")]
            for chunk in (order[i : i + pool] for i in range(0, len(order), pool))
        ]
        order = np.concatenate(pools)
        cuts = [order[i : i + self.batch] for i in range(0, max(1, len(order) - self.batch + 1), self.batch)]
        return [cuts[i] for i in draw.permutation(len(cuts))]

    def tokens(self) -> float:
        """Tokens that all steps read together, from each task's mean length."""
        mean = {
            t: f.lengths.sum() / len(f) if isinstance(f, Encoded) else np.mean([*map(size, f)])
            for t, f in self.features.items()
        }
        return float(sum(mean[t] for t in self.order) * self.batch)


def cut(features: list[dict], budget: int) -> Iterator[list[dict]]:
    """Yield consecutive parts of at most `budget` tokens; a longer feature is a part of its own."""
    part, tokens = [], 0
    for feature in features:
        if part and tokens + size(feature) > budget:
            yield part
            part, tokens = [], 0
        part.append(feature)
        tokens += size(feature)
    if part:
        yield part


def batches(features: Sequence[dict], most: int) -> Iterator[list[int]]:
    """Yield indices of features of similar length, in batches of at most so many tokens.

    The order is the same on every machine.
    """
    ordered = sorted(
        ({"ids": f["ids"], "length": f["length"], "i": i} for i, f in enumerate(features)),
        key=lambda f: f["length"],
    )
    yield from ([f["i"] for f in part] for part in cut(ordered, most))
