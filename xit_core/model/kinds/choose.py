"""One of several continuations: each choice is read with the prompt and gets one score."""

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ..packed import Sequences, ended, ends
from .kind import Kind, PooledHead, cross_entropy, highest, label

LIKENESS = 20.0  # what the cosine counts before training


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature per example: the prompt with each of its choices."""
    tokenizer.enable_truncation(max_len)
    encoded = iter(tokenizer.encode_batch([(e["a"], c) for e in examples for c in e["choices"]]))
    grouped = [[next(encoded).ids for _ in e["choices"]] for e in examples]
    return [
        {"ids": ids, "length": max(map(len, ids)), "label": e["label"]}
        for ids, e in zip(grouped, examples, strict=True)
    ]


class Head(PooledHead):
    """One score for every choice, from the vector of its sequence.

    With the pooling "match", a learned multiple of the cosine of prompt and choice is added to it.
    """

    def __init__(self, hidden: int, labels: int = 1, pooling: str = "first"):
        super().__init__(hidden, 1, pooling)
        self.likeness = nn.Parameter(torch.tensor([LIKENESS])) if pooling == "match" else None

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) of B * C sequences -> (B, C)."""
        scores = super().forward(states, batch).flatten()
        if self.likeness is not None:
            scores = scores + self.likeness * functional.cosine_similarity(*halves(states, batch))
        return scores.view(batch["rows"], -1)


def halves(states: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """The mean states of the first and of the second text of each sequence, without special tokens.

    Shapes: (T, H) of N sequences -> (N, H) twice.
    """
    s, before, inside = batch["sequences"], ended(batch), ~ends(batch)
    first, second = inside & (before == 0) & (s.at > 0), inside & (before > 0)
    return tuple(mean_of(states.float(), part, s) for part in (first, second))


def mean_of(states: Tensor, part: Tensor, s: Sequences) -> Tensor:
    """The mean over some tokens of each sequence. Shapes: (T, H), part (T,) -> (N, H)."""
    sums = states.new_zeros(len(s.lengths), states.shape[1]).index_add_(0, s.member[part], states[part])
    counts = torch.bincount(s.member[part], minlength=len(s.lengths))
    return sums / counts.clamp(min=1)[:, None]


KIND = Kind(encode, label, Head, cross_entropy, highest, outputs=lambda config, labels: 1)
