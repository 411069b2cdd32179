"""One of several continuations: every choice is read with the prompt and given one score."""

from torch import Tensor

from ...design.tasks import Task
from . import classify
from .classify import decode, gold, loss  # noqa: F401  the same from here on


def encode(task: Task, examples: list[dict], tokenizer, max_len: int, names: tuple[str, ...] = ()) -> list[dict]:
    tokenizer.enable_truncation(max_len)
    encoded = iter(tokenizer.encode_batch([(e["a"], c) for e in examples for c in e["choices"]]))
    grouped = [[next(encoded).ids for _ in e["choices"]] for e in examples]
    return [{"ids": ids, "length": max(map(len, ids)), "label": e["label"]} for ids, e in zip(grouped, examples, strict=True)]


class Head(classify.Head):
    def __init__(self, hidden: int, labels: int = 1, pooling: str = "first"):
        super().__init__(hidden, 1, pooling)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) of B * C sequences -> (B, C)."""
        return super().forward(states, batch).view(batch["rows"], -1)
