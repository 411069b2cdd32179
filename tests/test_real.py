"""The chapter on real languages: every number from the ledger or the scale's declaration, each checked by
hand."""

from dataclasses import replace
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import synthetic
from synthetic import fill
from xit_core.design import studies
from xit_core.design.scales import SCALES
from xit_core.design.tasks import REAL_TASKS, TARGETS, TASKS, languages
from xit_core.report import chapters, frames, markdown, pages, performance, published, real
from xit_core.report.cells import estimate_cell, verdict_cell
from xit_core.report.claims import MEASURED
from xit_core.report.view import EMPTY, View
from xit_core.score import embed


@pytest.fixture
def view() -> View:
    fill("small", first=200)
    return View("small")


def cells(text: str) -> dict[str, str]:
    """The lines of a table with two columns."""
    lines = [[x.strip() for x in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    return dict(line for line in lines if len(line) == 2)


def test_the_design_is_what_the_scale_declares_and_how_much_of_it_has_run(view):
    told, s = cells(real.design(view)), SCALES["small"]
    planned = len(studies.runs("main", s))
    lines = [
        line for line in real.finished(view).splitlines() if line.startswith(("| 1", "| 4", "| 9", "| none"))
    ]
    done, all_runs = (sum(int(line.split("|")[k]) for line in lines) for k in (2, 3))
    assert (done, all_runs) == (len(view.rows), planned)
    assert told["runs"] == f"{len(view.rows):,} finished of {planned:,} planned" and len(view.rows) < planned
    assert told["an intermediate task"] == (
        f"{s.stage_steps:,} steps, {s.batch} rows a step ({s.stage_steps * s.batch:,} examples), drawn from "
        f"at most {s.stage_rows:,} rows of each source, rate {s.stage_lr:g}"
    )
    for target in TARGETS:
        assert f"`{target}` {len(languages(TASKS[target], s))}" in told["languages of the targets"]
    assert "`bucc` 1 (zh)" in told["languages of the targets"] and "`udpos` 150 steps" in told["otherwise"]
    assert told["stand-ins"].startswith("`udtag` stands in for `ccg`; some or all rows of `")


def test_the_design_of_a_scale_without_caps_says_all(monkeypatch):
    monkeypatch.setitem(SCALES, "whole", replace(SCALES["base"], name="whole", stage_rows=0))
    told = cells(real.design(View("whole")))
    assert told["otherwise"] == told["stand-ins"] == "–" and told["evaluation"].startswith("all rows of each")
    assert told["an intermediate task"].startswith(
        "its own epochs, its own rows a step, drawn from all rows of each"
    )


def test_the_chapter_of_small_has_every_part_and_is_empty_without_runs(tmp_path):
    empty = pages.generated(pages.views(), tmp_path)
    assert empty["small.md"] == empty["small_claims.md"] == EMPTY
    fill("small", first=200)
    made = pages.generated(pages.views(), tmp_path)
    text = made["small_claims.md"]
    assert SCALES["small"].note[1:] in text and "finished of" in text and "#claim-squad" in text
    drawn = {file.name for file in (tmp_path / "figures").iterdir()}
    assert drawn >= {"small-factors.svg", "small-languages.svg", "small-retrieval.svg"}
    assert 'class="heat"' in made["small.md"]


@pytest.mark.parametrize(
    ("name", "task", "guess"),
    [("mnli", "mnli", 100 / 3), ("csqa", "csqa", 20), ("squad1+mlm", "squad1", None)],
)
def test_what_a_training_learned_of_its_task_stands_beside_guessing(name, task, guess):
    planned = studies.runs("main", SCALES["small"])
    rows = [synthetic.row(run) for run in planned if (run.path, run.lang, run.steps) == (name, "en", "sum")]
    synthetic.enter(rows)
    seeds = pd.Series(
        [np.mean([s["value"] for s in row["scores"] if s["protocol"] == f"{task}: made-up"]) for row in rows]
    )
    text = chapters.learned_section(View("small"))
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} | `{task}` |"))
    told = [markdown.number(x) for x in (seeds.mean(), chapters.frames.interval(seeds), guess)]
    assert [cell.strip() for cell in line.split("|")[4:-1]] == [*told, str(len(rows))] and len(rows) >= 3


def test_every_measured_claim_is_listed_with_its_interval(view):
    text = real.verdicts(view)
    for row in view.claims[:MEASURED]:
        line = next(line for line in text.splitlines() if f"#claim-{row['id']}" in line)
        assert estimate_cell(row) in line and verdict_cell(row) in line


def test_a_language_stands_with_its_traits_and_its_gain_beyond_the_others(view, tmp_path):
    text = real.factors(view, tmp_path)
    gains = frames.language_gains(view.frame).groupby("lang")
    line = next(line for line in text.splitlines() if line.startswith("| German (`de`) |"))
    told = [x.strip() for x in line.split("|")[1:-1]]
    assert told[1:3] == ["Latin", "Indo-European"] and told[5] == str(gains.size()["de"])
    assert told[3:5] == ["66.6", "1.60"] and "text in XLM-R's training" in text
    assert told[6:] == [markdown.number(gains[x].mean()["de"], markdown.SIGNED) for x in ("gain", "beyond")]
    assert "Latin script" in text and "Indo-European family" in text


def test_constructed_languages_have_no_family_to_compare(tmp_path):
    fill("smoke")
    assert real.factors(View("smoke"), tmp_path) == ""


def test_a_correlation_is_spearmans_and_its_interval_holds_it():
    draw = np.random.default_rng(1)
    x, y = (pd.Series(draw.normal(size=14)) for _ in range(2))
    x[3] = np.nan
    said = chapters.correlation(x, y).replace("−", "-")
    middle, low, high = map(float, said.replace("[", "").replace("]", "").replace(",", "").split())
    assert (
        middle == pytest.approx(spearmanr(x.drop(3), y.drop(3)).statistic, abs=0.005) and low < middle < high
    )
    assert chapters.correlation(x * 0, y) == "–" and chapters.correlation(x[:3], y[:3]) == "–"


def test_every_language_of_a_real_task_has_a_script_and_a_family():
    rows = published.csv_table("languages")
    known = [row["lang"] for row in rows]
    spoken = {lang for name in REAL_TASKS for lang in TASKS[name].langs.split()}
    assert known == sorted(set(known)) and set(known) >= spoken and all(all(row.values()) for row in rows)


def test_the_compared_layer_is_the_one_that_retrieval_scores():
    assert chapters.DEPTH == embed.DEPTH


def test_a_change_is_counted_from_the_encoder_before_training():
    def row(source, seed, values):
        layers = [
            {"lang": "de", "layer": i, "centred": c, "value": v + 10 * c}
            for i, v in enumerate(values)
            for c in (False, True)
        ]
        fields = {
            "source": source,
            "lang": "en",
            "model": "",
            "phase": 1 if source == "pretrained" else 2,
            "seed": seed,
        }
        return fields | {"layers": layers, "language_share": [v / 200 for v in values]}

    class Told:
        main = [
            row("pretrained", 1, [9, 8, 20, 7, 6]),
            row("mnli", 1, [0, 0, 25, 0, 0]),
            row("mnli", 2, [0, 0, 27, 0, 0]),
        ]

    line = next(
        line
        for line in chapters.mechanism(*chapters.moved_layers(Told)).splitlines()
        if line.startswith("| mnli")
    )
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[::2] == ["26.0", "36.0", "13.0", "0.0"]  # the last of the last layer
    assert [cell.split("\N{NO-BREAK SPACE}")[0] for cell in cells[1::2]] == ["+6.0", "+6.0", "+3.0", "−6.0"]


def test_where_seeds_are_far_apart_each_is_shown():
    assert chapters._moved(80.0, pd.Series([2.0, 2.2, -70.0])) == ("58.1", "+2.0, +2.2, −70.0")
    assert (
        chapters._moved(80.0, pd.Series([2.0, 2.2, 2.4]))[1] == "+2.2\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.5"
    )


def test_the_published_scores_of_the_large_encoder_are_those_that_one_table_quotes():
    assert published.xtreme_test("xnli") == 79.2 and published.xtreme_test("bucc") is None
    assert published.xtreme_test("xquad") == pytest.approx((60.8 + 76.6) / 2)
    assert {t for t in TARGETS if published.xtreme_test(t) is None} == {"bucc", "tatoeba"}


def test_a_language_has_its_score_and_gains_in_every_task_as_means_over_seeds():
    rows = {row["id"]: row for row in fill("small")}

    def scored(path):
        found = [row for row in rows.values() if row["path"] == path and not row["model"]]
        found = [row for row in found if row["lang"] == "en" and row["method"] == "full" and not row["size"]]
        return {
            row["seed"]: score["value"]
            for row in found
            for score in row["scores"]
            if (score["lang"], score["metric"]) == ("sw", "accuracy")
        }

    before, after = scored("xnli"), scored("mnli > xnli")
    assert len(before) == 3 and before.keys() == after.keys()
    text = real.by_language(View("small"))
    head, line = (
        next(line for line in text.splitlines() if line.startswith(start)).strip("| ").split(" | ")
        for start in ("| language", "| Swahili (sw) | `xnli`")
    )
    cells = dict(zip(head, line, strict=True))
    half = 4.3027 * stdev(before.values()) / 3**0.5
    assert (
        cells["baseline"]
        == f"{markdown.number(sum(before.values()) / 3)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{half:.1f}"
    )
    gains = [after[seed] - before[seed] for seed in before]
    half = 4.3027 * stdev(gains) / 3**0.5
    assert cells["after mnli"].split("\N{NO-BREAK SPACE}") == [
        markdown.number(sum(gains) / 3, "+,.1f"), "±", markdown.number(half),
    ]  # fmt: skip
    assert real.by_language(View("paper")) == EMPTY


def test_protocols_are_told_of_what_has_run():
    fill("small", first=200)
    view = View("small")
    assert "| target | protocol | metric | baseline | after squad1 |" in chapters.protocols(view)
    view.rows = [row for row in view.rows if row["source"] == "squad1"]
    assert "| target | protocol | metric | after squad1 |\n" in chapters.protocols(view)
    view.rows = [row for row in view.rows if not row["source"]]
    assert chapters.protocols(view) == ""


def test_every_run_is_needed_by_some_claims_or_by_none():
    for name in ("small", "small-mlm", "paper"):
        found, runs = performance.groups(SCALES[name]), studies.runs("main", SCALES[name])
        assert sorted(run.id for of in found.values() for run in of) == sorted(run.id for run in runs)
    found = performance.groups(SCALES["small"])
    assert {run.source for run in found[performance.NO_CLAIM]} == {"ocnli", "jcqa"}
    assert {run.source for run in found[performance.FIRST] if run.phase == 2} == set(studies.MIXED)
