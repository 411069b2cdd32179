"""Retrieval tasks: the encoder's sentence vectors themselves are scored."""

import hashlib
import json
from dataclasses import asdict, replace

import torch
from torch import Tensor

from ..data import mining_pools, reading, sources, worlds
from ..data.local import Part
from ..design.encoders import DEPTH
from ..design.scales import PIVOT, Scale
from ..design.tasks import PARALLEL, Task, languages
from ..ledger.outcomes import Evaluation, Score
from ..machine.errors import Bad
from ..metrics.protocols import PROTOCOLS
from ..model.encoder import Model
from .embed import at_depth, centred, embed, headline_layer, language_share
from .mining import Mined, above_threshold, mine, tuned
from .search import both, search

RANKED = 20  # of mAP@20


# -- the tasks -----------------------------------------------------------------------------------------------

# metric, protocol, way of searching, relative depth
TATOEBA = (
    ("accuracy", "tatoeba/jiant", "forward", DEPTH),
    ("accuracy_centred", "tatoeba/jiant", "forward_centred", DEPTH),
    ("accuracy", "tatoeba/mteb", "backward", DEPTH),
    ("accuracy_centred", "tatoeba/mteb", "backward_centred", DEPTH),
    ("accuracy", "tatoeba/pr104", "forward", 10 / 24), ("accuracy", "tatoeba/first", "forward_first", DEPTH),
)  # fmt: skip


def retrieve(net: Model, task: Task, s: Scale) -> Evaluation:
    """A retrieval task in all its languages, as its declaration says."""
    return WAYS[task.retrieves](net, task, s)


def nearest_sentence(net: Model, task: Task, s: Scale) -> Evaluation:
    """Nearest neighbour of each English sentence in the other language (tatoeba/jiant), raw and
    language-centred, by layer.

    `protocols`: the other direction (tatoeba/mteb), layer 10 of 24 (tatoeba/pr104), the first token's vector
    in place of the mean (tatoeba/first). `predictions`: of each row the neighbour at every layer, in each
    direction and pooling.
    """
    best, scores, layers, x, predictions, seen, groups = headline_layer(net), [], [], {}, {}, [], {}
    for lang in languages(task, s):
        rows, read = reading.examples(task, "validation", lang, s, s.eval_rows)
        other, pivot = (embed(net, [r[side] for r in rows], s, first=True) for side in "ab")
        near, depth = ways(pivot, other), len(other) // 2
        groups[lang], groups[PIVOT], seen = other[:depth], pivot[:depth], seen + read
        right = {way: (found == torch.arange(len(rows))).float() * 100 for way, found in near.items()}
        scores += [
            Score(lang, m, p, right[way][at_depth(net, d)].mean().item(), len(rows))
            for m, p, way, d in TATOEBA
        ]
        layers += [
            {"lang": lang, "layer": k, "centred": centre, "value": round(v, 6)}
            for centre in (False, True)
            for k, v in enumerate(right["forward" + "_centred" * centre].mean(1).tolist())
        ]
        x[lang], told = (
            right["forward"][best].tolist(),
            {way: found.T.tolist() for way, found in near.items()},
        )
        predictions[lang] = [
            {"id": r["id"], "prediction": told["forward"][i][best]}
            | {way: by_layer[i] for way, by_layer in told.items()}
            for i, r in enumerate(rows)
        ]
    shares = language_share(list(groups.values()))
    return entry(task, scores, x, predictions, seen, layers=layers, language_share=shares)


def probe_retrieval(net: Model, s: Scale) -> dict[str, float]:
    """The means over languages of what `tatoeba` scores first, raw and language-centred, and nothing else, to
    be quick.
    """
    rows = [
        reading.examples(PARALLEL, "validation", lang, s, s.eval_rows)[0] for lang in languages(PARALLEL, s)
    ]
    sides = [[r[side] for r in some] for some in rows for side in "ab"]
    vectors = embed(net, sum(sides, []), s, layers=(headline_layer(net),))[0].split([*map(len, sides)])
    found = {}
    for other, pivot in zip(vectors[::2], vectors[1::2], strict=True):
        for how, a, b in (("", pivot, other), ("_centred", centred(pivot), centred(other))):
            right = search(a, b, 1)[1][:, 0] == torch.arange(len(a))
            found.setdefault(PARALLEL.name + how, []).append(100 * right.float().mean().item())
    return {name: sum(each) / len(each) for name, each in found.items()}


def ways(pivot: Tensor, other: Tensor) -> dict[str, Tensor]:
    """Nearest neighbours by way of searching, each (layers, N); "forward" is from the pivot language to the
    other.

    pivot, other: (2 layers, N, H), means before first tokens.
    """
    found, depth = {}, len(pivot) // 2
    for name, some, centre in (
        ("", slice(depth), False),
        ("_centred", slice(depth), True),
        ("_first", slice(depth, None), False),
    ):
        found["forward" + name], found["backward" + name] = nearest(pivot[some], other[some], centre)
    return found


def nearest(a: Tensor, b: Tensor, centre: bool = False) -> tuple[Tensor, Tensor]:
    """Index of the most similar vector on the other side, by layer: (L, N, H), (L, M, H) -> (L, N), (L, M).

    `centre`: each side's mean vector is subtracted first.
    """
    found = [
        both(centred(x) if centre else x, centred(y) if centre else y, 1) for x, y in zip(a, b, strict=True)
    ]
    return torch.stack([f[0][1][:, 0] for f in found]), torch.stack([f[1][1][:, 0] for f in found])


def entry(
    task: Task, scores: list[Score], x: dict, predictions: dict, seen: list[dict], **more
) -> Evaluation:
    """What a retrieval task found: scores under its own protocol, and apart from them, as `protocols`, under
    others.
    """
    own, other = ([z for z in scores if (z.protocol == task.protocol) == mine] for mine in (True, False))
    told = [{"task": task.name, "lang": lang} | each for lang, some in predictions.items() for each in some]
    return Evaluation(own, x, told, seen, other, more)


def mined_pairs(net: Model, task: Task, s: Scale) -> Evaluation:
    """Mining by ratio margin from the full pools, raw and language-centred, threshold tuned on the same gold
    (bucc/jiant-dev).

    `protocols`: layer 20 of 24 (bucc/xtreme-2020; there a sentence that stands in a pool twice counts for
    nothing, while with jiant each of its ids stands for it), and the threshold applied to the test pools
    where they are at hand (bucc/heldout). `thresholds`: the tuned ones. `predictions`: every pair that was
    mined; None below the threshold.
    """
    own, chose, scores, x, predictions, seen = task.protocol, {}, [], {}, {}, []
    for lang in languages(task, s):
        ids, vectors, gold, read = corpora(net, task, lang, s)
        raw, centre = pairs_of_ids(mine(*vectors[0]), ids), pairs_of_ids(mine(*map(centred, vectors[0])), ids)
        once, chose[lang] = pairs_of_ids(mine(*vectors[1]), ids, repeated=False), tuned(raw, gold)
        cases = [("f1", own, raw, gold, chose[lang]), ("f1_centred", own, centre, gold, tuned(centre, gold))]
        cases += [("f1", "bucc/xtreme-2020", once, gold, tuned(once, gold))]
        if not s.world.made and all(
            mining_pools.official_pools(lang, split) for split in ("validation", "test")
        ):
            others, new, held, more = corpora(net, task, lang, s, "test")
            cases, read = (
                cases + [("f1", "bucc/heldout", pairs_of_ids(mine(*new[0]), others), held, chose[lang])],
                read + more,
            )
        for metric, protocol, found, wanted, limit in cases:
            told, points = PROTOCOLS["bucc/pairs"](above_threshold(found, limit), wanted, lang)
            scores.append(Score(lang, metric, protocol, told["f1"], len(wanted)))
            x.setdefault(lang, points)  # of the first, the headline
        predictions[lang] = [
            {"id": f"{p} {q}", "prediction": (p, q) if margin >= chose[lang] else None, "margin": margin}
            for p, q, margin in raw
        ]
        seen += read
    return entry(task, scores, x, predictions, seen, thresholds=chose)


def corpora(
    net: Model, task: Task, lang: str, s: Scale, split: str = "validation"
) -> tuple[list[dict], list[tuple], list[dict], list[dict]]:
    """Ids by sentence on both sides, their vectors at the headline layer and at layer 20 of 24, gold pairs,
    what was read.
    """
    source, target, gold, seen = pools_and_gold(task, lang, s, split)
    ids = [by_text(source), by_text(target)]
    a, b = (embed(net, list(side), s, layers=(headline_layer(net), at_depth(net, 20 / 24))) for side in ids)
    return ids, list(zip(a, b, strict=True)), gold, seen


def by_text(pool: list[dict]) -> dict[str, list[str]]:
    """The ids of each different sentence of a pool, in its order."""
    ids = {}
    for each in pool:
        ids.setdefault(each["sentence"].strip(), []).append(each["id"])
    return ids


def pairs_of_ids(
    found: list[tuple[int, int, float]], ids: list[dict[str, list[str]]], repeated: bool = True
) -> Mined:
    """Pairs of different sentences as pairs of ids: all ids of each; without `repeated` only of sentences
    that have one.
    """
    a, b = (list(side.values()) for side in ids)
    return [
        (p, q, m) for i, j, m in found if repeated or len(a[i]) == len(b[j]) == 1 for p in a[i] for q in b[j]
    ]


def pools_and_gold(
    task: Task, lang: str, s: Scale, split: str = "validation"
) -> tuple[list[dict], list[dict], list[dict], list[dict]]:
    """BUCC's sentences on both sides {id, sentence}, all gold pairs among them {ids}, and what was read."""
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
    for side, rows in (("source", source), ("target", target)) if part else ():
        seen.append(noted(task, f"{split}: {side}", lang, part._replace(rows=rows)))
    return source, target, gold, seen


def noted(task: Task, split: str, lang: str, part: Part) -> dict:
    """What was read of a pool, as `data.Seen` tells it of examples."""
    digest = hashlib.sha256(json.dumps(part.rows, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    where = (part.source, part.revision, part.stand_in, task.licence)
    return asdict(reading.Seen(task.name, split, lang, len(part.rows), 0, digest, *where, {}, part.note))


def answer_sentences(net: Model, task: Task, s: Scale) -> Evaluation:
    """Each question finds the sentences with its answer, in every language, among the sentences of all
    languages (mAP@20).

    A candidate is a sentence followed by its paragraph (256 tokens; questions 96), as in XTREME-R, which
    fine-tunes a dual encoder on SQuAD first: a deviation, for here the encoder itself is scored. `protocols`:
    by the sentence alone.
    Source: google-research/xtreme@838c13b, third_party/utils_lareqa.py and evaluate_retrieval.py,
    scripts/run_eval_lareqa.sh.
    """
    queries, pool, gold, seen = {}, {}, {}, []
    for lang in languages(task, s):
        examples, read = reading.examples(task, "validation", lang, s, s.eval_rows)
        pool[lang], seen = candidates(lang, examples, gold), seen + read
        queries[lang] = [{"id": e["id"], "text": e["question"], "gold": gold[e["id"]]} for e in examples]
    alone = {lang: {name: text for name, (text, _) in of.items()} for lang, of in pool.items()}
    whole = {
        lang: {name: text + context for name, (text, context) in of.items()} for lang, of in pool.items()
    }
    scores, x, predictions = ranking(net, s, task, queries, whole, (96, 256))
    bare, *_ = ranking(net, s, task, queries, alone, (96, 256))
    return entry(task, scores + [replace(z, protocol="lareqa/sentence") for z in bare], x, predictions, seen)


def candidates(lang: str, examples: list[dict], gold: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """A language's sentences with their paragraphs, each once, by id "<language>_<paragraph>_<sentence>".

    Adds those that answer a question to its list in `gold`, which all languages share.
    """
    numbers, found = {}, {}
    for e in examples:
        number = numbers.setdefault(e["context"], len(numbers) + 1)
        for at, text in enumerate(e["sentences"]):
            found[f"{lang}_{number}_{at}"] = (text.replace("\n", ""), e["context"].replace("\n", ""))
            if text == e["sentences"][e["answer"]]:
                gold.setdefault(e["id"], []).append(f"{lang}_{number}_{at}")
    return found


def entities(net: Model, task: Task, s: Scale) -> Evaluation:
    """Each mention in its sentence finds its entity among descriptions in all languages (mAP@20; one answer
    is right).

    64 tokens, as in XTREME-R, which fine-tunes a dual encoder first: a deviation, for here the encoder itself
    is scored.
    Source: google-research/xtreme@838c13b, third_party/utils_mewslix.py, scripts/run_eval_mewslix.sh.
    """
    queries, pool, seen = {}, {}, []
    for lang in languages(task, s):
        rows, read = reading.examples(task, "validation", lang, s, s.eval_rows)
        queries[lang], seen = (
            [{"id": e["id"], "text": e["mention"], "gold": [e["entity"]]} for e in rows],
            seen + read,
        )
    for part in sources.fetch(*task.config(PIVOT), task.candidates, task.revision, task.obtain):
        seen.append(noted(task, "candidates", "", part))
        for i, each in enumerate(part.rows):
            try:
                told = " ".join(
                    each["description"][span["start"] : span["end"]] for span in each["sentence_spans"]
                )
                pool.setdefault(each["description_language"], {})[each["entity_id"]] = " ".join(told.split())
            except (KeyError, TypeError) as error:
                raise Bad(
                    f"{part.source}: row {i}: no candidate ({type(error).__name__}: {error}); make the file "
                    "again"
                ) from None
    return entry(task, *ranking(net, s, task, queries, pool, (64, 64)), seen)


def ranking(
    net: Model,
    s: Scale,
    task: Task,
    queries: dict[str, list[dict]],
    texts: dict[str, dict[str, str]],
    lengths: tuple[int, int],
) -> tuple[list[Score], dict, dict]:
    """Queries {id, text, gold} by language against one pool of candidates {id: text} by language, at the
    headline layer.

    Raw, and with the mean of each language's queries and of each language's candidates subtracted. `lengths`:
    tokens of a query and of a candidate. Returns scores, the average precision of each query, and the first
    20 candidates of each.
    """
    scores, x, predictions, (metric,) = [], {}, {}, task.metrics
    names = [each for of in texts.values() for each in of]
    apart = [embed(net, list(of.values()), s, lengths[1], (headline_layer(net),))[0] for of in texts.values()]
    pool = {"": torch.cat(apart), "_centred": torch.cat([centred(of) for of in apart])}
    for lang, asked in queries.items():
        found = embed(net, [q["text"] for q in asked], s, lengths[0], (headline_layer(net),))[0]
        for how, vector in {"": found, "_centred": centred(found)}.items():
            ranked = [[names[j] for j in some] for some in search(vector, pool[how], RANKED)[1].tolist()]
            told, points = PROTOCOLS["map@20"](ranked, asked, lang)
            scores.append(Score(lang, metric + how, task.protocol, told["map@20"], len(asked)))
            x.setdefault(lang, points)  # of the raw ones, the headline
            predictions.setdefault(lang, list(map(ranked_answer, asked, ranked)))
    return scores, x, predictions


def ranked_answer(query: dict, ranked: list[str]) -> dict:
    """What is kept of a query: the first candidates and the right ones."""
    return {"id": query["id"], "prediction": ranked, "gold": query["gold"]}


WAYS = {"nearest": nearest_sentence, "mined": mined_pairs, "answers": answer_sentences, "entities": entities}
