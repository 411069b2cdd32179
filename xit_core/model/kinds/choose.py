"""One of several continuations: each choice is read with the prompt and gets one score."""

from tokenizers import Tokenizer
from torch import Tensor

from ...design.tasks import Task
from . import classify
from .classify import answers, gold, loss
from .kind import Kind


def encode(
    task: Task,
    examples: list[dict],
    tokenizer: Tokenizer,
    max_len: int,
    names: tuple[str, ...] = (),
    step: int = 0,
) -> list[dict]:
    """One feature per example: the prompt with each of its choices."""
    tokenizer.enable_truncation(max_len)
    encoded = iter(tokenizer.encode_batch([(e["a"], c) for e in examples for c in e["choices"]]))
    grouped = [[next(encoded).ids for _ in e["choices"]] for e in examples]
    return [
        {"ids": ids, "length": max(map(len, ids)), "label": e["label"]}
        for ids, e in zip(grouped, examples, strict=True)
    ]


class Head(classify.Head):
    """One score for every choice, from the vector of its sequence."""

    def __init__(self, hidden: int, labels: int = 1, pooling: str = "first"):
        super().__init__(hidden, 1, pooling)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) of B * C sequences -> (B, C)."""
        return super().forward(states, batch).view(batch["rows"], -1)


KIND = Kind(encode, gold, Head, loss, answers, outputs=lambda config, labels: 1)
