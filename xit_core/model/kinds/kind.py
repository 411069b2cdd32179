"""What a kind of task declares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer
from torch import Tensor, nn

from ...design.tasks import Task

IGNORED = -100  # the gold label of a piece that has none, as torch's cross entropy expects it
Answers = tuple[list, list[dict]]  # per example: what protocols compare, and extra fields to store


def nothing_hidden(
    features: list[dict], masking: float, vocabulary: int, draw: np.random.Generator
) -> list[dict]:
    """The features unchanged. Only masked LM hides something, anew in every step."""
    return features


def nothing_lost(features: list[dict], examples: list[dict]) -> Sequence[int]:
    """No example is lost: each has its answer in one of its features."""
    return ()


def one_a_label(config, labels: tuple[str, ...]) -> int:
    """One output for each label."""
    return len(labels)


@dataclass(frozen=True)
class Kind:
    """A kind of task, one file of this folder. All differences between kinds are declared here."""

    # (task, examples, tokenizer, longest, label set, pieces from one window to the next) -> features:
    # dictionaries with "ids" (one or several sequences) and "length"
    encode: Callable[[Task, list[dict], Tokenizer, int, tuple[str, ...], int], list[dict]]
    gold: Callable[[dict], Sequence[int]]  # the gold labels that training needs beside a feature's ids
    # (hidden, outputs, pooling): states (T, H) of packed sequences, batch -> logits
    head: type[nn.Module] | None
    # logits, batch -> scalar, summed over the gold labels of a batch
    loss: Callable[[Tensor, dict], Tensor] | None
    # (task, logits, features, examples, label set) -> Answers
    answers: Callable[[Task, list[Tensor], list[dict], list[dict], tuple[str, ...]], Answers] | None
    # how it is scored: "rows" by protocol, "masks" by guessing masked pieces, "vectors" by retrieval
    measured: str = "rows"
    by_token: bool = False  # logits of a feature are (tokens, C), not (C,)
    # the output weights are the embedding table, and the head starts from the pretrained one
    tied: bool = False
    outputs: Callable[..., int] = one_a_label  # (encoder config, label set) -> size of the head
    hide: Callable[[list[dict], float, int, np.random.Generator], list[dict]] = nothing_hidden
    # examples whose answer is in no feature
    lost: Callable[[list[dict], list[dict]], Sequence[int]] = nothing_lost
