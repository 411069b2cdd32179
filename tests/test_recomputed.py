"""Published estimates, recomputed from the rows of the ledger by code that shares nothing with the report."""

import json
from statistics import fmean

import pytest

from xit_core import cli
from xit_core.ledger import results
from xit_core.machine.places import ROOT
from xit_core.report import claims

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
        sources = [*english, (multi, "en", "sum")]
        return fmean(chosen_elsewhere(cells, sources, target) for target in targets)
    if told["id"] == "mlm":
        pairs = [((name, "en", "sum"), (f"{name}+mlm", "en", "single")) for name in MIXED]
    elif told["id"] == "translated":
        pairs = [((name, "en", "sum"), (name, "mt", "sum")) for name in MIXED]
    else:
        pairs = [(source, ("", "en", "sum")) for source in english]
    return fmean(gain(cells, source, targets, other) for source, other in pairs)


@pytest.mark.parametrize("scale, estimated", [("micro", 10), ("small", 2)])
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
