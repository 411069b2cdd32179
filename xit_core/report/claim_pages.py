"""The part of the book on each claim, and on what can be tested at each scale."""

import html
import re
from functools import partial
from pathlib import Path

from ..design.scales import PIVOT
from ..design.tasks import nine
from . import claims, plots, published
from .cells import ends_in_words, estimate_cell, is_clear_on_average, marked, state, verdict_cell
from .claims import MEASURED
from .contrasts import BASELINE, Short, versus
from .figures import figure
from .gates import Gate, gates
from .markdown import SIGNED, end, hidden, markdown_table, minus, number, small, with_interval
from .sensitivity import AS_JUDGED, Variant
from .stats import SEEDS, Interval, homogeneity, residuals
from .view import EMPTY, View

MANY = 9  # published values that are shown without being folded
ADDRESS = re.compile(r"https?://[^\s,;)]*[^\s,;).:]")
VERDICTS = ["scale", "estimate [95 %, all claims together]", "detectable", "verdict", "note"]


def sections(shown: list[View], out: Path) -> dict[str, str]:
    """One file per claim: heading and anchor, estimand, verdicts at every scale, forest plot, what else the
    runs give, the runs, and published values with their sources.
    """
    texts = {}
    for claim, *scale_rows in zip(claims.CLAIMS, *(view.claims for view in shown), strict=True):
        lines = [
            [f"`{r['scale']}`", estimate_cell(r), number(r["detectable"]), verdict_cell(r), minus(r["note"])]
            for r in scale_rows
        ]
        texts[f"claims/{claim.id}.md"] = "\n".join([
            f"(claim-{claim.id})=\n## {claim.number}. {claim.says}\n",
            f"*{'In the paper' if claim.number <= MEASURED else 'Checked against'}:* {claim.on}.\n",
            f"*Estimated:* {claim.estimand}.\n" if claim.estimand else "",
            small(markdown_table(VERDICTS, lines), "carded"),
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


def by_seed(row: dict, view: View) -> str:
    """The estimate of a claim about one training seed by seed, as a sentence; "" for other claims."""
    if row["estimate"] is None or claims.ESTIMANDS.get(row["id"]) != claims.GAIN or len(row["tasks"]) != 1:
        return ""
    cells, ours = view.ledger.cells, (row["tasks"][0], PIVOT)
    keys = [((*ours, target), (*BASELINE, target)) for target in row["targets"]]
    seeds = sorted(set.intersection(*(set(cells[key]) for pair in keys for key in pair)))
    gains = [sum(cells[a][s].score - cells[b][s].score for a, b in keys) / len(keys) for s in seeds]
    return f"Seed by seed the difference is {', '.join(number(gain, SIGNED) for gain in gains)}. "


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
        return "an encoder, or a dose, with which what the note names is learned."
    if is_clear_on_average(row):
        return (
            "less noise in each task: the mean over the tasks is clear, but the verdict asks about them one "
            "by one, corrected for asking so often."
        )
    if row["direction"] == "open":
        return (
            "less noise in the trainings that its interval reads. Tested alone, a true "
            f"difference of {number(row['detectable'])} points would have been found in eight of ten such "
            "studies; corrected for the other claims, it takes more."
        )
    if row["id"] in claims.TASK_BY_TASK:
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
    """The estimate of a claim about one training seed by seed, as a paragraph of its section."""
    told = by_seed(row, view)
    return f"At `{row['scale']}`: {told[0].lower()}{told[1:]}\n" if told else ""


def _by_task(row: dict, view: View) -> str:
    """What each intermediate task adds on each target, for a claim about the tasks one by one; else "".

    Before the claim is judged, only of tasks of which three seeds are there.
    """
    targets = claims.TASK_BY_TASK.get(row["id"], ())
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
    """The published values of a claim with their sources, as a table."""
    rows = [
        r
        for r in published.csv_table("published")
        if r["claim"] == claim.id and (r["claimed"] or r["sourced"])
    ]
    values = [
        [r[k] or "–" for k in ("row", "claimed", "sourced", "unit")] + [linked(r["source"])] for r in rows
    ]
    table = small(markdown_table(["value", "claimed", "sourced", "unit", "source"], values)) if values else ""
    if len(values) > MANY:
        table = hidden(f"{len(values)} published values", table)
    return table + published.consistency(claim.id)


def linked(text: str) -> str:
    """A source with its addresses as links."""
    return ADDRESS.sub(r"<\g<0>>", text) or "–"


def testable_section(view: View) -> str:
    """What is learned at a scale, so that claims about it can be tested, folded; and whether sources vary
    equally over the seeds.
    """
    found = gates(view.ledger)
    lines = [
        [f"`{target}`", "target", learned(gate), minus(gate.says)] for target, gate in found.targets.items()
    ]
    lines += [
        [f"`{view.ledger.shown(source)}`", "training", learned(gate), minus(gate.says)]
        for source, gate in found.stages.items()
    ]
    if not lines:
        return EMPTY
    summary = "; ".join(
        f"{what}: {', '.join(f'{n} {word}' for word, n in counted(of).items())}"
        for what, of in (("targets", found.targets), ("trainings", found.stages))
    )
    text = small(markdown_table(["", "what", "learned", "why"], lines))
    return hidden(summary, text) + equal_spread(view)


def counted(found: dict) -> dict[str, int]:
    """How many gates have each outcome, in words."""
    words = [{"yes": "learned", "no": "not learned"}.get(word, word) for word in map(learned, found.values())]
    return {word: words.count(word) for word in ("learned", "not learned", "not known yet") if word in words}


def learned(gate: Gate) -> str:
    """The word for a gate."""
    return {True: "yes", False: "no", None: "not known yet"}[gate.passed]


def equal_spread(view: View) -> str:
    """A sentence on whether the sources of a scale vary equally over the seeds; "" for too few."""
    try:
        seeds = view.ledger.seeds({("", PIVOT, target) for target in view.ledger.targets})
    except Short:
        return ""
    pool = view.ledger.pool(seeds[:SEEDS], view.ledger.targets)
    if len(pool.sources) < 2:
        return ""
    p = homogeneity(residuals(pool.means))
    return (
        f"That all {len(pool.sources)} sources vary equally over the seeds, in the mean over the targets: "
        f"p = {p:.2g} (Bartlett).\n\n"
    )


def _sensitivity(variants: list[Variant], scale: str) -> str:
    """The range of an estimate over restrictions, and all of them folded; "" where there is none."""
    if not variants:
        return ""
    others = [each for each in variants if each.low is None]
    lines = [[each.name, number(each.estimate, SIGNED), number(each.change, SIGNED)] for each in others]
    told = f"give {ends_in_words(others)}" if others else "give the same estimate"
    text = f"The same runs at `{scale}`, counted in other ways, {told}. These are not judged.\n\n"
    if others:
        table = small(markdown_table(["counted", "estimate", "change"], lines))
        text += hidden(f"all {len(others)} ways at {scale}", table)
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
