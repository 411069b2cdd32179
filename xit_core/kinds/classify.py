"""One label for a text or a pair of texts."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tasks import Task


def encode(task: Task, examples: list[dict], tokenizer, max_len: int, names: tuple[str, ...] = ()) -> list[dict]:
    tokenizer.enable_truncation(max_len)
    encoded = tokenizer.encode_batch([(e["a"], e["b"]) for e in examples])
    return [{"ids": x.ids, "length": len(x.ids), "label": e["label"]} for x, e in zip(encoded, examples, strict=True)]


class Head(nn.Module):
    """XLM-R's: dense, tanh, dense over one vector per sequence."""

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.dense, self.out, self.pooling = nn.Linear(hidden, hidden), nn.Linear(hidden, labels), pooling

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(B, T, H) -> (B, C)."""
        return self.out(torch.tanh(self.dense(pool(states, batch["attention_mask"], self.pooling))))


def pool(states: Tensor, mask: Tensor, how: str) -> Tensor:
    """(B, T, H) -> (B, H): the first token's state, or the mean over real tokens, special ones included."""
    if how == "first":
        return states[:, 0]
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


def target(features: list[dict], length: int) -> Tensor:
    return torch.tensor([f["label"] for f in features])


def loss(logits: Tensor, gold: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float(), gold)


def decode(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[int]:
    return [int(x.argmax()) for x in logits]


def score(task: Task, predictions: list[int], examples: list[dict], lang: str) -> tuple[dict, list[float]]:
    x = [100.0 * (p == e["label"]) for p, e in zip(predictions, examples, strict=True)]
    return {"accuracy": sum(x) / len(x)}, x
