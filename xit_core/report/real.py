"""What the chapter of a scale with real languages adds to the tables of its phases, as Markdown."""

from functools import partial
from pathlib import Path

import pandas as pd

from ..design import studies
from ..design.scales import SMALL
from ..design.studies import LEAST_SEEDS
from ..design.tasks import TARGETS, TASKS, languages
from . import frames, plots, published
from .cells import claimed_cell, estimate_cell, p_cell, verdict_cell
from .chapters import GAINS_SHOWN, correlation
from .claims import MEASURED
from .figures import figure
from .markdown import SIGNED, count, dropdown, markdown_table, minus, number, small, with_half
from .performance import groups
from .view import EMPTY, View


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
    told = small(markdown_table(["", f"`{view.scale}`"], lines))
    return f"{finished(view)}\n{told}" + stand_in_table(view)


def finished(view: View) -> str:
    """A table of how many runs are finished, by the claims that need them first."""
    done = {row["id"] for row in view.rows}
    lines = [
        [claims, count(sum(run.id in done for run in runs)), count(len(runs))]
        for claims, runs in groups(view.declared).items()
    ]
    return markdown_table(["claims", "runs finished", "runs planned"], lines)


def spoken(view: View, target: str) -> str:
    """The number of languages that a target is evaluated in, and its name if there is only one."""
    langs = languages(TASKS[target], view.declared)
    return f"`{target}` {len(langs)}" + (f" ({langs[0]})" if len(langs) == 1 else "")


def dose(view: View, steps: int, rows: int, rate: float) -> str:
    """The steps, rows and rate of a training, as the scale has them for most tasks."""
    batch = view.declared.batch
    taken = f"{steps:,} steps" if steps else "its own epochs"
    told = f"{batch} rows a step{examples(steps, batch)}" if batch else "its own rows a step"
    return f"{taken}, {told}, drawn from {at_most(rows)} of each source, rate {rate:g}"


def examples(steps: int, batch: int) -> str:
    """How many examples a training sees, in brackets; "" where its steps are not fixed."""
    return f" ({steps * batch:,} examples)" if steps else ""


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
        seen = examples(scale.stage_steps, scale.long_batch)
        said.append(f"question answering and multiple choice {scale.long_batch} rows a step{seen}")
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


def stand_in_table(view: View) -> str:
    """What tasks with stand-ins train on, folded: which rows, of which data; "" without any."""
    parts = [
        (part["task"], part["source"], part["rows"], part["stand_in"], part.get("note", "").split(";")[0])
        for row in view.rows
        for part in row["provenance"].get("data", [])
        if part["split"] == "train"
    ]
    replaced = {part[0] for part in parts if part[3]}
    lines = [
        [f"`{task}`", source, count(rows), "yes" if stand_in else "no", note or "–"]
        for task, source, rows, stand_in, note in sorted(set(parts))
        if task in replaced
    ]
    if not lines:
        return ""
    table = small(markdown_table(["task", "trains on", "rows", "stand-in", "as its source says"], lines))
    return dropdown("What tasks with stand-ins train on", table)


def verdicts(view: View) -> str:
    """A table of the measured claims at this scale, with notes on what was counted or why a claim is open."""
    lines = [
        [
            row["number"],
            f"[{row['says']}](#claim-{row['id']})",
            claimed_cell(row),
            estimate_cell(row),
            p_cell(row),
            verdict_cell(row),
            minus(view.findings[row["id"]].note) or "–",
        ]
        for row in view.claims
        if row["number"] <= MEASURED
    ]
    head = ["#", "claim", "claimed", "estimate [95 %, all claims together]", "p", "verdict", "note"]
    told = (
        f"*Claimed*, for XLM-R Large; {published.UNSOURCED}: no public text was found that has it. "
        "*p*, of the likelier side: alone → corrected for all claims (Holm).\n\n"
    )
    return small(markdown_table(head, lines), "carded") + told


def by_language(view: View) -> str:
    """A table of every language of every target: the baseline's score, and the gain of the trainings that
    claims name, means over seeds in points, with 95 % intervals.
    """
    scores = frames.language_scores(view.frame)
    base = over_seeds(scores[scores.name == "baseline"])
    if base.empty:
        return EMPTY
    gains = frames.gains_by_seed(scores, ["lang", "on"]).melt(ignore_index=False, value_name="score")
    gained = over_seeds(gains.dropna().reset_index())
    sources = [name for name in GAINS_SHOWN if name in set(scores.name)]
    # constructed languages have the codes of real ones, and no other name
    named = {row["lang"]: row["name"] for row in published.csv_table("languages") if view.real}
    lines = [
        [f"{named[lang]} ({lang})" if lang in named else f"constructed: {lang}", f"`{on}`",
         cell(base, (lang, on, "baseline")), *(cell(gained, (lang, on, name), SIGNED) for name in sources)]
        for lang in sorted(set(scores.lang), key=lambda lang: named.get(lang, lang))
        for on in TARGETS if (lang, on, "baseline") in base.index
    ]  # fmt: skip
    head = ["language", "target", "baseline", *(f"after {name}" for name in sources)]
    return small(markdown_table(head, lines), "pick")


def over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and half of the interval over seeds, by language, target and source."""
    return scores.groupby(["lang", "on", "name"]).score.agg(["mean", frames.interval])


def cell(found: pd.DataFrame, key: tuple[str, str, str], form: str = ",.1f") -> str:
    """A mean with its interval; a dash where there is none."""
    if key not in found.index:
        return "–"
    return with_half(number(found["mean"][key], form), found["interval"][key])


def knows_pieces(view: View) -> bool:
    """Whether the pieces of words that the package knows are those of the scale's tokenizer."""
    return view.declared.encoder == SMALL.encoder


def factors(view: View, out: Path) -> str:
    """How a language's gain beyond the others relates to its traits: figure, rank correlations and table. The
    text is that of XLM-R's training; pieces are of words of PAN-X, where they are separated by spaces.

    "" where no language of a known family has a gain yet.
    """
    gains = frames.language_gains(view.frame)
    facts = pd.DataFrame(published.csv_table("languages")).set_index("lang")
    by_lang = gains.groupby("lang").agg(
        targets=("on", "size"), gain=("gain", "mean"), beyond=("beyond", "mean")
    )
    joined = by_lang.join(facts, how="inner").sort_values("beyond", ascending=False)
    if joined.empty:
        return ""
    pieces = knows_pieces(view)
    seeds = f"{n} seeds" if (n := min(LEAST_SEEDS, view.frame.seed.nunique())) > 1 else "one seed"
    after = ", ".join(frames.averaged(frames.language_scores(view.frame)))
    related = "; ".join(
        f"{label} {correlation(values, joined.beyond)}" for label, values in traits(joined, pieces).items()
    )
    draw, title = partial(plots.factors, gains, facts), f"Rank correlations with the gain: {related}."
    return (
        figure(out, view, "factors", draw, title=title)
        + f"Rank correlation with the gain beyond the target's mean, over {len(joined)} languages: "
        + f"{related}. The gain is a mean over the English trainings that have {seeds} of every target "
        + f"({after}), learned or not; a language of few targets, or of few sentences, can be far from the "
        + "others by chance.\n\n"
        + trait_table(joined, pieces)
    )


def traits(langs: pd.DataFrame, pieces: bool) -> dict[str, pd.Series]:
    """What a gain may go with, by name, for each language. `pieces`: whether pieces a word are known."""
    return {
        "Latin script": langs.script == "Latin",
        "Indo-European family": langs.family == "Indo-European",
        "text in XLM-R's training": langs.text.astype(float),
    } | ({"pieces a word": pd.to_numeric(langs.pieces, errors="coerce")} if pieces else {})


def trait_table(langs: pd.DataFrame, pieces: bool) -> str:
    """The traits and gains of each language. `pieces`: whether pieces a word are known."""
    lines = [
        [f"{line['name']} (`{lang}`)", line.script, line.family, line.text]
        + ([line.pieces] if pieces else [])
        + [line.targets, number(line.gain, SIGNED), number(line.beyond, SIGNED)]
        for lang, line in langs.iterrows()
    ]
    head = ["language", "script", "family", "text in XLM-R's training (GiB)"]
    head += [*(["pieces a word"] if pieces else []), "targets", "mean gain", "beyond the target's mean"]
    return small(markdown_table(head, lines))
