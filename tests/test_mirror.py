"""Every task that the mirror holds: its rows load, encode, train two steps, are evaluated and scored under
every protocol.
"""

import os
from dataclasses import replace

import pytest
import torch

import plain
from plain import row_of
from xit_core import phases
from xit_core.bench import retrieval as bench_retrieval
from xit_core.data import real
from xit_core.data.mirror import from_mirror, manifest
from xit_core.design.scales import SCALES
from xit_core.design.tasks import REAL_TASKS, TASKS, languages
from xit_core.machine.places import mirror_dir
from xit_core.metrics import protocols
from xit_core.model import origins, train
from xit_core.model.mixture import Mixture
from xit_core.report import published, subsets
from xit_core.score import evaluate

MIRROR = os.environ.get("XIT_MIRROR")  # the tests' own environment has none
pytestmark = pytest.mark.skipif(not MIRROR, reason="XIT_MIRROR names no mirror of real data")

SMALL = replace(
    SCALES["small"], gaps=(), lacks=(), rows=20, stage_rows=20, eval_rows=20, eval_rows_of=(), dev_rows=0,
    max_len=96, span_len=0, span_step=0,
)  # fmt: skip
# what the mirror cannot hold, and why: files of more than 4 MiB, or test rows without public labels
ABSENT = {
    "udpos": {"kk", "th", "tl", "yo"}, "panx": {"th"}, "tydiqa": {"ar", "bn", "en", "fi", "id", "ru", "te"},
    "bucc": {"de", "fr", "ru"}, "lareqa": {"ru", "tr", "vi"},
}  # fmt: skip
SPLIT_INTO_CHARACTERS = {"ja", "th", "zh"}  # in PAN-X
UNHELD = {"ccg", "mewslix", "shift_nyt", "shift_reddit", "siqa"}  # siqa: no training rows


@pytest.fixture(autouse=True)
def here(places, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", MIRROR)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return origins.start(plain.scale(tmp_path_factory.mktemp("scripts")))


def held(name):
    return replace(SMALL, lacks=tuple(f"{name}/{lang}" for lang in ABSENT.get(name, ())))


def test_every_split_of_the_manifest_has_its_rows_and_its_hash():
    listed = manifest(mirror_dir())
    assert len(listed) > 400
    for (repository, config, split), entry in listed.items():
        if repository != "pretrain_text":  # 3.4 million lines: read by the masked-LM task below
            (part,) = from_mirror(repository, config, split)
            assert len(part.rows) == int(entry["rows"]), (repository, config, split)


def test_what_is_shown_of_adversarial_rows_is_what_is_read():
    assert [*published.csv_table(subsets.NAME)] == subsets.taken(SCALES[subsets.SCALE])


@pytest.mark.parametrize("name", [t for t in REAL_TASKS if t not in UNHELD])
def test_a_task_is_trained_evaluated_and_scored(name, net, tmp_path):
    task, s = TASKS[name], held(name)
    if task.train_on and task.train_on not in UNHELD:
        features, seen = phases.training_set(net, (TASKS[task.train_on],), s, 20, seed=1)
        assert seen and all(len(x["sha256"]) == 64 for x in seen)
        assert train.fit(net, Mixture(features, 4, 2, seed=1), 1e-3, 1, tmp_path)
    found = row_of(evaluate.target(net, task, s) if task.scored else evaluate.stage(net, (task,), s)[0])
    langs = set(languages(task, s)) if task.scored else {task.pivot_lang}
    if name != "mlm":
        assert {x["lang"] for x in found["seen"]} == langs and {
            x["lang"] for x in found["predictions"]
        } == langs
    scores = [x for x in found["scores"] if name in ("mlm", *x["protocol"].split(": ")[:1]) or task.scored]
    assert {x["lang"] for x in scores} == (langs if name != "mlm" else set(languages(TASKS["mlm"], s)))
    assert {x["metric"] for x in scores} >= set(task.metrics) and all(
        0 <= x["value"] <= 100 or "loss" in x["metric"] for x in scores
    )
    if task.scored:
        assert {x["protocol"] for x in found["protocols"]} >= set(protocols.also(task))


def test_the_search_is_measured_on_the_pools_of_bucc():
    ours, theirs = bench_retrieval.bucc_vectors()
    assert len(ours) > 1000 and ours.shape[1] == theirs.shape[1]
    assert torch.allclose(ours.norm(dim=1), torch.ones(len(ours)), atol=1e-5)


def test_pieces_a_word_are_those_of_the_tokenizer_on_words_of_panx():
    panx, small = TASKS["panx"], SCALES["small"]
    pieces = origins.tokenizer(small)
    stated = {row["lang"]: row["pieces"] for row in published.csv_table("languages")}
    for lang in set(languages(panx, small)) - SPLIT_INTO_CHARACTERS:
        rows = [row for part in real.parts(panx, "validation", lang, small) for row in part.rows]
        words = [word for row in rows for example in panx.read(row, lang) for word in example["tokens"]]
        coded = pieces.encode_batch(words, add_special_tokens=False)
        assert stated[lang] == f"{sum(len(word.ids) for word in coded) / len(words):.2f}", lang
