"""`xit bench`: every number is made and is what it says; the baselines really train, from the same weights.
No time is asserted.
"""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from xit_core import bench, cli
from xit_core.bench import study, train
from xit_core.design import studies
from xit_core.design.run import runs_of
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT, reading
from xit_core.model import origins
from xit_core.model.features import Encoded
from xit_core.report import cost, estimate, frames, performance, plots

SMOKE = SCALES["smoke"]
PER_TASK = ("real tokens", "padding", "peak memory", "MFU", "achieved", "host work")


def job(name, folder, rows=8, steps=3, same_length=False):
    net = origins.start(SCALES["smoke"], seed=5)
    net.encoder.config.hidden_dropout_prob = 0.0
    for layer in net.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    features = train.training_set(net, (TASKS[name],), SMOKE, 48, 5)[0][name]
    chosen = sorted(features, key=lambda f: f["length"])
    if same_length:
        length = max({f["length"] for f in chosen}, key=[f["length"] for f in chosen].count)
        chosen = [f for f in chosen if f["length"] == length]
    return train.TimedTraining(
        net, name, Encoded.of(chosen[-rows:]), min(rows, len(chosen)), steps, SMOKE, folder, logging=1
    )


@pytest.mark.parametrize("name", train.MEASURED_TASKS)
def test_a_baseline_has_our_loss_at_the_first_step_and_then_learns(name, tmp_path):
    # transformers' span model also lets padding be the answer, so there all windows have one length
    one = job(name, tmp_path, same_length=TASKS[name].kind == "span", steps=30)
    one = replace(one, s=replace(SMOKE, lr=1e-2))
    seen = {who: run(one) for who, run in train.CONTENDERS.items()}
    first = seen["ours"].losses[0]
    for who, watch in seen.items():
        assert watch.losses[0] == pytest.approx(first, abs=1e-4), who
        assert len(watch.losses) == 30 and watch.losses[-1] < 0.9 * first, who


def test_positions_and_padding_are_those_counted_by_hand(tmp_path):
    one = job("mnli", tmp_path, rows=3, steps=2)
    one = replace(
        one, features=Encoded.of([{"ids": [0, *[9] * (n - 2), 2], "gold": [0]} for n in (4, 6, 10)])
    )
    ours, theirs = train.ours(one), train.trainer(one)
    assert (ours.read, ours.empty) == ([20, 20], [0, 0])
    assert (theirs.read, theirs.empty) == ([30, 30], [10, 10])
    assert theirs.told()["padding"] == pytest.approx(100 / 3) and ours.told()["padding"] == 0
    assert len(ours.ends) == len(theirs.ends) == len(ours.host) == 2


def test_choices_are_padded_to_the_longest_of_all(tmp_path):
    one = job("csqa", tmp_path, rows=2, steps=2)
    ids = [[[0, *[9] * (n - 2), 2] for n in lengths] for lengths in ((4, 5, 6, 7, 8), (9, 9, 9, 9, 12))]
    one = replace(one, features=Encoded.of([{"ids": x, "gold": [1]} for x in ids]))
    assert train.ours(one).read == [78, 78]
    theirs = train.trainer(one)
    assert theirs.read == [120, 120] and theirs.empty == [42, 42]


def test_grouping_leaves_less_padding_on_the_same_rows(tmp_path):
    one = job("mnli", tmp_path, rows=40)
    one = replace(one, batch=4, steps=10)
    plain, grouped = train.trainer(one), train.CONTENDERS[train.GROUPED](one)
    tokens = int(one.features.lengths.sum())
    for watch in (plain, grouped, train.ours(one)):
        assert sum(watch.read) - sum(watch.empty) == tokens
    assert sum(grouped.empty) < sum(plain.empty)


@pytest.mark.parametrize("name", ("mnli", "csqa"))
def test_without_datasets_the_baseline_trains_on_the_same_rows(name, tmp_path, monkeypatch):
    one = job(name, tmp_path)
    with_ = [run(one) for run in (train.trainer, train.CONTENDERS[train.GROUPED])]
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert isinstance(train.trainer_table(one), train.Columns)
    without = [run(one) for run in (train.trainer, train.CONTENDERS[train.GROUPED])]
    assert [(x.read, x.empty, x.losses) for x in with_] == [(x.read, x.empty, x.losses) for x in without]


def test_a_sample_has_neighbours_of_all_lengths():
    features = Encoded.of([{"ids": [0] * n, "gold": [0]} for n in range(1, 401)])
    chosen = train.sample(features, 8, 5)
    assert len(chosen) == 40 and chosen.lengths.min() < 50 and chosen.lengths.max() > 350
    blocks = chosen.lengths.reshape(5, 8)
    assert (blocks.max(1) - blocks.min(1) == 7).all()
    assert len(train.sample(features, 8, 60)) == 400, "all of them where there are no more"


def test_flop_of_the_large_model_are_those_of_the_paper_plan():
    config = train.XLMRobertaConfig(num_hidden_layers=24, hidden_size=1024, intermediate_size=4096)
    per_token = train.flops(config, train.np.array([128.0, 128.0]))
    assert per_token == 6 * 24 * 12 * 1024**2 + 12 * 24 * 1024 * 128


def test_drawn_rows_are_as_long_as_the_real_ones():
    net = train.shaped(SMOKE)
    s = replace(SMOKE, max_len=256, span_len=384)
    for name, (mean, weighted) in train.DRAWN.items():
        lengths = train.drawn_features(net, name, s, 3000).lengths.astype(float)
        assert lengths.mean() == pytest.approx(mean, rel=0.05)
        assert (lengths**2).sum() / lengths.sum() == pytest.approx(weighted, rel=0.1)


def test_the_measurement_of_the_paper_scale_is_rehearsed_with_a_toy_shape_and_no_hub(monkeypatch):
    toy = replace(SCALES["paper"].encoder, layers=1, hidden=64)
    monkeypatch.setitem(SCALES, "paper", replace(SCALES["paper"], encoder=toy))
    config = train.shaped(SCALES["paper"]).encoder.config
    assert (config.vocab_size, config.max_position_embeddings, config.hidden_size) == (250_002, 514, 64)
    records = {
        (r["name"], r["baseline"]): r["value"]
        for r in bench.benchmark("train", scale="paper", steps=2, rounds=1, random=True)
    }
    assert records["squad1: tokens a row", ""] > 3 * records["mnli: tokens a row", ""]
    assert records["mnli: padding", train.PLAIN] == 0 and records["all tasks: real tokens", train.GROUPED] > 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One whole measurement with random weights, through the command: (records, what the chapter says of it,
    the kept file).
    """
    places = {f"XIT_{x}": str(tmp_path_factory.mktemp(x.lower())) for x in ("RESULTS", "RUNS")}
    words = "bench train --scale smoke --random --steps 4 --rounds 1 --long 6 --json --keep".split()
    command = [sys.executable, "-m", "xit_core.cli", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | places, timeout=300, check=True
    )
    (file,) = (ROOT / places["XIT_RESULTS"] / "bench").iterdir()
    return json.loads(done.stdout), file


def test_every_record_is_made_and_kept(made):
    records, file = made
    assert all(tuple(r) == bench.KEYS for r in records)
    names = [(r["name"], r["baseline"]) for r in records]
    assert len(set(names)) == len(names)
    for task in train.DRAWN:
        assert {(f"{task}: {what}", who) for what in PER_TASK for who in (train.PLAIN, train.GROUPED)} <= set(
            names
        )
        parts = [r["value"] for r in records if r["name"].startswith(f"{task}: time, ")]
        assert len(parts) == 4 and sum(parts) == pytest.approx(100)
    assert {n for n, _ in names} >= {"matmul ceiling", "memory bandwidth", "mnli: host work of 6 steps"}
    for r in records:
        assert math.isfinite(r["value"]) and (
            not r["baseline_value"] or r["ratio"] == r["value"] / r["baseline_value"]
        )
    told = json.loads(file.read_text())
    assert told["records"] == records and file.name.endswith("-smoke.json")
    assert set(told) == {"what", "scale", "device", "date", "commit", "clean", "packages", "records"}


def test_the_chapter_shows_what_was_kept_and_nothing_else(made, places, tmp_path):
    assert performance.training_tables(tmp_path) == performance.NONE and not performance.tables("retrieval")
    records, file = made
    bench.folder().mkdir(parents=True)
    (bench.folder() / file.name).write_text(file.read_text())
    text = performance.training_tables(tmp_path)
    assert (tmp_path / "figures/roofline.svg").is_file() and "roofline.svg" in text
    assert all(r["name"] in text for r in records) and "scale `smoke`" in text
    assert "No GPU was measured" in performance.paper_hours()


def test_the_roofline_has_a_point_a_task_and_way_and_is_the_same_file_twice(made, tmp_path):
    told = json.loads(made[1].read_text())
    table = frames.speed_frame([told])
    assert len(table) == 6 and set(table.who) == {"this package", train.PLAIN, train.GROUPED}
    assert plots.roofline([]) is None
    files = [plots.save(plots.roofline([told]), tmp_path / f"{i}.svg").read_bytes() for i in (1, 2)]
    assert files[0] == files[1]


def test_where_the_time_of_a_study_went(monkeypatch, tmp_path):
    monkeypatch.setitem(studies.STUDIES, "main", lambda s: runs_of("mnli > xnli, bucc", scale=s, seed=1))

    def finish(folder, spent, seconds):
        with reading(folder):
            for run in studies.runs("main", SMOKE):
                told = {"spent": spent if run.target.train_on else {}} if spent else {}
                results.write(
                    run.described | {"scores": [], "items": [], "provenance": {"seconds": seconds, **told}}
                )

    finish(tmp_path / "new", {"data": 60.0, "training": 180.0}, 300.0)
    finish(tmp_path / "old", None, 900.0)
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path / "new"))
    told = {
        r["name"]: (r["value"], r["baseline_value"])
        for r in bench.benchmark("study", scale="smoke", before=str(tmp_path / "old"))
    }
    assert told == {
        f"targets: {study.READ}": (1, None),
        f"targets: {study.TRAINED}": (3, None),
        f"targets: {study.SCORED}": (1, None),
        f"retrieval targets: {study.SCORED}": (5, None),
        f"targets: {study.OTHER}": (None, 15),
        f"retrieval targets: {study.OTHER}": (None, 15),
        "all runs": (10, 30),
    }


def test_without_a_gpu_the_study_is_arithmetic_and_says_so():
    records = bench.benchmark("paper")
    assert all(r["value"] is None for r in records)
    assert {r["baseline"] for r in records} == {estimate.ARITHMETIC, estimate.UNKNOWN_ROWS}
    total = records[-1]
    flops = sum(r["flops"] for r in cost.costs("main", SCALES["paper"])["runs"])
    assert total["name"] == "the study" and total["baseline_value"] == pytest.approx(
        flops / estimate.ROOF / 3600
    )
    parts = [r["baseline_value"] or 0 for r in records if r["name"].startswith("the study: ")]
    assert sum(parts) == pytest.approx(total["baseline_value"])


def test_data_sets_that_are_joined_cost_what_they_have_and_unknown_ones_are_named():
    tokens, paper = estimate.trainings(), SCALES["paper"]
    assert tokens["anli"] == TASKS["anli"].epochs * paper.cap * paper.max_len  # of 1.1 million examples
    assert "\n\nNot counted: the steps of `ccg` and `mlm`," in performance.next_runs()


def test_the_study_costs_what_the_measured_rates_say():
    def keep(device, scale, rate):
        rows = [
            bench.record("mnli: real tokens", "tokens/s", rate),
            bench.record("mnli: tokens a row", "tokens", 64.0),
        ]
        bench.folder().mkdir(parents=True, exist_ok=True)
        told = {"what": "train", "device": device, "scale": scale, "records": rows}
        (bench.folder() / f"{device}-{scale}.json").write_text(json.dumps(told))

    keep("x86_64 CPU, 2 threads", "paper", 7.0)
    keep("some GPU", "small", 7.0)
    assert bench.benchmark("paper")[-1]["value"] is None, (
        "neither a CPU nor another scale stands for the paper's GPU"
    )
    keep("some GPU", "paper", 1e5)
    one = {r["name"]: r for r in bench.benchmark("paper")}
    rows = estimate.trainings()["mnli"] / 256
    assert one["one training of mnli"]["value"] == pytest.approx(rows * 64 / 1e5 / 60)
    assert one["one training of udpos"]["value"] == pytest.approx(estimate.trainings()["udpos"] / 1e5 / 60), (
        "the slowest stands in"
    )
    faster = bench.benchmark("paper", rate=200_000)[-1]["value"]
    assert faster == pytest.approx(one["the study"]["value"] / 2)


def test_a_kind_that_was_not_measured_is_as_slow_as_the_slowest_that_was_and_hours_are_those_of_the_study():
    rates = {"mnli": 1e5, "squad1": 2e4, "udpos": 5e4}
    rows = [bench.record(f"{task}: real tokens", "tokens/s", rate) for task, rate in rates.items()]
    told = {"what": "train", "device": "some GPU", "scale": "paper", "records": rows}
    bench.folder().mkdir(parents=True, exist_ok=True)
    (bench.folder() / "some-gpu-paper.json").write_text(json.dumps(told))
    found, lengths = estimate.measured_rates()
    assert found.pop("classify") == 1e5 and found.pop("tag") == 5e4
    assert set(found.values()) == {2e4} and len(found) > 2 and not lengths
    whole = bench.benchmark("paper")[-1]
    hours = estimate.hours(studies.runs("main", SCALES["paper"]))
    assert hours == pytest.approx((whole["value"], whole["baseline_value"]))


def test_a_ratio_is_that_of_a_number_to_its_baseline():
    assert bench.record("speed", "x/s", 6.0, "before", 2.0)["ratio"] == 3.0
    for without in ((None, "before", 2.0), (6.0,), (6.0, "before", 0.0)):
        assert bench.record("speed", "x/s", *without)["ratio"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bench", "what"),
        ("bench dance", "'dance'"),
        ("bench train --rows 3", "has no --rows"),
        ("bench paper --keep", "has no --keep"),
        ("bench paper --rate 0", "--rate"),
        ("bench study --scale smoke", "runs at scale smoke are missing"),
        ("bench study --rate 3", "has no --rate"),
        ("bench train --steps 1 --scale smoke", "--steps 1"),
        ("bench train --scale huge", "no scale 'huge'"),
        ("bench train --scale paper", "the hub gave no"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(capsys, words, said):
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("xit: ") and err.count("\n") == 1 and said in err


def test_a_missing_extra_is_one_line_and_status_2(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert cli.main("bench retrieval --rows 50 --dims 8".split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "[bench]" in err


def test_a_folder_that_cannot_be_written_is_named(places, monkeypatch):
    (places / "file").write_text("")
    monkeypatch.setenv("XIT_RESULTS", str(places / "file"))
    with pytest.raises(Bad, match="XIT_RESULTS"):
        bench.keep_measurement("train", "smoke", [])


def test_the_extra_is_the_same_in_both_places():
    extra = "faiss-cpu==1.15.1"
    assert all(f"{extra}" in (ROOT / file).read_text() for file in ("pyproject.toml", "environment.yml"))


def test_the_estimate_needs_no_torch():
    program = (
        "import sys; from xit_core import bench; bench.benchmark('paper'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
