"""Zero-shot scores of a model in every language."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..data import reading
from ..design.scales import Scale
from ..design.tasks import PARALLEL, TASKS, TEXT, Task, languages
from ..ledger.outcomes import Evaluation, Score
from ..metrics import protocols
from ..metrics.protocols import PROTOCOLS
from ..model.encoder import Model
from ..model.kinds import encode, kind
from . import retrieval

MASKING = 0.15  # share of the pieces that are hidden to measure masked LM


@torch.inference_mode()
def predict(net: Model, name: str, features: Sequence[dict]) -> list[Tensor]:
    """Logits of every feature by the head of a task. Shapes: (C,) each, or (its tokens, C)."""
    out, by_token = [torch.empty(0)] * len(features), net.kinds[name].by_token
    for some, batch in net.passes(features):
        with net.autocast():
            logits = net(name, batch).float().cpu()
        for i, x in zip(some, logits.split(batch["sequences"].lengths) if by_token else logits, strict=True):
            out[i] = x
    return out


def target(net: Model, task: Task, s: Scale) -> Evaluation:
    """A target in all its languages."""
    return MEASURES[kind(task).measured](net, task, s)


def by_rows(net: Model, task: Task, s: Scale) -> Evaluation:
    """A task that its head answers row by row, scored by its protocols."""
    parts = {lang: by_language(net, task, TASKS[task.train_on], lang, s) for lang in languages(task, s)}
    return Evaluation(
        [score for part in parts.values() for score in part.scores],
        {lang: part.instances[lang] for lang, part in parts.items()},
        [said for part in parts.values() for said in part.predictions],
        [read for part in parts.values() for read in part.seen],
        [score for part in parts.values() for score in part.protocols],
    )


def by_language(net: Model, task: Task, trained: Task, lang: str, s: Scale) -> Evaluation:
    """One task in one language, read by the head of the task that trained it."""
    names = net.labels[trained.name]
    rows, seen = reading.examples(task, "validation", lang, s, s.eval_rows)
    features = encode(task, rows, net.tokenizer, s, names)
    logits = predict(net, trained.name, features)
    said, beside = kind(task).answers(task, logits, features, rows, names)
    metrics, points = PROTOCOLS[task.protocol](said, rows, lang)
    scores = [Score(lang, metric, task.protocol, value, len(rows)) for metric, value in metrics.items()]
    others = {name: PROTOCOLS[name](said, rows, lang)[0] for name in protocols.also(task)}
    also = [
        Score(lang, metric, name, value, len(rows))
        for name, by in others.items()
        for metric, value in by.items()
    ]
    told = [
        {"task": task.name, "lang": lang, "id": e["id"], "prediction": y} | more
        for e, y, more in zip(rows, said, beside, strict=True)
    ]
    return Evaluation(scores, {lang: points}, told, seen, also)


def stage(net: Model, tasks: tuple[Task, ...], s: Scale) -> tuple[Evaluation, dict[str, float]]:
    """The English dev scores of a stage's tasks (protocol "task: ..."), and what the stage did to
    retrieval."""
    scores, predictions, seen = [], [], []
    for task in tasks:
        if kind(task).measured == MASKS:
            scores += masked(net, s)
            continue
        found = by_language(net, task, task, task.train_lang, s)
        scores += [replace(score, protocol=f"{task.name}: {score.protocol}") for score in found.scores]
        predictions, seen = predictions + found.predictions, seen + found.seen
    after = retrieval.retrieve(net, PARALLEL, s)
    return Evaluation(scores, predictions=predictions, seen=seen, more=after.more), probed(after)


def encoder(net: Model, s: Scale) -> Evaluation:
    """Phase 1: masked-token accuracy in every language, and retrieval at every layer."""
    found = retrieval.retrieve(net, PARALLEL, s)
    scores = masked(net, s) if net.lm_head or TEXT.name in net.heads else []
    return replace(found, scores=scores + found.scores)


def probed(found: Evaluation) -> dict[str, float]:
    """The means over languages of what retrieval found: what a curve keeps of it."""
    return {
        PARALLEL.name + how: float(
            np.mean([round(x.value, 6) for x in found.scores if x.metric == f"accuracy{how}"])
        )
        for how in ("", "_centred")
    }


@torch.inference_mode()
def masked(net: Model, s: Scale) -> list[Score]:
    """Share of masked pieces that are guessed right, and their mean loss in nats, by language; always the
    same masks.
    """
    if TEXT.name not in net.heads:
        net.add_head(TEXT, ())
    return [score for lang in languages(TEXT, s) for score in guessed(net, lang, s)]


def guessed(net: Model, lang: str, s: Scale) -> list[Score]:
    """The same in one language."""
    rows, _ = reading.examples(TEXT, "validation", lang, s, s.eval_rows)
    features = encode(TEXT, rows, net.tokenizer, s)
    draw, vocabulary = np.random.default_rng(len(features)), net.encoder.config.vocab_size
    features = kind(TEXT).hide(features, MASKING, vocabulary, draw)
    right, loss, n = 0, 0.0, sum(len(f["gold"]) for f in features)
    for _, batch in net.passes(features):
        with net.autocast():
            logits = net(TEXT.name, batch).float()
        right += int((logits.argmax(-1) == batch["gold"]).sum())
        loss += functional.cross_entropy(logits, batch["gold"], reduction="sum").item()
    accuracy = Score(lang, "masked_accuracy", "mlm/masked-accuracy", 100 * right / n, n)
    return [accuracy, Score(lang, "masked_loss", "mlm/nats", loss / n, n)]


ROWS, MASKS, VECTORS = "rows", "masks", "vectors"  # as `Kind.measured` says
MEASURES = {
    ROWS: by_rows,
    MASKS: lambda net, task, s: Evaluation(masked(net, s)),
    VECTORS: retrieval.retrieve,
}
