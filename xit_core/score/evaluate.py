"""Zero-shot scores of a model in every language."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..data import reading
from ..design.scales import Scale
from ..design.tasks import TASKS, Task, languages
from ..ledger.results import row
from ..ledger.scores import Score
from ..metrics import protocols
from ..metrics.protocols import PROTOCOLS
from ..model.encoder import Model
from ..model.kinds import KINDS, encode, mlm, span
from . import retrieval


@torch.inference_mode()
def predict(net: Model, name: str, features: Sequence[dict]) -> list[Tensor]:
    """Logits of every feature: one vector, or (its tokens, C)."""
    out = [torch.empty(0)] * len(features)
    for some, batch in net.passes(features):
        with net.autocast():
            logits = net(name, batch).float().cpu()
        by_token = TASKS[name].kind in ("span", "tag")
        for i, x in zip(some, logits.split(batch["sequences"].lengths) if by_token else logits, strict=True):
            out[i] = x
    return out


def target(net: Model, name: str, s: Scale) -> dict:
    """A target in all its languages: scores, items (per-instance contributions), predictions, what was read, layers."""
    if TASKS[name].kind == "retrieve":
        return getattr(retrieval, name)(net, s)
    scores, x, predictions, seen, also = [], {}, [], [], []
    for lang in languages(name, s):
        found, x[lang], predicted, read, more = by_language(net, name, TASKS[name].train_on, lang, s)
        scores, predictions, seen, also = scores + found, predictions + predicted, seen + read, also + more
    return row(scores, x, predictions, seen, protocols=also)


def by_language(net: Model, name: str, head: str, lang: str, s: Scale) -> tuple:
    """One task in one language, read by the head of the task that trained it.

    Returns scores, per-instance headline, predictions, what was read, and the scores under further protocols.
    """
    task, names = TASKS[name], net.labels[head]
    rows, seen = reading.examples(name, "validation", lang, s, s.eval_rows)
    features = encode(task, rows, net.tokenizer, s, names)
    said, more = decoded(task, predict(net, head, features), features, rows, names)
    metrics, x = PROTOCOLS[task.protocol](said, rows, lang)
    scores = [Score(lang, m, task.protocol, v, len(rows)) for m, v in metrics.items()]
    also = [Score(lang, m, p, v, len(rows)) for p in protocols.also(task) for m, v in PROTOCOLS[p](said, rows, lang)[0].items()]
    told = zip(rows, said, more, strict=True)
    return scores, x, [{"task": name, "lang": lang, "id": e["id"], "prediction": y} | z for e, y, z in told], seen, also


def decoded(task: Task, logits: list[Tensor], features: list[dict], rows: list[dict], names: tuple[str, ...]) -> tuple[list, list]:
    """What the logits say of every row, in the words that protocols compare; and what is kept beside it."""
    if task.kind == "span":
        found = span.spoken(logits, features, rows)
        return ["" if task.no_answer and margin > 0 else said for said, margin in found], [{"no_answer": m} for _, m in found]
    said = KINDS[task.kind].decode(logits, features, rows)
    return [[names[i] for i in tags] for tags in said] if task.kind == "tag" else said, [{}] * len(rows)


def stage(net: Model, names: tuple[str, ...], s: Scale) -> dict:
    """The English dev scores of a stage's tasks (protocol "task: ..."), and what the stage did to retrieval ("probe")."""
    scores, predictions, seen = [], [], []
    for name in names:
        if name == "mlm":
            scores += masked(net, s)
            continue
        found, _, said, read, _ = by_language(net, name, name, TASKS[name].train_lang, s)
        scores += [Score(f.lang, f.metric, f"{name}: {f.protocol}", f.value, f.n) for f in found]
        predictions, seen = predictions + said, seen + read
    found = retrieval.tatoeba(net, s)
    return row(scores, {}, predictions, seen, layers=found["layers"], language_share=found["language_share"], probe=probed(found))


def encoder(net: Model, s: Scale) -> dict:
    """Phase 1: masked-token accuracy in every language, and retrieval at every layer."""
    found = retrieval.tatoeba(net, s)
    scores = masked(net, s) if net.lm_head or "mlm" in net.heads else []
    return found | {"scores": [asdict(x) for x in scores] + found["scores"]}


def probed(found: dict) -> dict:
    """The means over languages of what `tatoeba` found: what a curve keeps of it."""
    return {
        name: float(np.mean([x["value"] for x in found["scores"] if x["metric"] == metric]))
        for name, metric in {"tatoeba": "accuracy", "tatoeba_centred": "accuracy_centred"}.items()
    }


@torch.inference_mode()
def masked(net: Model, s: Scale) -> list[Score]:
    """Share of masked pieces that are guessed right, and their mean loss in nats, by language; always the same masks."""
    if "mlm" not in net.heads:
        net.add_head("mlm", ())
    scores = []
    for lang in languages("mlm", s):
        rows, _ = reading.examples("mlm", "validation", lang, s, s.eval_rows)
        features = mlm.encode(TASKS["mlm"], rows, net.tokenizer, s.max_len)
        features = mlm.hide(features, 0.15, net.encoder.config.vocab_size, np.random.default_rng(len(features)))
        right, loss, n = 0, 0.0, sum(len(f["gold"]) for f in features)
        for _, batch in net.passes(features):
            with net.autocast():
                logits = net("mlm", batch).float()
            right += int((logits.argmax(-1) == batch["gold"]).sum())
            loss += functional.cross_entropy(logits, batch["gold"], reduction="sum").item()
        scores += [
            Score(lang, "masked_accuracy", "mlm/masked-accuracy", 100 * right / n, n),
            Score(lang, "masked_loss", "mlm/nats", loss / n, n),
        ]
    return scores
