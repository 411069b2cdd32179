"""Zero-shot scores of a model in every language."""

from collections import Counter
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
from ..model.device import in_turns
from ..model.encoder import Model
from ..model.kinds import encode, kind
from ..model.kinds.kind import MASKS, ROWS, VECTORS
from . import instances, retrieval

MASKING = 0.15  # share of the pieces that are hidden when masked LM is scored


@torch.inference_mode()
def predict(net: Model, name: str, features: Sequence[dict]) -> list[Tensor]:
    """Logits of every feature from the head of a task. Shapes: (C,) each, or (its tokens, C)."""
    out, found, by_token = [torch.empty(0)] * len(features), [], net.kinds[name].by_token
    for indices, batch in net.passes(features):
        with net.autocast():
            found.append((indices, net(name, batch).float().cpu(), batch["sequences"].lengths))
    for indices, logits, lengths in in_turns(found):
        for i, x in zip(indices, logits.split(lengths) if by_token else logits, strict=True):
            out[i] = x
    return out


def target(net: Model, task: Task, s: Scale) -> Evaluation:
    """Score a target task in all its languages."""
    return MEASURES[kind(task).measured](net, task, s)


def by_rows(net: Model, task: Task, s: Scale) -> Evaluation:
    """Score a task that its head answers row by row, by its protocols."""
    parts, keys = {}, {}
    for lang in languages(task, s):
        parts[lang], rows = by_language(net, task, TASKS[task.train_on], lang, s, s.scored(task.name))
        keys[lang] = instances.ties(rows, lang, s.world.made)
    predictions = [prediction for part in parts.values() for prediction in part.predictions]
    # where a case is several rows, cases of one number belong together
    by_row = all(len(parts[lang].instances[lang]) == len(rows) for lang, rows in keys.items())
    return Evaluation(
        [score for part in parts.values() for score in part.scores],
        {lang: part.instances[lang] for lang, part in parts.items()},
        predictions,
        [entry for part in parts.values() for entry in part.seen],
        [score for part in parts.values() for score in part.protocols],
        {"commonest": commonest([row["prediction"] for row in predictions])},
        clusters=instances.clusters(keys) if by_row else {},
    )


def commonest(answers: list) -> float:
    """The share of the most frequent answer (tags are counted token by token); 1 is a constant answer."""
    single = [x for answer in answers for x in (answer if isinstance(answer, list) else [answer])]
    return round(Counter(single).most_common(1)[0][1] / len(single), 6)


def constant_score(rows: list[dict]) -> float:
    """The score (0-100) of the best constant answer: a label, a tag for every token, or "no answer"."""
    if "answers" in rows[0]:
        gold = ["" if not row["answers"] else "answered" for row in rows]
        return round(100 * gold.count("") / len(gold), 6)
    gold = [x for row in rows for x in (row["tags"] if "tags" in row else [row["label"]])]
    return round(100 * commonest(gold), 6)


def by_language(
    net: Model, task: Task, trained: Task, lang: str, s: Scale, most: int
) -> tuple[Evaluation, list[dict]]:
    """Score one task in one language, with the head of the task that was trained for it.

    `most`: rows to score, 0 = all. Returns the scores, and the rows that were scored.
    """
    names = net.labels[trained.name]
    rows, seen = reading.examples(task, "validation", lang, s, most)
    features = encode(task, rows, net.tokenizer, s, names)
    logits = predict(net, trained.name, features)
    answers, extras = kind(task).answers(task, logits, features, rows, names)
    metrics, points = PROTOCOLS[task.protocol](answers, rows, lang)
    scores = [Score(lang, metric, task.protocol, value, len(rows)) for metric, value in metrics.items()]
    others = {name: PROTOCOLS[name](answers, rows, lang)[0] for name in protocols.also(task)}
    other_scores = [
        Score(lang, metric, name, value, len(rows))
        for name, values in others.items()
        for metric, value in values.items()
    ]
    predictions = [
        {"task": task.name, "lang": lang, "id": e["id"], "prediction": y} | extra
        for e, y, extra in zip(rows, answers, extras, strict=True)
    ]
    return Evaluation(scores, {lang: points}, predictions, seen, other_scores), rows


def stage(net: Model, tasks: tuple[Task, ...], s: Scale) -> tuple[Evaluation, dict[str, float]]:
    """The English dev scores of a stage's tasks (protocol "task: ..."), and retrieval after the stage.

    `guess` in its row: for each task, what the best constant answer scores on the same rows.
    """
    scores, predictions, seen, guess = [], [], [], {}
    for task in tasks:
        if kind(task).measured == MASKS:
            scores += masked(net, s)
            continue
        evaluation, rows = by_language(net, task, task, task.pivot_lang, s, s.dev_rows or s.eval_rows)
        scores += [replace(score, protocol=f"{task.name}: {score.protocol}") for score in evaluation.scores]
        predictions, seen = predictions + evaluation.predictions, seen + evaluation.seen
        guess[task.name] = constant_score(rows)
    after = retrieval.alignment(net, s)
    more = after.more | {"guess": guess}
    return Evaluation(scores, predictions=predictions, seen=seen, more=more), probed(after)


def encoder(net: Model, s: Scale) -> Evaluation:
    """Phase 1: masked-token accuracy in every language, and retrieval at every layer."""
    retrieved = retrieval.alignment(net, s)
    # unrounded in every published row, with which a repetition must agree
    return replace(retrieved, exact=masked(net, s) if net.lm_head or TEXT.name in net.heads else [])


def probed(found: Evaluation) -> dict[str, float]:
    """The means over languages of what retrieval found, which a training curve stores."""
    return {
        PARALLEL.name + suffix: float(
            np.mean([round(x.value, 6) for x in found.scores if x.metric == f"accuracy{suffix}"])
        )
        for suffix in ("", "_centred")
    }


@torch.inference_mode()
def masked(net: Model, s: Scale) -> list[Score]:
    """Share of masked pieces that are guessed right, and their mean loss in nats, by language.

    The masks are always the same.
    """
    if TEXT.name not in net.heads:
        net.add_head(TEXT, ())
    return [score for lang in languages(TEXT, s) for score in guessed(net, lang, s)]


def guessed(net: Model, lang: str, s: Scale) -> list[Score]:
    """The same in one language."""
    rows, _ = reading.examples(TEXT, "validation", lang, s, s.eval_rows)
    features = encode(TEXT, rows, net.tokenizer, s)
    draw = np.random.default_rng(len(features))
    features = kind(TEXT).hide(features, MASKING, net.vocabulary, draw)
    found, correct, loss, n = [], 0, 0.0, sum(len(f["gold"]) for f in features)
    for _, batch in net.passes(features):
        with net.autocast():
            logits = net(TEXT.name, batch).float()
        right = int((logits.argmax(-1) == batch["gold"]).sum())
        found.append((right, functional.cross_entropy(logits, batch["gold"], reduction="sum").item()))
    for right, nats in in_turns(found):
        correct, loss = correct + right, loss + nats
    accuracy = Score(lang, "masked_accuracy", "mlm/masked-accuracy", 100 * correct / n, n)
    return [accuracy, Score(lang, "masked_loss", "mlm/nats", loss / n, n)]


MEASURES = {
    ROWS: by_rows,
    MASKS: lambda net, task, s: Evaluation(masked(net, s)),
    VECTORS: retrieval.retrieve,
}
