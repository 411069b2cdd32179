"""Sentences that are only embedded: no head, nothing is trained; the encoder's vectors themselves are compared."""

from tokenizers import Tokenizer

from ...design.tasks import Task
from .kind import Kind


def encode(
    task: Task, examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature for each side of a pair of sentences: all of "a", then all of "b"."""
    return sentences([e[side] for side in "ab" for e in examples], tokenizer, max_len)


def sentences(texts: list[str], tokenizer: Tokenizer, max_len: int) -> list[dict]:
    """One feature a text, of at most `max_len` pieces."""
    tokenizer.enable_truncation(max_len)
    return [{"ids": x.ids, "length": len(x.ids)} for x in tokenizer.encode_batch(texts)]


def gold(feature: dict) -> list[int]:
    """Nothing is trained."""
    return []


KIND = Kind(encode, gold, head=None, loss=None, answers=None, measured="vectors")
