"""One label for a text or a pair of texts."""

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ...design.tasks import Task
from .kind import Answers, Kind, cross_entropy, pieces


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature per example: a text, or a pair of texts, of at most `max_len` pieces."""
    found = pieces([(e["a"], e["b"]) for e in examples], tokenizer, max_len)
    return [f | {"label": e["label"]} for f, e in zip(found, examples, strict=True)]


class Head(nn.Module):
    """XLM-R's classification head: dense, tanh, dense, over one vector per sequence."""

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.dense, self.out, self.pooling = nn.Linear(hidden, hidden), nn.Linear(hidden, labels), pooling

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) of B sequences -> (B, C)."""
        s = batch["sequences"]
        return self.out(
            torch.tanh(self.dense(states[s.cu[:-1]] if self.pooling == "first" else s.means(states)))
        )


def gold(feature: dict) -> list[int]:
    """The index of the label."""
    return [feature["label"]]


def answers(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """The index of the label with the highest logit. Shapes: logits (C,) per example."""
    return [int(x.argmax()) for x in logits], [{}] * len(examples)


KIND = Kind(encode, gold, Head, cross_entropy, answers)
