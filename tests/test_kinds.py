"""From logits to scores. Per kind: perfect logits give the gold, every token gets one label, counts are right
by hand. Per task: what is kept, rows that are one draw, numbers that must not drift.
"""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import test_tasks
from plain import row_of
from xit_core import phases
from xit_core.design import scales
from xit_core.design.encoders import lacking
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import IOB2, REAL_TASKS, TASKS
from xit_core.ledger.outcomes import Evaluation
from xit_core.machine import places
from xit_core.metrics.protocols import PROTOCOLS
from xit_core.model import kinds, origins, packed, train
from xit_core.model.kinds import KINDS, choose, labels, mlm, span, tag
from xit_core.model.kinds.kind import Vocabulary
from xit_core.model.mixture import Mixture
from xit_core.phases import intermediate
from xit_core.score import evaluate
from xit_core.score.evaluate import commonest, constant_score
from xit_core.score.instances import clusters, ties

S = SCALES["smoke"]
MIRROR = places.mirror_dir()  # where it is; within a test it is not seen
CODED = [
    t for t in map(TASKS.get, REAL_TASKS) if KINDS[t.kind].answers and t.kind != "ground"
]  # of one example


@pytest.fixture(scope="module")
def pieces():
    return origins.tokenizer(SCALES["smoke"])


def stored(task):
    return test_tasks.examples(task, test_tasks.stored(task.name)[:100])


def perfect(task, features, examples, names):
    """Logits that say the gold label of every feature."""
    told = [torch.tensor(KINDS[task.kind].gold(f)) for f in features]
    if task.kind == "span":
        logits = [torch.zeros(f["length"], 2) for f in features]
        for x, gold in zip(logits, told, strict=True):
            x[gold, torch.arange(2)] = 9
        return logits
    classes = len(names) or len(examples[0]["choices"])
    logits = [torch.nn.functional.one_hot(gold.clamp_min(0), classes).float() for gold in told]
    return logits if task.kind == "tag" else [x[0] for x in logits]


@pytest.mark.parametrize("task", CODED, ids=lambda t: t.name)
def test_perfect_logits_give_the_gold(task, pieces):
    kind, examples = KINDS[task.kind], stored(task)
    names = labels(task, examples)
    features = kind.encode(examples, pieces, 96, names)
    predictions, _ = kind.answers(task, perfect(task, features, examples, names), features, examples, names)
    metrics, x = PROTOCOLS[task.protocol](predictions, examples, "de")
    assert all(metrics[m] == 100 for m in task.metrics) and set(x) == {100.0}


# -- ground -------------------------------------------------------------------------------------------------


def scene_examples(n):
    return [{"a": f"caption {i}", "scene": [f"x{i}", "everywhere"], "label": i % 10} for i in range(n)]


def test_a_scene_is_the_attributes_that_training_rows_have(pieces):
    examples = scene_examples(3)
    names = labels(TASKS["scenes"], examples[:2])
    assert names == ("everywhere", "x0", "x1")
    told = [f["gold"] for f in KINDS["ground"].encode(examples, pieces, 96, names)]
    assert told == [[1, 1, -100], [1, -100, 1], [1, -100, -100]]


def test_a_caption_must_find_its_own_scene_and_a_scene_its_caption():
    gold = torch.tensor([[1, -100], [1, 1]])
    towards = torch.eye(2) * 3.0

    def loss(scenes):
        return KINDS["ground"].loss(torch.cat([towards, scenes], 1), {"gold": gold}).item()

    own = math.log(1 + math.exp(-3.0))  # of two, the right one is 3 more alike
    assert loss(torch.eye(2)) == pytest.approx(3 * own, rel=1e-5)  # three attributes stand for the rows
    assert loss(torch.eye(2).flip(0)) == pytest.approx(3 * (own + 3), rel=1e-5)
    gold[0, 1] = 1  # equal scenes are not held against each other
    assert loss(torch.eye(2)) == 0.0


def test_a_caption_is_scored_among_ten_scenes_with_its_own_at_its_label():
    task, examples = TASKS["scenes"], scene_examples(30)
    right = [torch.cat([x, x]) for x in torch.eye(30)]
    assert KINDS["ground"].answers(task, right, [], examples)[0] == [e["label"] for e in examples]
    next_one = [torch.cat([x, y]) for x, y in zip(torch.eye(30), torch.eye(30).roll(-1, 1), strict=True)]
    chosen = KINDS["ground"].answers(task, next_one, [], examples)[0]
    assert not any(x == e["label"] for x, e in zip(chosen, examples, strict=True))


# -- span ----------------------------------------------------------------------------------------------------


def squad(context, answer, question="who ?"):
    return {"id": "1", "question": question, "context": context, "answers": [(context.index(answer), answer)]}


def test_no_answer_wins_only_where_the_task_has_unanswerable_questions(pieces):
    examples = [squad("boats cross it", "boats")]
    for name, said in {"squad1": "boats cross it", "squad2": ""}.items():
        features = span.encode(examples, pieces, 48)
        logits = [torch.zeros(features[0]["length"], 2)]
        logits[0][0] = logits[0][:, 1][[s == (9, 14) for s in features[0]["spans"]]] = 5
        (found,), _ = span.answers(TASKS[name], logits, features, examples)
        assert found in said and bool(said) == bool(found)


def test_the_best_span_has_a_start_before_its_end_and_is_not_too_long():
    spans = [None, *[(i, i + 1) for i in range(60)], None]
    x = torch.zeros(62, 2)
    x[50, 0], x[10, 1] = 9, 9  # the best start lies behind the best end
    _, a, b = span.best_span(x, spans)
    assert a < b and b - a <= span.ANSWER
    x = torch.zeros(62, 2)
    x[1, 0], x[60, 1] = 9, 9
    assert span.best_span(x, spans)[2] - span.best_span(x, spans)[1] <= span.ANSWER


# -- the cache -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"half", b"\x93NUMPY", None], ids=ascii)
def test_a_damaged_file_of_the_cache_is_made_again(pieces, content, places, monkeypatch):
    def asked():
        return kinds.encoded(TASKS["squad1"], examples, [{"sha256": "x"}], pieces, scales.SCALES["smoke"])

    examples = [squad("boats cross it", "boats"), squad("a  b", " ")]
    once = asked()
    (file,) = (places / "runs/encoded").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if content is None else content)
    again = asked()
    assert file.read_bytes() == whole and again.lost.tolist() == once.lost.tolist() == [1]
    assert all(np.array_equal(a["ids"], b["ids"]) for a, b in zip(once, again, strict=True))
    monkeypatch.setattr(kinds, "encode", lambda *_: pytest.fail("made again"))
    assert len(asked()) == len(once)


# -- tag -----------------------------------------------------------------------------------------------------


def tagged(tokens, tags, tokenizer, max_len=32, name="udpos"):
    """(tags said by logits that say the gold of every first piece, features)"""
    example = {"tokens": tokens, "tags": tags}
    names = TASKS[name].labels
    features = tag.encode([example], tokenizer, max_len, names)
    (said,) = tag.decode(perfect(TASKS[name], features, [example], names), features, [example])
    return [names[i] for i in said], features


def test_a_long_sentence_is_split_and_every_token_gets_one_label(pieces):
    tokens, tags = [f"t{i}" for i in range(70)], ["NOUN", "VERB"] * 35
    said, features = tagged(tokens, tags, pieces)
    assert len(features) > 2 and max(f["length"] for f in features) <= 32 and said == tags


def test_a_token_longer_than_a_window_has_one_of_its_own_and_one_label(pieces):
    said, features = tagged(["boat", "ab" * 100, "lake"], ["NOUN", "X", "VERB"], pieces, 16)
    assert (
        said == ["NOUN", "X", "VERB"]
        and [len(f["first"]) for f in features] == [1, 1, 1]
        and features[1]["length"] == 16
    )


@pytest.mark.parametrize("max_len", [8, 32])
def test_characters_as_tokens_keep_one_label_each(pieces, max_len):
    """PAN-X splits Thai and Chinese by characters: tokens are combining marks, spaces, emoji, even
    nothing."""
    tokens = [*"น้ำ", " ", "湖", "\u3000", "\u0301", "👍🏽", "", "\u200b", "ﬁ", "½", "ﷺ"]
    tags = [IOB2[i % len(IOB2)] for i in range(len(tokens))]
    said, features = tagged(tokens, tags, pieces, max_len, "panx")
    first = [p for f in features for p in f["first"]]
    assert len(said) == len(first) == len(tokens)
    assert [t if p >= 0 else "O" for t, p in zip(tags, first, strict=True)] == said
    assert {t for t, p in zip(tokens, first, strict=True) if p < 0} == {" ", "\u3000", "", "\u200b"}


@pytest.mark.parametrize(("name", "label"), [("panx", "O"), ("udpos", "X")])
def test_a_token_without_a_piece_is_called_other(pieces, name, label):
    said, features = tagged(["boat", "\u200b", "lake"], [TASKS[name].labels[1]] * 3, pieces, name=name)
    assert features[0]["first"][1] == -1 and said[1] == label and said[0] == said[2] == TASKS[name].labels[1]
    assert tag.gold(features[0]).count(1) == 2  # it trains nothing


def test_a_tag_that_training_never_had_trains_nothing_and_counts_as_wrong(pieces):
    example = {"tokens": ["boat", "lake"], "tags": ["N", "N/PP"]}
    features = tag.encode([example], pieces, 32, ("N", "V"))
    assert features[0]["tags"] == [0, tag.IGNORED] and set(tag.gold(features[0])) == {0, tag.IGNORED}
    (said,) = tag.decode(perfect(TASKS["ccg"], features, [example], ("N", "V")), features, [example])
    metrics, _ = PROTOCOLS[TASKS["ccg"].protocol]([["NV"[i] for i in said]], [example], "en")
    assert said == [0, 0] and metrics["accuracy"] == 50


@pytest.mark.skipif(
    not MIRROR or bool(lacking(SCALES["small"].encoder)),
    reason="needs the data mirror (XIT_MIRROR) and the encoder of small",
)
@pytest.mark.parametrize(
    "where", "PAN-X.th PAN-X.zh PAN-X.ja PAN-X.ar PAN-X.de PAN-X.my udpos.Chinese udpos.Japanese".split()
)
def test_every_token_of_the_real_data_gets_its_tag_back(where):
    """Less than one token in a thousand has no piece: zero-width characters and, in Thai, empty strings."""
    tokenizer, task = (
        origins.tokenizer(SCALES["small"]),
        TASKS["panx" if where.startswith("PAN") else "udpos"],
    )
    for file in sorted((MIRROR / "google/xtreme" / where).glob("*.parquet")):
        rows = pq.read_table(file).slice(0, 4000).to_pylist()
        examples = [e for row in rows for e in task.read(row, "en") if not isinstance(e, str)]
        features = tag.encode(examples, tokenizer, 64, task.labels)
        first = [p for f in features for p in f["first"]]
        said = tag.decode(perfect(task, features, examples, task.labels), features, examples)
        assert max(f["length"] for f in features) <= 64 and [len(p) for p in said] == [
            len(e["tags"]) for e in examples
        ]
        flat = [
            (task.labels[i], t)
            for p, e in zip(said, examples, strict=True)
            for i, t in zip(p, e["tags"], strict=True)
        ]
        assert all(a == b for (a, b), p in zip(flat, first, strict=True) if p >= 0)
        assert sum(p < 0 for p in first) <= max(1, len(first) / 1000)


# -- the others ----------------------------------------------------------------------------------------------


def test_accuracy_counts_by_hand():
    rows = [{"label": 0}, {"label": 1}, {"label": 2}, {"label": 1}]
    metrics, x = PROTOCOLS[TASKS["xnli"].protocol]([0, 1, 0, 1], rows, "de")
    assert metrics == {"accuracy": 75.0} and x == [100, 100, 0, 100]


def test_every_choice_is_read_with_the_prompt_and_gets_one_score(pieces):
    features = choose.encode(stored(TASKS["csqa"]), pieces, 64)
    batch = packed.pack(features, torch.device("cpu"))
    assert len(batch["sequences"].lengths) == 5 * len(features)
    head = choose.Head(8)
    assert head(torch.randn(len(batch["input_ids"]), 8), batch).shape == (len(features), 5)


def test_a_mean_is_over_the_tokens_of_its_sequence():
    states = torch.tensor([[1.0], [1], [99], [5], [7]])
    assert packed.Sequences([2, 1, 2], torch.device("cpu")).means(states).tolist() == [[1], [99], [6]]


def test_masks_hide_the_declared_share_and_never_a_special_piece():
    draw = np.random.default_rng(0)
    features = [{"ids": np.array([0, *draw.integers(4, 399, 48), 2])} for _ in range(200)]
    of = Vocabulary((0, 1, 2, 3, 399), (4, 399), 399)
    masked = mlm.hide(features, 0.15, of, np.random.default_rng(1))
    ids, inputs = (np.stack([f["ids"] for f in some]) for some in (features, masked))
    hidden = np.zeros_like(ids, bool)
    for row, f in zip(hidden, masked, strict=True):
        row[f["hidden"]] = True
    assert 0.13 < hidden[:, 1:-1].mean() < 0.17 and not hidden[:, 0].any() and not hidden[:, -1].any()
    assert (np.concatenate([f["gold"] for f in masked]) == ids[hidden]).all() and (
        inputs[~hidden] == ids[~hidden]
    ).all()
    assert (
        0.76 < (inputs[hidden] == 399).mean() < 0.84 and 0.06 < (inputs[hidden] == ids[hidden]).mean() < 0.15
    )


@pytest.fixture(scope="module")
def net():
    return origins.start(SCALES["smoke"], seed=3)


def test_logits_come_back_in_the_order_of_the_features(net):
    features, _ = phases.training_set(net, (TASKS["udpos"],), S, 12, seed=1)
    whole = evaluate.predict(net, "udpos", features["udpos"])
    alone = [evaluate.predict(net, "udpos", [f])[0] for f in features["udpos"]]
    assert all(
        torch.allclose(x, y, atol=1e-5) and len(x) == f["length"]
        for x, y, f in zip(whole, alone, features["udpos"], strict=True)
    )


def test_a_target_is_scored_under_every_protocol_of_its_family_and_its_predictions_are_kept(net):
    from xit_core.phases import training_set

    training_set(net, (TASKS["squad1"],), S, 12, seed=1)
    found = row_of(evaluate.target(net, TASKS["mlqa"], S))
    assert {x["protocol"] for x in found["scores"]} == {"qa/mlqa"} and {
        x["protocol"] for x in found["protocols"]
    } == {"qa/squad-en"}
    assert (
        len(found["predictions"])
        == S.eval_rows * len(S.langs)
        == len({(x["lang"], x["id"]) for x in found["predictions"]})
    )
    assert set(found["predictions"][0]) == {"task", "lang", "id", "prediction", "no_answer"}


def test_tags_are_kept_as_words(net):
    from xit_core.phases import training_set

    training_set(net, (TASKS["panx"],), S, 12, seed=1)
    found = row_of(evaluate.target(net, TASKS["panx"], S))
    assert {t for x in found["predictions"] for t in x["prediction"]} <= set(TASKS["panx"].labels)


def test_masked_lm_of_the_encoder_is_kept_unrounded_as_in_the_published_rows():
    net = origins.start(SCALES["micro"])
    told = row_of(evaluate.encoder(net, SCALES["micro"]))["scores"]
    kept = [x["value"] for x in told if x["protocol"].startswith("mlm/")]
    assert kept and kept == [x.value for x in evaluate.masked(net, SCALES["micro"])]
    assert any(value != round(value, 6) for value in kept)
    assert all(x["value"] == round(x["value"], 6) for x in told[len(kept) :])


# -- numbers that must not drift -----------------------------------------------------------------------------

# The shipped micro encoder, and thirty steps from it, against stored numbers. The tolerances cover other
# processors and library builds, not another recipe. UPDATE_REFERENCE=1 stores the numbers anew.
REFERENCE = Path(__file__).parent / "reference/micro.json"
MICRO = replace(SCALES["micro"], eval_rows=60)


def encoder() -> dict[str, float]:
    found = row_of(evaluate.encoder(origins.start(SCALES["micro"]), MICRO))
    scores = {
        f"{s['lang']} {s['metric']}": s["value"] for s in found["scores"] if s["metric"] != "masked_loss"
    }
    return scores | {f"language share at layer {k}": 100 * v for k, v in enumerate(found["language_share"])}


def thirty_steps(folder: Path) -> dict[str, float]:
    net = origins.start(SCALES["micro"])
    features, _ = phases.training_set(
        net, (TASKS["squad1"], TASKS["udpos"], TASKS["mnli"]), MICRO, 200, seed=1
    )
    curve = train.fit(net, Mixture(features, 16, 30, seed=1), 1e-3, 1, folder)
    return {f"loss at step {p['step']}": p["loss"] for p in curve if p["step"] % 5 == 0}


def test_the_micro_encoder_and_a_short_training_give_the_stored_numbers(tmp_path):
    found = {"encoder": encoder(), "training": thirty_steps(tmp_path)}
    if os.environ.get("UPDATE_REFERENCE"):
        REFERENCE.parent.mkdir(exist_ok=True)
        REFERENCE.write_text(json.dumps(found, indent=1) + "\n")
    stored = json.loads(REFERENCE.read_text())
    assert found["encoder"] == pytest.approx(stored["encoder"], abs=2.0)  # points: one instance of 60 is 1.7
    assert found["training"] == pytest.approx(stored["training"], rel=0.05)


def test_rows_of_one_id_are_one_cluster_in_whatever_order_the_languages_have_them():
    keys = {
        "en": ties([{"id": "x"}, {"id": "y"}], "en", made=False),
        "de": ties([{"id": "z"}, {"id": "y"}, {"id": "x"}], "de", made=False),
    }
    assert clusters(keys) == {"en": [0, 1], "de": [2, 1, 0]}


def test_questions_about_a_paragraph_are_one_cluster_and_carry_it_to_other_languages():
    def question(name, context):
        return {"id": name, "context": context}

    keys = {
        "en": ties([question("1", "Rome"), question("2", "Oslo"), question("3", "Rome")], "en", made=False),
        "de": ties([question("2", "Stadt"), question("4", "Stadt"), question("5", "Rome")], "de", made=False),
    }
    assert clusters(keys) == {"en": [0, 1, 0], "de": [1, 1, 2]}


def test_a_later_row_can_connect_two_clusters():
    keys = {"en": [("a", "p"), ("b", "q"), ("c", "r"), ("p", "q")]}
    assert clusters(keys) == {"en": [0, 0, 1, 0]}


def test_premises_are_shared_within_a_language_only():
    rows = [{"id": "0", "a": "It rains.", "b": "x"}, {"id": "1", "a": "It rains.", "b": "y"}]
    assert clusters({"en": ties(rows, "en", False), "de": ties(rows[1:], "de", False)}) == {
        "en": [0, 0],
        "de": [0],
    }
    assert clusters({"en": ties(rows[:1], "en", False), "de": ties(rows[1:], "de", False)}) == {
        "en": [0],
        "de": [1],
    }


def test_a_made_world_tells_the_same_event_under_the_same_number():
    rows = [{"id": "al-00ff-3", "context": "one"}], [{"id": "zi-aa00-3", "context": "other"}]
    assert clusters({"al": ties(rows[0], "al", True), "zi": ties(rows[1], "zi", True)}) == {
        "al": [0],
        "zi": [0],
    }


def test_items_add_up_to_the_score_by_cluster():
    instances = {"en": [100.0, 0.0], "de": [100.0, 100.0, 0.0, 100.0]}
    by_id = Evaluation([], instances, clusters={"en": [0, 1], "de": [1, 0, 0, 2]})
    assert by_id.items == [37.5, 12.5, 12.5] and sum(by_id.items) == (50 + 75) / 2
    assert by_id.items_zero_shot == [25.0, 25.0, 25.0]
    assert Evaluation([], instances).items == [37.5, 12.5, 0.0, 12.5]


@pytest.mark.parametrize(
    ("answers", "share"),
    [(["a", "a", "a"], 1.0), (["a", "b", "a", ""], 0.5), ([["X", "Y"], ["X", "X"]], 0.75)],
)
def test_a_constant_answer_is_seen(answers, share):
    assert commonest(answers) == share


def test_the_best_constant_answer_is_what_a_stage_must_beat():
    assert constant_score([{"label": 1}, {"label": 1}, {"label": 0}, {"label": 2}]) == 50.0
    assert constant_score([{"answers": []}, {"answers": [["a", 0]]}, {"answers": []}]) == 66.666667
    assert constant_score([{"tags": ["N", "N"]}, {"tags": ["V", "N"]}]) == 75.0


def test_a_stage_keeps_what_guessing_scores_on_its_own_rows():
    row = intermediate(Run("mnli+squad2+mlm"))
    assert set(row["guess"]) == {"mnli", "squad2"} and all(30 <= v <= 75 for v in row["guess"].values())
