"""The chapters of the research questions: the question, its short answer, contrasts, gates and figure."""

from functools import partial
from pathlib import Path

import pandas as pd

from ..design import studies
from . import plots, questions
from .chapters import View, count, figure, markdown_table, minus, number, small, with_interval
from .contrasts import Ledger
from .losses import matched
from .questions import NO, OPEN, UNFINISHED, UNTESTABLE, YES, Question


def overview(shown: list[View], plain: bool = False) -> str:
    """A table of the questions with their answers, a column for each scale; "" where none is declared.

    `shown`: views that are there already. With `plain` the Markdown works outside the book.
    """
    asked = questions.in_order()
    views = {view.scale: view for view in shown}
    for name in dict.fromkeys(name for question in asked for name in question.scales):
        views.setdefault(name, View(name))
    scales = [name for name in views if any(name in question.scales for question in asked)]
    lines = []
    for question in asked:
        title = question.short if plain else f"[{question.short}](questions/{question.id})"
        cells = [answer_cell(question, views[name]) if name in question.scales else "–" for name in scales]
        lines.append([question.number, title, *cells])
    head = ["#", "research question", *(f"at `{name}`" for name in scales)]
    return markdown_table(head, lines) if lines else ""


def answer_cell(question: Question, view: View) -> str:
    """The word of a question's answer at a scale, with its interval."""
    row = view.asked(question)[1][0]
    if row["estimate"] is None:
        done, planned = questions.runs_done(question, view.declared, view.stored)
        return f"{UNFINISHED}: {done:,} of {planned:,} runs" if done else "not run"
    word = row["verdict"] if is_finished(question, view) else f"{UNFINISHED}; so far: {row['verdict']}"
    return f"**{word}**<br>{row['name']}: {interval_cell(row)}"


def page(question: Question, view: View, out: Path) -> str:
    """The chapter's page for one scale; its figure is saved in the folder `out`."""
    ledger, found = view.asked(question)
    gates = questions.gates_of(question, ledger)
    rule = questions.RULE.format(margin=questions.margin_of(question), dated=question.dated)
    tables = contrast_table(found) + f"{rule}\n\n" + gate_table(gates)
    draw = partial(FIGURES[question.figure], question, view, ledger, found)
    measured = [row for row in found if row["estimate"] is not None]
    says = f"{measured[0]['name']}: {interval_cell(measured[0])}." if measured else ""
    drawing = figure(out, view, question.figure, draw, question.id, title=says)
    answer = short_answer(found, is_finished(question, view))
    return f"{answer}\n\n{progress(question, view)}\n\n{tables}{drawing}"


def short_answer(found: list[dict], finished: bool) -> str:
    """The answer in words, with its interval, and the second contrast, which qualifies it.

    `finished`: whether every run of the design is there; what is said before is not the answer.
    """
    row, *others = found
    if row["estimate"] is None:
        return f"**Not answered yet**: {row['note']}."
    beside = "".join(
        f" Beside it, {other['name']}: {interval_cell(other)}, {side(other)}."
        for other in others[:1]
        if other["estimate"] is not None
    )
    because = f" ({row['note']})" if row["verdict"] == UNTESTABLE else ""
    seen = (
        f"; a difference of {number(row['detectable'])} could have been seen"
        if row["verdict"] == OPEN
        else ""
    )
    answer = f"{row['name']}: {interval_cell(row)} points{seen}."
    word = "Short answer" if finished else "Not finished, and no answer; so far"
    return f"**{word}: {row['verdict']}**{because}. {answer}{beside}"


def interval_cell(row: dict) -> str:
    """The estimate of a contrast with its interval."""
    return with_interval(row["estimate"], row["low"], row["high"])


def is_finished(question: Question, view: View) -> bool:
    """Whether every run of a design is finished."""
    done, planned = questions.runs_done(question, view.declared, view.stored)
    return done == planned


def side(row: dict) -> str:
    """The word for a contrast that is not the answer."""
    return {YES: "above zero", NO: "below zero"}.get(row["verdict"], row["verdict"])


def progress(question: Question, view: View) -> str:
    """How many of the planned runs are finished."""
    done, planned = map(count, questions.runs_done(question, view.declared, view.stored))
    return f"{done} of {planned} runs are in the ledger."


def contrast_table(found: list[dict]) -> str:
    """Every contrast with its interval, the smallest difference that it could have seen, and its word."""
    head = [
        "contrast, in points where nothing else is said",
        "estimate [95\N{NO-BREAK SPACE}%]",
        "detectable",
        "word",
    ]
    lines = [
        [row["name"], "–", "–", row["note"]]
        if row["estimate"] is None
        else [row["name"], interval_cell(row), number(row["detectable"]), side(row)]
        for row in found
    ]
    if found[0]["estimate"] is not None:
        lines[0][-1] = found[0]["verdict"]  # the answer
    return small(markdown_table(head, lines), "carded")


def gate_table(gates: dict) -> str:
    """What must be learned before the question can be answered."""
    words = {True: "passed", False: "failed", None: "not known yet"}
    lines = [[name, minus(gate.says), words[gate.passed]] for name, gate in gates.items()]
    return markdown_table(["gate", "found", "outcome"], lines) if lines else ""


def drawn_contrasts(
    question: Question, view: View, ledger: Ledger, found: list[dict]
) -> "plots.Figure | None":
    """The contrasts that are measured, with their intervals."""
    return plots.contrasts([row for row in found if row["estimate"] is not None])


def drawn_by_weights(
    question: Question, view: View, ledger: Ledger, found: list[dict]
) -> "plots.Figure | None":
    """The score of each source against the weights that are trained for one target."""
    answer = next(iter(question.contrasts(view.declared).values()))
    on = dict.fromkeys(cell[2] for cell in answer)
    return plots.trained(by_trained_weights(question, view, ledger, tuple(on)))


def drawn_pairs(question: Question, view: View, ledger: Ledger, found: list[dict]) -> "plots.Figure | None":
    """The score on other rows against the score on a target's own, a point for each run."""
    return plots.pairs(scores_of_pairs(question, ledger))


def drawn_sizes(question: Question, view: View, ledger: Ledger, found: list[dict]) -> "plots.Figure | None":
    """What is lost on other rows against the rows of the intermediate task, a line for each task."""
    table = scores_of_pairs(question, ledger)
    told = table.source.str.extract(r"^(?P<task>\w+), (?P<size>\d+) rows, (?P<steps>.*)$")
    table = table.join(told).dropna(subset=["size"])
    table = table.assign(size=table["size"].astype(int), drop=table.inside - table.outside)
    own = table[table["size"] == ledger.scale.stage_rows]  # with the scale's own rows all rules are one
    table = pd.concat([table, *(own.assign(steps=rule) for rule in set(table.steps) - set(own.steps))])
    keys = ["steps", "task", "size"]
    return plots.sizes(table.groupby(keys, as_index=False)["drop"].mean() if len(table) else table)


FIGURES = {
    "contrasts": drawn_contrasts,
    "weights": drawn_by_weights,
    "pairs": drawn_pairs,
    "sizes": drawn_sizes,
}


def scores_of_pairs(question: Question, ledger: Ledger) -> pd.DataFrame:
    """Both scores of every run of a pair. Columns: pair, source, seed, inside, outside."""
    lines = [
        {"pair": " / ".join(pair), "source": source[0], "seed": seed}
        | dict(zip(("inside", "outside"), (side.score for side in sides), strict=True))
        for pair in question.pairs(ledger.scale)
        for (source, seed), sides in matched(ledger, pair).items()
    ]
    return pd.DataFrame(lines, columns=["pair", "source", "seed", "inside", "outside"])


def by_trained_weights(question: Question, view: View, ledger: Ledger, on: tuple[str, ...]) -> pd.DataFrame:
    """Mean score over targets against the weights that are trained for one target, a line for each source.

    Columns: source, method, trained, score.
    """
    runs = {run.id: run for run in studies.runs(question.id, view.declared) if run.phase == 3}
    trained = {row["id"]: row["dose"]["trained"] for row in view.stored if "trained" in row.get("dose", {})}
    lines = []
    for cell, entries in ledger.cells.items():
        if cell[2] in on and entries:
            method = runs[next(iter(entries.values())).id].stages[-1].method.name
            known = [trained[entry.id] for entry in entries.values() if entry.id in trained]
            score = sum(entry.score for entry in entries.values()) / len(entries)
            lines.append(
                {"source": cell[0], "method": method, "trained": max(known, default=0), "score": score}
            )
    table = pd.DataFrame(lines, columns=["source", "method", "trained", "score"])
    whole = table.groupby("source").score.transform("size") == len(on)
    found = (
        table[whole].groupby(["source", "method"], as_index=False).agg({"trained": "max", "score": "mean"})
    )
    full = found.groupby("method").trained.transform("max")  # rows of before this was recorded
    return found.assign(trained=full)
