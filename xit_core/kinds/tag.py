"""One label for every token of a sentence. Long sentences are split, never cut short: each token gets one label."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tasks import Task

IGNORED = -100


def encode(task: Task, examples: list[dict], tokenizer, max_len: int, names: tuple[str, ...] = ()) -> list[dict]:
    """Features of at most `max_len` pieces; "first" holds, per token, the position of its first piece (-1: it has none)."""
    tokenizer.no_truncation()
    words = sorted({w for e in examples for w in e["tokens"]})
    coded = tokenizer.encode_batch([[w] for w in words], is_pretokenized=True, add_special_tokens=False)
    pieces = {w: x.ids[: max_len - 2] for w, x in zip(words, coded, strict=True)}
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    index = {t: i for i, t in enumerate(names or task.labels)}
    return [
        {
            "ids": [start, *ids, end],
            "length": len(ids) + 2,
            "first": first,
            "example": i,
            "tags": [index.get(t, IGNORED) for t in tags],
        }
        for i, e in enumerate(examples)
        for ids, first, tags in split(e, pieces, max_len - 2)
    ]


def split(example: dict, pieces: dict[str, list[int]], room: int):
    """Cut a sentence where its pieces no longer fit: yields (ids, first, tags)."""
    ids, first, tags = [], [], []
    for word, tag in zip(example["tokens"], example["tags"], strict=True):
        if len(ids) + len(pieces[word]) > room:
            yield ids, first, tags
            ids, first, tags = [], [], []
        first.append(len(ids) + 1 if pieces[word] else -1)
        ids, tags = ids + pieces[word], [*tags, tag]
    yield ids, first, tags


class Head(nn.Module):
    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.out = nn.Linear(hidden, labels)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(B, T, H) -> (B, T, C)."""
        return self.out(states)


def target(features: list[dict], length: int) -> Tensor:
    gold = torch.full((len(features), length), IGNORED)
    for i, f in enumerate(features):
        for position, tag in zip(f["first"], f["tags"], strict=True):
            if position >= 0:
                gold[i, position] = tag
    return gold


def loss(logits: Tensor, gold: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float().flatten(0, 1), gold.flatten(), ignore_index=IGNORED)


def decode(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[list[int]]:
    """One label index per token; a token without a piece takes label 0."""
    predictions: list[list[int]] = [[] for _ in examples]
    for x, f in zip(logits, features, strict=True):
        best = x.argmax(-1).tolist()
        predictions[f["example"]] += [best[p] if p >= 0 else 0 for p in f["first"]]
    return predictions


def score(task: Task, predictions: list[list[int]], examples: list[dict], lang: str, names=()) -> tuple[dict, list[float]]:
    """Chunk F1 as seqeval 1.2.2 counts it on the raw tags, and token accuracy; an instance is a sentence with its own F1.

    Source: XTREME scores UDPOS and PAN-X with seqeval's f1_score (google-research/xtreme@838c13b, evaluate.py).
    """
    names = names or task.labels
    sentences = [([names[i] for i in p], e["tags"]) for p, e in zip(predictions, examples, strict=True)]
    counts = [overlap(chunks(p), chunks(g)) for p, g in sentences]
    tokens = sum(len(g) for _, g in sentences)
    accuracy = 100 * sum(a == b for p, g in sentences for a, b in zip(p, g, strict=True)) / tokens
    each = {
        "f1": [f1(*c) for c in counts],
        "accuracy": [100 * sum(a == b for a, b in zip(p, g, strict=True)) / len(g) for p, g in sentences],
    }
    return {"f1": f1(*map(sum, zip(*counts, strict=True))), "accuracy": accuracy}, each[task.metrics[0]]


def overlap(predicted: set, gold: set) -> tuple[int, int, int]:
    return len(predicted & gold), len(predicted), len(gold)


def f1(correct: int, predicted: int, gold: int) -> float:
    """0-100; 100 for a sentence that has no chunk and gets none."""
    return 200 * correct / (predicted + gold) if predicted + gold else 100.0


def chunks(tags: list[str]) -> set[tuple[str, int, int]]:
    """(type, first, last) of every chunk. seqeval reads the first letter as B, I, E, S or O, also of UPOS tags such as "SYM".

    Source: seqeval 1.2.2, metrics/sequence_labeling.py, get_entities (behaviour, not code).
    """
    found, begin, before, kind_before = set(), 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        letter, kind = tag[0], tag[1:].split("-", 1)[-1] or "_"
        changed = kind != kind_before
        ends = before in "ES" or before in "BI" and letter in "BSO" or before not in "O." and changed
        starts = letter in "BS" or before in "ESO" and letter in "EI" or letter not in "O." and changed
        if ends:
            found.add((kind_before, begin, i - 1))
        if starts:
            begin = i
        before, kind_before = letter, kind
    return found
