"""Zero-shot scores of a model in every language."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from . import data, protocols, retrieval
from .config import Scale, Score
from .kinds import KINDS, encode, mlm, span, tag
from .model import Model
from .protocols import PROTOCOLS
from .results import row
from .tasks import TASKS, Task, languages

LEARNED = 1000  # sentences that the linear classifier of parts of speech learns from


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
    rows, seen = data.examples(name, "validation", lang, s, s.eval_rows)
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


def linear(net: Model, s: Scale) -> tuple[list[dict], list[dict]]:
    """How well a linear classifier tells parts of speech from each layer's frozen states, in every language; what was read.

    It learns from English sentences only. Gives {layer, lang, accuracy (0-100), n}; n: tokens that have a piece and a tag.
    """
    task = TASKS["udpos"]

    def told(split: str, lang: str, n: int) -> tuple[Tensor, Tensor, list[dict]]:
        rows, read = data.examples(task.name, split, lang, s, n)
        return *firsts(net, encode(task, rows, net.tokenizer, s)), read

    states, tags, seen = told("train", task.train_lang, LEARNED)
    classifiers, found = [logistic(x, tags, len(task.labels)) for x in states], []
    for lang in languages(task.name, s):
        states, tags, read = told("validation", lang, s.eval_rows)
        for k, (classifier, x) in enumerate(zip(classifiers, states, strict=True)):
            right = functional.linear(x.double(), *classifier).argmax(-1) == tags
            found.append({"layer": k, "lang": lang, "accuracy": round(100 * right.double().mean().item(), 6), "n": len(tags)})
        seen = seen + read
    return found, seen


@torch.no_grad()
def firsts(net: Model, features: list[dict]) -> tuple[Tensor, Tensor]:
    """States of the first pieces of tagged tokens, after the embeddings and each layer, (L + 1, N, H), and their tags (N,)."""
    states, tags = [], []
    for _, batch in net.passes([f | {"gold": tag.gold(f)} for f in features]):
        first = batch["gold"] != tag.IGNORED
        with net.autocast():
            states.append(torch.stack([x[first].float() for x in net.states(batch)]).cpu())
        tags.append(batch["gold"][first].cpu())
    return torch.cat(states, 1), torch.cat(tags)


def logistic(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (C, H) and biases (C,) of a multinomial logistic regression of classes (N,) on states (N, H), in float64.

    States are standardised, and half the square of the weights on them is added to the sum of the losses, scikit-learn's
    default. The problem is convex and starts at 0: no seed.
    """
    mean, deviation = x.double().mean(0), x.double().std(0).clamp_min(1e-6)
    weight, bias = (torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in ((classes, x.shape[1]), classes))
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")
    z = (x.double() - mean) / deviation

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(functional.linear(z, weight, bias), y) + weight.square().sum() / (2 * len(y))
        value.backward()
        return value

    optimiser.step(loss)
    weight = weight.detach() / deviation
    return weight, bias.detach() - weight @ mean


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
        rows, _ = data.examples("mlm", "validation", lang, s, s.eval_rows)
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
