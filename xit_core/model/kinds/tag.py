"""One label for every token of a sentence.

Long sentences are split, not truncated, so each token gets one label.
"""

import json

from tokenizers import Tokenizer
from torch import Tensor

from ...design.tasks import Task
from .kind import IGNORED, Answers, Kind, TokenHead, cross_entropy


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """Features of at most `max_len` pieces.

    "first" holds, per token, the position of its first piece, or -1 if it has none. A token longer than a
    window keeps the pieces that fit. A tag outside the label set is not trained on, and counts as an error.
    """
    tokenizer.no_truncation()
    words = sorted({w for e in examples for w in e["tokens"]})
    space = " " * spaced(tokenizer)
    encoded = tokenizer.encode_batch(
        [[space + w] for w in words], is_pretokenized=True, add_special_tokens=False
    )
    pieces = {w: x.ids[: max_len - 2] for w, x in zip(words, encoded, strict=True)}
    start, end = tokenizer.encode("").ids
    index = {t: i for i, t in enumerate(names)}
    blank = next((index[t] for t in ("O", "X") if t in index), 0)  # label for tokens without subword pieces
    return [
        {
            "ids": [start, *ids, end],
            "length": len(ids) + 2,
            "first": first,
            "example": i,
            "tags": [index.get(t, IGNORED) for t in tags],
            "blank": blank,
        }
        for i, e in enumerate(examples)
        for ids, first, tags in split(e, pieces, max_len - 2)
    ]


def spaced(tokenizer: Tokenizer) -> bool:
    """Whether a word begins with its space, as in byte-level BPE that adds none of its own."""
    rules = json.loads(tokenizer.pre_tokenizer.__getstate__()) if tokenizer.pre_tokenizer else {}
    return rules.get("type") == "ByteLevel" and not rules["add_prefix_space"]


def split(example: dict, pieces: dict[str, list[int]], room: int):
    """Split a sentence where its pieces no longer fit; yields (ids, first, tags)."""
    ids, first, tags = [], [], []
    for word, tag in zip(example["tokens"], example["tags"], strict=True):
        if len(ids) + len(pieces[word]) > room:
            yield ids, first, tags
            ids, first, tags = [], [], []
        first.append(len(ids) + 1 if pieces[word] else -1)
        ids, tags = ids + pieces[word], [*tags, tag]
    yield ids, first, tags


def gold(feature: dict) -> list[int]:
    """The tag of every piece: a token's first piece has its tag, all others IGNORED."""
    labels = [IGNORED] * feature["length"]
    for position, tag in zip(feature["first"], feature["tags"], strict=True):
        if position >= 0:
            labels[position] = tag
    return labels


def decode(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[list[int]]:
    """One label index per token.

    A token without a piece (a zero-width character) gets "O" or "X", where there is such a label.
    Shapes: logits (T, C) per feature.
    """
    predictions: list[list[int]] = [[] for _ in examples]
    for x, f in zip(logits, features, strict=True):
        best = x.argmax(-1).tolist()
        predictions[f["example"]] += [best[p] if p >= 0 else f["blank"] for p in f["first"]]
    return predictions


def answers(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """The label of every token, as text. Shapes: logits (T, C) per feature."""
    predictions = decode(logits, features, examples)
    return [[names[i] for i in tags] for tags in predictions], [{}] * len(examples)


KIND = Kind(encode, gold, TokenHead, cross_entropy, answers, by_token=True)
