"""Masked language modelling: 15 % of the pieces are hidden, anew in every step."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tasks import Task

IGNORED = -100
SPECIAL = 4  # <s> <pad> </s> <unk> come first in XLM-R's vocabulary and are never hidden


def encode(task: Task, examples: list[dict], tokenizer, max_len: int, names: tuple[str, ...] = ()) -> list[dict]:
    tokenizer.enable_truncation(max_len)
    encoded = tokenizer.encode_batch([e["a"] for e in examples])
    return [{"ids": x.ids, "length": len(x.ids)} for x in encoded if len(x.ids) > 2]


class Head(nn.Module):
    """XLM-R's: dense, GELU, layer norm, then the embedding table itself as output weights.

    Only hidden positions are projected to the vocabulary: the other 85 % have no loss.
    """

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.dense, self.norm, self.bias = (
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden, eps=1e-5),
            nn.Parameter(torch.zeros(labels)),
        )

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(B, T, H) -> (hidden positions, V)."""
        states = states[batch["gold"] != IGNORED]
        return functional.linear(self.norm(functional.gelu(self.dense(states))), batch["table"], self.bias.to(states.dtype))


def hide(ids: Tensor, masking: float, vocabulary: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(inputs, gold): of the hidden pieces 80 % become <mask>, 10 % a random piece, 10 % stay. <mask> is the last piece."""
    hidden = (torch.rand(ids.shape, generator=generator) < masking) & (ids >= SPECIAL)
    if not hidden.any():
        hidden[:, 1] = True
    gold = ids.masked_fill(~hidden, IGNORED)
    how = torch.rand(ids.shape, generator=generator)
    other = torch.randint(SPECIAL, vocabulary - 1, ids.shape, generator=generator)
    inputs = torch.where(hidden & (how < 0.8), vocabulary - 1, torch.where(hidden & (how >= 0.9), other, ids))
    return inputs, gold


def loss(logits: Tensor, gold: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float(), gold[gold != IGNORED])
