"""The front page: the answer in a few sentences, its figure, and every claim and question at every scale."""

from functools import partial
from pathlib import Path

from ..design import studies
from ..design.scales import PAPER
from . import estimate, plots, published, question_pages
from .chapters import MARK, SIGNED, View, count, estimate_cell, figure, markdown_table, marked, number
from .claims import CLAIMS, MEASURED, SHORT
from .rules import LIMITS

SCALES = ("micro", "small", "paper")  # side by side, then a reader's own encoders
UNSOURCED = "†"  # behind a claimed number
WITH = {
    "micro": "In a laboratory of constructed languages, with an encoder of four layers",
    "small": "With multilingual-e5-small, a real encoder of twelve layers, on real XTREME rows",
    PAPER.name: "With XLM-R Large, of which the paper speaks,",
}


def parts(shown: list[View], out: Path) -> dict[str, str]:
    """What the front page includes, by name: the answer with its figure, the claims, and the questions."""
    measured, checked = claim_lines(shown, plain=False)
    holding = sum(row["direction"] == "holds" for row in shown[0].claims[MEASURED:])
    tables = [
        _measured_table(shown, measured),
        "".join(map(tally, shown)) + "\n",
        f":::{{dropdown}} {len(checked)} claims about data and design, checked by code: {holding} hold\n",
        markdown_table(["#", "claim", "claimed", "counted", "verdict"], checked) + ":::\n",
    ]
    return {
        "front.md": answer(shown) + picture(shown, out),
        "front_claims.md": "".join(tables),
        "front_questions.md": question_pages.overview(shown),
    }


def plain(shown: list[View]) -> str:
    """The same as Markdown that works outside the book; the checked claims are only counted."""
    sides = [row["direction"] for row in shown[0].claims[MEASURED:]]
    return "".join([
        _measured_table(shown, claim_lines(shown, plain=True)[0]),
        "".join(map(tally, shown)) + "\n",
        f"{UNSOURCED}: no public source was found for the number that is claimed. Of the other {len(sides)} "
        f"claims, checked by code, {sides.count('holds')} hold.\n\n",
        question_pages.overview(shown, plain=True),
    ])  # fmt: skip


def answer(shown: list[View]) -> str:
    """A sentence for each scale: what the first claim came to, and how all of them ended."""
    return "**In short.** " + " ".join(map(_sentence, shown)) + "\n\n"


def _sentence(view: View) -> str:
    where = WITH.get(view.scale, f"With your encoder `{view.scale}`")
    if not view.rows and view.scale != PAPER.name:
        return f"{where} the study has not been run yet."
    if not view.rows:
        hours = estimate.measure()[-1]
        took = (
            f"it would take about {number(hours['value'])} GPU-hours"
            if hours["value"]
            else f"the arithmetic alone would take an H200 {number(hours['baseline_value'])} hours, and "
            "training takes longer"
        )
        return f"{where} the study has not been run; {took}."
    first = view.claims[0]  # SQuAD, which the sentence names
    if first["low"] is None:
        planned = len(studies.runs(studies.MAIN, view.declared))
        return (
            f"{where} (`{view.scale}`) it is being run: {len(view.rows):,} of {planned:,} runs are done, and "
            "no claim has its three seeds yet."
        )
    low, high = (number(first[f"joint_{end}"], SIGNED) for end in ("low", "high"))
    return (
        f"{where} (`{view.scale}`), training on SQuAD first changed the mean of the {len(first['targets'])} "
        f"targets that are learned by {number(first['estimate'], SIGNED)} points, with an interval from "
        f"{low} to {high}, where {number(first['published'], SIGNED)} was claimed for nine; {_ended(view)}."
    )


UNFINISHED = "not finished"  # open, for want of runs


def state(row: dict) -> str:
    """The verdict on a measured claim, or that it has none yet because runs are missing."""
    return UNFINISHED if row["direction"] == "open" and row["low"] is None else row["direction"]


def _ended(view: View) -> str:
    """ "of 10 claims 1 holds, 2 fail, 6 are open, 1 could not be tested and 0 are not finished"."""
    sides = [state(row) for row in view.claims[:MEASURED]]
    n = {side: sides.count(side) for side in (*MARK, UNFINISHED)}
    told = [
        f"{n['holds']} hold{'s' * (n['holds'] == 1)}",
        f"{n['fails']} fail{'s' * (n['fails'] == 1)}",
        f"{n['open']} {_are(n['open'])} open",
        f"{n['not testable']} could not be tested",
        *([f"{n[UNFINISHED]} {_are(n[UNFINISHED])} not finished"] if n[UNFINISHED] else []),
    ]
    return f"of {MEASURED} claims {', '.join(told[:-1])} and {told[-1]}"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def picture(shown: list[View], out: Path) -> str:
    """The figure of all measured claims at every scale that has estimates; "" where none has."""
    rows = [row for view in shown for row in view.claims[:MEASURED] if row["low"] is not None]
    if not rows:
        return ""
    labels = {c.id: f"{c.number}  {SHORT[c.id]}" for c in CLAIMS[:MEASURED]}
    draw = partial(plots.claims, rows, labels, LIMITS)
    return figure(out, None, "overview", draw, says=in_words(rows), title=title(rows))


def title(rows: list[dict]) -> str:
    """What the figure shows, in a sentence: how many of the claims that could be tested hold or fail."""
    told = []
    for scale in dict.fromkeys(row["scale"] for row in rows):
        sides = [row["direction"] for row in rows if row["scale"] == scale]
        tested = len(sides) - sides.count("not testable")
        told.append(
            f"at {scale}, of {tested} claims that are measured and can be tested, {sides.count('holds')} "
            f"hold, {sides.count('fails')} fail and {sides.count('open')} are undecided"
        )
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def in_words(rows: list[dict]) -> str:
    """Every estimate of the figure, for readers who do not see it."""
    return " ".join(
        f"Claim {row['number']} at {row['scale']}: {estimate_cell(row)}, {row['direction']}." for row in rows
    )


def claim_lines(shown: list[View], plain: bool) -> tuple[list[list], list[list]]:
    """The lines of the table of measured claims, a cell for each scale, and of that of checked claims, which
    do not depend on a scale.
    """
    measured, checked = [], []
    for verdict_rows in zip(*(view.claims for view in shown), strict=True):
        row = verdict_rows[0]
        says = row["says"] if plain else f"[{row['says']}](#claim-{row['id']})"
        unsourced = row["published"] is not None and not published.is_sourced(row["id"])
        line = [row["number"], says, count(row["published"]) + UNSOURCED * unsourced]
        if row["number"] <= MEASURED:
            pairs = zip(shown, verdict_rows, strict=True)
            measured.append([*line, *(_cell(r, plain) if view.rows else "not run" for view, r in pairs)])
        else:
            checked.append([*line, count(row["estimate"]), verdict(row, plain)])
    return measured, checked


def _measured_table(shown: list[View], lines: list[list]) -> str:
    head = ["#", "claim", "claimed", *(f"at `{view.scale}`" for view in shown)]
    return markdown_table(head, lines)


def _cell(row: dict, plain: bool) -> str:
    """A table cell with an estimate, its verdict and a link to its runs."""
    link = f'<br><a href="claims.html#runs-{row["id"]}-{row["scale"]}">{len(row["runs"])} runs</a>'
    return f"{estimate_cell(row)}<br>{verdict(row, plain)}{link if row['runs'] and not plain else ''}"


def verdict(row: dict, plain: bool) -> str:
    """One verdict a cell: that on the claim; its number has one of its own only where the two differ."""
    if row["number"] <= MEASURED and state(row) == UNFINISHED:
        return UNFINISHED
    number_word = row["magnitude"] if row["magnitude"] != row["direction"] else ""
    words = {"": row["direction"], "its number: ": number_word}
    return " · ".join(name + marked(word, plain) for name, word in words.items() if word)


def tally(view: View) -> str:
    """A list item for a scale: its verdicts on direction, its number of runs, and how it is reduced."""
    if not view.rows:
        return "; ".join(filter(None, [f"- `{view.scale}`: not run", view.left_out])) + ".\n"
    parts = [
        f"- `{view.scale}`: {_ended(view)}, after {len(view.rows):,} runs",
        view.note,
        view.instead,
        view.left_out,
    ]
    return "; ".join(filter(None, parts)) + ".\n"


def standing(shown: list[View]) -> str:
    """Where the measured claims stand: for each scale that has run, the claims by their verdict, with why."""
    parts = []
    for view in (view for view in shown if view.rows):
        rows = view.claims[:MEASURED]
        named = {side: [_named(row) for row in rows if state(row) == side] for side in (*MARK, UNFINISHED)}
        lines = [[MARK.get(side, side), "; ".join(names) or "–"] for side, names in named.items()]
        parts.append(
            f"**At `{view.scale}`** {_ended(view)}.\n\n{markdown_table(['verdict', 'claims'], lines)}"
        )
    return "".join(parts)


def _named(row: dict) -> str:
    return f"{row['number']} ({SHORT[row['id']]})"
