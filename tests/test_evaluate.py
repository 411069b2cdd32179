"""Predictions become scores, and what is kept of them."""

import pytest
import torch

from xit_core import evaluate, model
from xit_core.config import SCALES
from xit_core.tasks import TASKS

S = SCALES["smoke"]


@pytest.fixture(scope="module")
def net():
    return model.start("smoke", seed=3)


def test_logits_come_back_in_the_order_of_the_features(net):
    from xit_core.phases import training_set

    features, _ = training_set(net, ("udpos",), S, 12, seed=1)
    whole = evaluate.predict(net, "udpos", features["udpos"])
    alone = [evaluate.predict(net, "udpos", [f])[0] for f in features["udpos"]]
    assert all(
        torch.allclose(x, y, atol=1e-5) and len(x) == f["length"] for x, y, f in zip(whole, alone, features["udpos"], strict=True)
    )


def test_a_target_is_scored_under_every_protocol_of_its_family_and_its_predictions_are_kept(net):
    from xit_core.phases import training_set

    training_set(net, ("squad1",), S, 12, seed=1)
    found = evaluate.target(net, "mlqa", S)
    assert {x["protocol"] for x in found["scores"]} == {"qa/mlqa"} and {x["protocol"] for x in found["protocols"]} == {
        "qa/squad-en"
    }
    assert len(found["predictions"]) == S.eval_rows * len(S.langs) == len({(x["lang"], x["id"]) for x in found["predictions"]})
    assert set(found["predictions"][0]) == {"task", "lang", "id", "prediction", "no_answer"}


def test_tags_are_kept_as_words(net):
    from xit_core.phases import training_set

    training_set(net, ("panx",), S, 12, seed=1)
    found = evaluate.target(net, "panx", S)
    assert {t for x in found["predictions"] for t in x["prediction"]} <= set(TASKS["panx"].labels)
