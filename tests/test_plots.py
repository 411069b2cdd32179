"""Figures: drawn from any ledger, readable, the same to the byte."""

import numpy as np
import pandas as pd
import pytest

from synthetic import fill, row
from xit_core.design.run import Run
from xit_core.ledger import results, scored
from xit_core.report import frames, heat, plots

FACTS = pd.DataFrame({"script": ["Latin", "Thai"], "family": ["isolate"] * 2}, index=["al", "zi"])
DRAWN = {
    "languages": lambda scale: plots.languages(scored.frame(scale)),
    "retrieval": lambda scale: plots.retrieval(results.rows(scale)),
    "curves": lambda scale: plots.curves(results.rows(scale)),
    "dose": lambda scale: plots.dose(results.rows(scale)),
    "factors": lambda scale: plots.factors(frames.language_gains(scored.frame(scale)), FACTS),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_an_empty_ledger_gives_no_figure(draw):
    assert draw("smoke") is None


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_figure_has_axes_with_names_and_no_small_print(draw):
    fill("smoke")
    figure = draw("smoke")
    shown = [axes for axes in figure.axes if axes.axison]
    assert shown
    for axes in shown:
        assert axes.get_xlabel() or figure.get_supxlabel() or axes.get_label() == "<colorbar>"
        assert axes.get_ylabel() or figure.get_supylabel()
    texts = [
        text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()
    ]
    assert texts and min(text.get_fontsize() for text in texts) >= 9


def test_a_target_outside_of_the_nine_is_drawn_where_it_stands_alone():
    results.write(row(Run("xnli_shift")))
    (axes,) = (axes for axes in plots.languages(scored.frame("smoke")).axes if axes.axison)
    assert axes.get_title() == "xnli_shift"
    results.write(row(Run("xnli")))
    (axes,) = (axes for axes in plots.languages(scored.frame("smoke")).axes if axes.axison)
    assert axes.get_title() == "xnli"


def test_a_training_measured_at_its_ends_alone_has_a_point_for_each_seed_and_else_a_line_of_means():
    retrieval = [{"metric": name, "value": 80.0} for name in ("accuracy", "accuracy_centred")]
    start = {"phase": 1, "model": "", "scores": retrieval}
    ends = [{"step": 9, "distance": 0.01, "tatoeba": end, "tatoeba_centred": end} for end in (70.0, 10.0)]
    stages = [
        {"phase": 2, "model": "", "source": "squad1", "lang": "en", "seed": seed, "curve": [end]}
        for seed, end in enumerate(ends)
    ]

    def drawn() -> dict[str, tuple[str, list[float]]]:
        lines = plots.dose([start, *stages]).axes[0].lines
        return {line.get_label(): (line.get_linestyle(), list(line.get_ydata())) for line in lines}

    assert drawn() == {"before": ("None", [80.0]), "squad1": ("None", [70.0, 10.0])}
    for stage in stages:
        stage["curve"] = [{**stage["curve"][0], "step": 4}, *stage["curve"]]
    assert drawn() == {"squad1": ("-", [80.0, 40.0, 40.0])}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_two_drawings_are_the_same_file(draw, tmp_path):
    fill("smoke")
    first, second = (plots.save(draw("smoke"), tmp_path / f"{i}.svg").read_bytes() for i in (1, 2))
    assert first == second


def test_a_gain_is_the_difference_to_the_baseline_of_the_same_seed():
    rows = {(r["source"], r["on"], r["model"]): r for r in fill("smoke") if r["phase"] == 3}

    def score(source):
        return pd.Series([s["value"] for s in rows[source, "xnli", ""]["scores"]]).mean()

    frame = scored.frame("smoke")
    gain = score("mnli") - score("")
    assert heat.by_seed(frame).loc[("mnli", 1), "xnli"] == pytest.approx(gain)
    assert f'title="mnli on xnli: {gain:+.1f} points; 1 seed"'.replace("-", "−") in heat.table(frame)


def made_gains(monkeypatch, gains: dict) -> None:
    index = pd.MultiIndex.from_tuples([("mnli", 1), ("mnli", 2), ("squad1", 1)], names=["name", "seed"])
    monkeypatch.setattr(heat, "by_seed", lambda frame: pd.DataFrame(gains, index))


def test_the_heat_map_says_intervals_and_seeds(monkeypatch):
    made_gains(monkeypatch, {"xnli": [1.0, 2.0, -0.01], "bucc": [0.5, None, -3.0], "mean": [1.0, None, None]})
    text = heat.table(None)
    assert 'title="mnli on xnli: +1.5 points; 95 % interval −4.9 to +7.9; 2 seeds">+1.5<br>' in text
    assert 'title="squad1 on xnli: +0.0 points; 1 seed">+0.0<br><small>one seed</small></td>' in text
    assert 'title="mnli, mean of all targets: +1.0 points; 1 seed"' in text
    assert text.count("<td></td>") == 1
    # of the cells that have most seeds
    assert heat.in_words(None) == (
        "Where 2 seeds are there, gains go from +1.5 (mnli on xnli); 1 of 1 means are above zero."
    )
    made_gains(monkeypatch, {"xnli": [1.0, 2.0, 7.0], "bucc": [0.5, -1.5, None], "mean": [1.0, None, None]})
    assert heat.in_words(None).startswith(
        "Where 2 seeds are there, gains go from −0.5 (mnli on bucc) to +1.5 (mnli on xnli); 1 of 2"
    )


def test_the_heat_map_has_the_joint_trainings_that_claims_are_judged_on():
    joint = "+".join(frames.INTERMEDIATES)
    for run in (Run("xnli"), Run(f"{joint} > xnli"), Run(f"{joint} > xnli", steps="single")):
        results.write(row(run))
    assert [*heat.by_seed(scored.frame("smoke")).index] == [("multi-task", 1), ("multi-task, equal steps", 1)]


def test_an_empty_ledger_has_no_heat_map():
    assert heat.table(scored.frame("smoke")) == heat.in_words(scored.frame("smoke")) == ""


def test_a_language_is_compared_with_the_others_of_the_same_target():
    fill("smoke")
    frame = scored.frame("smoke")
    gains = frames.language_gains(frame).set_index(["on", "lang"])
    assert set(gains.index.get_level_values("lang")) == {"al", "zi"}  # not the pivot

    def score(source, on, lang):
        part = frames.main_runs(frame)
        return part[
            (part.source == source) & (part.on == on) & (part.lang == lang) & (part.model == "")
        ].value.mean()

    for (on, lang), line in gains.iterrows():  # of the sources of this study only mnli is English and alone
        other = {"al": "zi", "zi": "al"}[lang]
        assert line.gain == pytest.approx(score("mnli", on, lang) - score("", on, lang))
        assert line.beyond == pytest.approx((line.gain - gains.gain[on, other]) / 2)


def test_a_stand_in_among_the_nine_leaves_the_joint_stage_its_name():
    joint = "+".join("udtag" if task == "ccg" else task for task in frames.INTERMEDIATES)
    assert frames.name(joint) == "multi-task"
    names = frames.order("multi-task udtag ocnli csqa mlm".split())
    assert names == "csqa udtag multi-task mlm ocnli".split()


def test_names_of_sources_are_those_of_readers():
    joint = "+".join(frames.INTERMEDIATES)
    assert [frames.name(""), frames.name(joint), frames.name("mnli", "mt")] == [
        "baseline",
        "multi-task",
        "mnli (translated)",
    ]
    assert frames.name("", model="random") == "random weights"
    equal = frames.name(joint, steps="single")
    assert equal == "multi-task, equal steps"
    assert frames.order(["mlm", "mnli (translated)", "baseline", "squad1", equal, "multi-task"]) == [
        "baseline", "squad1", "multi-task", equal, "mlm", "mnli (translated)"
    ]  # fmt: skip


def test_the_interval_over_seeds_is_students():
    assert frames.interval(pd.Series([1.0, 2.0, 3.0])) == pytest.approx(4.302653 * 1 / 3**0.5)
    assert np.isnan(frames.interval(pd.Series([1.0])))


def test_the_same_simulation_gives_the_same_bytes(tmp_path):
    records = [
        {"what": what, "scenario": scenario, "truth": truth, "claim": "squad", "share": share}
        for what, share in (("covered", 0.95), ("fails", 0.01))
        for scenario in ("equal", "raw")
        for truth in ("nothing", "edge")
    ]
    drawn = [
        plots.save(plots.simulation(records, {"covered": 0.93, "wrong": 0.035}), tmp_path / f"{n}.svg")
        for n in "ab"
    ]
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
