"""Sentences that are only embedded: the encoder's own vectors are compared, without a head or training."""

from tokenizers import Tokenizer

from ...design.tasks import Task
from .kind import Kind


def encode(
    task: Task,
    examples: list[dict],
    tokenizer: Tokenizer,
    max_len: int,
    names: tuple[str, ...] = (),
    step: int = 0,
) -> list[dict]:
    """One feature for each side of a pair of sentences: all of "a", then all of "b"."""
    return sentences([e[side] for side in "ab" for e in examples], tokenizer, max_len)


def sentences(texts: list[str], tokenizer: Tokenizer, max_len: int) -> list[dict]:
    """One feature per text, of at most `max_len` pieces."""
    tokenizer.enable_truncation(max_len)
    return [{"ids": x.ids, "length": len(x.ids)} for x in tokenizer.encode_batch(texts)]


def gold(feature: dict) -> list[int]:
    """Empty: nothing is trained."""
    return []


KIND = Kind(encode, gold, head=None, loss=None, answers=None, measured="vectors")
