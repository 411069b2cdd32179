"""Per kind: perfect logits give the gold, scores equal hand-computed and official values, a tiny model can learn."""

import json
import random
from pathlib import Path

import pytest
import torch

from xit_core import data
from xit_core.kinds import KINDS, choose, classify, labels, mlm, span, tag
from xit_core.tasks import IOB2, TASKS, UPOS

ROWS = Path(__file__).parent / "rows"
CODED = [t for t in TASKS.values() if t.kind in KINDS and t.kind != "mlm"]


@pytest.fixture(scope="module")
def pieces():
    return data.tokenizer("smoke")


def stored(task):
    return [e for row in json.loads((ROWS / f"{task.name}.json").read_text()) for e in task.read(row, "de")]


def perfect(task, features, examples, names):
    """Logits that say the gold label of every feature."""
    size = max(f["length"] for f in features)
    gold = KINDS[task.kind].target(features, size)
    if task.kind == "span":
        logits = torch.zeros(len(features), size, 2)
        for i, (a, b) in enumerate(gold.tolist()):
            logits[i, a, 0] = logits[i, b, 1] = 9
        return [x[: f["length"]] for x, f in zip(logits, features, strict=True)]
    classes = len(names) or len(examples[0]["choices"])
    return list(torch.nn.functional.one_hot(gold.clamp_min(0), classes).float())


@pytest.mark.parametrize("task", CODED, ids=lambda t: t.name)
def test_perfect_logits_give_the_gold(task, pieces):
    kind, examples = KINDS[task.kind], stored(task)
    names = labels(task, examples)
    features = kind.encode(task, examples, pieces, 96, names)
    predictions = kind.decode(perfect(task, features, examples, names), features, examples)
    metrics, x = kind.score(task, predictions, examples, "de", **({"names": names} if task.kind == "tag" else {}))
    assert all(metrics[m] == 100 for m in task.metrics) and x == [100.0] * len(examples)


# -- span --------------------------------------------------------------------------------------------------------------


def squad(context, answer, question="who ?"):
    return {"id": "1", "question": question, "context": context, "answers": [(context.index(answer), answer)]}


def test_a_long_context_is_read_in_overlapping_windows_and_the_answer_found_in_one(pieces):
    context = " ".join(f"w{i} na" for i in range(60)) + " end"
    examples = [squad(context, "w41 na w42"), squad(context, "end")]
    features = span.encode(TASKS["squad1"], examples, pieces, 48)
    assert len(features) > 4 and all(f["length"] <= 48 for f in features)
    predictions = span.decode(perfect(TASKS["squad1"], features, examples, ()), features, examples)
    assert predictions == ["w41 na w42", "end"]
    covered = {k for f in features if f["example"] == 0 for s in f["spans"] if s for k in range(*s)}
    assert {i for i, c in enumerate(context) if c != " "} <= covered


def test_no_answer_wins_only_where_the_task_has_unanswerable_questions(pieces):
    examples = [squad("boats cross it", "boats")]
    features = span.encode(TASKS["squad2"], examples, pieces, 48)
    logits = [torch.zeros(features[0]["length"], 2)]
    logits[0][0] = 5
    assert span.decode(logits, features, examples) != [""]
    both = [*examples, examples[0] | {"answers": []}]
    features = span.encode(TASKS["squad2"], both, pieces, 48)
    assert span.decode(logits * 2, features, both) == ["", ""]


def test_the_best_span_has_a_start_before_its_end_and_is_not_too_long():
    spans = [None, *[(i, i + 1) for i in range(60)], None]
    x = torch.zeros(62, 2)
    x[50, 0], x[10, 1] = 9, 9  # the best start lies behind the best end
    _, a, b = span.best_span(x, spans)
    assert a < b and b - a <= span.ANSWER
    x = torch.zeros(62, 2)
    x[1, 0], x[60, 1] = 9, 9
    assert span.best_span(x, spans)[2] - span.best_span(x, spans)[1] <= span.ANSWER


@pytest.mark.parametrize(
    ("said", "gold", "lang", "squad_em", "mlqa_em"),
    [
        ("The lake!", "lake", "en", 100, 100),
        ("der See", "See", "de", 0, 100),
        ("«See»", "See", "de", 0, 100),
        ("El lago", "lago", "es", 0, 100),
        ("湖很深", "湖很深", "zh", 100, 100),
        ("", "lake", "en", 0, 0),
    ],
)
def test_normalisers_are_those_of_squad_and_mlqa(said, gold, lang, squad_em, mlqa_em):
    example = [{"answers": [(0, gold)]}]
    assert span.score(TASKS["xquad"], [said], example, lang)[0]["exact_match"] == squad_em
    assert span.score(TASKS["mlqa"], [said], example, lang)[0]["exact_match"] == mlqa_em


def test_span_f1_is_computed_by_hand():
    example = [{"answers": [(0, "a deep blue lake"), (0, "lake of glass")]}]
    metrics, x = span.score(TASKS["xquad"], ["deep lake"], example, "en")
    assert metrics["f1"] == pytest.approx(80) and x[0] == pytest.approx(40)  # 2 of 2 said, 2 of 3 gold ("a" is an article)
    zh = span.score(TASKS["mlqa"], ["湖深"], [{"answers": [(0, "湖很深")]}], "zh")[0]["f1"]
    assert zh == pytest.approx(80)


# -- tag ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [UPOS, IOB2], ids=["upos", "iob2"])
def test_chunks_are_those_of_seqeval(names):
    oracle = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval, the oracle, is not installed")
    draw = random.Random(0)
    for _ in range(500):
        tags = [draw.choice(names) for _ in range(draw.randint(1, 12))]
        with pytest.warns(UserWarning) if names is UPOS else pytest.MonkeyPatch.context():
            assert tag.chunks(tags) == set(oracle.get_entities([tags]))


@pytest.mark.parametrize(
    ("tags", "chunks"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], {("PER", 0, 1), ("LOC", 3, 3)}),
        (["I-PER", "I-LOC"], {("PER", 0, 0), ("LOC", 1, 1)}),
        (["B-PER", "B-PER"], {("PER", 0, 0), ("PER", 1, 1)}),
        (["NOUN", "NOUN", "VERB"], {("OUN", 0, 1), ("ERB", 2, 2)}),
    ],
)
def test_chunks_by_hand(tags, chunks):
    assert tag.chunks(tags) == chunks


def test_a_long_sentence_is_split_and_every_token_gets_one_label(pieces):
    example = {"tokens": [f"t{i}" for i in range(70)], "tags": ["NOUN", "VERB"] * 35}
    features = tag.encode(TASKS["udpos"], [example], pieces, 32)
    assert len(features) > 2 and max(f["length"] for f in features) <= 32
    names = TASKS["udpos"].labels
    predictions = tag.decode(perfect(TASKS["udpos"], features, [example], names), features, [example])
    assert [names[i] for i in predictions[0]] == example["tags"]


def test_a_token_without_a_piece_still_gets_a_label(pieces):
    example = {"tokens": ["boat", "\u200b", "lake"], "tags": ["NOUN", "SYM", "NOUN"]}
    features = tag.encode(TASKS["udpos"], [example], pieces, 32)
    logits = [torch.zeros(features[0]["length"], 17)]
    assert features[0]["first"][1] == -1 and len(tag.decode(logits, features, [example])[0]) == 3


# -- the others --------------------------------------------------------------------------------------------------------


def test_accuracy_counts_by_hand():
    rows = [{"label": 0}, {"label": 1}, {"label": 2}, {"label": 1}]
    metrics, x = classify.score(TASKS["xnli"], [0, 1, 0, 1], rows, "de")
    assert metrics == {"accuracy": 75.0} and x == [100, 100, 0, 100]


def test_every_choice_is_read_with_the_prompt_and_gets_one_score(pieces):
    features = choose.encode(TASKS["csqa"], stored(TASKS["csqa"]), pieces, 64)
    batch = data.collate(features)
    assert batch["input_ids"].shape[0] == 5 * len(features)
    head = choose.Head(8)
    states = torch.randn(*batch["input_ids"].shape, 8)
    assert head(states, batch).shape == (len(features), 5)


def test_mean_pooling_leaves_padding_out():
    states, mask = torch.ones(1, 4, 2), torch.tensor([[1, 1, 0, 0]])
    states[0, 2:] = 99
    assert classify.pool(states, mask, "mean").tolist() == [[1, 1]]


def test_masks_hide_the_declared_share_and_never_a_special_piece():
    ids = torch.randint(4, 399, (200, 50), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, -1] = 0, 1
    inputs, gold = mlm.hide(ids, 0.15, 400, torch.Generator().manual_seed(1))
    hidden = gold != mlm.IGNORED
    assert 0.13 < hidden[:, 1:-1].float().mean() < 0.17 and not hidden[:, 0].any() and not hidden[:, -1].any()
    assert torch.equal(gold[hidden], ids[hidden]) and torch.equal(inputs[~hidden], ids[~hidden])
    assert 0.76 < (inputs[hidden] == 399).float().mean() < 0.84 and 0.06 < (inputs[hidden] == ids[hidden]).float().mean() < 0.15
