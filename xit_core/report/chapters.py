"""The tables and figures of each phase at one scale of the ledger, as Markdown for the book's chapters."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

from ..design.encoders import DEPTH
from ..design.scales import PIVOT
from ..design.tasks import TARGETS, TASKS, Task
from ..ledger import scored
from . import frames, heat, plots, published
from .figures import figure
from .gates import chance_level
from .markdown import SIGNED, WIDE, count, dropdown, markdown_table, number, small, with_half
from .view import View

GAINS = (
    "Gain of each intermediate training over the baseline of the same seed, in points (0–100): the mean over "
    "seeds, with its 95 % interval over the seeds of that cell alone. A verdict's interval borrows variance "
    "from other trainings and adds that of the test rows, so it can be wider or narrower. A mean over "
    "targets needs all of them, with the same seeds."
)
GAINS_SHOWN = ("squad1", "mnli", "hellaswag", "multi-task")  # after which languages and protocols are shown

COMPARED = {
    "tatoeba": "raw (%)", "tatoeba_centred": "centred (%)",
    "share": "variance explained by language (%)", "last": "raw, last layer (%)",
}  # fmt: skip
METRICS = {
    "accuracy": "Tatoeba, raw (%)",
    "accuracy_centred": "Tatoeba, centred (%)",
    "masked_accuracy": "masked pieces guessed (%)",
    "masked_loss": "their loss (nats)",
}


def encoder_phase(view: View, out: Path) -> str:
    """Phase 1: the encoder, its training, its predictions, and whether it transfers at all."""
    return encoder_section(view, out) + transfer(view)


def encoder_section(view: View, out: Path) -> str:
    """The encoder, its scores in every language, and its training curve."""
    encoders = [row["provenance"]["encoder"] for row in view.encoder if "encoder" in row["provenance"]]
    text = "".join(
        f"Encoder `{encoder['name']}`, sha256 `{encoder['sha256'][:12]}`.\n\n" for encoder in encoders
    )
    scores = pd.DataFrame([score for row in view.encoder for score in row["scores"]])
    if len(scores):
        wide = scores.pivot_table(index="lang", columns="metric", values="value").rename(columns=METRICS)
        searched = scores[scores.metric.str.startswith("accuracy")].n.max()
        text += (
            f"Tatoeba is searched here among {count(searched)} sentences a language, or fewer; the target of "
            "phase 3 may search more, and then scores lower.\n\n"
        )
        text += markdown_table(
            ["language", *wide.columns], [[lang, *map(number, line)] for lang, *line in wide.itertuples()]
        )
    draw, title = partial(plots.curves, view.encoder, (1,)), losses_in_words(view.encoder)
    return text + figure(out, view, "pretraining", draw, title=title)


def losses_in_words(rows: list[dict]) -> str:
    """From where to where the loss of a training goes, or in how many of several it falls; "" for none."""
    ends: dict[tuple, list[tuple[float, float]]] = {}  # by path and language of the data
    for row in rows:
        if losses := [point["loss"] for point in row.get("curve", []) if "loss" in point]:
            ends.setdefault((row["path"], row.get("lang")), []).append((losses[0], losses[-1]))
    means = {training: np.mean(pairs, axis=0) for training, pairs in ends.items()}
    if len(means) == 1:
        first, last = next(iter(means.values()))
        return f"The loss goes from {number(first)} to {number(last)} nats."
    falls = sum(last < 0.9 * first for first, last in means.values())
    return f"The loss falls by a tenth or more in {falls} of {len(means)} trainings." if means else ""


def transferred(view: View) -> pd.DataFrame:
    """Scores of the baseline, of random weights of the same shape, and their difference.

    Each row is a target and seed for which both have run. Scores are averaged over the languages other than
    the pivot.
    """
    scores = scored.headline(frames.main_runs(view.frame[view.frame.lang != PIVOT]))
    wide = scores.assign(name=frames.source_names(scores)).pivot_table(
        index=["on", "seed"], columns="name", values="score"
    )
    wide = wide.reindex(columns=["random weights", "baseline"]).dropna()
    return wide.assign(difference=wide.baseline - wide["random weights"])


def transfer(view: View) -> str:
    """Whether the encoder transfers at all: means over seeds, and the interval of the difference."""
    by_target = dict(list(transferred(view).groupby("on")))
    lines = [
        [f"`{on}`", *map(number, part[["random weights", "baseline"]].mean()),
        number(part.difference.mean(), SIGNED),
         number(frames.interval(part.difference)), len(part)]
        for on, part in ((on, by_target[on]) for on in TARGETS if on in by_target)
    ]  # fmt: skip
    head = ["target", "random weights", "baseline", "difference (points)", "± (95 %, seeds)", "seeds"]
    text = (
        "Zero-shot transfer: mean over the languages other than the pivot, and over seeds. What decides "
        "[whether a target counts](#verdict-tested) has the pivot in it, as the targets' own score has, and "
        "so differs a little.\n\n"
    )
    return text + markdown_table(head, lines) if lines else ""


def stage_phase(view: View, out: Path) -> str:
    """Phase 2: what intermediate training learned, and how it changes the encoder."""
    return learned_section(view) + alignment(view, out)


def alignment(view: View, out: Path) -> str:
    """Retrieval before, after and along each intermediate training, and its loss."""
    draw, (before, changes) = partial(plots.retrieval, view.main), moved_layers(view)
    text = figure(out, view, "retrieval", draw, title=retrieval_in_words(before, changes))
    text += mechanism(before, changes)
    stages = [row for row in view.main if row["phase"] == 2 and not row["model"]]
    figures = {
        "dose": (partial(plots.dose, view.main), dose_in_words(view.main)),
        "curves": (partial(plots.curves, view.main, (2,)), losses_in_words(stages)),
    }
    return text + "".join(
        figure(out, view, kind, draw, title=title) for kind, (draw, title) in figures.items()
    )


def dose_in_words(rows: list[dict]) -> str:
    """After how many trainings retrieval is worse than where the drawn line begins, and where the one ends
    that moves the encoder most; "" for none.

    Changes are rounded as the table of layers has them.
    """
    ends = frames.dose_frame(rows).sort_values("step").groupby("name")[["tatoeba", "distance"]]
    if not len(ends):
        return ""
    first, last = ends.first(), ends.last()
    worse = ((first.tatoeba - last.tatoeba).round(1) >= 1).sum()
    most, far = last.distance.idxmax(), last.loc[last.distance.idxmax()]
    return (
        f"Raw retrieval ends a point or more below its start in {worse} of {len(last)} trainings; {most}, "
        f"which moves the encoder most ({number(far.distance)} %), ends at {number(far.tatoeba)}."
    )


def learned_section(view: View) -> str:
    """How well each intermediate training learned its own tasks: development scores beside those of
    guessing.
    """
    frame = scored.tidy(view.main)
    frame = frame[frame.phase == 2]
    # the task in "mnli: accuracy" or in "mlm/masked-accuracy"
    tasks = frame.protocol.str.extract(r"(\w+)", expand=False)
    own = [t in TASKS and metric in TASKS[t].metrics for t, metric in zip(tasks, frame.metric, strict=True)]
    learned = frame.assign(name=frames.source_names(frame), task=tasks)[own]
    if learned.empty:
        return ""
    seeds = learned.groupby(["name", "task", "seed"])["value"].mean()
    found = seeds.groupby(["name", "task"]).agg(["mean", frames.interval, "size"])
    lines = [
        learned_line(name, TASKS[task], found.loc[name, task])
        for name in frames.order(list(learned.name))
        for task in TASKS
        if (name, task) in found.index
    ]
    head = ["training", "its task", "score", "%", "± (95 %, seeds)", "chance (%)", "seeds"]
    text = (
        "What each training learned of its own tasks: scores on their development rows. A training that does "
        "no better than guessing says little about its task. Beside it stands chance; the best constant "
        "answer, which a verdict compares with, may score more where answers are not equally frequent.\n\n"
    )
    return text + small(markdown_table(head, lines))


def learned_line(training: str, task: Task, found: pd.Series) -> list:
    """What a training learned of a task. `found`: mean, interval and size, over seeds."""
    metric = " and ".join(task.metrics).replace("_", " ").replace("f1", "F1")
    values = [number(x) for x in (found["mean"], found["interval"], chance_level(task))]
    return [training, f"`{task.name}`", metric, *values, int(found["size"])]


def moved_layers(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns of COMPARED before any training, at the compared layer and raw at the last one, and their
    changes after each; a line for each seed. Empty frames where either is missing.
    """
    lines = frames.layer_lines([row for row in view.main if not row["model"]])
    if "before" not in set(lines.name):
        return pd.DataFrame(), pd.DataFrame()
    at, top = (lines[lines.layer == i] for i in (round(DEPTH * lines.layer.max()), lines.layer.max()))
    compared = at.groupby(["name", "seed"]).mean()
    compared = compared.assign(last=top.groupby(["name", "seed"]).tatoeba.mean())
    start = compared.index.get_level_values("name") == "before"
    return compared[start], compared[~start] - compared[start].mean()


def retrieval_in_words(before: pd.DataFrame, changes: pd.DataFrame) -> str:
    """What becomes of raw retrieval, in a sentence; "" where nothing was trained yet."""
    if changes.empty:
        return ""
    start, means = before.tatoeba.mean(), changes.tatoeba.groupby("name").mean()
    ends = [f"{number(start + means[end])} ({end})" for end in (means.idxmin(), means.idxmax())]
    said = " to ".join(dict.fromkeys(ends))
    layer = f"at layer {before.layer.iloc[0]:.0f}"
    return f"Raw retrieval {layer} is {number(start)} before any intermediate training, and {said} after one."


def mechanism(before: pd.DataFrame, moved: pd.DataFrame) -> str:
    """Raw and centred retrieval and the share of language identity at the compared layer, and raw retrieval
    at the last, before and after each training, with the changes.
    """
    if before.empty:
        return ""
    changes = moved.groupby("name")
    lines = [["before", *(cell for mean in before[list(COMPARED)].mean() for cell in (number(mean), "–"))]]
    for name in frames.order(list(changes.groups)):
        changed = changes.get_group(name)
        lines.append(
            [name, *(cell for kind in COMPARED for cell in _moved(before[kind].mean(), changed[kind]))]
        )
    means = changes.mean()
    text = (
        f"At layer {before.layer.iloc[0]:.0f}, whose vectors the retrieval targets compare, and at the last; "
        "means over languages and seeds, with the 95 % interval over seeds of each change, or the change "
        f"with each seed where half of that interval is more than {WIDE:g} points. The figure has all "
        "layers.\n\n"
    )
    text += small(
        markdown_table(
            ["training", *(word for kind in COMPARED.values() for word in (kind, "change"))], lines
        )
    )
    coefficient = correlation(means.share, means.tatoeba) if len(means) else "–"
    label = "Rank correlation of the change in raw retrieval with the change in the share, over trainings"
    return f"{text}{label}: {coefficient}.\n\n"


def _moved(before: float, change: pd.Series) -> tuple[str, str]:
    mean, half = change.mean(), frames.interval(change)
    if half > WIDE:
        return number(before + mean), ", ".join(number(each, SIGNED) for each in change)
    return number(before + mean), with_half(number(mean, SIGNED), half)


def correlation(x: pd.Series, y: pd.Series) -> str:
    """Spearman's rank correlation, "+0.31 [−0.28, +0.73]"; a dash for fewer than four pairs of values, or if
    one side does not vary.

    The 95 % interval is Fisher's, with the standard error for ranks. Source: Bonett and Wright 2000,
    Psychometrika 65.
    """
    both = x.notna() & y.notna()
    if both.sum() < 4 or x[both].nunique() < 2 or y[both].nunique() < 2:
        return "–"
    rho = spearmanr(x[both], y[both]).statistic
    half = norm.ppf(0.975) * ((1 + rho**2 / 2) / (both.sum() - 3)) ** 0.5
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half])) if abs(rho) < 1 else (rho, rho)
    return f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "\N{MINUS SIGN}")


def target_phase(view: View, out: Path) -> str:
    """Phase 3: scores on the targets, gains over the baseline, scores by language."""
    scores = scored.headline(frames.main_runs(view.frame))
    baselines = {
        on: part.score for on, part in scores[frames.source_names(scores) == "baseline"].groupby("on")
    }
    targets = [on for on in TARGETS if on in baselines]
    lines = [
        [f"`{on}`", number(baselines[on].mean()), number(frames.interval(baselines[on])), len(baselines[on])]
        for on in targets
    ]
    head = ["target", "baseline score", "± (95 %, seeds)", "seeds"]
    if view.real:  # what is published of XLM-R Large is of other rows, but of the same languages
        head.append("XLM-R Large, published (test)")
        lines = [[*line, number(published.xtreme_test(on))] for line, on in zip(lines, targets, strict=True)]
    text = markdown_table(head, lines) if lines else ""
    draw, title = partial(plots.languages, view.frame), languages_in_words(view.frame)
    shown = figure(out, view, "languages", draw, title=title)
    return text + gains(view) + shown + protocols(view)


def languages_in_words(frame: pd.DataFrame) -> str:
    """The lowest and the highest mean score of the baseline, with language and target; "" without one."""
    scores = frames.language_scores(frame)
    means = scores[scores.name == "baseline"].groupby(["lang", "on"]).score.mean()
    if means.empty:
        return ""
    low, high = (f"{number(means[end])} ({end[0]} on {end[1]})" for end in (means.idxmin(), means.idxmax()))
    return f"The baseline scores from {low} to {high}."


def gains(view: View) -> str:
    """What each source adds to each target, with what the table shows in a sentence above it."""
    table = heat.table(view.frame)
    return f"**{heat.in_words(view.frame)}** {GAINS}\n\n{table}\n\n" if table else ""


def protocols(view: View) -> str:
    """Predictions scored by each published definition, of the baseline and after the trainings that claims
    name; "" when no other protocol was run.
    """
    means = scores_by_protocol(view)
    names = [name for name in ("baseline", *GAINS_SHOWN) if name in means]
    if not names:
        return ""
    lines = [
        [f"`{on}`", f"`{protocol}`", metric, *map(number, means.loc[on, protocol, metric][names])]
        for on, protocol, metric in means.index
    ]
    told = [name if name == "baseline" else f"after {name}" for name in names]
    table = small(markdown_table(["target", "protocol", "metric", *told], lines))
    title = "The same predictions under every protocol: means over languages and seeds"
    return dropdown(title, table)


def scores_by_protocol(view: View) -> pd.DataFrame:
    """Mean scores by target, protocol and metric, a column for each source; no column where no other protocol
    than the own one was run.
    """
    table = [
        {
            "name": frames.name(row["source"], row["lang"], row["model"]),
            "on": row["on"],
            "metric": score["metric"],
            "protocol": score["protocol"],
            "value": score["value"],
            "kept": key,
        }
        for row in view.main
        if row["phase"] == 3 and not row["model"]
        for key in ("scores", "protocols")
        for score in row.get(key, [])
    ]
    scores = pd.DataFrame(table, columns=["name", "on", "metric", "protocol", "value", "kept"])
    if not (scores.kept == "protocols").any():
        return pd.DataFrame()
    return scores.pivot_table(index=["on", "protocol", "metric"], columns="name", values="value")
