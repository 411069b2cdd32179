"""Ledger -> figure: every function takes the ledger's rows or frame and returns a figure, or None without data.

Colours are Okabe and Ito's, which colour-blind readers tell apart; text is never smaller than 9 points; the
background is white, so that a figure reads the same on a light and a dark page. Saved files are byte-identical.
"""

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from . import results
from .config import PIVOT
from .tasks import INTERMEDIATES, TARGETS, TASKS

COLOURS = {
    "span": "#0072B2", "classify": "#D55E00", "choose": "#009E73",
    "tag": "#CC79A7", "mlm": "#E69F00", "joint": "#56B4E9",
}  # fmt: skip
WIDTH = 6.8  # inches: the text column of the book, so that no font is scaled below its size
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10.5, "axes.labelsize": 10,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
    "grid.color": "#e4e4e4", "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100,
    "figure.constrained_layout.use": True, "svg.hashsalt": "xit",
}  # fmt: skip


def save(figure: Figure, path: Path) -> Path:
    """Write an svg that is the same to the byte for the same data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None})
    return path


def name(source: str, lang: str = PIVOT, model: str = "") -> str:
    """What readers call a source: "baseline", "multi-task", "squad1+mlm", "mnli (translated)", "random weights"."""
    said = source.replace("pretrained", "") or "baseline"
    said = "multi-task" if set(source.split("+")) == set(INTERMEDIATES) else said
    said = {"random": "random weights"}.get(model, model) if model and said == "baseline" else said
    return f"{said} (translated)" if lang != PIVOT else said


def order(names: list[str]) -> list[str]:
    """Names of sources in reading order: controls, the nine singly, jointly, with MLM, translated."""
    known = ["random weights", "baseline", "before", *INTERMEDIATES, "multi-task", "mlm"]
    return sorted(set(names), key=lambda n: (known.index(n) if n in known else len(known) + ("translated" in n), n))


def named(frame: pd.DataFrame) -> pd.Series:
    """The readers' name of the source of every line of a frame."""
    sources = zip(frame.source, frame.data_lang, frame.model, strict=True)
    return pd.Series([name(*source) for source in sources], frame.index, dtype=object)


def by_language(frame: pd.DataFrame) -> pd.DataFrame:
    """As `results.headline`, for each evaluation language by itself (column `lang`)."""
    parts = [results.headline(part).assign(lang=lang) for lang, part in frame.groupby("lang")]
    return pd.concat(parts, ignore_index=True) if parts else frame[["on", "source", "data_lang", "model"]]


def interval(values: pd.Series) -> float:
    """Half width of the 95 % t interval of a mean over seeds; 0 for fewer than two."""
    return float(stats.t.ppf(0.975, len(values) - 1) * values.sem()) if len(values) > 1 else 0.0


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of the main study: targets only, full fine-tuning, all the intermediate data that the scale allows."""
    return frame[(frame.phase == 3) & (frame.method == "full") & (frame["size"] == 0)]


def gain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over the baseline of the same seed, in points: a row a source, a column a target, and the mean."""
    scores = results.headline(plain(frame))
    scores["name"] = named(scores)
    wide = scores.pivot_table(index=["name", "seed"], columns="on", values="score")
    if "baseline" not in wide.index.get_level_values("name"):
        return pd.DataFrame()
    gains = (wide - wide.loc["baseline"].reindex(wide.index, level="seed")).groupby("name").mean()
    gains = gains.loc[[n for n in order(gains.index) if n not in ("baseline", "random weights")]]
    gains = gains[[t for t in TARGETS if t in gains]].dropna(how="all")
    return gains.assign(mean=gains.mean(axis=1, skipna=False))  # no mean where a target is missing


def gains(frame: pd.DataFrame) -> Figure | None:
    """Heat map: what each intermediate training adds to each target."""
    table = gain_table(frame)
    if table.empty:
        return None
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(figsize=(1.9 + 0.49 * table.shape[1], 1.4 + 0.3 * table.shape[0]))
        reach = max(1.0, float(np.nanquantile(np.abs(table.to_numpy()), 0.95)))
        colour = {"cmap": "RdBu", "vmin": -reach, "vmax": reach, "cbar_kws": {"label": "gain (points)"}}
        look = {"annot": True, "fmt": "+.1f", "annot_kws": {"size": 9}, "linewidths": 0.5}
        sns.heatmap(table.round(1) + 0.0, ax=axes, **colour, **look)
        axes.axvline(table.shape[1] - 1, color="black", linewidth=1)
        axes.set(xlabel="target task", ylabel="intermediate training")
        axes.tick_params(axis="y", rotation=0)
        axes.tick_params(axis="x", rotation=40)
        return _done(figure)


SHOWN = ("random weights", "baseline", "multi-task", "squad1")  # the first three of these that have run


def languages(frame: pd.DataFrame, shown: tuple[str, ...] = SHOWN) -> Figure | None:
    """Bars: score of each language on each target, with the 95 % interval over seeds."""
    scores = by_language(plain(frame))
    scores["name"] = named(scores)
    shown = [n for n in shown if n in set(scores.name)][:3]
    targets = [t for t in TARGETS if t in set(scores.on)]
    if not shown or not targets:
        return None
    with plt.rc_context(STYLE | {"axes.grid.axis": "y"}):
        figure, grid = _grid(len(targets), columns=min(2, len(targets)), height=1.8)
        for axes, target in zip(grid, targets, strict=False):
            _bars(axes, scores[scores.on == target], shown)
            axes.set_title(target)
        figure.supxlabel("evaluation language", fontsize=10)
        figure.supylabel("score (0–100)", fontsize=10)
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shown))
        return _done(figure)


def _bars(axes: Axes, scores: pd.DataFrame, shown: list[str]) -> None:
    langs = sorted(set(scores.lang), key=lambda c: (c != PIVOT, c))
    width = 0.8 / len(shown)
    colours = dict(zip(("random weights", "baseline"), ("#999999", "#0072B2"), strict=True))
    for i, who in enumerate(shown):
        groups = scores[scores.name == who].groupby("lang").score
        at = np.arange(len(langs)) + (i - (len(shown) - 1) / 2) * width
        error = groups.agg(interval).reindex(langs)
        look = {"color": colours.get(who, "#E69F00"), "error_kw": {"elinewidth": 0.8}}
        axes.bar(at, groups.mean().reindex(langs), width, yerr=error, label=who, **look)
    axes.set_xticks(range(len(langs)), langs, rotation=90 if len(langs) > 12 else 0)
    axes.set_ylim(0, None)


def layer_frame(rows: list[dict]) -> pd.DataFrame:
    """Tatoeba accuracy by layer before and after each intermediate training: name, layer, and the means over languages
    and seeds `raw`, `centred` (percent) and `share` (of variance that language identity explains, percent)."""
    stages = [row for row in rows if row["phase"] < 3 and row.get("layers")]
    lines = [
        {"name": _stage(row), "layer": at["layer"], "value": at["value"], "kind": "centred" if at["centred"] else "raw"}
        for row in stages for at in row["layers"]
    ] + [
        {"name": _stage(row), "layer": layer, "value": 100 * share, "kind": "share"}
        for row in stages for layer, share in enumerate(row.get("language_share", []))
    ]  # fmt: skip
    if not lines:
        return pd.DataFrame(columns=["name", "layer", "raw", "centred", "share"])
    return pd.DataFrame(lines).pivot_table(index=["name", "layer"], columns="kind", values="value").reset_index()


def retrieval(rows: list[dict]) -> Figure | None:
    """Lines by layer: sentence retrieval raw and language-centred, and how much variance language identity explains."""
    table = layer_frame(rows)
    if table.empty:
        return None
    titles = {
        "raw": ("raw vectors", "Tatoeba accuracy (%)"),
        "centred": ("each language's mean subtracted", "Tatoeba accuracy (%)"),
        "share": ("what language identity explains", "share of variance (%)"),
    }
    with plt.rc_context(STYLE):
        figure, grid = _grid(4, columns=2, height=3)
        for axes, (kind, (title, unit)) in zip(grid, titles.items(), strict=False):
            for who, look in _looks(table.name).items():
                part = table[table.name == who]
                if kind in part:
                    axes.plot(part.layer, part[kind], label=who, **look)
            axes.set(title=title, xlabel="layer (0 = embeddings)", ylabel=unit, ylim=(0, None))
            axes.xaxis.get_major_locator().set_params(integer=True)
        top = max(grid[0].get_ylim()[1], grid[1].get_ylim()[1])
        for axes in grid[:2]:
            axes.set_ylim(0, top)  # the two accuracies share their axis: the difference between them is the finding
        grid[3].set_axis_off()
        grid[3].legend(*grid[0].get_legend_handles_labels(), loc="center", ncols=2)
        return _done(figure)


def curves(rows: list[dict], phases: tuple[int, ...] = (1, 2)) -> Figure | None:
    """Small multiples: training loss of every stage, one line a seed."""
    stages = [row for row in rows if row["phase"] in phases and row.get("curve") and not row["model"]]
    names = order([_stage(row) for row in stages])
    if not names:
        return None
    with plt.rc_context(STYLE):
        figure, grid = _grid(len(names), columns=min(4, len(names)), height=1.6 if len(names) > 3 else 2.4)
        for axes, who in zip(grid, names, strict=False):
            seeds = [row for row in stages if _stage(row) == who]
            for row, colour in zip(seeds, itertools.cycle(COLOURS.values()), strict=False):
                points = [p for p in row["curve"] if "loss" in p]
                axes.plot([p["step"] for p in points], [p["loss"] for p in points], color=colour, linewidth=1.3)
            axes.set_title("the encoder" if who == "before" else who)
        figure.supxlabel("optimiser steps", fontsize=10)
        figure.supylabel("training loss (nats)", fontsize=10)
        return _done(figure)


def dose_frame(rows: list[dict]) -> pd.DataFrame:
    """One line each probe of retrieval along an intermediate stage: name, seed, step, distance, raw, centred (%)."""
    first = [row for row in rows if row["phase"] == 1 and not row["model"]]
    start = {
        kind: [score["value"] for row in first for score in row["scores"] if score["metric"] == metric]
        for kind, metric in PROBED.items()
    }
    lines = []
    for row in (row for row in rows if row["phase"] == 2):
        told = {"name": _stage(row), "seed": row["seed"]}
        if all(start.values()):
            lines.append(told | {"step": 0, "distance": 0.0} | {kind: np.mean(x) for kind, x in start.items()})
        points = [point for point in row.get("curve", []) if "tatoeba" in point]
        lines += [told | point | {"raw": point["tatoeba"], "centred": point["tatoeba_centred"]} for point in points]
    return pd.DataFrame(lines)


PROBED = {"raw": "accuracy", "centred": "accuracy_centred"}  # Tatoeba's metrics


def dose(rows: list[dict]) -> Figure | None:
    """Lines: retrieval along each intermediate training against the distance that the encoder has moved."""
    table = dose_frame(rows)
    if table.empty:
        return None
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, 2, figsize=(WIDTH, 4.6))
        kinds = {"raw": "raw vectors", "centred": "each language's mean subtracted"}
        for axes, (kind, title) in zip(grid, kinds.items(), strict=True):
            for who, look in _looks(table.name).items():
                part = table[table.name == who].groupby("step")[["distance", kind]].mean()
                axes.plot(100 * part.distance, part[kind], label=who, **look | {"marker": "o", "markersize": 3})
            axes.set(title=title, xlabel="distance the encoder moved (%)", ylabel="Tatoeba accuracy (%)")
        for axes in grid:
            axes.set_ylim(0, max(at.dataLim.ymax for at in grid) * 1.05)
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return _done(figure)


def _stage(row: dict) -> str:
    said = name(row["source"], row["lang"], row["model"])
    return "before" if said == "baseline" else said


def _looks(names: pd.Series) -> dict[str, dict]:
    """Colour by the kind of task, line style within a kind; the encoder before any training is thick and black."""
    looks, styles = {}, {}
    for who in order(names):
        kind = TASKS[who].kind if who in TASKS else next((k for k in ("translated", "mlm") if k in who), "joint")
        style = next(styles.setdefault(kind, itertools.cycle(["-", "--", ":", "-."])))
        looks[who] = {"color": COLOURS.get(kind, "#999999"), "linestyle": style, "linewidth": 1.5}
    for who, colour in (("before", "black"), ("random weights", "#999999")):
        if who in looks:
            looks[who] = {"color": colour, "linestyle": "-", "linewidth": 2.5}
    return looks


def _grid(number: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    lines = -(-number // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(WIDTH, height * lines + 0.6), squeeze=False)
    for unused in grid.flat[number:]:
        unused.set_axis_off()
    return figure, list(grid.flat)


def _done(figure: Figure) -> Figure:
    plt.close(figure)  # a notebook shows the figure that a cell returns, once
    return figure
