"""A span of a context that answers a question, or no answer.

Long contexts are read in overlapping windows.
"""

import unicodedata
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from ...design.tasks import Task
from .kind import Answers, Kind, TokenHead

QUESTION = 64  # pieces of a question at most (recipe/jiant: max_query_length)
ANSWER = 30  # pieces of an answer at most (recipe/jiant: max_answer_length)
# characters that are white space to a tokenizer
WHITE = "\u200b\u200c\u200d\u200e\u200f\ufeff" + "".join(c for c in map(chr, range(0x3001)) if c.isspace())

Chars = tuple[int, int]  # first character and end


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """Encode examples as windows over the context.

    "spans" maps a piece's position to its characters. "answer" is the gold pair of positions. A window
    without the whole first answer points to position 0, as an unanswerable question does. `step`: pieces from
    the start of one window to the start of the next (recipe/jiant: doc_stride 128). With step 0, or a step
    that leaves a smaller overlap, two windows share a third of `max_len`.
    """
    tokenizer.enable_truncation(min(QUESTION, max_len // 3))
    questions = [e["question"] for e in examples]
    shortened = tokenizer.encode_batch(questions, add_special_tokens=False)
    ends = [
        cut(x, question) if x.overflowing else len(question)
        for x, question in zip(shortened, questions, strict=True)
    ]
    tokenizer.no_truncation()
    encoded = tokenizer.encode_batch(
        [(e["question"][:n], e["context"]) for e, n in zip(examples, ends, strict=True)]
    )
    features = []
    for i, (x, e) in enumerate(zip(encoded, examples, strict=True)):
        spans, answer = characters(x, e["context"]), trimmed(e)
        for ids, window_spans in windows(x.ids, spans, max_len, step):
            features.append(
                {
                    "ids": ids,
                    "length": len(ids),
                    "example": i,
                    "spans": window_spans,
                    "answer": locate(window_spans, answer),
                }
            )
    return features


def windows(
    ids: list[int], spans: list[Chars | None], max_len: int, step: int
) -> Iterator[tuple[list[int], list[Chars | None]]]:
    """Yield (ids, spans) of every window. The question and special pieces around the context are in each."""
    inside = [k for k, s in enumerate(spans) if s]
    first, n = (inside[0], len(inside)) if inside else (len(ids), 0)
    room = max_len - (len(ids) - n)
    stride = room - max_len // 3
    stride = min(step or stride, stride)
    for start in range(first, first + max(n - room, 0) + stride, stride):
        end = min(start + room, first + n)
        yield [values[:first] + values[start:end] + values[first + n :] for values in (ids, spans)]


def cut(encoding, question: str) -> int:
    """The character at which a question is cut, after its last piece."""
    following = next((x.offsets[0][0] for x in encoding.overflowing if x.offsets), len(question))
    return reach(question, encoding.offsets[-1], following)[1] if encoding.offsets else 0


def characters(encoding, context: str) -> list[Chars | None]:
    """The characters of every piece of the context, None for other pieces.

    Normalisation can join a character to the one before it (an accent, a jamo of a syllable, a mark of
    voicing). Such a character is in no piece's offsets; here it is added to the piece.
    """
    spans = [o if s == 1 else None for o, s in zip(encoding.offsets, encoding.sequence_ids, strict=True)]
    if not unicodedata.is_normalized("NFKC", context):
        starts = [s[0] if s else len(context) for s in spans[1:]] + [len(context)]
        spans = [s and reach(context, s, following) for s, following in zip(spans, starts, strict=True)]
    return spans


def reach(text: str, piece: Chars, following: int) -> Chars:
    """The characters of a piece, extended by those before the following piece that were joined to them."""
    start, end = piece
    while end < following and (unicodedata.combining(text[end]) or joins(text[start:end], text[end])):
        end += 1
    return start, end


def joins(before: str, character: str) -> bool:
    """Whether normalising a character with the text before it differs from normalising each alone."""
    together, *parts = (unicodedata.normalize("NFKC", x) for x in (before + character, before, character))
    return together != "".join(parts)


def trimmed(example: dict) -> Chars | None:
    """The characters of the first answer, without surrounding white space; None when there is no answer.

    No piece ends with white space.
    """
    if not example["answers"]:
        return None
    start, text = example["answers"][0]
    body = text.strip(WHITE)
    start += text.index(body)
    return (start, start + len(body)) if body else None


def locate(spans: list[Chars | None], gold: Chars | None) -> tuple[int, int]:
    """First and last position of the answer in a window, or (0, 0) if it is not all there."""
    if not gold:
        return 0, 0
    start, end = gold
    inside = [k for k, s in enumerate(spans) if s and s[1] > s[0] and s[0] < end and s[1] > start]
    complete = inside and spans[inside[0]][0] <= start and spans[inside[-1]][1] >= end
    return (inside[0], inside[-1]) if complete else (0, 0)


def lost(features: list[dict], examples: list[dict]) -> list[int]:
    """The indices of examples whose answer is in no window; they are trained as if they had no answer."""
    answered = {f["example"] for f in features if f["answer"] != (0, 0)}
    return [i for i, e in enumerate(examples) if e["answers"] and i not in answered]


def gold(feature: dict) -> list[int]:
    """First and last position of the answer."""
    return [*feature["answer"]]


def loss(logits: Tensor, batch: dict) -> Tensor:
    """Cross entropy of first and last positions, each among the tokens of its sequence, summed.

    Shapes: logits (T, 2), gold (2 B,) -> scalar.
    """
    s, logits = batch["sequences"], logits.float()
    right = logits.gather(0, batch["gold"].view(-1, 2) + s.cu[:-1, None])
    return (s.logsumexp(logits) - right).sum()


def answers(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """The best span over all windows, as the context's own characters, and its no-answer score.

    The answer is "" where the task has unanswerable questions and "no answer" scores higher than every span.
    The no-answer score is how much higher "no answer" scores.
    Shapes: logits (T, 2) per feature.
    """
    best = spoken(logits, features, examples)
    texts = ["" if task.no_answer and margin > 0 else text for text, margin in best]
    return texts, [{"no_answer": margin} for _, margin in best]


def spoken(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[tuple[str, float]]:
    """(best span, no-answer score) of every example.

    The no-answer score is how much higher "no answer" scores than the best span. "No answer" scores as
    position 0 does in the window where that is lowest (`score_diff` of SQuAD v2's official scripts).
    """
    best = [(-float("inf"), "") for _ in examples]
    null = [float("inf")] * len(examples)
    for x, f in zip(logits, features, strict=True):
        i = f["example"]
        null[i] = min(null[i], x[0].sum().item())
        span = best_span(x, f["spans"])
        if span and span[0] > best[i][0]:
            best[i] = (span[0], examples[i]["context"][span[1] : span[2]].strip(WHITE))
    return [(text, null_score - score) for null_score, (score, text) in zip(null, best, strict=True)]


def best_span(x: Tensor, spans: list[Chars | None]) -> tuple[float, int, int] | None:
    """(score, first character, end) of the best span of at most ANSWER pieces inside the context.

    None when no piece of the context is in the window. Shapes: x (T, 2).
    """
    allowed = torch.tensor([bool(s and s[1] > s[0]) for s in spans])
    if not allowed.any():
        return None
    x = x[: len(spans)].float().masked_fill(~allowed.unsqueeze(-1), -1e9)
    ends = functional.pad(x[:, 1], (0, ANSWER - 1), value=-float("inf")).unfold(0, ANSWER, 1)  # (T, ANSWER)
    pairs = x[:, :1] + ends
    start, offset = divmod(int(pairs.argmax()), ANSWER)
    return pairs[start, offset].item(), spans[start][0], spans[start + offset][1]


# two scores for every token: how well an answer begins there, and ends there
KIND = Kind(
    encode, gold, TokenHead, loss, answers, by_token=True, outputs=lambda config, labels: 2, lost=lost
)  # fmt: skip
