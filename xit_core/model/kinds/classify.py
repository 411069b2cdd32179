"""One label for a text or a pair of texts."""

from tokenizers import Tokenizer

from .kind import Kind, PooledHead, cross_entropy, highest, label, pieces


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature per example: a text, or a pair of texts, of at most `max_len` pieces."""
    found = pieces([(e["a"], e["b"]) for e in examples], tokenizer, max_len)
    return [f | {"label": e["label"]} for f, e in zip(found, examples, strict=True)]


KIND = Kind(encode, label, PooledHead, cross_entropy, highest)
