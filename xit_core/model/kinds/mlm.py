"""Masked language modelling: a share of the pieces is hidden, drawn anew in every step."""

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ...machine.errors import Bad
from .kind import MASKS, Kind, Vocabulary, cross_entropy, pieces


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature per text; texts without a piece are left out."""
    return [f for f in pieces([e["a"] for e in examples], tokenizer, max_len) if f["length"] > 2]


class Head(nn.Module):
    """XLM-R's masked-LM head: dense, GELU, layer norm, then the embedding table itself as output weights.

    Only hidden positions are projected to the vocabulary, because the others have no loss.
    """

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.dense, self.norm, self.bias = (
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden, eps=1e-5),
            nn.Parameter(torch.zeros(labels)),
        )

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) -> (hidden pieces, V)."""
        states = functional.gelu(self.dense(states[batch["hidden"]]))
        return functional.linear(self.norm(states), batch["table"], self.bias.to(states.dtype))


def gold(feature: dict) -> list[int]:
    """Empty: the hidden pieces are drawn anew in every step (`hide`)."""
    return []


def hide(
    features: list[dict], masking: float, vocabulary: Vocabulary, draw: np.random.Generator
) -> list[dict]:
    """Hide some pieces: 80 % of these become the mask, 10 % a random piece, and 10 % stay.

    In the result, "gold" has the original pieces and "hidden" their positions in the feature.
    Raises: Bad for a tokenizer without a mask.
    """
    if vocabulary.mask is None:
        raise Bad("masked LM with a tokenizer that has no mask token; take another encoder, or no MLM")
    ids = np.concatenate([f["ids"] for f in features])
    hidden = (draw.random(len(ids)) < masking) & ~np.isin(ids, vocabulary.special)
    if not hidden.any():
        hidden[1] = True
    chance, replacements = draw.random(len(ids)), draw.integers(*vocabulary.plain, len(ids))
    inputs = np.where(
        hidden & (chance < 0.8), vocabulary.mask, np.where(hidden & (chance >= 0.9), replacements, ids)
    )
    ends = np.cumsum([len(f["ids"]) for f in features])[:-1]
    rows = zip(features, *(np.split(x, ends) for x in (inputs, ids, hidden)), strict=True)
    return [{"ids": x, "length": len(x), "gold": y[h], "hidden": np.flatnonzero(h)} for _, x, y, h in rows]


KIND = Kind(
    encode, gold, Head, cross_entropy, answers=None, measured=MASKS, tied=True,
    outputs=lambda config, labels: config.vocab_size, hide=hide,
)  # fmt: skip
