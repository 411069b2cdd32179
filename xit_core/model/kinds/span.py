"""A span of a context that answers a question, or no answer. Long contexts are read in overlapping
windows."""

import unicodedata
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ...design.tasks import Task
from .kind import Answers, Kind

QUESTION = 64  # pieces of a question at most (recipe/jiant: max_query_length)
ANSWER = 30  # pieces of an answer at most (recipe/jiant: max_answer_length)
# to a tokenizer
WHITE = "\u200b\u200c\u200d\u200e\u200f\ufeff" + "".join(c for c in map(chr, range(0x3001)) if c.isspace())

Chars = tuple[int, int]  # first character and end


def encode(
    task: Task,
    examples: list[dict],
    tokenizer: Tokenizer,
    max_len: int,
    names: tuple[str, ...] = (),
    step: int = 0,
) -> list[dict]:
    """Windows over the context; "spans" maps a piece's position to its characters, "answer" is the gold pair
    of positions.

    A window without the whole first answer points to position 0, as an unanswerable question does. `step`:
    pieces from the start of one window to the start of the next (recipe/jiant: doc_stride 128); 0, or a step
    that leaves less in common: two windows share a third of `max_len`.
    """
    tokenizer.enable_truncation(min(QUESTION, max_len // 3))
    asked = [e["question"] for e in examples]
    short = tokenizer.encode_batch(asked, add_special_tokens=False)
    ends = [
        cut(x, question) if x.overflowing else len(question) for x, question in zip(short, asked, strict=True)
    ]
    tokenizer.no_truncation()
    encoded = tokenizer.encode_batch(
        [(e["question"][:n], e["context"]) for e, n in zip(examples, ends, strict=True)]
    )
    features = []
    for i, (x, e) in enumerate(zip(encoded, examples, strict=True)):
        spans, gold = characters(x, e["context"]), trimmed(e)
        for ids, seen in windows(x.ids, spans, max_len, step):
            features.append(
                {"ids": ids, "length": len(ids), "example": i, "spans": seen, "answer": locate(seen, gold)}
            )
    return features


def windows(
    ids: list[int], spans: list[Chars | None], max_len: int, step: int
) -> Iterator[tuple[list[int], list[Chars | None]]]:
    """(ids, spans) of every window: what stands before and after the context (question, special pieces) is in
    each.
    """
    inside = [k for k, s in enumerate(spans) if s]
    first, n = (inside[0], len(inside)) if inside else (len(ids), 0)
    room = max_len - (len(ids) - n)
    apart = room - max_len // 3
    apart = min(step or apart, apart)
    for a in range(first, first + max(n - room, 0) + apart, apart):
        b = min(a + room, first + n)
        yield [some[:first] + some[a:b] + some[first + n :] for some in (ids, spans)]


def cut(encoding, question: str) -> int:
    """Where a question ends that is cut after its last piece."""
    following = next((x.offsets[0][0] for x in encoding.overflowing if x.offsets), len(question))
    return reach(question, encoding.offsets[-1], following)[1] if encoding.offsets else 0


def characters(encoding, context: str) -> list[Chars | None]:
    """The characters of every piece of the context, None for other pieces.

    What normalisation joined to the character before it (an accent, a jamo of a syllable, a mark of voicing)
    belongs to no piece's offsets: here it does.
    """
    spans = [o if s == 1 else None for o, s in zip(encoding.offsets, encoding.sequence_ids, strict=True)]
    if not unicodedata.is_normalized("NFKC", context):
        starts = [s[0] if s else len(context) for s in spans[1:]] + [len(context)]
        spans = [s and reach(context, s, following) for s, following in zip(spans, starts, strict=True)]
    return spans


def reach(text: str, piece: Chars, following: int) -> Chars:
    """The characters of a piece, with those up to the following piece that were joined to them."""
    start, end = piece
    while end < following and (unicodedata.combining(text[end]) or joins(text[start:end], text[end])):
        end += 1
    return start, end


def joins(before: str, character: str) -> bool:
    """Whether normalisation makes of a character and what is before it something else than of each alone."""
    together, *alone = (unicodedata.normalize("NFKC", x) for x in (before + character, before, character))
    return together != "".join(alone)


def trimmed(example: dict) -> Chars | None:
    """The characters of the first answer, less white space around it, which no piece ends with; None when
    there is none.
    """
    if not example["answers"]:
        return None
    start, text = example["answers"][0]
    body = text.strip(WHITE)
    start += text.index(body)
    return (start, start + len(body)) if body else None


def locate(spans: list[Chars | None], gold: Chars | None) -> tuple[int, int]:
    """First and last position of the answer in a window, or (0, 0)."""
    if not gold:
        return 0, 0
    start, end = gold
    inside = [k for k, s in enumerate(spans) if s and s[1] > s[0] and s[0] < end and s[1] > start]
    whole = inside and spans[inside[0]][0] <= start and spans[inside[-1]][1] >= end
    return (inside[0], inside[-1]) if whole else (0, 0)


def lost(features: list[dict], examples: list[dict]) -> list[int]:
    """The numbers of the examples that have an answer, and no window in which it is: trained as if they had
    none.
    """
    found = {f["example"] for f in features if f["answer"] != (0, 0)}
    return [i for i, e in enumerate(examples) if e["answers"] and i not in found]


class Head(nn.Module):
    """Two numbers for every token: how well an answer begins, and ends, there."""

    def __init__(self, hidden: int, labels: int = 2, pooling: str = "first"):
        super().__init__()
        self.out = nn.Linear(hidden, 2)

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) -> (T, 2)."""
        return self.out(states)


def gold(feature: dict) -> list[int]:
    """First and last position of the answer."""
    return [*feature["answer"]]


def loss(logits: Tensor, batch: dict) -> Tensor:
    """Of first and last positions, each among the tokens of its sequence.

    Shapes: logits (T, 2), gold (2 B,) -> scalar.
    """
    s, logits = batch["sequences"], logits.float()
    right = logits.gather(0, batch["gold"].view(-1, 2) + s.cu[:-1, None])
    return (s.logsumexp(logits) - right).sum()


def answers(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """The best span over all windows, as the context's own characters; "" where the task has questions
    without an answer and none scores higher. Beside it how much higher "no answer" scores. Shapes: logits (T,
    2) a feature."""
    found = spoken(logits, features, examples)
    said = ["" if task.no_answer and margin > 0 else text for text, margin in found]
    return said, [{"no_answer": margin} for _, margin in found]


def spoken(logits: list[Tensor], features: list[dict], examples: list[dict]) -> list[tuple[str, float]]:
    """(best span, its no-answer score) of every example: how much higher "no answer" scores than the best
    span.

    No answer scores what position 0 does in the window where that is least (`score_diff` of SQuAD v2's
    official scripts).
    """
    best = [(-float("inf"), "") for _ in examples]
    null = [float("inf")] * len(examples)
    for x, f in zip(logits, features, strict=True):
        i = f["example"]
        null[i] = min(null[i], x[0].sum().item())
        found = best_span(x, f["spans"])
        if found and found[0] > best[i][0]:
            best[i] = (found[0], examples[i]["context"][found[1] : found[2]].strip(WHITE))
    return [(text, none - value) for none, (value, text) in zip(null, best, strict=True)]


def best_span(x: Tensor, spans: list[Chars | None]) -> tuple[float, int, int] | None:
    """(score, first character, end) of the best span of at most ANSWER pieces inside the context. x: (T,
    2)."""
    allowed = torch.tensor([bool(s and s[1] > s[0]) for s in spans])
    if not allowed.any():
        return None
    x = x[: len(spans)].float().masked_fill(~allowed.unsqueeze(-1), -1e9)
    ends = functional.pad(x[:, 1], (0, ANSWER - 1), value=-float("inf")).unfold(0, ANSWER, 1)  # (T, ANSWER)
    pairs = x[:, :1] + ends
    a, more = divmod(int(pairs.argmax()), ANSWER)
    return pairs[a, more].item(), spans[a][0], spans[a + more][1]


KIND = Kind(
    encode, gold, Head, loss, answers, by_token=True, outputs=lambda config, labels: 2, lost=lost
)  # fmt: skip
