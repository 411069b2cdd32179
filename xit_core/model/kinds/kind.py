"""What a kind of task declares, and the parts that several of them share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ...design.tasks import Task

IGNORED = -100  # the gold label of a piece that has none, as torch's cross entropy expects it
# how a kind is scored: row by row with a protocol, by guessing masked pieces, by retrieval
ROWS, MASKS, VECTORS = "rows", "masks", "vectors"
Answers = tuple[list, list[dict]]  # per example: what protocols compare, and extra fields to store


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of a tokenizer, as masked LM needs them.

    `special`: ids that are never hidden. `plain`: the first id and the end of the longest range without any.
    `mask`: the id that hides a piece; None where the tokenizer has none.
    """

    special: tuple[int, ...]
    plain: tuple[int, int]
    mask: int | None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabulary":
        """The vocabulary of a tokenizer, whose special tokens are marked as such."""
        tokens = {i: token for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        bounds = [-1, *sorted(tokens), tokenizer.get_vocab_size()]
        start, end = max(zip(bounds, bounds[1:], strict=False), key=lambda pair: pair[1] - pair[0])
        mask = next((i for i, token in tokens.items() if token.content.strip("<[]>").lower() == "mask"), None)
        return cls(tuple(sorted(tokens)), (start + 1, end), mask)


def nothing_hidden(
    features: list[dict], masking: float, vocabulary: Vocabulary, draw: np.random.Generator
) -> list[dict]:
    """The features unchanged. Only masked LM hides something, anew in every step."""
    return features


def nothing_lost(features: list[dict], examples: list[dict]) -> Sequence[int]:
    """No example is lost: each has its answer in one of its features."""
    return ()


def pieces(texts: list, tokenizer: Tokenizer, max_len: int) -> list[dict]:
    """One feature for each text, or pair of texts, of at most `max_len` pieces."""
    tokenizer.enable_truncation(max_len)
    return [{"ids": x.ids, "length": len(x.ids)} for x in tokenizer.encode_batch(texts)]


class PooledHead(nn.Module):
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


def label(feature: dict) -> list[int]:
    """The gold label of a feature that has one: its index."""
    return [feature["label"]]


def highest(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """The index of the label with the highest logit. Shapes: logits (C,) per example."""
    return [int(x.argmax()) for x in logits], [{}] * len(examples)


class TokenHead(nn.Module):
    """One score per output for every token."""

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.out = nn.Linear(hidden, labels)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) -> (T, C)."""
        return self.out(states)


def cross_entropy(logits: Tensor, batch: dict) -> Tensor:
    """Cross entropy of what has a gold label, summed. Shapes: logits (N, C), gold (N,) -> scalar."""
    return functional.cross_entropy(logits.float(), batch["gold"], ignore_index=IGNORED, reduction="sum")


def one_a_label(config, labels: tuple[str, ...]) -> int:
    """One output for each label."""
    return len(labels)


@dataclass(frozen=True)
class Kind:
    """A kind of task, one file of this folder. All differences between kinds are declared here."""

    # (examples, tokenizer, longest, label set, pieces from one window to the next) -> features: dictionaries
    # with "ids" (one or several sequences) and "length"; None where vectors are measured
    encode: Callable[[list[dict], Tokenizer, int, tuple[str, ...], int], list[dict]] | None
    # the gold labels that training needs beside a feature's ids
    gold: Callable[[dict], Sequence[int]] | None
    # (hidden, outputs, pooling): states (T, H) of packed sequences, batch -> logits
    head: type[nn.Module] | None
    # logits, batch -> scalar, summed over the gold labels of a batch
    loss: Callable[[Tensor, dict], Tensor] | None
    # (task, logits, features, examples, label set) -> Answers
    answers: Callable[[Task, list[Tensor], list[dict], list[dict], tuple[str, ...]], Answers] | None
    measured: str = ROWS  # how it is scored
    by_token: bool = False  # logits of a feature are (tokens, C), not (C,)
    # the output weights are the embedding table, and the head starts from the pretrained one
    tied: bool = False
    outputs: Callable[..., int] = one_a_label  # (encoder config, label set) -> size of the head
    hide: Callable[[list[dict], float, Vocabulary, np.random.Generator], list[dict]] = nothing_hidden
    # examples whose answer is in no feature
    lost: Callable[[list[dict], list[dict]], Sequence[int]] = nothing_lost
