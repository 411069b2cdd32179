"""The chapter on real languages with a small model: what `mini` and its kin gave, part by part, as
Markdown."""

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
    MEASURED_CLAIMS,
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

MINI_SCALES = ("mini", "mini-long", "mini-scratch")
# of the targets
KINDS = {
    "classify": "sentence pairs",
    "tag": "tags",
    "span": "questions",
    "retrieve": "retrieval",
}
ASKED = {"udpos": 8, "panx": 8}  # points over random weights that were asked for before the runs
SURE = 0.01  # the p-value that was asked for on XNLI
LABELS = 3  # of XNLI: who guesses is right in one of three
STARTS = {
    "table": "pieces and vectors of a public multilingual embedding table, which stays frozen",
    "scratch": "random weights",
}


def chapter_parts(shown: list[View], out: Path) -> dict[str, str]:
    """File -> text of every part of the chapter, at each of its scales that has run."""
    blocks = {
        "claims": verdicts,
        "transfer": transfer_section,
        "learned": chapters.learned_section,
        "target": partial(chapters.target_phase, out=out),
        "factors": partial(factors_section, out=out),
        "alignment": partial(chapters.alignment, out=out),
        "encoder": partial(encoder_chapter, out=out),
    }
    whole = [view for view in shown if not view.declared.prolongs]
    live = [view for view in whole if view.rows]
    texts = {
        f"mini_{name}.md": "\n".join(titled(v) + block(v) for v in live) or EMPTY
        for name, block in blocks.items()
    }
    read = "\n".join(titled(view) + corpus_card(view) for view in whole)
    return texts | {
        "mini_design.md": design(shown),
        "mini_corpus.md": read,
        "mini_doses.md": doses(shown, out),
    }


def titled(view: View) -> str:
    """Which scale the numbers below belong to, and how it is reduced."""
    return f"**Scale `{view.scale}`.** {reduced(view)}".rstrip() + "\n\n"


# -- what it is ----------------------------------------------------------------------------------------------


def design(shown: list[View]) -> str:
    """A column a scale."""
    columns = [designed(view) for view in shown]
    lines = [[what, *(column[what] for column in columns)] for what in columns[0]]
    return small(markdown_table(["", *(f"`{view.scale}`" for view in shown)], lines))


def designed(view: View) -> dict[str, str]:
    """The scale as declared, what its encoder's card says of the pretraining, and how much of the study has
    run.
    """
    s, p, dose = view.declared, view.declared.pretraining, encoder_card(view).get("dose", {})
    planned = studies.runs(studies.MAIN, view.declared)
    done = {row["id"] for row in view.rows} & {run.id for run in planned}
    return {
        "in short": view.note or "–",
        "start": STARTS[p.start],
        "encoder": f"{p.layers} layers of {p.hidden}, at most {p.pieces:,} pieces",
        "languages": f"{len(s.langs)}: {' '.join(s.langs)}" if s.langs else "all that have text",
        "pretraining": f"{p.steps:,} steps of {p.batch} sequences of at most {p.length} pieces, rate "
        f"{p.lr:g}",
        "made so far": f"{count(dose['tokens'])} tokens in {_hours(encoder_card(view)['seconds'])}"
        if dose
        else "nothing yet",
        "an intermediate task": _dose(s.stage_steps, s.batch, s.stage_rows, s.stage_lr),
        "fine-tuning on a target": _dose(s.steps, s.batch, s.rows, s.lr),
        "evaluation": f"at most {s.eval_rows:,} rows of each language of a target; of `bucc` all",
        "languages of the targets": ", ".join(_spoken(target, s) for target in TARGETS),
        "seeds": ", ".join(map(str, s.seeds)),
        "runs": f"{len(done):,} finished of {len(planned):,} planned",
        "stand-ins": stand_ins_cell(view),
    }


def encoder_card(view: View) -> dict:
    """What the encoder's pretraining left beside its weights; {} while there is no encoder."""
    file = view.declared.encoder.folder / "card.json"
    return json.loads(file.read_text(encoding="utf8")) if file.is_file() else {}


def _spoken(target: str, s: Scale) -> str:
    """How many languages a target is evaluated in; which, where there is only one."""
    langs = languages(TASKS[target], s)
    return f"`{target}` {len(langs)}" + (f" ({langs[0]})" if len(langs) == 1 else "")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def _dose(steps: int, batch: int, rows: int, rate: float) -> str:
    dose = f"{f'{steps:,} steps' if steps else 'its own epochs'}, {batch} rows a step"
    return f"{dose}, at most {rows:,} rows of each source, rate {rate:g}"


def stand_ins_cell(view: View) -> str:
    """Tasks that replace one of the nine, and tasks whose rows are, in whole or in part, not those of the
    data set they name.
    """
    read = {
        part["task"]
        for row in view.rows
        for part in row["provenance"].get("data", [])
        if part.get("stand_in")
    }
    rows = f"some or all rows of {', '.join(f'`{task}`' for task in sorted(read))}" if read else ""
    return "; ".join(filter(None, [view.instead, rows])) or "–"


def verdicts(view: View) -> str:
    """The measured claims at this scale, with what was counted or why a claim is open."""
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
        if row["number"] <= MEASURED_CLAIMS
    ]
    return small(
        markdown_table(["#", "claim", "claimed", "estimate and 95 % interval", "verdict", "note"], lines)
    )


# -- does it transfer ----------------------------------------------------------------------------------------


def transfer_section(view: View) -> str:
    """Baseline against random weights, and what was asked for before the runs."""
    seeds = chapters.transferred(view).groupby("on").difference.mean()
    asked = [
        (
            f"- at least {least} points on `{on}`: {number(seeds[on], SIGNED)}, "
            f"{'met' if seeds[on] >= least else 'not met'}"
        )
        for on, least in ASKED.items()
        if on in seeds
    ]
    if found := above_chance(view.main):
        mean, p, rows, tried = found
        met, least = "met" if p < SURE else "not met", f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
        here = (
            f"{number(mean)} % in the languages other than English, where guessing gives "
            f"{number(100 / LABELS)} %"
        )
        asked.append(
            f"- `xnli` above chance with p < {SURE:g}: {here}, {least} from {rows} rows (seeds averaged: "
            f"{tried}), {met}"
        )
    return chapters.transfer(view) + (
        "Asked for before the runs:\n\n" + "\n".join(asked) + "\n\n" if asked else ""
    )


def above_chance(rows: list[dict]) -> tuple[float, float, int, int] | None:
    """XNLI of the baseline in the languages other than English against guessing: mean (%), one-sided p, rows,
    seeds.

    Row i says the same in every language, so it is one observation: its mean over languages and seeds. Seeds
    are taken as they are.
    """
    base = [row for row in rows if (row["path"], row["model"]) == ("xnli", "")]
    told = [row["abroad"] for row in base if "abroad" in row]  # not in the oldest rows
    if not told:
        return None
    each = len(told[0]) * np.mean(told, axis=0)  # (rows,), percent
    found = ttest_1samp(each, 100 / LABELS, alternative="greater")
    return float(each.mean()), float(found.pvalue), len(each), len(told)


# -- is it the dose ------------------------------------------------------------------------------------------


def doses(shown: list[View], out: Path) -> str:
    """Every longer training beside the same at the scale that it prolongs: what it learned, and what the
    targets gain.
    """
    known = {view.scale: view for view in shown}
    pairs = [(known[view.declared.prolongs], view) for view in shown if view.declared.prolongs and view.rows]
    text = ""
    for short, long in pairs:
        ledgers = [(view, contrasts.Ledger(view.declared)) for view in (short, long)]
        ran = {row["path"] for row in long.main if row["lang"] == PIVOT}
        told = [(source, *each) for source in nine(long.declared) if source in ran for each in ledgers]
        learned, gained = (
            [dosed(source, view) for source, view, _ in told],
            [gains_line(*each) for each in told],
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
    """A training at one dose: steps, rate, its own score, and the distance the encoder moved."""
    rows = [row for row in view.main if (row["path"], row["lang"], row["model"]) == (source, PIVOT, "")]
    own = [
        np.mean([score["value"] for score in row["scores"] if score["metric"] in TASKS[source].metrics])
        for row in rows
    ]
    moved = [100 * row["dose"]["distance"] for row in rows]
    score, distance = (number(np.mean(x) if x else None) for x in (own, moved))
    return [
        source,
        _steps(view),
        f"{view.declared.stage_lr:g}",
        score,
        number(chapters.guessing(source)),
        distance,
    ]


def gains_line(source: str, view: View, ledger: contrasts.Ledger) -> list[str]:
    """What it adds to the baseline: on all targets, and on those of each kind."""
    parts = [TARGETS, *([t for t in TARGETS if TASKS[t].kind == kind] for kind in KINDS)]
    return [source, _steps(view), *(gain_cell(source, part, ledger) for part in parts)]


def _steps(view: View) -> str:
    return f"{view.declared.stage_steps:,}"


def gain_cell(source: str, targets: list[str], ledger: contrasts.Ledger) -> str:
    """ "+1.2 [−0.3, +2.6]", or a dash where too few seeds have run."""
    try:
        gap = ledger.gap(contrasts.versus((source, PIVOT), contrasts.BASELINE, targets))
    except contrasts.Short:
        return "–"
    return estimate_cell({"estimate": gap.mean, "low": gap.low, "high": gap.high})


# -- who gains, and why --------------------------------------------------------------------------------------


def factors_section(view: View, out: Path) -> str:
    """What each language gains beyond the others, against what it is: figure, rank correlations, table."""
    gains, known = plots.language_gains(view.frame), facts(view)
    by_lang = gains.groupby("lang").agg(
        targets=("on", "size"), gain=("gain", "mean"), beyond=("beyond", "mean")
    )
    joined = by_lang.join(known, how="inner").sort_values("beyond", ascending=False)
    if joined.empty:
        return EMPTY
    against = {
        "Latin script": joined.script == "Latin",
        "Indo-European family": joined.family == "Indo-European",
    }
    against |= {"amount of text at hand": joined.text} if "text" in joined else {}
    said = "; ".join(f"{what} {correlation(x, joined.beyond)}" for what, x in against.items())
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
        f"Rank correlation with the gain beyond the target's mean, over {len(joined)} languages: {said}.\n\n"
    )
    return (
        figure(out, view, "factors", plots.factors(gains, known)) + text + small(markdown_table(head, lines))
    )


def facts(view: View) -> pd.DataFrame:
    """By language: name, script, family and, where the encoder's card has it, the text at hand for it in
    MB."""
    known = pd.DataFrame(published.csv_table("languages")).set_index("lang")
    read = encoder_card(view).get("corpus", {}).get("languages", {})
    return (
        known.assign(text=pd.Series({lang: told["bytes"] / 1e6 for lang, told in read.items()}))
        if read
        else known
    )


# -- the encoder and what it read ----------------------------------------------------------------------------


def encoder_chapter(view: View, out: Path) -> str:
    """What the encoder predicts in each language, its training, and what a linear probe reads from its
    layers.
    """
    return chapters.encoder_section(view, out) + figure(out, view, "probe", plots.probe(view.main))


def corpus_card(view: View) -> str:
    """The card of the corpus: what was kept and removed in each language, how it is cut into pieces and
    sampled; its sources.
    """
    told = encoder_card(view).get("corpus")
    if not told:
        return "*No corpus yet.*\n\n"
    langs, names = told["languages"], facts(view)["name"]
    removed = list(dict.fromkeys(reason for x in langs.values() for reason in x["removed"]))
    lines = [
        [names.get(lang, lang), count(x["kept"]), *(count(x["removed"].get(reason)) for reason in removed)]
        + [number(x["bytes"] / 1e6), f"{x['fertility']:.2f}", number(100 * x["share"])]
        + [chapters.folded([f"{source} {n:,}" for source, n in Counter(x["sources"]).most_common()], "<br>")]
        for lang, x in langs.items()
    ]
    whole = [sum(x["removed"].get(r, 0) for x in langs.values()) for r in removed]
    kept, size = (sum(x[key] for x in langs.values()) for key in ("kept", "bytes"))
    lines.append(["all", count(kept), *map(count, whole), number(size / 1e6), "–", number(100.0), "–"])
    head = ["language", "lines kept", *removed, "MB", "pieces a word", "share (%)", "sources"]
    text = (
        f"Checked against {told['evaluation']['texts']:,} texts of {told['evaluation']['splits']:,} "
        "evaluation splits, "
    )
    text += (
        f"{told['evaluation']['grams']:,} hashed sequences of words. Languages are drawn in proportion to "
        "their pieces "
    )
    text += f"to the power of {told['alpha']:g}. Lines kept, and lines removed by reason:\n\n"
    return text + small(markdown_table(head, lines)) + sources(told)


def sources(told: dict) -> str:
    """Where the lines come from, with the licence that the mirror states for the source."""
    kept = sum((Counter(x["sources"]) for x in told["languages"].values()), Counter())
    stated = {name: row for row in told.get("sources", []) for name in row["source"].split(", ")}
    lines = []
    for source, n in kept.most_common():
        row = stated.get(source, {})
        where = " ".join(
            filter(None, [row.get("source_repo"), f"`{row['commit'][:10]}`" if row.get("commit") else ""])
        )
        lines.append([source, count(n), where or "–", row.get("licence") or "–"])
    return small(markdown_table(["source", "lines kept", "repository at commit", "licence"], lines))
