"""Two ledgers agree where noise explains their differences, and whatever is off is named."""

import json
from statistics import fmean

import numpy as np
import pytest

from synthetic import fill, sealed
from test_claims import flat, ledger
from xit_core import cli
from xit_core.design import studies
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TARGETS
from xit_core.ledger import results
from xit_core.machine import places as machine_places
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT
from xit_core.report import claims, compare, repeat

HERE = {"machine": "x86_64", "instructions": "AVX512", "threads": 1, "variables": {}}
THERE = HERE | {"instructions": "AVX2"}
SD = 2.0  # between seeds
RUNS = sum(run.phase > 1 for run in studies.runs("main", SCALES["micro"]))  # of a made-up ledger


@pytest.fixture
def pair(tmp_path):
    """A function that makes two ledgers of micro with equal scores, the second as made elsewhere."""

    def made(second=THERE, **noise):
        folders = tmp_path / "first", tmp_path / "second"
        for folder, environment in zip(folders, (HERE, second), strict=True):
            ledger(folder, flat(-3.0), sd=SD, **noise)
            edit(folder, lambda row, where=environment: row["provenance"].update(environment=where))
        return folders

    return made


def edit(folder, change, pattern="*"):
    """Change rows of a ledger; returns their ids."""
    files = sorted((folder / "micro").glob(f"{pattern}.json"))
    for file in files:
        row = json.loads(file.read_text())
        change(row)
        file.write_text(sealed(row))
    return [file.stem for file in files]


def move(points):
    """A change that moves every score of a row by so many points, or by `points()`."""

    def change(row):
        by = points() if callable(points) else points
        for score in row["scores"]:
            score["value"] += by
        row["items"] = [item + by / len(row["items"]) for item in row["items"]]

    return change


def told(capsys, *words):
    """(exit status, output) of xit compare."""
    status = cli.main(["compare", *map(str, words)])
    out, err = capsys.readouterr()
    assert status < 2, err
    return status, out


def refused(capsys, *words):
    assert cli.main(["compare", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("xit: ") and err.count("\n") == 1
    return err


def test_equal_ledgers_agree(pair, capsys):
    status, out = told(capsys, *pair(HERE))
    assert status == 0 and f"agrees: {RUNS} of {RUNS} runs equal to the digit" in out
    assert "0.000 points (allowed 0.000)" in out and "OFF" not in out


def test_a_repetition_elsewhere_that_differs_as_seeds_do_agrees(pair, capsys):
    draw = np.random.default_rng(5)
    first, second = pair()
    edit(second, lambda row: row["phase"] == 3 and row["source"] and move(draw.normal(0, SD))(row))
    status, out = told(capsys, first, second)
    assert status == 0 and "runs equal to the digit" in out
    report = compare.compare_ledgers(first, second, "micro")
    varied = [line for line in report["targets"] if line["target"] in TARGETS]
    assert all(line["rms"] == pytest.approx(SD, rel=0.35) for line in varied) and len(varied) == len(TARGETS)
    assert all(line["seed_sd"] == pytest.approx(SD, rel=0.35) for line in varied)
    assert any(claim["difference"] for claim in report["claims"])


def test_a_run_that_moved_too_far_is_named_and_the_exit_status_is_1(pair, capsys):
    first, second = pair()
    (moved,) = edit(second, move(30.0), "mnli.xnli-s2-*")
    status, out = told(capsys, first, second)
    assert status == 1 and "does not agree: more than noise allows in 1 run" in out
    assert moved in out and "further than a seed" in out
    # the moved run does not widen what is allowed, because the reference alone says that
    report = compare.compare_ledgers(first, second, "micro")
    assert [run["id"] for run in report["runs"] if run["off"]] == [moved]


def test_in_one_environment_a_hundredth_of_a_point_is_off(pair, capsys):
    first, second = pair(HERE)
    (moved,) = edit(second, move(0.01), "mnli.xnli-s2-*")
    status, out = told(capsys, first, second)
    assert status == 1 and moved in out and "same environment" in out and f"{RUNS - 1} of {RUNS}" in out


def test_in_another_environment_it_is_not(pair, capsys):
    first, second = pair()
    edit(second, move(0.01), "mnli.xnli-s2-*")
    assert told(capsys, first, second)[0] == 0


@pytest.mark.parametrize("change", [{"environment": THERE}, {"packages": {"torch": "9"}}, {"device": "x"}])
def test_environments_are_equal_only_in_everything(change):
    row = {"provenance": {"environment": HERE, "packages": {"torch": "2"}, "device": "cpu"}}
    assert compare.same_environment(row, row)
    assert not compare.same_environment(row, {"provenance": row["provenance"] | change})
    assert not compare.same_environment({"provenance": {}}, {"provenance": {}})


def test_a_whole_claim_that_moved_is_off_though_no_run_is(pair, capsys):
    first, second = pair()
    edit(second, move(2.2 * SD), "squad1.*")
    report = compare.compare_ledgers(first, second, "micro")
    assert [claim["id"] for claim in report["claims"] if claim["off"]][0] == "squad"
    assert not any(run["off"] for run in report["runs"]) and not report["agrees"]
    assert "more than noise allows in" in report["sentence"] and "claim" in report["sentence"]


def test_what_is_missing_in_one_ledger_is_said(pair, capsys):
    first, second = pair(HERE)
    for file in (second / "micro").glob("squad1.*-s3-*"):
        file.unlink()
    gone = len(list((first / "micro").iterdir())) - len(list((second / "micro").iterdir()))
    status, out = told(capsys, first, second)
    assert status == 0 and f"{gone} runs are only in {first}: squad1." in out
    assert f"claim 1 is not measured in {second}" in out and f"{RUNS - gone} of {RUNS - gone} runs" in out


def test_a_changed_verdict_is_shown_and_not_judged(pair):
    first, second = pair()
    edit(second, move(0.5))
    lines = compare.compare_ledgers(first, second, "micro")["claims"]
    line = lines[0] | {"first_verdict": "fails", "second_verdict": "open"}
    assert "fails → open" in compare.claim_cells(line) and not line["off"]


def test_json_is_the_same_as_data(pair, capsys):
    status, out = told(capsys, *pair(), "--scale", "micro", "--json")
    (report,) = json.loads(out)
    assert status == 0 and report["agrees"] and len(report["runs"]) == RUNS
    assert report["first"]["environments"] == [
        {"rows": RUNS, "device": None, "environment": HERE, "packages": None}
    ]
    assert report["second"]["environments"][0]["environment"] == THERE
    keys = ["id", "on", "first", "second", "difference", "allowed", "same_environment", "equal", "off"]
    assert list(report["runs"][0]) == keys


def test_the_environment_of_the_process_is_not_touched(pair, monkeypatch):
    first, second = pair()
    before = machine_places.results_dir()
    with machine_places.reading(first):
        assert machine_places.results_dir() == first
    compare.compare_ledgers(first, second, "micro")
    assert machine_places.results_dir() == before


def test_few_seeds_allow_more():
    two, many = compare.Noise(1.0, 2), compare.Noise(1.0, 1000)
    assert many.limit == pytest.approx(4 * 2**0.5, rel=0.02) and two.limit > 20 * many.limit


def test_wrong_ledgers_are_one_line(pair, places, capsys, monkeypatch):
    first, second = pair()
    (places / "empty").mkdir()
    monkeypatch.setenv("XIT_RESULTS", str(places / "other"))
    fill("smoke")
    for words, said in (
        ((first, places / "nowhere"), "no folder"),
        ((first, places / "empty"), "is no ledger"),
        ((first, first), "are the same folder"),
        ((first, places / "other"), "no scale in common: "),
        ((first, second, "--scale", "small"), "scale 'small' is not in both"),
        ((first, second, "--scale", "huge"), "no scale 'huge'"),
        ((first, second, "--label", "x"), "give both, or neither"),
        ((first, second, "--record", "--label", "a/ü"), "--label a/ü; allowed: letters and digits"),
        ((first,), "required: LEDGER"),
    ):
        assert said in refused(capsys, *words)
    for file in (second / "micro").iterdir():
        file.write_text("[]")
    assert f"has no row of scale 'micro' that can be used ({RUNS} damaged)" in refused(capsys, first, second)


def test_ledgers_of_other_runs_cannot_be_compared(pair):
    first, second = pair()
    for folder, pattern in ((first, "*-s1-*"), (second, "*-s[23]-*")):
        for file in (folder / "micro").glob(pattern):
            file.unlink()
    with pytest.raises(Bad, match="no run of micro in common"):
        compare.compare_ledgers(first, second, "micro")


def test_a_recorded_comparison_is_a_page_of_the_book(pair, capsys):
    assert repeat.page() == repeat.NOT_STORED
    first, second = pair()
    (moved,) = edit(second, move(30.0), "mnli.xnli-s2-*")
    assert told(capsys, first, second, "--record")[0] == 1
    assert told(capsys, first, second, "--record", "--label", "Two Threads")[0] == 1
    reports, damaged = repeat.kept_comparisons()
    assert [file.stem for file in reports] == ["micro-avx2", "micro-two-threads"] and not damaged
    assert [run["id"] for run in reports[repeat.comparisons_dir() / "micro-avx2.json"]["runs"]] == [moved]
    text = repeat.page()
    assert "### `micro-avx2`" in text and moved in text and "instructions AVX2" in text
    assert "does not agree" in text and "| 1 squad |" in text
    file = repeat.comparisons_dir() / "micro-avx2.json"
    before = file.read_bytes()
    told(capsys, first, second, "--record")
    assert file.read_bytes() == before  # nothing in it depends on the time
    file.write_text("{}")
    assert "Left out: micro-avx2.json is damaged" in repeat.page()


# -- published estimates, recomputed by code that shares nothing with the report -----------------------------


SCORED_BY = {
    "xnli": ["accuracy"], "pawsx": ["accuracy"], "udpos": ["f1"], "panx": ["f1"], "bucc": ["f1"],
    "xquad": ["exact_match", "f1"], "mlqa": ["exact_match", "f1"], "tydiqa": ["exact_match", "f1"],
    "tatoeba": ["accuracy"],
}  # fmt: skip
MIXED = ["squad1", "mnli", "hellaswag"]
SEEDS = [1, 2, 3]


def published(scale):
    """The published target runs of a scale by (source, data, steps, target, seed)."""
    return {
        (row["source"], row["lang"], row.get("steps", "sum"), row["on"], row["seed"]): row
        for row in results.rows(scale)
        if row["phase"] == 3 and not row["model"]
    }


def score(row):
    """The mean over languages of the mean of the metrics."""
    values = {}
    for each in row["scores"]:
        if each["metric"] in SCORED_BY[row["on"]]:
            values.setdefault(each["lang"], []).append(each["value"])
    return fmean(map(fmean, values.values()))


def gain(cells, source, targets, other=("", "en", "sum")):
    """The mean over targets and seeds of one source less another."""
    return fmean(
        score(cells[*source, target, seed]) - score(cells[*other, target, seed])
        for target in targets
        for seed in SEEDS
    )


def chosen_elsewhere(cells, sources, target):
    """The gain of the best source, chosen on the other seeds and the other half of the instances."""
    items = {
        (source, seed): [
            a - b
            for a, b in zip(
                cells[*source, target, seed]["items"],
                cells["", "en", "sum", target, seed]["items"],
                strict=True,
            )
        ]
        for source in sources
        for seed in SEEDS
    }
    found = []
    for seed in SEEDS:
        rest = [other for other in SEEDS if other != seed]
        for half in (0, 1):
            seen = {s: sum(sum(items[s, other][1 - half :: 2]) for other in rest) for s in sources}
            best = max(seen, key=seen.get)
            if seen[best] > 0:
                found.append(sum(items[best, seed][half::2]))
    return sum(found) / len(SEEDS)


def recomputed(told, cells):
    """The estimate of a measured claim, over the targets and the tasks that its line says were learned."""
    targets, multi = told["targets"], max((cell[0] for cell in cells), key=len)
    english = [(task, "en", "sum") for task in told["tasks"]]
    if told["id"] == "multitask":
        return gain(cells, (multi, "en", "single"), targets)
    if told["id"] == "best":
        sources = [*english, (multi, "en", "single" if told["scale"] == "small" else "sum")]
        return fmean(chosen_elsewhere(cells, sources, target) for target in targets)
    if told["id"] == "mlm":
        pairs = [((name, "en", "sum"), (f"{name}+mlm", "en", "single")) for name in MIXED]
    elif told["id"] == "translated":
        pairs = [((name, "en", "sum"), (name, "mt", "sum")) for name in MIXED]
    else:
        pairs = [(source, ("", "en", "sum")) for source in english]
    return fmean(gain(cells, source, targets, other) for source, other in pairs)


@pytest.mark.parametrize("scale, estimated", [("micro", 10), ("small", 8)])
def test_published_estimates_are_what_the_rows_give(scale, estimated, capsys, monkeypatch):
    monkeypatch.setenv("XIT_RESULTS", str(ROOT / "book/results"))
    assert cli.main(["claims", "--scale", scale, "--json"]) == 0
    told = [row for row in json.loads(capsys.readouterr().out) if row["number"] <= claims.MEASURED]
    told = {row["id"]: row for row in told if row["estimate"] is not None}
    assert len(told) == estimated
    cells = published(scale)
    ours = {name: recomputed(row, cells) for name, row in told.items()}
    assert {name: row["estimate"] for name, row in told.items()} == pytest.approx(ours, abs=1e-9)


def test_hardly_an_evaluation_row_of_real_data_has_text_that_trained_the_run(monkeypatch):
    """What is equal as a whole is dropped before training; a part that is equal is counted in every row."""
    monkeypatch.setenv("XIT_RESULTS", str(ROOT / "book/results"))
    told = [
        (row["id"], each["lang"], each["shared"] / each["rows"])
        for row in results.rows("small")
        if row["phase"] == 3
        for each in row["overlap"]
    ]
    assert len(results.rows("small")) > 40 and max(share for *_, share in told) <= 0.02
