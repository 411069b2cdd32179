"""Predictions become scores, and what is kept of them."""

import pytest
import torch

from plain import row_of
from xit_core.data import reading
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS, languages
from xit_core.model import origins
from xit_core.model.kinds import encode
from xit_core.score import evaluate, probe

S = SCALES["smoke"]


@pytest.fixture(scope="module")
def net():
    return origins.start(SCALES["smoke"], seed=3)


def test_logits_come_back_in_the_order_of_the_features(net):
    from xit_core.phases import training_set

    features, _ = training_set(net, (TASKS["udpos"],), S, 12, seed=1)
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


# -- what is linear in the states ----------------------------------------------------------------------------


def test_parts_of_speech_are_read_from_every_layer_in_every_language_the_same_each_time(net):
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found, seen = probe.linear(net, S)
    assert [(x["lang"], x["layer"]) for x in found] == [
        (lang, k) for lang in languages(TASKS["udpos"], S) for k in range(3)
    ]
    assert probe.linear(net, S) == (found, seen) and all(
        torch.equal(v, before[k]) for k, v in net.state_dict().items()
    )
    rows, _ = reading.examples(TASKS["udpos"], "validation", "en", S, S.eval_rows)
    tags = [t for row in rows for t in row["tags"]]
    assert found[0]["n"] == len(tags)  # each has a piece
    # the most frequent tag, always
    assert 100 >= found[0]["accuracy"] > 100 * max(map(tags.count, tags)) / len(tags)
    assert {(x["split"], x["lang"]) for x in seen} == {
        ("train", "en"),
        *(("validation", lang) for lang in languages(TASKS["udpos"], S)),
    }


def test_a_token_is_represented_by_its_first_piece(net):
    rows, _ = reading.examples(TASKS["udpos"], "validation", "en", S, 7)
    features = encode(TASKS["udpos"], rows, net.tokenizer, S)
    states, tags = probe.firsts(net, features)
    alone = [probe.firsts(net, [f]) for f in sorted(features, key=lambda f: f["length"])]
    assert torch.allclose(states, torch.cat([x for x, _ in alone], 1), atol=1e-5)
    assert torch.equal(tags, torch.cat([y for _, y in alone])) and len(tags) == sum(
        p >= 0 for f in features for p in f["first"]
    )


def test_a_logistic_regression_is_at_the_minimum_of_its_loss_wherever_its_states_lie():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = (x[:, 0] > -0.5).long() + (x[:, 0] > 0.7).long()
    # the fourth class never occurs
    (weight, bias), moved = (probe.logistic(x, y, 4), probe.logistic(x * 50 - 900, y, 4))
    logits = x @ weight.T + bias
    assert (logits.argmax(1) == y).double().mean() > 0.93
    assert torch.allclose(logits, (x * 50 - 900) @ moved[0].T + moved[1], atol=0.02)
    z = (x - x.mean(0)) / x.std(0)
    off = torch.softmax(logits, 1) - torch.nn.functional.one_hot(y, 4)
    assert (off.T @ z + weight * x.std(0)).norm() < 0.02 and off.sum(0).norm() < 0.02
