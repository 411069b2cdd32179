"""The part of the book on each claim, and on what can be tested at each scale."""

import html
import re
from functools import partial
from pathlib import Path

import numpy as np

from ..design.scales import PIVOT
from ..design.tasks import TASKS, nine
from . import claims, plots, published
from .cells import ends_in_words, estimate_cell, is_clear_on_average, marked, p_cell, state, verdict_cell
from .claims import MEASURED
from .contrasts import BASELINE, Short, Source, versus
from .figures import figure
from .gates import LEARNED, gates_of
from .markdown import SIGNED, end, hidden, markdown_table, minus, number, small, with_interval
from .sensitivity import AS_JUDGED, Variant
from .stats import SEEDS, Interval
from .view import EMPTY, View

NOTICED = 0.3  # points by which another way to count must change an estimate to be listed
ADDRESS = re.compile(r"https?://[^\s,;)]*[^\s,;).:]")
VERDICTS = [
    "scale", "estimate [95 %, all claims together]", "detectable", "p: alone → corrected", "verdict", "note",
]  # fmt: skip
COUNTED = ["counted", "verdict", "note"]  # of a claim about data or method


def sections(shown: list[View], out: Path) -> dict[str, str]:
    """One file per claim: heading and anchor, estimand, verdicts at every scale, forest plot, what else the
    runs give, the runs, and published values with their sources.
    """
    texts = {}
    for claim, *scale_rows in zip(claims.CLAIMS, *(view.claims for view in shown), strict=True):
        texts[f"claims/{claim.id}.md"] = "\n".join([
            f"(claim-{claim.id})=\n## {claim.number}. {claim.says}\n",
            f"*{'In the paper' if claim.number <= MEASURED else 'Checked against'}:* {claim.on}.\n",
            f"*Estimated:* {claim.estimand}.\n" if claim.estimand else "",
            _verdicts(scale_rows),
            _changes(scale_rows),
            _forest(claim, shown, out),
            *(_by_seed(row, view) for row, view in zip(scale_rows, shown, strict=True)),
            *(_by_task(row, view) for row, view in zip(scale_rows, shown, strict=True)),
            *(_sensitivity(view.sensitivity.get(claim.id, []), view.scale) for view in shown),
            *(_data_behind(row) for row in scale_rows),
            *(_runs_of(row) for row in scale_rows if row["runs"]),
            _published_values(claim),
        ])  # fmt: skip
    return texts


def _verdicts(rows: list[dict]) -> str:
    """The verdict on a claim at every scale; once where it was counted and no scale has a part in it."""
    counted = list(dict.fromkeys((estimate_cell(r), verdict_cell(r), minus(r["note"])) for r in rows))
    if rows[0]["number"] > MEASURED and len(counted) == 1:
        return small(markdown_table(COUNTED, counted), "carded")
    lines = [
        [f"`{r['scale']}`", estimate_cell(r), number(r["detectable"]), p_cell(r), verdict_cell(r),
         minus(r["note"])]
        for r in rows
    ]  # fmt: skip
    return small(markdown_table(VERDICTS, lines), "carded")


def detectable_table(shown: list[View]) -> str:
    """A table of the smallest effect that each measured claim would have found at each scale, in points."""
    views = [view for view in shown if any(row["detectable"] is not None for row in view.claims)]
    if not views:
        return EMPTY
    lines = [
        [claim.number, claim.says, *(number(view.claims[i]["detectable"]) for view in views)]
        for i, claim in enumerate(claims.CLAIMS[:MEASURED])
    ]
    return small(markdown_table(["#", "claim", *(f"`{view.scale}`" for view in views)], lines))


def worked_example(shown: list[View]) -> str:
    """A verdict step by step: the first measured claim, at the most real of the scales that measured it."""
    rows = [row for view in shown for row in view.claims[:MEASURED] if row["low"] is not None]
    if not rows:
        return EMPTY
    scale = rows[-1]["scale"]
    row = next(row for row in rows if row["scale"] == scale)
    view = next(view for view in shown if view.scale == scale)
    low, high, joint_low, joint_high = (
        number(row[key], SIGNED) for key in ("low", "high", "joint_low", "joint_high")
    )
    tested = sum(row["scale"] == scale and row["direction"] != "not testable" for row in rows)
    steps = [
        f"*The claim.* {row['says']}. At `{scale}`, {len(row['runs'])} runs speak about it.",
        "*What counts.* Of the nine targets, those are counted that are learned at this scale: "
        f"{', '.join(f'`{target}`' for target in row['targets']) or 'all'}.",
        f"*The estimate.* Each run is compared with the run of the same seed that skipped the intermediate "
        f"task. The mean difference is {number(row['estimate'], SIGNED)} points.",
        f"*Its uncertainty.* {by_seed(row, view)}Other seeds and other test rows would give other numbers. "
        f"Under the assumptions of the rule the interval [{low}, {high}] covers the true difference in 95 of "
        f"100 such studies.{_borrows(view.sensitivity.get(row['id'], []))}",
        f"*Many questions.* {tested} claims are tested on the same runs, and one of them may look good by "
        f"chance. The wider interval [{joint_low}, {joint_high}] covers all of them at once.",
        f"*The verdict.* {marked(row['direction'])}: {_because(row)}.",
        f"*What would change it.* {change(row)[0].upper()}{change(row)[1:]}",
    ]
    return "".join(f"{i}. {step}\n" for i, step in enumerate(steps, start=1)) + "\n"


def is_of_one_training(row: dict) -> bool:
    """Whether a claim is about the gain of one training over the baseline, and is measured."""
    is_gain = claims.BY_ID[row["id"]].estimand == claims.GAIN and len(row["tasks"]) == 1
    return is_gain and row["estimate"] is not None


def by_seed(row: dict, view: View) -> str:
    """The estimate of a claim about one training seed by seed, as a sentence; "" for other claims."""
    if not is_of_one_training(row):
        return ""
    cells, ours = view.ledger.cells, (row["tasks"][0], PIVOT)
    keys = [((*ours, target), (*BASELINE, target)) for target in row["targets"]]
    seeds = sorted(set.intersection(*(set(cells[key]) for pair in keys for key in pair)))
    gains = [sum(cells[a][s].score - cells[b][s].score for a, b in keys) / len(keys) for s in seeds]
    return f"Seed by seed the difference is {', '.join(number(gain, SIGNED) for gain in gains)}. "


def by_kind(row: dict, view: View) -> str:
    """The estimate of a claim about one training on the targets that have the same head as its task, and on
    the others, as a sentence; "" for other claims, and where either group is empty.
    """
    if not is_of_one_training(row):
        return ""
    task = TASKS[row["tasks"][0]]
    alike = [target for target in row["targets"] if TASKS[target].kind == task.kind]
    others = [target for target in row["targets"] if target not in alike]
    if not alike or not others:
        return ""
    near, far = (view.ledger.gap(versus((task.name, PIVOT), BASELINE, on)) for on in (alike, others))
    named = ", ".join(f"`{target}`" for target in alike)
    return (
        f"On {named}, whose head is of the same kind as that of `{task.name}`, the difference is "
        f"{with_interval(near.mean, near.low, near.high)}; on the others it is "
        f"{with_interval(far.mean, far.low, far.high)}. "
    )


def intervals(variants: list[Variant]) -> dict[str, str]:
    """What a claim's interval would be with the seed noise of fewer trainings, by whose, as "[low, high]"."""
    return {each.name: f"[{end(each.low)}, {end(each.high)}]" for each in variants if each.low is not None}


def _borrows(variants: list[Variant]) -> str:
    """What the interval would be with the noise of other trainings, as sentences; "" without."""
    told = [f"{ends} {name}" for name, ends in intervals(variants).items() if name != AS_JUDGED]
    return (
        " Three seeds that agree may do so by chance, so the rule lets a training borrow seed noise from the "
        f"others; one that varies widely makes all intervals wide. It would be {' and '.join(told)}."
        if told
        else ""
    )


def _because(row: dict) -> str:
    """Where zero lies, in words."""
    side = {
        "holds": "zero lies below what the data allow",
        "fails": "zero lies above what the data allow",
        "open": "zero lies among what the data allow",
    }
    return side.get(row["direction"], row["note"])


def _changes(rows: list[dict]) -> str:
    """For each scale at which a claim was measured, what would change its verdict."""
    told = [f"- At `{row['scale']}`: {change(row)}\n" for row in rows if row["low"] is not None]
    return f"What would change the verdict:\n\n{''.join(told)}" if told else ""


def change(row: dict) -> str:
    """What would change the verdict of a measured claim, in words."""
    if row["direction"] == "not testable":
        return "a stronger encoder or more training steps, so that what the note names is learned."
    if is_clear_on_average(row):
        limit = claims.BY_ID[row["id"]].limit
        side = "above" if row["low"] > limit else "below"
        return (
            f"smaller variance in each task: the mean over the tasks is clearly {side} {limit:g}, but the "
            "verdict asks about them one by one, corrected for asking so often."
        )
    if row["direction"] == "open":
        return (
            "smaller seed variance in the trainings that its interval reads, or more seeds of all of them. "
            f"Tested alone, a true difference of {number(row['detectable'])} points would have been found in "
            "eight of ten such studies; corrected for the other claims, it takes more."
        )
    if claims.BY_ID[row["id"]].singly:
        return "other gains of single tasks: the verdict asks about them one by one."
    if row["joint_low"] <= 0 <= row["joint_high"]:
        return "a little less: the interval that is widened for all claims has zero in it already."
    nearest = min((row["joint_low"], row["joint_high"]), key=abs)
    return f"an estimate {number(abs(nearest))} points nearer to zero would be open, where zero is the limit."


def _forest(claim: claims.Claim, shown: list[View], out: Path) -> str:
    """The figure of a measured claim."""
    if claim.number > MEASURED:
        return ""
    lines = [line for view in shown for line in claims.estimates(claim, view.findings[claim.id], view.ledger)]
    draw = partial(plots.forest, lines)
    return figure(out, None, "forest", draw, claim.id, title=forest_in_words(lines))


def _by_seed(row: dict, view: View) -> str:
    """The estimate of a claim about one training seed by seed and by kind of target, as a paragraph of its
    section.
    """
    told = by_seed(row, view) + by_kind(row, view)
    return f"At `{row['scale']}`: {told[0].lower()}{told[1:]}\n" if told else ""


def _by_task(row: dict, view: View) -> str:
    """What each intermediate task adds on each target, for a claim about the tasks one by one; else "".

    Before the claim is judged, only of tasks of which three seeds are there.
    """
    targets = claims.BY_ID[row["id"]].singly
    judged = row["estimate"] is not None
    tasks = row["tasks"] if judged else nine(view.declared)
    found = {task: _gaps(view, task, targets) for task in tasks} if targets else {}
    lines = [
        [f"`{task}`", *(with_interval(gap.mean, gap.low, gap.high) for gap in gaps)]
        for task, gaps in found.items()
        if gaps
    ]
    if not lines:
        return ""
    head = ["after", *(f"`{target}` [95 %]" for target in targets)]
    why = (
        "The verdict asks what each of them does, and corrects for asking so often; it can be open where "
        "their mean is clear."
        if judged
        else f"{len(lines)} of {len(found)} tasks have {SEEDS} seeds; the claim is {state(row)}."
    )
    return (
        f"Task by task at `{row['scale']}`, points gained over no intermediate task. {why}\n\n"
        f"{small(markdown_table(head, lines))}"
    )


def _gaps(view: View, task: str, targets: tuple[str, ...]) -> list[Interval]:
    """The gain of a task on each target; none where seeds are missing."""
    try:
        return [view.ledger.gap(versus((task, PIVOT), BASELINE, (target,))) for target in targets]
    except Short:
        return []


def forest_in_words(lines: list[claims.Estimate]) -> str:
    """The estimates of a forest plot in words: on all targets, and the ends of the rest."""
    said = []
    for scale in dict.fromkeys(line.scale for line in lines):
        part = [line for line in lines if line.scale == scale]
        ends = sorted(part[1:], key=lambda line: line.estimate)
        said.append(f"At {scale}: {', '.join(map(_estimate, [part[0], *ends[:1], *ends[1:][-1:]]))}.")
    return " ".join(said)


def _estimate(line: claims.Estimate) -> str:
    return f"{with_interval(line.estimate, line.low, line.high)} on {line.target}"


def _data_behind(row: dict) -> str:
    """The stand-ins and the shared text of the data behind a claim at a scale, folded; "" without any."""
    parts = {"stand-ins": row["stand_ins"], "evaluation rows that share text with training": row["overlap"]}
    return "".join(
        hidden(f"{what} at {row['scale']}: {len(lines)}", "".join(f"- {line}\n" for line in lines))
        for what, lines in parts.items()
        if lines
    )


def _published_values(claim: claims.Claim) -> str:
    """The published values of a claim with their sources, as a table; values of one system ("system | task")
    from one source share a line.
    """
    lines: dict[tuple[str, ...], list[str]] = {}
    for r in published.csv_table("published"):
        if r["claim"] == claim.id and (r["claimed"] or r["sourced"]):
            system, _, part = r["row"].rpartition(" | ")
            of, told = (system, part) if system else (part, "")
            found = lines.setdefault((of, r["claimed"] or "–", r["unit"], linked(r["source"])), [])
            found.append(f"{told} {r['sourced'] or '–'}".strip())
    values = [
        [of, claimed, ", ".join(sourced), unit, source]
        for (of, claimed, unit, source), sourced in lines.items()
    ]
    table = small(markdown_table(["value", "claimed", "sourced", "unit", "source"], values)) if values else ""
    return table + published.consistency(claim.id)


def linked(text: str) -> str:
    """A source with its addresses as links."""
    return ADDRESS.sub(r"<\g<0>>", text) or "–"


def testable_section(view: View) -> str:
    """What is learned at a scale, so that claims about it can be tested, folded; and how much sources vary
    over the seeds.
    """
    found = gates_of(view.ledger)
    lines = [
        [f"`{target}`", "target", LEARNED[gate.passed], minus(gate.says)]
        for target, gate in found.targets.items()
    ]
    lines += [
        [f"`{view.ledger.shown(source)}`", "training", LEARNED[gate.passed], minus(gate.says)]
        for source, gate in found.stages.items()
    ]
    if not lines:
        return EMPTY
    summary = "; ".join(
        f"{what}: {', '.join(f'{n} {word}' for word, n in counted(of).items())}"
        for what, of in (("targets", found.targets), ("trainings", found.stages))
    )
    text = small(markdown_table(["", "what", "learned", "why"], lines))
    return hidden(summary, text) + spread_in_words(view)


def counted(found: dict) -> dict[str, int]:
    """How many gates have each outcome, in words."""
    passed = [gate.passed for gate in found.values()]
    words = {True: "learned", False: "not learned", None: LEARNED[None]}
    return {word: passed.count(how) for how, word in words.items() if how in passed}


def means_by_seed(view: View) -> dict[Source, np.ndarray]:
    """The mean over the targets of every source that has all of them, seed by seed, those that vary least
    first; empty for fewer than two. These lend each other the noise that claims about the mean are judged by.
    """
    try:
        seeds = view.ledger.seeds({(*BASELINE, target) for target in view.ledger.targets})
    except Short:
        return {}
    pool = view.ledger.pool(seeds[:SEEDS], view.ledger.targets)
    found = zip(pool.sources, pool.means, strict=True)
    return dict(sorted(found, key=lambda each: each[1].std())) if len(pool.sources) > 1 else {}


def spread_in_words(view: View) -> str:
    """How much the means of the sources of a scale vary over the seeds, from the least to the most; "" where
    there is nothing to compare.
    """
    if not (found := list(means_by_seed(view).items())):
        return ""
    ends = [
        f"{number(means.std(ddof=1), ',.2f', 2)} ({named(view, source)})"
        for source, means in (found[0], found[-1])
    ]
    return (
        f"Over {SEEDS} seeds, the mean over the targets has a standard deviation from {' to '.join(ends)}, "
        f"among the baseline and {len(found) - 1} intermediate trainings that have all targets.\n\n"
    )


def widest(view: View) -> str:
    """The training that lends the most noise to the others, if it is not learned, as a sentence; else ""."""
    source, means = next(reversed(means_by_seed(view).items()), (BASELINE, ()))
    gate = gates_of(view.ledger).stages.get(source)
    if gate is None or gate.passed is not False:
        return ""
    return (
        f"The one that varies most is {named(view, source)}, which does not count as learned: its mean over "
        f"the targets is {', '.join(map(number, means))} with the {len(means)} seeds. "
    )


def named(view: View, source: Source) -> str:
    """A source as tables show it; the baseline by that word."""
    return "the baseline" if source == BASELINE else f"`{view.ledger.shown(source)}`"


def _sensitivity(variants: list[Variant], scale: str) -> str:
    """The range of an estimate over restrictions, and all of them folded; "" where there is none."""
    if not variants:
        return ""
    others = [each for each in variants if each.low is None]
    told = f"estimates from {ends_in_words(others)}" if others else "the same estimate"
    text = f"Other ways to score or average the same runs at `{scale}` give {told}. They are not judged.\n\n"
    if moving := sorted((v for v in others if abs(v.change) >= NOTICED), key=lambda v: v.change):
        lines = [[each.name, number(each.estimate, SIGNED), number(each.change, SIGNED)] for each in moving]
        table = small(markdown_table(["counted", "estimate", "change"], lines))
        left = len(others) - len(moving)
        rest = f"{left} more change it by less than {NOTICED:g} points.\n" if left else ""
        text += hidden(f"{len(moving)} ways at {scale} that change it by {NOTICED:g} or more", table + rest)
    if whose := intervals(variants):
        said = "; ".join(f"{ends} {name}" for name, ends in whose.items())
        text += f"The interval (95 %) at `{scale}` is {said}.\n\n"
    return text


def _runs_of(row: dict) -> str:
    links = " · ".join(f'<a href="runs.html#run-{run}">{html.escape(run)}</a>' for run in row["runs"])
    head = f"<summary>{len(row['runs'])} runs at {row['scale']}</summary>"
    inside = (
        f'{head}\n<p class="runs screen">{links}</p><p class="paper">Listed on screen, and in the ledger.</p>'
    )
    return f'<details id="runs-{row["id"]}-{row["scale"]}">{inside}</details>\n'
