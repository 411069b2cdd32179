"""What the chapter of a scale with real languages adds to the tables of its phases, as Markdown."""

from functools import partial
from pathlib import Path

import pandas as pd

from ..design import studies
from ..design.tasks import TARGETS, TASKS, languages
from . import plots, published
from .chapters import (
    EMPTY,
    SIGNED,
    View,
    correlation,
    count,
    estimate_cell,
    figure,
    markdown_table,
    minus,
    number,
    small,
    verdict_cell,
    with_half,
)
from .claims import MEASURED


def design(view: View) -> str:
    """A table of what a scale reads and trains, and of the share of its main study that has run."""
    scale = view.declared
    planned = {run.id for run in studies.runs(studies.MAIN, scale)}
    done = planned & {row["id"] for row in view.rows}
    lines = [
        ["encoder", f"`{scale.encoder.name}`, {scale.encoder.layers} layers of {scale.encoder.hidden}"],
        ["languages of the targets", ", ".join(spoken(view, target) for target in TARGETS)],
        ["an intermediate task", dose(view, scale.stage_steps, scale.stage_rows, scale.stage_lr)],
        ["fine-tuning on a target", dose(view, scale.steps, scale.rows, scale.lr)],
        ["otherwise", otherwise(view)],
        ["evaluation", f"{at_most(scale.eval_rows)} of each language of a target; of `bucc` all"],
        ["seeds", ", ".join(map(str, scale.seeds))],
        ["runs", f"{len(done):,} finished of {len(planned):,} planned"],
        ["stand-ins", stand_ins(view)],
    ]
    return small(markdown_table(["", f"`{view.scale}`"], lines))


def spoken(view: View, target: str) -> str:
    """The number of languages that a target is evaluated in, and its name if there is only one."""
    langs = languages(TASKS[target], view.declared)
    return f"`{target}` {len(langs)}" + (f" ({langs[0]})" if len(langs) == 1 else "")


def dose(view: View, steps: int, rows: int, rate: float) -> str:
    """The steps, rows and rate of a training, as the scale has them for most tasks."""
    batch = f"{view.declared.batch} rows a step" if view.declared.batch else "its own rows a step"
    taken = f"{steps:,} steps" if steps else "its own epochs"
    return f"{taken}, {batch}, {at_most(rows)} of each source, rate {rate:g}"


def at_most(rows: int) -> str:
    """A cap on rows in words; 0 = all."""
    return f"at most {rows:,} rows" if rows else "all rows"


def otherwise(view: View) -> str:
    """For which tasks the scale has other steps, rates or evaluation rows than for most."""
    scale = view.declared
    said = [f"`{task}` {steps:,} steps" for task, steps in scale.steps_of]
    said += [f"`{task}` rate {rate:g}" for task, rate in scale.lr_of]
    said += [f"`{task}` {at_most(rows)} evaluated" for task, rows in scale.eval_rows_of]
    if scale.long_batch:
        said.append(f"question answering and multiple choice {scale.long_batch} rows a step")
    return "; ".join(said) or "–"


def stand_ins(view: View) -> str:
    """Tasks that replace one of the nine, and tasks some or all of whose rows come from another data set than
    the one they name.
    """
    found = {
        part["task"]
        for row in view.rows
        for part in row["provenance"].get("data", [])
        if part.get("stand_in")
    }
    rows = f"some or all rows of {', '.join(f'`{task}`' for task in sorted(found))}" if found else ""
    return "; ".join(filter(None, [view.instead, rows])) or "–"


def verdicts(view: View) -> str:
    """A table of the measured claims at this scale, with notes on what was counted or why a claim is open."""
    lines = [
        [
            row["number"],
            f"[{row['says']}](#claim-{row['id']})",
            count(row["published"]),
            estimate_cell(row),
            verdict_cell(row),
            minus(view.findings[row["id"]].note) or "–",
        ]
        for row in view.claims
        if row["number"] <= MEASURED
    ]
    return small(
        markdown_table(
            ["#", "claim", "claimed", "estimate [95 %, all claims together]", "verdict", "note"], lines
        ),
        "carded",
    )


GAINS_SHOWN = ("squad1", "mnli", "hellaswag", "multi-task")


def by_language(view: View) -> str:
    """A table of every language of every target: the baseline's score, and the gain of the trainings that
    claims name, means over seeds in points, with 95 % intervals.
    """
    scores = plots.language_scores(view.frame)
    means = scores.groupby(["lang", "on", "name"]).score.agg(["mean", plots.interval, "size"])
    if "baseline" not in means.index.get_level_values("name"):
        return EMPTY
    base = means.xs("baseline", level="name")
    sources = [name for name in GAINS_SHOWN if name in set(scores.name)]
    gains = plots.gains_by_seed(scores, ["lang", "on"])

    def gain(name: str, lang: str, on: str) -> str:
        values = gains.loc[name, (lang, on)].dropna() if (lang, on) in gains else ()
        if not len(values):
            return "–"
        half = plots.interval(values) if len(values) > 1 else None
        return with_half(number(values.mean(), SIGNED), half)

    # constructed languages have the codes of real ones, and no other name
    named = {row["lang"]: row["name"] for row in published.csv_table("languages") if view.real}

    def score(lang: str, on: str) -> str:
        cell = base.loc[lang, on]
        return with_half(number(cell["mean"]), cell.interval if cell["size"] > 1 else None)

    lines = [
        [f"{named[lang]} ({lang})" if lang in named else f"constructed: {lang}", f"`{on}`", score(lang, on),
         *(gain(name, lang, on) for name in sources)]
        for lang in sorted(set(scores.lang), key=lambda lang: named.get(lang, lang))
        for on in TARGETS if (lang, on) in base.index
    ]  # fmt: skip
    head = ["language", "target", "baseline", *(f"after {name}" for name in sources)]
    return f":::::{{div}} pick small\n{markdown_table(head, lines).rstrip()}\n:::::\n\n"


def factors(view: View, out: Path) -> str:
    """How a language's gain beyond the others relates to its traits: figure, rank correlations and table.

    "" where no language of a known family has a gain yet.
    """
    gains = plots.language_gains(view.frame)
    facts = pd.DataFrame(published.csv_table("languages")).set_index("lang")
    by_lang = gains.groupby("lang").agg(
        targets=("on", "size"), gain=("gain", "mean"), beyond=("beyond", "mean")
    )
    joined = by_lang.join(facts, how="inner").sort_values("beyond", ascending=False)
    if joined.empty:
        return ""
    traits = {
        "Latin script": joined.script == "Latin",
        "Indo-European family": joined.family == "Indo-European",
    }
    related = "; ".join(f"{label} {correlation(values, joined.beyond)}" for label, values in traits.items())
    lines = [
        [f"{line['name']} (`{lang}`)", line.script, line.family, line.targets]
        + [number(line.gain, SIGNED), number(line.beyond, SIGNED)]
        for lang, line in joined.iterrows()
    ]
    head = ["language", "script", "family", "targets", "mean gain", "beyond the target's mean"]
    return (
        figure(
            out,
            view,
            "factors",
            partial(plots.factors, gains, facts),
            title=f"Rank correlations with the gain: {related}.",
        )
        + f"Rank correlation with the gain beyond the target's mean, over {len(joined)} languages: "
        + f"{related}.\n\n"
        + small(markdown_table(head, lines))
    )
