"""Made-up studies of known truth: they are judged by the code of the verdicts, and kept for the book."""

import json

import numpy as np
import pytest

from xit_core import cli
from xit_core.design.tasks import INTERMEDIATES, TARGETS
from xit_core.machine.errors import Bad
from xit_core.report import contrasts, pages, simulate

MULTI = (simulate.at(simulate.studies.multi(simulate.DESIGN), "single"), "en")


def test_a_study_has_the_cells_of_the_design_and_the_truth_it_was_given():
    ledger = simulate.drawn_study(np.random.default_rng(0), simulate.SCENARIOS[0], simulate.edge)
    wanted = {cell for cell in contrasts.Ledger(simulate.DESIGN, stored=[]).cells if cell[0] != "mlm"}
    assert set(ledger.cells) == wanted
    bucc = [np.mean([e.score for e in ledger.cells[(t, "en", "bucc")].values()]) for t in INTERMEDIATES]
    assert bucc[:2] == pytest.approx([55, 55], abs=6) and bucc[2:] == pytest.approx([70] * 7, abs=6)
    baseline = {e.score for e in ledger.cells[("", "en", "tatoeba")].values()}
    assert len(baseline) == 1  # an encoder that trains nothing has no seeds


def test_truths_are_at_the_edge_of_the_rules():
    truth = {name: simulate.true_values(of) for name, of in simulate.TRUTHS.items()}
    assert [*truth["nothing"].values()] == pytest.approx([0.0] * 10)
    assert truth["edge"]["mlm"] == truth["edge"]["translated"] == pytest.approx(-1.0)
    ties = [np.mean([simulate.edge(s, t) for t in TARGETS]) for s in (MULTI, (INTERMEDIATES[-1], "en"))]
    assert (
        ties[0]
        == ties[1]
        == max(np.mean([simulate.edge((s, "en"), t) for t in TARGETS]) for s in INTERMEDIATES)
    )


def test_intervals_cover_and_rules_seldom_err():
    records = simulate.simulated(1, "nothing", 60)
    covered = [record["share"] for record in records if record["what"] == "covered"]
    wrong = [record["share"] for record in records if record["what"] in ("holds", "fails")]
    assert len(covered) == 10 and min(covered) > 0.85 and max(wrong) < 0.15


def test_a_wrong_interval_would_be_seen(monkeypatch):
    monkeypatch.setattr(contrasts.Interval, "half", lambda self, level=0.05: 0.1)
    records = simulate.simulated(0, "nothing", 10)
    assert min(record["share"] for record in records if record["what"] == "covered") < 0.5


def test_the_result_does_not_depend_on_the_processes_and_is_kept_for_the_book(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path))
    assert "Not simulated yet" in pages.simulation_section(tmp_path)
    assert cli.main(["simulate", "--ledgers", "2", "--cores", "2", "--keep"]) == 0
    out = capsys.readouterr().out
    assert all(scenario.name in out for scenario in simulate.SCENARIOS)
    kept = simulate.kept_simulation()
    assert kept == simulate.simulate_all(2, 1)
    text = pages.simulation_section(tmp_path)
    assert "lowest coverage" in text and "figures/simulation.svg" in text
    changed = [record | {"share": 0.123} for record in kept if record["what"] == "covered"]
    simulate.keep_simulation(changed + [record for record in kept if record["what"] != "covered"])
    assert "12.3" in pages.simulation_section(tmp_path)


@pytest.mark.parametrize("damage", ["{", json.dumps({"records": [{"share": 1.0}]})])
def test_a_damaged_result_is_one_line(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XIT_RESULTS", str(tmp_path))
    simulate.simulation_file().write_text(damage)
    with pytest.raises(Bad, match=r"simulation.json.*restore it from git"):
        simulate.kept_simulation()
