"""The chapter on real languages with a small model: results of `mini` and related scales, as Markdown."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

from ..design import studies
from ..design.scales import PIVOT, Scale
from ..design.tasks import TARGETS, TASKS, languages, nine
from . import chapters, contrasts, plots, published
from .chapters import (
    EMPTY,
    SIGNED,
    View,
    correlation,
    count,
    estimate_cell,
    figure,
    markdown_table,
    number,
    reduced,
    small,
    verdict_cell,
)
from .claims import MEASURED
from .gates import chance_level

MINI_SCALES = ("mini", "mini-long", "mini-scratch")
# the kinds of the targets, as readers call them
KINDS = {"classify": "sentence pairs", "tag": "tags", "span": "questions", "retrieve": "retrieval"}
ASKED = {"udpos": 8, "panx": 8}  # points over random weights, required before the runs
SURE = 0.01  # the p-value required on XNLI before the runs
LABELS = 3  # of XNLI: a guess is correct one time in three
STARTS = {
    "table": "pieces and vectors of a public multilingual embedding table, which pretraining leaves as it is",
    "scratch": "random weights",
}


def chapter_parts(shown: list[View], out: Path) -> dict[str, str]:
    """File name -> text of every part of the chapter, covering each of its scales that has run."""
    blocks = {
        "claims": verdicts,
        "transfer": transfer_section,
        "learned": chapters.learned_section,
        "target": partial(chapters.target_phase, out=out),
        "factors": partial(factors_section, out=out),
        "alignment": partial(chapters.alignment, out=out),
        "encoder": partial(encoder_chapter, out=out),
    }
    main = [view for view in shown if not view.declared.prolongs]
    with_rows = [view for view in main if view.rows]
    texts = {
        f"mini_{name}.md": "\n".join(titled(v) + block(v) for v in with_rows) or EMPTY
        for name, block in blocks.items()
    }
    texts["mini_corpus.md"] = "\n".join(titled(view) + corpus_card(view) for view in main)
    return texts | {"mini_design.md": design(shown), "mini_doses.md": doses(shown, out)}


def titled(view: View) -> str:
    """A heading that names the scale of the numbers below it, and says how the scale is reduced."""
    return f"**Scale `{view.scale}`.** {reduced(view)}".rstrip() + "\n\n"


# -- what it is ----------------------------------------------------------------------------------------------


def design(shown: list[View]) -> str:
    """A table of the scales' designs, one column per scale."""
    columns = [designed(view) for view in shown]
    lines = [[label, *(column[label] for column in columns)] for label in columns[0]]
    return small(markdown_table(["", *(f"`{view.scale}`" for view in shown)], lines))


def designed(view: View) -> dict[str, str]:
    """The declared scale, its pretraining so far (by the encoder's card), and the share of the study that has
    run.
    """
    scale, p, dose = view.declared, view.declared.pretraining, encoder_card(view).get("dose", {})
    planned = studies.runs(studies.MAIN, view.declared)
    done = {row["id"] for row in view.rows} & {run.id for run in planned}
    return {
        "in short": view.note or "–",
        "start": STARTS[p.start],
        "encoder": f"{p.layers} layers of {p.hidden}, at most {p.pieces:,} pieces",
        "languages": f"{len(scale.langs)}: {' '.join(scale.langs)}" if scale.langs else "all that have text",
        "pretraining": f"{p.steps:,} steps of {p.batch} sequences of at most {p.length} pieces, rate "
        f"{p.lr:g}",
        "made so far": f"{count(dose['tokens'])} tokens in {_hours(encoder_card(view)['seconds'])}"
        if dose
        else "nothing yet",
        "an intermediate task": _dose(scale.stage_steps, scale.batch, scale.stage_rows, scale.stage_lr),
        "fine-tuning on a target": _dose(scale.steps, scale.batch, scale.rows, scale.lr),
        "evaluation": f"at most {scale.eval_rows:,} rows of each language of a target; of `bucc` all",
        "languages of the targets": ", ".join(_spoken(target, scale) for target in TARGETS),
        "seeds": ", ".join(map(str, scale.seeds)),
        "runs": f"{len(done):,} finished of {len(planned):,} planned",
        "stand-ins": stand_ins_cell(view),
    }


def encoder_card(view: View) -> dict:
    """The card that pretraining saved beside the encoder's weights; {} while there is no encoder."""
    file = view.declared.encoder.folder / "card.json"
    return json.loads(file.read_text(encoding="utf8")) if file.is_file() else {}


def _spoken(target: str, s: Scale) -> str:
    """The number of languages that a target is evaluated in, and its name if there is only one."""
    langs = languages(TASKS[target], s)
    return f"`{target}` {len(langs)}" + (f" ({langs[0]})" if len(langs) == 1 else "")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def _dose(steps: int, batch: int, rows: int, rate: float) -> str:
    dose = f"{f'{steps:,} steps' if steps else 'its own epochs'}, {batch} rows a step"
    return f"{dose}, at most {rows:,} rows of each source, rate {rate:g}"


def stand_ins_cell(view: View) -> str:
    """Tasks that replace one of the nine, and tasks some or all of whose rows come from another data set than
    the one they name.
    """
    stand_ins = {
        part["task"]
        for row in view.rows
        for part in row["provenance"].get("data", [])
        if part.get("stand_in")
    }
    rows = f"some or all rows of {', '.join(f'`{task}`' for task in sorted(stand_ins))}" if stand_ins else ""
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
        ]
        + [view.findings[row["id"]].note or "–"]
        for row in view.claims
        if row["number"] <= MEASURED
    ]
    return small(markdown_table(["#", "claim", "claimed", "estimate and interval", "verdict", "note"], lines))


# -- does it transfer ----------------------------------------------------------------------------------------


def transfer_section(view: View) -> str:
    """The baseline against random weights, and whether the requirements set before the runs were met."""
    differences = chapters.transferred(view).groupby("on").difference.mean()
    lines = [
        (
            f"- at least {least} points on `{on}`: {number(differences[on], SIGNED)}, "
            f"{'met' if differences[on] >= least else 'not met'}"
        )
        for on, least in ASKED.items()
        if on in differences
    ]
    if test := above_chance(view.main):
        mean, p, rows, seeds = test
        met, least = "met" if p < SURE else "not met", f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
        result = (
            f"{number(mean)} % in the languages other than English, where guessing gives "
            f"{number(100 / LABELS)} %"
        )
        lines.append(
            f"- `xnli` above chance with p < {SURE:g}: {result}, {least} from {rows} rows (seeds averaged: "
            f"{seeds}), {met}"
        )
    return chapters.transfer(view) + (
        "Asked for before the runs:\n\n" + "\n".join(lines) + "\n\n" if lines else ""
    )


def above_chance(rows: list[dict]) -> tuple[float, float, int, int] | None:
    """The baseline's XNLI in the languages other than English, against guessing: mean (%), one-sided p, rows,
    seeds. None without such rows.

    Row i has the same content in every language, so its mean over languages and seeds is one observation.
    Seeds are treated as fixed.
    """
    baseline = [row for row in rows if (row["path"], row["model"]) == ("xnli", "")]
    scores = [row["abroad"] for row in baseline if "abroad" in row]  # not in the oldest rows
    if not scores:
        return None
    per_row = len(scores[0]) * np.mean(scores, axis=0)  # (rows,), percent
    test = ttest_1samp(per_row, 100 / LABELS, alternative="greater")
    return float(per_row.mean()), float(test.pvalue), len(per_row), len(scores)


# -- is it the dose ------------------------------------------------------------------------------------------


def doses(shown: list[View], out: Path) -> str:
    """Each longer training beside the same training at the scale that it prolongs: what it learned, and what
    the targets gain.
    """
    by_scale = {view.scale: view for view in shown}
    pairs = [
        (by_scale[view.declared.prolongs], view) for view in shown if view.declared.prolongs and view.rows
    ]
    text = ""
    for short, long in pairs:
        ledgers = [(view, contrasts.Ledger(view.declared)) for view in (short, long)]
        finished = {row["path"] for row in long.main if row["lang"] == PIVOT}
        trainings = [
            (source, *dose) for source in nine(long.declared) if source in finished for dose in ledgers
        ]
        learned, gained = (
            [dosed(source, view) for source, view, _ in trainings],
            [gains_line(*dose) for dose in trainings],
        )
        text += titled(long)
        text += small(
            markdown_table(
                ["training", "steps", "rate", "its own score (%)", "guessing (%)", "distance moved (%)"],
                learned,
            )
        )
        text += small(markdown_table(["gain of (points)", "steps", "nine targets", *KINDS.values()], gained))
        text += figure(out, long, "dose", plots.dose(long.main)) + figure(
            out, long, "gains", plots.gains(long.frame)
        )
    return text or EMPTY


def dosed(source: str, view: View) -> list[str]:
    """A table line for a training at one dose: steps, rate, its own score and the distance moved."""
    rows = [row for row in view.main if (row["path"], row["lang"], row["model"]) == (source, PIVOT, "")]
    own_scores = [
        np.mean([score["value"] for score in row["scores"] if score["metric"] in TASKS[source].metrics])
        for row in rows
    ]
    distances = [100 * row["dose"]["distance"] for row in rows]
    score, distance = (number(np.mean(values) if values else None) for values in (own_scores, distances))
    return [
        source,
        _steps(view),
        f"{view.declared.stage_lr:g}",
        score,
        number(chance_level(TASKS[source])),
        distance,
    ]


def gains_line(source: str, view: View, ledger: contrasts.Ledger) -> list[str]:
    """A table line of a training's gains over the baseline: on all targets, and on those of each kind."""
    parts = [TARGETS, *([target for target in TARGETS if TASKS[target].kind == kind] for kind in KINDS)]
    return [source, _steps(view), *(gain_cell(source, part, ledger) for part in parts)]


def _steps(view: View) -> str:
    return f"{view.declared.stage_steps:,}"


def gain_cell(source: str, targets: list[str], ledger: contrasts.Ledger) -> str:
    """ "+1.2 [−0.3, +2.6]" in points, or a dash if too few seeds have run."""
    try:
        gap = ledger.gap(contrasts.versus((source, PIVOT), contrasts.BASELINE, targets))
    except contrasts.Short:
        return "–"
    return estimate_cell({"estimate": gap.mean, "low": gap.low, "high": gap.high})


# -- who gains, and why --------------------------------------------------------------------------------------


def factors_section(view: View, out: Path) -> str:
    """How a language's gain beyond the others relates to its traits: figure, rank correlations and table."""
    gains, lang_facts = plots.language_gains(view.frame), facts(view)
    by_lang = gains.groupby("lang").agg(
        targets=("on", "size"), gain=("gain", "mean"), beyond=("beyond", "mean")
    )
    joined = by_lang.join(lang_facts, how="inner").sort_values("beyond", ascending=False)
    if joined.empty:
        return EMPTY
    properties = {
        "Latin script": joined.script == "Latin",
        "Indo-European family": joined.family == "Indo-European",
    }
    properties |= {"amount of text at hand": joined.text} if "text" in joined else {}
    related = "; ".join(
        f"{label} {correlation(values, joined.beyond)}" for label, values in properties.items()
    )
    lines = [
        [f"{line['name']} (`{lang}`)", line.script, line.family, number(line.get("text")), line.targets]
        + [number(line.gain, SIGNED), number(line.beyond, SIGNED)]
        for lang, line in joined.iterrows()
    ]
    head = [
        "language",
        "script",
        "family",
        "text at hand (MB)",
        "targets",
        "mean gain",
        "beyond the target's mean",
    ]
    text = (
        f"Rank correlation with the gain beyond the target's mean, over {len(joined)} languages: {related}."
        "\n\n"
    )
    return (
        figure(out, view, "factors", plots.factors(gains, lang_facts))
        + text
        + small(markdown_table(head, lines))
    )


def facts(view: View) -> pd.DataFrame:
    """By language: name, script, family and, if the encoder's card has it, the amount of text in MB."""
    table = pd.DataFrame(published.csv_table("languages")).set_index("lang")
    corpus = encoder_card(view).get("corpus", {}).get("languages", {})
    return (
        table.assign(text=pd.Series({lang: card["bytes"] / 1e6 for lang, card in corpus.items()}))
        if corpus
        else table
    )


# -- the encoder and what it read ----------------------------------------------------------------------------


def encoder_chapter(view: View, out: Path) -> str:
    """The encoder's scores in each language, its training curve, and a linear probe of its layers."""
    return chapters.encoder_section(view, out) + figure(out, view, "probe", plots.probe(view.main))


def corpus_card(view: View) -> str:
    """The card of the corpus: lines kept and removed in each language, pieces per word, sampling, and
    sources.
    """
    corpus = encoder_card(view).get("corpus")
    if not corpus:
        return "*No corpus yet.*\n\n"
    langs, names = corpus["languages"], facts(view)["name"]
    removed = list(dict.fromkeys(reason for entry in langs.values() for reason in entry["removed"]))
    lines = [
        [
            names.get(lang, lang),
            count(entry["kept"]),
            *(count(entry["removed"].get(reason)) for reason in removed),
        ]
        + [number(entry["bytes"] / 1e6), f"{entry['fertility']:.2f}", number(100 * entry["share"])]
        + [
            chapters.folded(
                [f"{source} {n:,}" for source, n in Counter(entry["sources"]).most_common()], "<br>"
            )
        ]
        for lang, entry in langs.items()
    ]
    removed_totals = [sum(entry["removed"].get(r, 0) for entry in langs.values()) for r in removed]
    lines_kept, size = (sum(entry[key] for entry in langs.values()) for key in ("kept", "bytes"))
    lines.append(
        ["all", count(lines_kept), *map(count, removed_totals), number(size / 1e6), "–", number(100.0), "–"]
    )
    head = ["language", "lines kept", *removed, "MB", "pieces a word", "share (%)", "sources"]
    text = (
        f"Checked against {corpus['evaluation']['texts']:,} texts of {corpus['evaluation']['splits']:,} "
        "evaluation splits, "
    )
    text += (
        f"{corpus['evaluation']['grams']:,} hashed sequences of words. Languages are drawn in proportion to "
        "their pieces "
    )
    text += f"to the power of {corpus['alpha']:g}. Lines kept, and lines removed by reason:\n\n"
    return text + small(markdown_table(head, lines)) + sources(corpus)


def sources(told: dict) -> str:
    """A table of the lines' sources, with the licence that the mirror states for each."""
    line_counts = sum((Counter(entry["sources"]) for entry in told["languages"].values()), Counter())
    by_source = {name: row for row in told.get("sources", []) for name in row["source"].split(", ")}
    lines = []
    for source, n in line_counts.most_common():
        row = by_source.get(source, {})
        repository = " ".join(
            filter(None, [row.get("source_repo"), f"`{row['commit'][:10]}`" if row.get("commit") else ""])
        )
        lines.append([source, count(n), repository or "–", row.get("licence") or "–"])
    return small(markdown_table(["source", "lines kept", "repository at commit", "licence"], lines))
