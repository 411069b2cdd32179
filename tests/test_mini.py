"""The chapter on real languages: every number from the ledger or the encoder's card, each test of it by
hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_1samp

from synthetic import fill
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TARGETS, TASKS
from xit_core.ledger.outcomes import Evaluation
from xit_core.report import chapters, mini, published
from xit_core.report.claims import MEASURED
from xit_core.score import embed

CARD = {
    "dose": {"steps": 8, "tokens": 1000}, "seconds": 90, "corpus": {
        "alpha": 0.3, "evaluation": {"splits": 4, "texts": 1200, "grams": 34567},
        "sources": [{"source": "bible, quran", "source_repo": "made/up", "commit": "0123456789abcdef",
        "licence": "CC0-1.0"}],
        "languages": {
            lang: {"read": 10, "kept": kept, "bytes": 1500000, "words": 50, "pieces": 100, "fertility": 2.0,
            "share": 0.5,
                   "removed": {"repeated": 8 - kept, "evaluated": 2},
                   "sources": {"bible": kept - 1, "web": 1}}
            for lang, kept in (("de", 5), ("th", 3))
        },
    },
}  # fmt: skip


@pytest.fixture
def view() -> chapters.View:
    fill("mini", every=3)
    return chapters.View("mini")


def test_without_runs_every_part_says_so_and_the_design_is_there(tmp_path):
    parts = mini.chapter_parts([chapters.View(scale) for scale in mini.MINI_SCALES], tmp_path)
    design, corpus = parts.pop("mini_design.md"), parts.pop("mini_corpus.md")
    assert set(parts.values()) == {chapters.EMPTY}
    assert all(f"`{scale}`" in design for scale in mini.MINI_SCALES) and "0 finished of" in design and corpus


def test_every_part_names_its_scale_and_how_it_is_reduced(view, tmp_path):
    fill("mini-long", every=3)
    for text in mini.chapter_parts([view, chapters.View("mini-long")], tmp_path).values():
        assert "`mini`" in text and view.note[1:] in text
    drawn = {file.name for file in (tmp_path / "figures").iterdir()}
    assert drawn >= {
        "mini-factors.svg",
        "mini-probe.svg",
        "mini-gains.svg",
        "mini-retrieval.svg",
        "mini-long-dose.svg",
    }


@pytest.mark.parametrize(
    ("name", "task", "guess"),
    [("mnli", "mnli", 100 / 3), ("csqa", "csqa", 20), ("squad1+mlm", "squad1", None)],
)
def test_what_a_training_learned_of_its_task_stands_beside_guessing(name, task, guess):
    rows = [row for row in fill("mini") if (row["path"], row["lang"], row["steps"]) == (name, "en", "sum")]
    seeds = pd.Series(
        [np.mean([s["value"] for s in row["scores"] if s["protocol"] == f"{task}: made-up"]) for row in rows]
    )
    text = chapters.learned_section(chapters.View("mini"))
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} | `{task}` |"))
    told = [chapters.number(x) for x in (seeds.mean(), chapters.plots.interval(seeds), guess)]
    assert [cell.strip() for cell in line.split("|")[4:-1]] == [*told, str(len(rows))] and len(rows) >= 3


@pytest.mark.parametrize(("source", "guess"), [("squad1", "–"), ("mnli", "33.3")])
def test_a_longer_training_stands_beside_the_shorter_with_its_gain_on_each_kind_of_target(
    source, guess, tmp_path
):
    fill("mini")
    rows = fill("mini-long")
    text = mini.doses([chapters.View(scale) for scale in mini.MINI_SCALES], tmp_path)
    cells = [
        [x.strip() for x in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith(f"| {source} |")
    ]
    told = [[f"{s.stage_steps:,}", f"{s.stage_lr:g}"] for s in (SCALES["mini"], SCALES["mini-long"])]
    # as made up
    assert [x[1:3] for x in cells[:2]] == told and all(x[4:] == [guess, "1.0"] for x in cells[:2])
    assert [x[1] for x in cells[2:]] == [steps for steps, _ in told]

    def score(kind: str, path: str) -> float:
        told = [row for row in rows if row["on"] in TARGETS and (row["source"], row["lang"]) == (path, "en")]
        told = [row for row in told if kind in (TASKS[row["on"]].kind, "")]
        return np.mean([np.mean([s["value"] for s in row["scores"]]) for row in told])

    for cell, kind in zip(cells[3][2:], ("", *mini.KINDS), strict=True):
        assert cell.startswith(chapters.number(score(kind, source) - score(kind, ""), chapters.SIGNED) + " [")
    assert {TASKS[target].kind for target in TARGETS} == set(mini.KINDS)


def test_a_longer_training_without_enough_seeds_has_no_gain(tmp_path):
    fill("mini-long", every=2)
    text = mini.doses([chapters.View(scale) for scale in mini.MINI_SCALES], tmp_path)
    assert text.count("| squad1 |") == 4 and " [" not in text


def test_every_measured_claim_is_listed_with_its_interval(view):
    text = mini.verdicts(view)
    for row in view.claims[:MEASURED]:
        line = next(line for line in text.splitlines() if f"#claim-{row['id']}" in line)
        assert chapters.estimate_cell(row) in line and chapters.verdict_cell(row) in line


def xnli(right: np.ndarray, langs: tuple[str, ...]) -> list[dict]:
    """Baseline rows of XNLI as the ledger keeps them, of right (seeds, languages, rows) in 0 and 100."""
    named = {"path": "xnli", "model": ""}
    return [named | Evaluation([], dict(zip(langs, told.tolist(), strict=True))).row() for told in right]


@pytest.mark.parametrize("share", [1 / 3, 0.45])
def test_xnli_is_tested_over_rows_without_english(share):
    draw, langs = np.random.default_rng(5), ("de", "en", "fr", "zh")
    easy = draw.uniform(-0.2, 0.2, 400)  # rows differ, in all languages alike
    chance = np.where(np.array(langs) == "en", share + 0.1, share)[None, :, None] + easy
    right = 100.0 * (draw.random((3, len(langs), 400)) < chance)
    mean, p, rows, seeds = mini.above_chance(xnli(right, langs))
    others = right[:, [0, 2, 3]].mean((0, 1))
    assert (rows, seeds) == (400, 3) and mean == pytest.approx(others.mean(), abs=1e-3)
    assert p == pytest.approx(ttest_1samp(others, 100 / 3, alternative="greater").pvalue, rel=1e-3)
    assert (p < 0.01) == (share > 0.4)


def test_rows_without_the_baseline_on_xnli_have_no_p_value():
    assert mini.above_chance([]) is None
    assert mini.above_chance([{"path": "xnli", "model": "", "items": [1.0]}]) is None


def test_what_was_asked_for_is_met_or_not(monkeypatch):
    fill("pocket")  # the made-up baseline is 30 points above the made-up random weights
    text = mini.transfer_section(chapters.View("pocket"))
    assert text.count(", met") == 3 and "`xnli` above chance" in text
    monkeypatch.setattr(mini, "ASKED", {"udpos": 90})
    assert mini.transfer_section(chapters.View("pocket")).count(", not met") == 1


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
    spoken = {lang for task in TASKS.values() for lang in task.langs.split()}
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

    line = next(line for line in chapters.mechanism(Told).splitlines() if line.startswith("| mnli"))
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[::2] == ["26.0", "36.0", "13.0"]
    assert [cell.split("\N{NO-BREAK SPACE}")[0] for cell in cells[1::2]] == ["+6.0", "+6.0", "+3.0"]


def test_the_card_of_the_corpus_adds_up_and_names_licences(monkeypatch):
    monkeypatch.setattr(mini, "encoder_card", lambda view: CARD)
    text = mini.corpus_card(chapters.View("mini"))
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert lines["all"] == "| all | 8 | 8 | 4 | 3.0 | – | 100.0 | – |"
    assert "| 5 | 3 | 2 | 1.5 | 2.00 | 50.0 |" in lines["German"]
    assert (
        lines["bible"] == "| bible | 6 | made/up `0123456789` | CC0-1.0 |"
        and lines["web"] == "| web | 2 | – | – |"
    )
    assert "1,200 texts of 4 evaluation splits" in text
    assert mini.facts(chapters.View("mini")).text["th"] == 1.5
