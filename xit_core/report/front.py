"""The front page: the answer in a few sentences, its figure, and every claim and question at every scale."""

from functools import partial
from pathlib import Path

from ..design import studies
from ..design.run import Run
from ..design.scales import PAPER
from ..design.tasks import TARGETS
from . import claim_pages, estimate, plots, published, question_pages, simulate
from .cells import (
    MARK,
    claimed_cell,
    column,
    ends_in_words,
    estimate_cell,
    is_clear_on_average,
    marked,
    state,
    tally,
)
from .claims import BY_ID, CLAIMS, DESIGN, MEASURED
from .figures import figure
from .markdown import SIGNED, count, markdown_table, minus, number
from .questions import UNFINISHED
from .rules import DATED
from .sensitivity import AS_JUDGED, LEARNED_NOISE, OWN_NOISE
from .stats import SEEDS
from .view import View

COLUMNS = ("micro", "small", "paper")  # side by side, then a reader's own encoders
WITH = {
    "micro": "In a laboratory of constructed languages, with an encoder of four layers",
    "small": "With multilingual-e5-small, a real encoder of twelve layers, on real XTREME rows",
    PAPER.name: "With XLM-R Large, the encoder of the paper",
}
ANSWERS = {
    "holds": "yes", "fails": "no", "open": "not settled", "not testable": "it could not be tested",
    UNFINISHED: "not finished",
}  # fmt: skip


def parts(shown: list[View], out: Path) -> dict[str, str]:
    """What the front page includes, by name: the answer with its figure, the claims, and the questions."""
    measured, checked = claim_lines(shown, plain=False)
    tables = [
        _measured_table(shown, measured),
        _claimed(shown),
        "".join(map(scale_line, shown)) + "\n",
        f":::{{dropdown}} {len(checked)} claims about data, design and the state of the art, checked without "
        f"runs: {checked_in_words(shown)}\n",
        markdown_table(["#", "claim", "claimed", "counted", "verdict"], checked) + ":::\n",
    ]
    return {
        "front.md": answer(shown) + picture(shown, out),
        "front_claims.md": "".join(tables),
        "front_questions.md": question_pages.overview(shown),
    }


def plain(shown: list[View]) -> str:
    """The same as Markdown that works outside the book; the checked claims are only counted."""
    return "".join([
        _measured_table(shown, claim_lines(shown, plain=True)[0]),
        "".join(map(scale_line, shown)) + "\n",
        f"{published.UNSOURCED}: no public source was found for the number that is claimed. Of the other "
        f"{len(CLAIMS) - MEASURED} claims, checked by code, {checked_in_words(shown)}.\n\n",
        question_pages.overview(shown, plain=True),
    ])  # fmt: skip


def checked_in_words(shown: list[View]) -> str:
    """How the claims that are checked by code ended, and how many hold because the study is declared so."""
    rows, words = shown[0].claims[MEASURED:], {"holds": "hold", "fails": "fail"}
    told = [f"{n} {words.get(side, side)}" for side, n in tally(map(state, rows)).items() if n]
    designed = {claim.id for claim in CLAIMS if claim.on == DESIGN}
    hold = sum(state(row) == "holds" for row in rows if row["id"] in designed)
    return f"{', '.join(told)}; {hold} of those that hold do so by this study's own design"


def answer(shown: list[View]) -> str:
    """What claim 1 came to at each scale, a real one first, how all claims ended, and how sure that is."""
    first = sorted(
        shown, key=lambda view: (view.claims[0]["low"] is None, view.scale != PAPER.name, not view.real)
    )
    head, others = told(first[0]), [told(view, briefly=True) for view in first[1:]]
    ended = "; ".join(f"at `{view.scale}` {_ended(view)}" for view in first if view.rows)
    paragraphs = [
        f"**Short answer: {ANSWERS[state(first[0].claims[0])]}.** {head}",
        _width(first[0].claims[0], first[0]),
        " ".join(others),
        f"Of the paper's {MEASURED} measured claims, {ended}." if ended else "",
        sure(),
    ]
    return "::::{div} answer\n" + "\n\n".join(filter(None, paragraphs)) + "\n::::\n\n"


def told(view: View, briefly: bool = False) -> str:
    """What claim 1 came to at a scale, or how far its study is."""
    where, first = WITH.get(view.scale, "With your encoder") + f" (`{view.scale}`)", view.claims[0]
    if not view.rows:
        return f"{where}, the study has not been run{_hours(view)}."
    if first["low"] is None:
        planned = {run.id for run in studies.runs(studies.MAIN, view.declared)}
        done = sum(row["id"] in planned for row in view.rows)  # others are of questions or further seeds
        why = f"claim {first['number']} is {state(first)} ({minus(first['note'])})"
        return f"{where}, {why}; {done:,} of {len(planned):,} runs are done."
    if briefly:
        return f"{where}: {estimate_cell(first)} points, {ANSWERS[first['direction']]}."
    mean, low, high, claimed = (
        number(first[key], SIGNED) for key in ("estimate", "joint_low", "joint_high", "published")
    )
    return (
        f"{where}, training on SQuAD first{_more_steps(view)} changed the average score by {mean} points, "
        f"over {_which(first['targets'])}; the interval, {low} to {high}, "
        f"{_zero(first)}. {claim_pages.by_kind(first, view)}"
        f"The number under test, claimed for XLM-R Large, is {claimed}.{_ways(view)} "
        f"[The evidence](#claim-{first['id']})."
    )


def _width(row: dict, view: View) -> str:
    """What lies behind the width of a claim's interval: its seeds, and what other intervals would be.

    "" for a claim that is not open, or where the seed noise of other trainings makes no difference.
    """
    ends = claim_pages.intervals(view.sensitivity.get(row["id"], []))
    if LEARNED_NOISE not in ends or state(row) != "open":
        return ""
    return (
        f"**Why so wide?** {claim_pages.by_seed(row, view)}The interval that is judged covers all claims "
        f"together, and borrows seed noise from other trainings. {claim_pages.widest(view)}For this claim "
        f"alone the interval would be {ends[AS_JUDGED]}, and {LEARNED_NOISE} {ends[LEARNED_NOISE]}"
        + (f"; {OWN_NOISE} {ends[OWN_NOISE]}." if OWN_NOISE in ends else ".")
    )


def _more_steps(view: View) -> str:
    """What the baseline does not have, where it is a number of steps, and how many rows they read."""
    steps = view.declared.stage_steps
    read = steps * Run("squad1", view.declared).batch
    return f", for {steps:,} steps ({read:,} rows) that the baseline does not take," if steps else ""


def _which(targets: list[str]) -> str:
    """The targets over which a score is averaged."""
    return (
        "all its targets" if len(targets) == len(TARGETS) else f"the {len(targets)} targets that it can learn"
    )


def _zero(row: dict) -> str:
    """What the interval of a verdict says of zero."""
    return "has zero in it" if row["joint_low"] <= 0 <= row["joint_high"] else "does not reach zero"


def _ways(view: View) -> str:
    """What the same runs give for claim 1, counted in other ways; "" where there are none."""
    ways = [each for each in view.sensitivity.get(CLAIMS[0].id, []) if each.low is None]
    if not ways:
        return ""
    return f" Other ways to score or to average the same runs give from {ends_in_words(ways)}."


def _hours(view: View) -> str:
    """What the study of the paper's scale would cost, behind a sentence; "" for another scale."""
    if view.scale != PAPER.name:
        return ""
    hours = estimate.measure()[-1]
    if hours["value"]:
        return f"; it would take about {number(hours['value'])} GPU-hours"
    return ", and what it costs has not been measured"


def sure() -> str:
    """How sure estimates and verdicts are, and since when their rule stands."""
    kept = ""
    if found := simulate.summary(simulate.kept_simulation()):
        covered = number(min(each["coverage"] for each in found))
        kept = (
            " In [made-up studies](verdict) with the design of `micro`, intervals before widening covered "
            f"the truth in {covered} % or more."
        )
    return (
        f"**How sure?** Behind each estimate are at least {SEEDS} seeds. Intervals are at 95 %, over seeds "
        f"and test rows, and widened for all claims that are tested together.{kept} The "
        f"verdict follows from [a written rule](verdict) of {DATED}; rows of `micro` had been seen before, "
        "of no other scale shown here. One thing was changed since: what stands in at `small` for the joint "
        "training in [claim 8](#claim-best), before that claim could be measured."
    )


def _ended(view: View) -> str:
    """ "1 holds, 2 fail, 6 are open, 1 could not be tested and 0 are not finished"."""
    n = tally(map(state, view.claims[:MEASURED]))
    told = [
        f"{n['holds']} hold{'s' * (n['holds'] == 1)}",
        f"{n['fails']} fail{'s' * (n['fails'] == 1)}",
        f"{n['open']} {_are(n['open'])} open",
        f"{n['not testable']} could not be tested",
        *([f"{n[UNFINISHED]} {_are(n[UNFINISHED])} not finished"] if n[UNFINISHED] else []),
    ]
    return f"{', '.join(told[:-1])} and {told[-1]}"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def picture(shown: list[View], out: Path) -> str:
    """The figure of all measured claims at every scale that has estimates; "" where none has."""
    rows = [row for view in shown for row in view.claims[:MEASURED] if row["low"] is not None]
    if not rows:
        return ""
    scales = {row["scale"] for row in rows}
    drawn = [
        row | {"state": state(row)}
        for view in shown
        for row in view.claims[:MEASURED]
        if view.scale in scales
    ]
    labels = {c.id: f"{c.number}  {c.short}" for c in CLAIMS[:MEASURED]}
    draw = partial(plots.claims, drawn, labels, {c.id: c.limit for c in CLAIMS if c.limit})
    return figure(out, None, "overview", draw, says=in_words(rows), title=title(drawn))


def title(rows: list[dict]) -> str:
    """What the figure shows, in a sentence: how many of the claims that could be tested hold or fail."""
    told = []
    for scale in dict.fromkeys(row["scale"] for row in rows):
        n = tally(row["state"] for row in rows if row["scale"] == scale)
        left = f", {n[UNFINISHED]} {_are(n[UNFINISHED])} not finished" if n[UNFINISHED] else ""
        told.append(
            f"at {scale} {n['holds']} hold, {n['fails']} fail, {n['open']} {_are(n['open'])} open{left}"
        )
    undecided = not {row["state"] for row in rows} & {"holds", "fails"}
    head = "No claim is decided yet" if undecided else "How the claims ended"
    return f"{head}: {'; '.join(told)}."


def in_words(rows: list[dict]) -> str:
    """Every estimate of the figure, for readers who do not see it."""
    return " ".join(
        f"Claim {row['number']} at {row['scale']}: {estimate_cell(row)}, {row['direction']}." for row in rows
    )


def _claimed(shown: list[View]) -> str:
    """What stands in the column of claimed numbers."""
    ran = any(view.rows for view in shown if view.scale == PAPER.name)
    only = "" if ran else "; no other number here is of that model"
    return (
        f"*Claimed* is the number under test, for XLM-R Large{only}. {published.UNSOURCED}: no public text "
        "was found that has it; the [chapter on the claims](claims) says what those have that were found.\n\n"
    )


def claim_lines(shown: list[View], plain: bool) -> tuple[list[list], list[list]]:
    """The lines of the table of measured claims, a cell for each scale, and of that of checked claims, which
    do not depend on a scale.
    """
    measured, checked = [], []
    for verdict_rows in zip(*(view.claims for view in shown), strict=True):
        row = verdict_rows[0]
        says = row["says"] if plain else f"[{row['says']}](#claim-{row['id']})"
        line = [row["number"], says, claimed_cell(row)]
        if row["number"] <= MEASURED:
            pairs = zip(shown, verdict_rows, strict=True)
            cells = (_cell(r, view, plain) if view.rows else "not run yet" for view, r in pairs)
            measured.append([*line, *cells])
        else:
            checked.append([*line, count(row["estimate"]), verdict(row, plain)])
    return measured, checked


def _measured_table(shown: list[View], lines: list[list]) -> str:
    names = (column(view.scale) for view in shown)
    head = ["#", "claim", "claimed", *names]
    return markdown_table(head, lines)


def _cell(row: dict, view: View, plain: bool) -> str:
    """A table cell with an estimate, its verdict and, in the book, what the mean hides and a link to its
    runs.
    """
    told = f"{estimate_cell(row)}<br>{verdict(row, plain)}"
    if plain:
        return told
    link = f'<br><a href="claims.html#runs-{row["id"]}-{row["scale"]}">{len(row["runs"])} runs</a>'
    return told + _mean_only(row) + (link if row["runs"] else "")


def _mean_only(row: dict) -> str:
    """That a mean is clear where the verdict is not, with the p-values of the verdict; "" elsewhere."""
    if not is_clear_on_average(row):
        return ""
    sure = f"taken singly p = {row['p']:.2g}, corrected for all claims {row['p_joint']:.2g}"
    return f'<br><span class="why">the mean is clear, but the claim is about each task: {sure}</span>'


def verdict(row: dict, plain: bool) -> str:
    """One verdict a cell: that on the claim; its number has one of its own only where the two differ."""
    if state(row) == UNFINISHED:
        return UNFINISHED
    number_word = row["magnitude"] if row["magnitude"] != row["direction"] else ""
    words = {"": row["direction"], "its number: ": number_word}
    return " · ".join(name + marked(word, plain) for name, word in words.items() if word)


def scale_line(view: View) -> str:
    """A list item for a scale: its verdicts on direction, its number of runs, and how it is reduced."""
    if not view.rows:
        return "; ".join(filter(None, [f"- `{view.scale}`: not run yet", view.left_out])) + ".\n"
    parts = [
        f"- `{view.scale}`: of {MEASURED} claims {_ended(view)}, after {len(view.rows):,} runs",
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
    return f"{row['number']} ({BY_ID[row['id']].short})"
