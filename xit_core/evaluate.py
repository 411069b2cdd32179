"""Zero-shot scores of a model in every language; representations of every layer from one forward pass."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from . import data
from .config import PIVOT, Scale, Score
from .kinds import KINDS, mlm
from .model import Model
from .tasks import TASKS, languages

ROWS = 64  # sequences a forward pass
NEIGHBOURS = 4  # of BUCC's margin (bucc/jiant-dev)
DEPTH = 14 / 24  # jiant scores hidden_states[14] of 24 layers; a shallower encoder is scored at the same relative depth


def batches(features: list[dict]) -> Iterator[list[int]]:
    """Indices of features of like length, so that little is padding; the order never depends on the machine."""
    order = sorted(range(len(features)), key=lambda i: (features[i]["length"], i))
    step = max(1, ROWS // data.wide(features[0]))
    yield from (order[i : i + step] for i in range(0, len(order), step))


@torch.inference_mode()
def predict(net: Model, name: str, features: list[dict]) -> list[Tensor]:
    """Logits of every feature, cut to its own length where they are per token."""
    net.eval()
    device, out = next(net.parameters()).device, [torch.empty(0)] * len(features)
    for some in batches(features):
        batch = data.moved(data.collate([features[i] for i in some]), device)
        with net.autocast():
            logits = net(name, batch).float().cpu()
        for i, x in zip(some, logits, strict=True):
            out[i] = x[: features[i]["length"]] if x.ndim == 2 else x
    return out


def target(net: Model, name: str, s: Scale) -> dict:
    """A target in all its languages: scores, items (per-instance contributions), predictions, what was read, layers."""
    if TASKS[name].kind == "retrieve":
        return {"tatoeba": tatoeba, "bucc": bucc}[name](net, s)
    scores, x, predictions, seen = [], {}, {}, []
    for lang in languages(name, s):
        found, x[lang], predictions[lang], read = by_language(net, name, TASKS[name].train_on, lang, s)
        scores, seen = scores + found, seen + read
    return row(scores, x, predictions, seen)


def by_language(net: Model, name: str, head: str, lang: str, s: Scale) -> tuple[list[Score], list[float], list, list[dict]]:
    """One task in one language, read by the head of the task that trained it."""
    task, kind, names = TASKS[name], KINDS[TASKS[name].kind], net.labels[head]
    rows, seen = data.examples(name, "validation", lang, s, s.eval_rows)
    features = kind.encode(task, rows, net.tokenizer, s.max_len, names)
    predictions = kind.decode(predict(net, head, features), features, rows)
    metrics, x = kind.score(task, predictions, rows, lang, **({"names": names} if task.kind == "tag" else {}))
    return [Score(lang, m, task.protocol, v, len(rows)) for m, v in metrics.items()], x, predictions, seen


def row(scores: list[Score], x: dict[str, list[float]], predictions: dict, seen: list[dict], **more) -> dict:
    """What the ledger keeps. items[i] = sum over languages of x[lang][i] / (languages * rows): they add up to the headline."""
    items = np.zeros(max(map(len, x.values()), default=0))
    for values in x.values():
        items[: len(values)] += np.array(values) / (len(x) * len(values))
    told = [asdict(score) | {"value": round(score.value, 6)} for score in scores]
    return {"scores": told, "items": items.round(6).tolist(), "predictions": predictions, "seen": seen} | more


def stage(net: Model, names: tuple[str, ...], s: Scale) -> dict:
    """The English dev scores of a stage's tasks (protocol "task: ..."), and what the stage did to retrieval ("probe")."""
    scores, predictions, seen = [], {}, []
    for name in names:
        if name == "mlm":
            scores += masked(net, s)
            continue
        found, _, predictions[name], read = by_language(net, name, name, PIVOT, s)
        scores += [Score(f.lang, f.metric, f"{name}: {f.protocol}", f.value, f.n) for f in found]
        seen += read
    found = tatoeba(net, s)
    return row(scores, {}, predictions, seen, layers=found["layers"], language_share=found["language_share"], probe=probed(found))


def encoder(net: Model, s: Scale) -> dict:
    """Phase 1: masked-token accuracy in every language, and retrieval at every layer."""
    found = tatoeba(net, s)
    scores = masked(net, s) if net.lm_head or "mlm" in net.heads else []
    return found | {"scores": [asdict(x) for x in scores] + found["scores"]}


def probe(net: Model, s: Scale) -> dict:
    """Retrieval at the headline layer while a stage is being trained."""
    return probed(tatoeba(net, s))


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
    net.eval()
    device, scores = next(net.parameters()).device, []
    for lang in languages("mlm", s):
        rows, _ = data.examples("mlm", "validation", lang, s, s.eval_rows)
        features = mlm.encode(TASKS["mlm"], rows, net.tokenizer, s.max_len)
        right, loss, n = 0, 0.0, 0
        for some in batches(features):
            batch = data.collate([features[i] for i in some])
            generator = torch.Generator().manual_seed(len(features) + some[0])
            batch["input_ids"], gold = mlm.hide(batch["input_ids"], 0.15, net.encoder.config.vocab_size, generator)
            batch = data.moved(batch | {"gold": gold}, device)
            with net.autocast():
                logits = net("mlm", batch).float()
            wanted = batch["gold"][batch["gold"] != mlm.IGNORED]
            right, n = right + int((logits.argmax(-1) == wanted).sum()), n + len(wanted)
            loss += functional.cross_entropy(logits, wanted, reduction="sum").item()
        scores += [
            Score(lang, "masked_accuracy", "mlm/masked-accuracy", 100 * right / n, n),
            Score(lang, "masked_loss", "mlm/nats", loss / n, n),
        ]
    return scores


# -- retrieval ---------------------------------------------------------------------------------------------------------


def headline_layer(net: Model) -> int:
    return round(DEPTH * net.encoder.config.num_hidden_layers)


@torch.inference_mode()
def embed(net: Model, sentences: list[str], s: Scale) -> Tensor:
    """Mean over a sentence's pieces, special ones included, at every layer: (layers + 1, N, H), float32; 0 = embeddings."""
    net.eval()
    device = next(net.parameters()).device
    net.tokenizer.enable_truncation(s.max_len)
    features = [{"ids": x.ids, "length": len(x.ids)} for x in net.tokenizer.encode_batch(sentences)]
    out = torch.empty(net.encoder.config.num_hidden_layers + 1, len(sentences), net.encoder.config.hidden_size)
    for some in batches(features):
        batch = data.collate([features[i] for i in some])
        ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
        with net.autocast():
            states = net.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        weight = (mask / mask.sum(1, keepdim=True)).unsqueeze(-1)
        for layer, x in enumerate(states):
            out[layer, some] = (x.float() * weight).sum(1).cpu()
    return out


def tatoeba(net: Model, s: Scale) -> dict:
    """Nearest neighbour of each English sentence in the other language (tatoeba/jiant), raw and language-centred, by layer."""
    task, best = TASKS["tatoeba"], headline_layer(net)
    scores, layers, x, predictions, seen, groups = [], [], {}, {}, [], {}
    for lang in languages("tatoeba", s):
        rows, read = data.examples("tatoeba", "validation", lang, s, s.eval_rows)
        other, pivot = embed(net, [r["a"] for r in rows], s), embed(net, [r["b"] for r in rows], s)
        groups[lang], groups[PIVOT], seen = other, pivot, seen + read
        for centred in (False, True):
            near = nearest(pivot, other, centred)
            right = (near == torch.arange(len(rows))).float() * 100
            layers += [
                {"lang": lang, "layer": k, "centred": centred, "value": round(v, 6)} for k, v in enumerate(right.mean(1).tolist())
            ]
            scores.append(
                Score(
                    lang,
                    "accuracy_centred" if centred else "accuracy",
                    task.protocol,
                    right[best].mean().item(),
                    len(rows),
                )
            )
            if not centred:
                x[lang], predictions[lang] = right[best].tolist(), near[best].tolist()
    share = language_share(list(groups.values()))
    return row(scores, x, predictions, seen, layers=layers, language_share=share)


def nearest(queries: Tensor, database: Tensor, centred: bool) -> Tensor:
    """Index of each query's most similar sentence, by layer: (L, N, H), (L, M, H) -> (L, N). Ties go to the first.

    `centred`: each language's mean vector is subtracted first.
    """
    if centred:
        queries, database = queries - queries.mean(1, keepdim=True), database - database.mean(1, keepdim=True)
    similarity = functional.normalize(queries, dim=-1) @ functional.normalize(database, dim=-1).transpose(1, 2)
    return similarity.argmax(-1)


def language_share(groups: list[Tensor]) -> list[float]:
    """Share of the variance of sentence vectors that their language explains, by layer. groups: (L, N, H) a language."""
    every = torch.cat(groups, dim=1)
    centre = every.mean(1, keepdim=True)
    total = (every - centre).square().sum((1, 2))
    between = sum(g.shape[1] * (g.mean(1, keepdim=True) - centre).square().sum((1, 2)) for g in groups)
    return (between / total.clamp_min(1e-12)).tolist()


def bucc(net: Model, s: Scale) -> dict:
    """Mining by ratio margin, both directions, threshold at the best F1 on the same gold (bucc/jiant-dev)."""
    task, layer = TASKS["bucc"], headline_layer(net)
    scores, x, predictions, seen = [], {}, {}, []
    for lang in languages("bucc", s):
        rows, read = data.examples("bucc", "validation", lang, s, s.eval_rows)
        source, target_ = data.pools(lang, s, s.eval_rows)
        a, b = (embed(net, [r["sentence"] for r in pool], s)[layer] for pool in (source, target_))
        gold = {r["ids"] for r in rows}
        for centred in (False, True):
            found = mine(a - a.mean(0) if centred else a, b - b.mean(0) if centred else b)
            pairs = [(source[i]["id"], target_[j]["id"]) for i, j, _ in found]
            f1, kept = best_f1(pairs, gold)
            scores.append(Score(lang, "f1_centred" if centred else "f1", task.protocol, f1, len(gold)))
            if not centred:
                predictions[lang], x[lang] = pairs[:kept], [100.0 * (r["ids"] in set(pairs[:kept])) for r in rows]
        seen += read
    return row(scores, x, predictions, seen)


def mine(a: Tensor, b: Tensor) -> list[tuple[int, int, float]]:
    """Candidate pairs (i, j, margin), best first, each sentence once: (N, H), (M, H) -> at most min(N, M) pairs.

    Margin: cosine over the mean cosine of both sides' nearest neighbours (Artetxe & Schwenk 2019, "ratio", "max").
    """
    cosine = functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).T
    k = min(NEIGHBOURS, *cosine.shape)
    mean = (cosine.topk(k, 1).values.mean(1, keepdim=True) + cosine.topk(k, 0).values.mean(0, keepdim=True)) / 2
    margin = cosine / mean
    forward, backward = margin.argmax(1), margin.argmax(0)
    candidates = {(i, int(j)) for i, j in enumerate(forward)} | {(int(i), j) for j, i in enumerate(backward)}
    taken_a, taken_b, found = set(), set(), []
    for i, j in sorted(candidates, key=lambda p: (-margin[p].item(), p)):
        if i not in taken_a and j not in taken_b:
            found.append((i, j, margin[i, j].item()))
            taken_a.add(i)
            taken_b.add(j)
    return found


def best_f1(pairs: list[tuple], gold: set[tuple]) -> tuple[float, int]:
    """The best F1 (0-100) over all thresholds, and how many of the ranked pairs it keeps."""
    right = np.cumsum([p in gold for p in pairs])
    f1 = 200 * right / (np.arange(1, len(pairs) + 1) + len(gold))
    return (float(f1.max()), int(f1.argmax()) + 1) if len(pairs) else (0.0, 0)
