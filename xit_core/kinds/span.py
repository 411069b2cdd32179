"""A span of a context that answers a question, or no answer. Long contexts are read in overlapping windows."""

import collections
import re
import string
import unicodedata

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tasks import Task

QUESTION = 64  # pieces of a question at most (recipe/jiant: max_query_length)
ANSWER = 30  # pieces of an answer at most (recipe/jiant: max_answer_length)


def encode(task: Task, examples: list[dict], tokenizer, max_len: int, names: tuple[str, ...] = ()) -> list[dict]:
    """Windows over the context; "spans" maps a piece's position to its characters, "answer" is the gold pair of positions.

    A window without the whole first answer points to position 0, as an unanswerable question does.
    """
    question = min(QUESTION, max_len // 3)
    tokenizer.enable_truncation(question)
    short = [x.offsets[-1][1] for x in tokenizer.encode_batch([e["question"] for e in examples], add_special_tokens=False)]
    tokenizer.enable_truncation(max_len, stride=max_len // 3, strategy="only_second")
    encoded = tokenizer.encode_batch([(e["question"][:n], e["context"]) for e, n in zip(examples, short, strict=True)])
    features = []
    for i, (first, e) in enumerate(zip(encoded, examples, strict=True)):
        for window in (first, *first.overflowing):
            spans = [o if s == 1 else None for o, s in zip(window.offsets, window.sequence_ids, strict=True)]
            answer = locate(spans, e["answers"])
            features.append({"ids": window.ids, "length": len(window.ids), "example": i, "spans": spans, "answer": answer})
    return features


def locate(spans: list[tuple[int, int] | None], answers: list[tuple[int, str]]) -> tuple[int, int]:
    """First and last position of the first answer in a window, or (0, 0)."""
    if not answers:
        return 0, 0
    start, end = answers[0][0], answers[0][0] + len(answers[0][1])
    inside = [k for k, s in enumerate(spans) if s and s[1] > s[0] and s[0] < end and s[1] > start]
    whole = inside and spans[inside[0]][0] <= start and spans[inside[-1]][1] >= end
    return (inside[0], inside[-1]) if whole else (0, 0)


class Head(nn.Module):
    def __init__(self, hidden: int, labels: int = 2, pooling: str = "first"):
        super().__init__()
        self.out = nn.Linear(hidden, 2)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(B, T, H) -> (B, T, 2), padding at minus infinity."""
        return self.out(states).float().masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, -1e4)


def target(features: list[dict], length: int) -> Tensor:
    return torch.tensor([f["answer"] for f in features])


def loss(logits: Tensor, gold: Tensor) -> Tensor:
    return (functional.cross_entropy(logits[..., 0], gold[:, 0]) + functional.cross_entropy(logits[..., 1], gold[:, 1])) / 2


def decode(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[str]:
    """The best span over all windows, as the context's own characters; "" where no answer scores higher and the task has such."""
    best = [(-float("inf"), "") for _ in examples]
    null = [float("inf")] * len(examples)
    for x, f in zip(logits, features, strict=True):
        i, score = f["example"], x[0].sum().item()
        null[i] = min(null[i], score)
        found = best_span(x, f["spans"])
        if found and found[0] > best[i][0]:
            best[i] = (found[0], examples[i]["context"][found[1] : found[2]].strip())
    unanswerable = any(not e["answers"] for e in examples)
    return ["" if unanswerable and null[i] > value else text for i, (value, text) in enumerate(best)]


def best_span(x: Tensor, spans: list[tuple[int, int] | None]) -> tuple[float, int, int] | None:
    """(score, first character, end) of the best span of at most ANSWER pieces inside the context. x: (T, 2)."""
    allowed = torch.tensor([bool(s and s[1] > s[0]) for s in spans])
    if not allowed.any():
        return None
    x = x[: len(spans)].float().masked_fill(~allowed.unsqueeze(-1), -1e9)
    pairs = (x[:, None, 0] + x[None, :, 1]).triu().tril(ANSWER - 1)
    pairs = pairs.masked_fill(torch.ones_like(pairs).triu().tril(ANSWER - 1) == 0, -float("inf"))
    a, b = divmod(int(pairs.argmax()), len(spans))
    return pairs[a, b].item(), spans[a][0], spans[b][1]


# -- scoring -----------------------------------------------------------------------------------------------------------

ARTICLES = {
    "en": r"\b(a|an|the)\b", "es": r"\b(un|una|unos|unas|el|la|los|las)\b", "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b", "ar": r"\sال^|ال",
}  # fmt: skip


def squad_en(text: str, lang: str = "en") -> str:
    """SQuAD v1.1's normaliser, which XTREME uses for XQuAD and TyDiQA in every language."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(ARTICLES["en"], " ", text).split())


def mlqa(text: str, lang: str) -> str:
    """MLQA's language-aware normaliser. Source: facebookresearch/MLQA, mlqa_evaluation_v1.py (behaviour)."""
    text = "".join(c for c in text.lower() if not punctuation(c))
    text = re.sub(ARTICLES[lang], " ", text) if lang in ARTICLES else text
    return " ".join(re.sub(r"([一-龥])", r" \1 ", text).split() if lang == "zh" else text.split())


def punctuation(c: str) -> bool:
    return c in string.punctuation or unicodedata.category(c).startswith("P")


NORMALISERS = {"qa/squad-en": squad_en, "qa/mlqa": mlqa}


def token_f1(prediction: str, gold: str) -> float:
    """F1 of the bags of normalised tokens; 1 when both are empty."""
    a, b = prediction.split(), gold.split()
    if not a or not b:
        return float(a == b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 2 * same / (len(a) + len(b))


def score(task: Task, predictions: list[str], examples: list[dict], lang: str) -> tuple[dict, list[float]]:
    """Exact match and F1, each the best over the gold answers; an instance scores the mean of both."""
    normal = NORMALISERS[task.protocol]
    em, f1 = [], []
    for prediction, example in zip(predictions, examples, strict=True):
        golds = [normal(text, lang) for _, text in example["answers"]] or [""]
        said = normal(prediction, lang)
        em.append(100.0 * max(said == g for g in golds))
        f1.append(100.0 * max(token_f1(said, g) for g in golds))
    return {"exact_match": sum(em) / len(em), "f1": sum(f1) / len(f1)}, [(a + b) / 2 for a, b in zip(em, f1, strict=True)]
