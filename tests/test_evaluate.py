"""Predictions become scores, and what is kept of them."""

import pytest
import torch

from plain import row_of
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.model import origins
from xit_core.score import evaluate

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
