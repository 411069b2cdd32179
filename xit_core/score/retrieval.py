"""Retrieval tasks, which score the encoder's sentence vectors themselves."""

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from ..data import mining_pools, reading, sources, worlds
from ..design.encoders import DEPTH
from ..design.readers import Wrong, text_value
from ..design.scales import PIVOT, Scale
from ..design.tasks import PARALLEL, Task, languages
from ..ledger.outcomes import Evaluation, Score
from ..machine.errors import Absent, Bad
from ..metrics.protocols import PROTOCOLS
from ..model.encoder import Model
from .embed import at_depth, centred, embed, headline_layer, language_share
from .mining import Mined, above_threshold, mine, tuned
from .search import search

RANKED = 20  # candidates ranked per query, for mAP@20


# -- the tasks -----------------------------------------------------------------------------------------------

BY_LAYER = ("forward", "forward_centred")  # ways of searching that are followed through all layers
# metric, protocol, way of searching, and for those the relative depth
TATOEBA = (
    ("accuracy", "tatoeba/jiant", "forward", DEPTH),
    ("accuracy_centred", "tatoeba/jiant", "forward_centred", DEPTH),
    ("accuracy", "tatoeba/mteb", "backward", None),
    ("accuracy_centred", "tatoeba/mteb", "backward_centred", None),
    ("accuracy", "tatoeba/pr104", "forward", 10 / 24), ("accuracy", "tatoeba/first", "forward_first", None),
)  # fmt: skip


def retrieve(net: Model, task: Task, s: Scale) -> Evaluation:
    """A retrieval task in all its languages, as its declaration says."""
    return WAYS[task.retrieves](net, task, s)


def alignment(net: Model, s: Scale) -> Evaluation:
    """How aligned the languages of an encoder are, by layer: as `nearest_sentence`, on a scale's usual rows.

    They are the rows that `probe_retrieval` reads; `tatoeba` as a target may be scored on more.
    """
    return nearest_sentence(net, PARALLEL, s, s.eval_rows)


def nearest_target(net: Model, task: Task, s: Scale) -> Evaluation:
    """As `nearest_sentence`, on the rows of a target."""
    return nearest_sentence(net, task, s, s.scored(task.name))


def nearest_sentence(net: Model, task: Task, s: Scale, most: int) -> Evaluation:
    """Find each English sentence's nearest neighbour in the other language, by layer.

    `most`: rows of each language, 0 = all.

    Vectors are raw and language-centred. The scores are those of tatoeba/jiant. `protocols`: the other
    direction (tatoeba/mteb), layer 10 of 24 (tatoeba/pr104), and the first token's vector instead of the mean
    (tatoeba/first). `predictions`: for each row its neighbour by each way of searching; of BY_LAYER, at every
    layer.
    """
    headline, scores, layers, points, predictions, seen, groups = headline_layer(net), [], [], {}, {}, [], {}
    for lang in languages(task, s):
        rows, read = reading.examples(task, "validation", lang, s, most)
        other, pivot = (embed(net, [r[side] for r in rows], s, first=headline) for side in "ab")
        found, depth = ways(pivot, other, headline), len(other) - 1
        groups[lang], groups[PIVOT], seen = other[:depth], pivot[:depth], seen + read
        correct = {way: (indices == torch.arange(len(rows))).float() * 100 for way, indices in found.items()}
        for metric, protocol, way, d in TATOEBA:
            right = correct[way] if d is None else correct[way][at_depth(net, d)]
            scores.append(Score(lang, metric, protocol, right.mean().item(), len(rows)))
        layers += [
            {"lang": lang, "layer": k, "centred": way != BY_LAYER[0], "value": round(v, 6)}
            for way in BY_LAYER
            for k, v in enumerate(correct[way].mean(1).tolist())
        ]
        points[lang] = correct["forward"][headline].tolist()
        told = {way: indices.movedim(-1, 0).tolist() for way, indices in found.items()}
        predictions[lang] = [
            {"id": r["id"], "prediction": told["forward"][i][headline]}
            | {way: x[i] for way, x in told.items()}
            for i, r in enumerate(rows)
        ]
    shares = language_share(list(groups.values()))
    return entry(task, scores, points, predictions, seen, layers=layers, language_share=shares)


def probe_retrieval(net: Model, s: Scale) -> dict[str, float]:
    """The means over languages of the headline `tatoeba` scores, raw and language-centred.

    Nothing else is computed, so that it is quick.
    """
    rows = [
        reading.examples(PARALLEL, "validation", lang, s, s.eval_rows)[0] for lang in languages(PARALLEL, s)
    ]
    sides = [[r[side] for r in examples] for examples in rows for side in "ab"]
    vectors = embed(net, sum(sides, []), s, layers=(headline_layer(net),))[0].split([*map(len, sides)])
    accuracies = {}
    for other, pivot in zip(vectors[::2], vectors[1::2], strict=True):
        for suffix, a, b in (("", pivot, other), ("_centred", centred(pivot), centred(other))):
            correct = search(a, b, 1)[1][:, 0] == torch.arange(len(a))
            accuracies.setdefault(PARALLEL.name + suffix, []).append(100 * correct.float().mean().item())
    return {name: sum(values) / len(values) for name, values in accuracies.items()}


def ways(pivot: Tensor, other: Tensor, headline: int) -> dict[str, Tensor]:
    """Nearest neighbours by way of searching.

    "forward" is from the pivot language to the other, (layers, N); the other direction and the first token's
    vector are searched at the headline layer only, (N,).
    Shapes: pivot, other (layers + 1, N, H), the means of all layers, then the first tokens of the headline
    layer.
    """
    depth, indices = len(pivot) - 1, {}
    for name, centre in (("", False), ("_centred", True)):
        indices["forward" + name] = nearest(pivot[:depth], other[:depth], centre)
        (indices["backward" + name],) = nearest(other[[headline]], pivot[[headline]], centre)
    (indices["forward_first"],) = nearest(pivot[depth:], other[depth:])
    return indices


def nearest(a: Tensor, b: Tensor, centre: bool = False) -> Tensor:
    """Index of the most similar vector of b, by layer: (L, N, H), (L, M, H) -> (L, N).

    `centre`: subtract each side's mean vector first.
    """
    pairs = ((centred(x), centred(y)) if centre else (x, y) for x, y in zip(a, b, strict=True))
    return torch.stack([search(x, y, 1)[1][:, 0] for x, y in pairs])


def entry(
    task: Task, scores: list[Score], x: dict, predictions: dict, seen: list[dict], **more
) -> Evaluation:
    """The result of a retrieval task: scores under its own protocol, and under others as `protocols`."""
    own, other = (
        [score for score in scores if (score.protocol == task.protocol) == is_own] for is_own in (True, False)
    )
    rows = [
        {"task": task.name, "lang": lang} | row for lang, answers in predictions.items() for row in answers
    ]
    return Evaluation(own, x, rows, seen, other, more)


def mined_pairs(net: Model, task: Task, s: Scale) -> Evaluation:
    """Mine pairs by ratio margin from the full pools, raw and language-centred (bucc/jiant-dev).

    The threshold is tuned on the same gold pairs. `protocols`: layer 20 of 24 (bucc/xtreme-2020), and the
    threshold applied to the test pools where they are available (bucc/heldout). In bucc/xtreme-2020 a
    sentence that is in a pool twice counts for nothing, while with jiant each of its ids stands for it.
    `thresholds`: the tuned ones. `predictions`: every pair that was mined; None below the threshold.
    """
    limits, scores, instances, predictions, seen = {}, [], {}, {}, []
    for lang in languages(task, s):
        raw, limits[lang], cases, read = minings(net, task, lang, s)
        for metric, protocol, pairs, gold, threshold in cases:
            values, points = PROTOCOLS["bucc/pairs"](above_threshold(pairs, threshold), gold, lang)
            scores.append(Score(lang, metric, protocol, values["f1"], len(gold)))
            instances.setdefault(lang, points)  # only of the first case, the headline
        predictions[lang] = [
            {"id": f"{p} {q}", "prediction": (p, q) if margin >= limits[lang] else None, "margin": margin}
            for p, q, margin in raw
        ]
        seen += read
    return entry(task, scores, instances, predictions, seen, thresholds=limits)


# metric, protocol, mined pairs, gold pairs, threshold
Case = tuple[str, str, Mined, list[dict], float]


def minings(net: Model, task: Task, lang: str, s: Scale) -> tuple[Mined, float, list[Case], list[dict]]:
    """The pairs that are mined from one language's pools with their threshold, the ways in which pairs are
    scored, the headline first, and what was read.
    """
    ids, vectors, gold, read = corpora(net, task, lang, s)
    raw, centre = (pairs_of_ids(mine(*pair), ids) for pair in (vectors[0], map(centred, vectors[0])))
    unrepeated, limit = pairs_of_ids(mine(*vectors[1]), ids, repeated=False), tuned(raw, gold)
    cases = [
        ("f1", task.protocol, raw, gold, limit),
        ("f1_centred", task.protocol, centre, gold, tuned(centre, gold)),
        ("f1", "bucc/xtreme-2020", unrepeated, gold, tuned(unrepeated, gold)),
    ]
    if not s.world.made and all(mining_pools.official_pools(lang, x) for x in ("validation", "test")):
        ids, vectors, gold, more = corpora(net, task, lang, s, "test")
        cases.append(("f1", "bucc/heldout", pairs_of_ids(mine(*vectors[0]), ids), gold, limit))
        read = read + more
    return raw, limit, cases, read


def corpora(
    net: Model, task: Task, lang: str, s: Scale, split: str = "validation"
) -> tuple[list[dict], list[tuple], list[dict], list[dict]]:
    """Ids by sentence on both sides, the sentences' vectors, gold pairs, and what was read.

    The vectors are those of the headline layer and of layer 20 of 24.
    """
    source, target, gold, seen = pools_and_gold(task, lang, s, split)
    ids = [by_text(source), by_text(target)]
    a, b = (embed(net, list(side), s, layers=(headline_layer(net), at_depth(net, 20 / 24))) for side in ids)
    return ids, list(zip(a, b, strict=True)), gold, seen


def by_text(pool: list[dict]) -> dict[str, list[str]]:
    """The ids of each distinct sentence of a pool, in its order."""
    ids = {}
    for row in pool:
        ids.setdefault(row["sentence"].strip(), []).append(row["id"])
    return ids


def pairs_of_ids(
    found: list[tuple[int, int, float]], ids: list[dict[str, list[str]]], repeated: bool = True
) -> Mined:
    """Pairs of distinct sentences as pairs of ids, with all ids of each sentence.

    Without `repeated`, only sentences that have one id.
    """
    a, b = (list(side.values()) for side in ids)
    return [
        (p, q, m) for i, j, m in found if repeated or len(a[i]) == len(b[j]) == 1 for p in a[i] for q in b[j]
    ]


def pools_and_gold(
    task: Task, lang: str, s: Scale, split: str = "validation"
) -> tuple[list[dict], list[dict], list[dict], list[dict]]:
    """BUCC's sentences on both sides {id, sentence}, all gold pairs among them {ids}, and what was read.

    Raises: Bad for test pools without gold pairs.
    """
    source, target, pairs, part = worlds.of(s).pools(lang, split, s.eval_rows)
    if part and pairs is None and split == "test":
        raise Bad(
            f"{part.source}: pools without gold pairs cannot be scored; add the .gold file, or take these "
            "pools away"
        )
    if pairs is not None:
        gold, seen = [{"ids": p} for p in pairs], []
    else:
        gold, seen = reading.gold_pairs(task, lang, s, split)
        refuse_strangers(f"{task.name}/{lang}", [pair["ids"] for pair in gold], source, target)
    for side, rows in (("source", source), ("target", target)) if part else ():
        seen.append(reading.record(task, f"{split}: {side}", lang, part, rows, Counter(), task.licence))
    return source, target, gold, seen


def refuse_strangers(name: str, pairs: list[tuple[str, str]], source: list[dict], target: list[dict]) -> None:
    """Raise Bad for gold pairs of ids that are not in the pools: they would count as not found."""
    known = [{row["id"] for row in side} for side in (source, target)]
    if bad := [pair for pair in pairs if not all(one in ids for one, ids in zip(pair, known, strict=True))]:
        told = f"{len(bad)} of {len(pairs)} gold pairs are not in the pools, such as {' '.join(bad[0])}"
        raise Bad(f"{name}: {told}; take pools and gold pairs from one release")


def answer_sentences(net: Model, task: Task, s: Scale) -> Evaluation:
    """For each question, find the sentences with its answer among the sentences of all languages (mAP@20).

    A candidate is a sentence followed by its paragraph (256 tokens; questions 96), as in XTREME-R. XTREME-R
    fine-tunes a dual encoder on SQuAD first; here the encoder itself is scored, which is a deviation.
    `protocols`: by the sentence alone.
    Source: google-research/xtreme@838c13b, third_party/utils_lareqa.py and evaluate_retrieval.py,
    scripts/run_eval_lareqa.sh.
    """
    queries, pool, gold, seen = {}, {}, {}, []
    for lang in languages(task, s):
        examples, read = reading.examples(task, "validation", lang, s, s.eval_rows)
        pool[lang], seen = candidates(lang, examples, gold), seen + read
        queries[lang] = [{"id": e["id"], "text": e["question"], "gold": gold[e["id"]]} for e in examples]
    alone = {lang: {name: text for name, (text, _) in entries.items()} for lang, entries in pool.items()}
    with_context = {
        lang: {name: text + context for name, (text, context) in entries.items()}
        for lang, entries in pool.items()
    }
    scores, instances, predictions = ranking(net, s, task, queries, with_context, (96, 256))
    sentence_scores, *_ = ranking(net, s, task, queries, alone, (96, 256))
    return entry(
        task,
        scores + [replace(score, protocol="lareqa/sentence") for score in sentence_scores],
        instances,
        predictions,
        seen,
    )


def candidates(lang: str, examples: list[dict], gold: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """A language's sentences with their paragraphs, each once, by id "<language>_<paragraph>_<sentence>".

    Sentences that answer a question are also added to its list in `gold`, which all languages share.
    """
    numbers, sentences = {}, {}
    for e in examples:
        number = numbers.setdefault(e["context"], len(numbers) + 1)
        for position, text in enumerate(e["sentences"]):
            sentences[f"{lang}_{number}_{position}"] = (
                text.replace("\n", ""),
                e["context"].replace("\n", ""),
            )
            if text == e["sentences"][e["answer"]]:
                gold.setdefault(e["id"], []).append(f"{lang}_{number}_{position}")
    return sentences


def entities(net: Model, task: Task, s: Scale) -> Evaluation:
    """For each mention in its sentence, find its entity among descriptions in all languages (mAP@20).

    One answer is right. Texts have 64 tokens, as in XTREME-R. XTREME-R fine-tunes a dual encoder first; here
    the encoder itself is scored, which is a deviation.
    Raises: Bad for a candidate row without the expected fields.
    Source: google-research/xtreme@838c13b, third_party/utils_mewslix.py, scripts/run_eval_mewslix.sh.
    """
    queries, seen = {}, []
    for lang in languages(task, s):
        rows, read = reading.examples(task, "validation", lang, s, s.scored(task.name))
        queries[lang] = [{"id": e["id"], "text": e["mention"], "gold": [e["entity"]]} for e in rows]
        seen += read
    pool, read = described(task)
    known = {name for part in pool.values() for name in part}
    if bad := [q["gold"][0] for asked in queries.values() for q in asked if q["gold"][0] not in known]:
        told = f"{len(bad)} mentions are of no entity among the candidates, such as {bad[0]}"
        raise Bad(f"{task.name}: {told}; take mentions and candidates from one release")
    return entry(task, *ranking(net, s, task, queries, pool, (64, 64)), seen + read)


def described(task: Task) -> tuple[dict[str, dict[str, str]], list[dict]]:
    """The descriptions of all entities by language and id, and what was read.

    Raises: Bad for a row without the expected fields, Absent where there is none.
    """
    pool, seen = {}, []
    for part in sources.fetch(*task.config(PIVOT), task.candidates, task.revision, task.obtain):
        seen.append(reading.record(task, "candidates", "", part, part.rows, Counter(), task.licence))
        for i, row in enumerate(part.rows):
            try:
                spans = (row["description"][x["start"] : x["end"]] for x in row["sentence_spans"])
                text = " ".join(" ".join(spans).split())
                lang, name = text_value(row["description_language"]), text_value(row["entity_id"])
                pool.setdefault(lang, {})[name] = text
            except (KeyError, TypeError, Wrong) as error:
                wrong = f"no candidate ({type(error).__name__}: {error})"
                raise Bad(f"{part.source}: row {i}: {wrong}; make the file again") from None
    if not pool:
        raise Absent(f"{task.name}: no candidates are at hand; {task.obtain}")
    return pool, seen


def ranking(
    net: Model,
    s: Scale,
    task: Task,
    queries: dict[str, list[dict]],
    texts: dict[str, dict[str, str]],
    lengths: tuple[int, int],
) -> tuple[list[Score], dict, dict]:
    """Rank one pool of candidates {id: text} for queries {id, text, gold}, both by language.

    Vectors are those of the headline layer. They are raw, and with the mean of each language's queries and
    candidates subtracted. `lengths`: tokens of a query and of a candidate. Returns scores, the average
    precision of each query, and the first 20 candidates of each.
    """
    scores, instances, predictions, (metric,) = [], {}, {}, task.metrics
    names = [name for part in texts.values() for name in part]
    parts = [
        embed(net, list(part.values()), s, lengths[1], (headline_layer(net),))[0] for part in texts.values()
    ]
    pool = {"": torch.cat(parts), "_centred": torch.cat([centred(part) for part in parts])}
    for lang, questions in queries.items():
        vectors = embed(net, [q["text"] for q in questions], s, lengths[0], (headline_layer(net),))[0]
        for suffix, vector in {"": vectors, "_centred": centred(vectors)}.items():
            ranked = [
                [names[j] for j in indices] for indices in search(vector, pool[suffix], RANKED)[1].tolist()
            ]
            values, points = PROTOCOLS["map@20"](ranked, questions, lang)
            scores.append(Score(lang, metric + suffix, task.protocol, values["map@20"], len(questions)))
            instances.setdefault(lang, points)  # only of the raw vectors, the headline
            predictions.setdefault(lang, list(map(ranked_answer, questions, ranked)))
    return scores, instances, predictions


def ranked_answer(query: dict, ranked: list[str]) -> dict:
    """What is stored of a query: its first candidates and the right ones."""
    return {"id": query["id"], "prediction": ranked, "gold": query["gold"]}


WAYS = {"nearest": nearest_target, "mined": mined_pairs, "answers": answer_sentences, "entities": entities}
