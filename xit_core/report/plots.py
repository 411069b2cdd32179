"""Ledger -> figure: every function takes the ledger's rows or frame and returns a figure, or None without
data.

Colours are Okabe and Ito's, which colour-blind readers tell apart; text is never smaller than 9 points; the
background is white, so that a figure reads the same on a light and a dark page. Saved files are
byte-identical.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..design.methods import FULL
from ..design.scales import PIVOT
from ..design.tasks import INTERMEDIATES, TARGETS, TASKS
from ..ledger import results
from .stats import paired

COLOURS = {
    "span": "#0072B2", "classify": "#D55E00", "choose": "#009E73",
    "tag": "#CC79A7", "mlm": "#E69F00", "joint": "#56B4E9",
}  # fmt: skip
PANELS = {
    "tatoeba": ("raw vectors", "Tatoeba accuracy (%)"),
    "tatoeba_centred": ("each language's mean subtracted", "Tatoeba accuracy (%)"),
    "share": ("what language identity explains", "share of variance (%)"),
}
ACCURACY = list(PANELS)[:2]
# the first three of these that have run
SHOWN_SOURCES = ("random weights", "baseline", "multi-task", "squad1")
WIDTH = 6.8  # inches: the text column of the book, so that no font is scaled below its size
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10.5, "axes.labelsize": 10,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
    "grid.color": "#e4e4e4", "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100,
    "figure.constrained_layout.use": True, "svg.hashsalt": "xit",
}  # fmt: skip
# a notebook shows a figure when STYLE is over: its ids must not be random
plt.rcParams["svg.hashsalt"] = STYLE["svg.hashsalt"]


def save(figure: Figure, path: Path) -> Path:
    """Write an svg that is the same to the byte for the same data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None})
    return path


def name(source: str, lang: str = PIVOT, model: str = "") -> str:
    """What readers call a source: "baseline", "multi-task", "squad1+mlm", "mnli (translated)", "random
    weights".
    """
    said = source.replace("pretrained", "") or "baseline"
    said = "multi-task" if source.count("+") == len(INTERMEDIATES) - 1 else said
    said = (
        {"random": "random weights", "remake": "baseline"}.get(model, model)
        if model and said == "baseline"
        else said
    )
    return f"{said} (translated)" if lang != PIVOT else said


def order(names: list[str]) -> list[str]:
    """Names of sources in reading order: controls, the nine (or what stands in) singly, jointly, with MLM,
    not English.
    """
    others = [task for task in TASKS.values() if task.role == "alternative"]
    instead, abroad = (
        [x.name for x in others if (x.train_lang == PIVOT) is english] for english in (True, False)
    )
    mixed = ["mlm", *(f"{task}+mlm" for task in INTERMEDIATES)]
    known = ["random weights", "baseline", "before", *INTERMEDIATES, *instead, "multi-task", *mixed, *abroad]
    return sorted(
        set(names), key=lambda n: (known.index(n) if n in known else len(known) + ("translated" in n), n)
    )


def source_names(frame: pd.DataFrame) -> pd.Series:
    """The readers' name of the source of every line of a frame."""
    sources = zip(frame.source, frame.data_lang, frame.model, strict=True)
    return pd.Series([name(*source) for source in sources], frame.index, dtype=object)


def interval(values: pd.Series) -> float:
    """Half width of the 95 % t interval of a mean over seeds; 0 for fewer than two."""
    return paired(values, []).half() if len(values) > 1 else 0.0


def main_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of the main study: targets only, full fine-tuning, all the intermediate data that the scale
    allows.
    """
    return frame[(frame.phase == 3) & (frame.method == FULL) & (frame["size"] == 0)]


def gain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over the baseline of the same seed, in points: a row a source, a column a target, and the
    mean.
    """
    gains = _gained(results.headline(main_runs(frame)).assign(name=source_names), "on")
    gains = gains[[t for t in TARGETS if t in gains]].dropna(how="all")
    # no mean where a target is missing
    return gains.assign(mean=gains.mean(axis=1, skipna=False)) if len(gains) else gains


def _gained(scores: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """Mean gain over the baseline of the same seed: a row a source; no row without a baseline."""
    wide = scores.pivot_table(index=["name", "seed"], columns=columns, values="score")
    if "baseline" not in wide.index.get_level_values("name"):
        return wide.iloc[:0]
    gains = (wide - wide.loc["baseline"].reindex(wide.index, level="seed")).groupby("name").mean()
    return gains.loc[[n for n in order(gains.index) if n not in ("baseline", "random weights")]]


@plt.rc_context(STYLE | {"axes.grid": False})
def gains(frame: pd.DataFrame) -> Figure | None:
    """Heat map: what each intermediate training adds to each target."""
    table = gain_table(frame)
    if table.empty:
        return None
    figure, (axes,) = _grid(1, 1, 0.8 + 0.3 * max(4, len(table)), width=1.9 + 0.49 * table.shape[1])
    reach = max(1.0, float(np.nanquantile(np.abs(table.to_numpy()), 0.95)))
    look = {
        "cmap": "RdBu",
        "vmin": -reach,
        "vmax": reach,
        "cbar_kws": {"label": "gain (points)"},
        "linewidths": 0.5,
    }
    sns.heatmap(table.round(1) + 0.0, ax=axes, annot=True, fmt="+.1f", annot_kws={"size": 9}, **look)
    axes.axvline(table.shape[1] - 1, color="black", linewidth=1)
    axes.set(xlabel="target task", ylabel="intermediate training")
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=40)
    return figure


@plt.rc_context(STYLE | {"axes.grid.axis": "y"})
def languages(frame: pd.DataFrame, shown: tuple[str, ...] = SHOWN_SOURCES) -> Figure | None:
    """Bars: score of each language on each target, with the 95 % interval over seeds."""
    scores = language_scores(frame)
    shown = [n for n in shown if n in set(scores.name)][:3]
    targets = [t for t in TARGETS if t in set(scores.on)]
    if not shown:
        return None
    colours = [{"random weights": "#999999", "baseline": "#0072B2"}.get(n, "#E69F00") for n in shown]
    look = {"color": colours, "width": 0.8, "error_kw": {"elinewidth": 0.8}, "legend": False, "xlabel": ""}
    figure, grid = _grid(len(targets), min(2, len(targets)), 1.8)
    for axes, target in zip(grid, targets, strict=True):
        groups = scores[scores.on == target].groupby(["lang", "name"]).score
        table = (
            groups.agg(["mean", interval]).unstack().sort_index(key=lambda lang: lang != PIVOT, kind="stable")
        )
        mean, half = (table[part].reindex(columns=shown) for part in ("mean", "interval"))
        mean.plot.bar(ax=axes, yerr=half, title=target, rot=90 if len(mean) > 12 else 0, **look)
    figure.supxlabel("evaluation language", fontsize=10)
    figure.supylabel("score (0–100)", fontsize=10)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shown))
    return figure


def language_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The headline score in every language: a line a run and language, with the readers' `name` of its
    source.
    """
    parts = [
        results.headline(part).assign(name=source_names, lang=lang)
        for lang, part in main_runs(frame).groupby("lang")
    ]
    return pd.concat(parts) if parts else pd.DataFrame(columns=["name", "seed", "on", "lang", "score"])


def language_gains(frame: pd.DataFrame) -> pd.DataFrame:
    """What each language gains on average over the English intermediate trainings: on, lang, gain (points),
    and `beyond`, the gain less the mean of the target's languages, which makes languages of different targets
    comparable. No pivot."""
    scores = language_scores(frame[frame.lang != PIVOT])
    gains = _gained(scores, ["on", "lang"])
    english = [
        n
        for n in gains.index
        if n == "multi-task" or n in TASKS and n != "mlm" and TASKS[n].train_lang == PIVOT
    ]
    table = gains.loc[english].mean().rename("gain").reset_index().dropna()
    # a single language has no other to be compared with
    table = table[table.groupby("on").gain.transform("size") > 1]
    return table.assign(beyond=table.gain - table.groupby("on").gain.transform("mean"))


@plt.rc_context(STYLE)
def factors(gains: pd.DataFrame, facts: pd.DataFrame) -> Figure | None:
    """Points: what a language gains beyond the others, by script, by family and by the text at hand for it.

    `gains` is of `language_gains`; `facts` has by language "script", "family" and, where it is known, "text"
    (MB).
    """
    table = gains.groupby("lang")[["beyond"]].mean().join(facts, how="inner").sort_values("beyond")
    if len(table) < 2:
        return None
    panels = 2 + ("text" in table)
    figure, grid = _grid(panels, panels, 3)
    for axes, (fact, first) in zip(
        grid, {"script": "Latin", "family": "Indo-European"}.items(), strict=False
    ):
        other = table[fact] != first
        beside = table.groupby(other).cumcount() % 3 * 0.28 - 0.35  # labels of like values stand side by side
        _labelled(axes, other + beside, table)
        axes.set(xticks=[0, 1], xticklabels=[first, "other"], xlim=(-0.5, 1.6), xlabel=fact)
    if "text" in table:
        _labelled(grid[2], table.text, table)
        grid[2].set(xscale="log", xlabel="text at hand (MB)")
        grid[2].xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        grid[2].xaxis.set_major_formatter("{x:,g}")
        grid[2].xaxis.set_minor_formatter(NullFormatter())
        grid[2].margins(x=0.2)
    for axes in grid:
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_ylim(1.15 * table.beyond.min(), 1.15 * table.beyond.max())
        axes.tick_params(labelleft=axes is grid[0])
    figure.supylabel("gain beyond the mean of the target (points)", fontsize=10)
    return figure


def _labelled(axes: Axes, x: pd.Series, table: pd.DataFrame) -> None:
    """A point a language with its code: blue in Latin script, vermilion in another."""
    colours = np.where(table.script == "Latin", COLOURS["span"], COLOURS["classify"])
    axes.scatter(x, table.beyond, s=12, color=colours)
    for lang, at, value, colour in zip(table.index, x, table.beyond, colours, strict=True):
        axes.annotate(
            lang, (at, value), (3, 0), textcoords="offset points", va="center", fontsize=9, color=colour
        )


def layer_frame(rows: list[dict]) -> pd.DataFrame:
    """Tatoeba accuracy by layer before and after each intermediate training: name, layer, and the means over
    languages and seeds (percent) of accuracy and of the share of variance that language identity explains."""
    lines = []
    for row in rows:
        if row["phase"] < 3 and row.get("layers"):
            told = {"name": _stage(row)}
            lines += [
                told | {"layer": x["layer"], "tatoeba" + "_centred" * x["centred"]: x["value"]}
                for x in row["layers"]
            ]
            lines += [
                told | {"layer": i, "share": 100 * x} for i, x in enumerate(row.get("language_share", []))
            ]
    table = pd.DataFrame(lines, columns=["name", "layer", *PANELS])
    return table.groupby(["name", "layer"], as_index=False).mean()


@plt.rc_context(STYLE)
def retrieval(rows: list[dict]) -> Figure | None:
    """Lines by layer: sentence retrieval raw and language-centred, and how much variance language identity
    explains.
    """
    table = layer_frame(rows)
    if table.empty:
        return None
    figure, (*grid, key) = _grid(4, 2, 3)
    for axes, kind in zip(grid, PANELS, strict=True):
        _lines(axes, table, "layer", kind, "layer (0 = embeddings)")
        axes.xaxis.get_major_locator().set_params(integer=True)
    key.set_axis_off()
    key.legend(*grid[0].get_legend_handles_labels(), loc="center", ncols=2)
    return figure


def probe_frame(rows: list[dict]) -> pd.DataFrame:
    """Accuracy of the linear probe for UPOS by layer (percent): name, where (English, the others' mean),
    layer, accuracy.
    """
    told = [
        {"name": _stage(row)} | point for row in rows if row["phase"] == 1 for point in row.get("probe", [])
    ]
    table = pd.DataFrame(told, columns=["name", "layer", "lang", "accuracy"])
    where = np.where(table.lang == PIVOT, "English", "mean of the other languages")
    return table.assign(where=where).groupby(["name", "where", "layer"], as_index=False).accuracy.mean()


@plt.rc_context(STYLE)
def probe(rows: list[dict]) -> Figure | None:
    """Lines by layer: what a linear probe reads from the frozen encoder, and from random weights."""
    table = probe_frame(rows)
    if table.empty:
        return None
    figure, (axes,) = _grid(1, 1, 2.6)
    for (who, where), part in table.groupby(["name", "where"]):
        look = {
            "color": "black" if who == "before" else "#777777",
            "linestyle": "-" if where == "English" else "--",
        }
        said = "pretrained" if who == "before" else who
        axes.plot(part.layer, part.accuracy, marker="o", markersize=4, label=f"{said}, {where}", **look)
    axes.set(xlabel="layer (0 = embeddings)", ylabel="UPOS accuracy (%)", ylim=(0, 100))
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@plt.rc_context(STYLE)
def curves(rows: list[dict], phases: tuple[int, ...] = (1, 2)) -> Figure | None:
    """Small multiples: training loss of every stage, one line a seed."""
    stages = [row for row in rows if row["phase"] in phases and row.get("curve") and not row["model"]]
    names = order([_stage(row) for row in stages])
    if not names:
        return None
    figure, grid = _grid(len(names), min(3, len(names)), 1.6 if len(names) > 3 else 2.4)
    for axes, who in zip(grid, names, strict=True):
        seeds = [row for row in stages if _stage(row) == who]
        for row, colour in zip(seeds, itertools.cycle(COLOURS.values()), strict=False):
            points = [(p["step"], p["loss"]) for p in row["curve"] if "loss" in p]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.3)
        axes.set_title("the encoder" if who == "before" else who)
    figure.supxlabel("optimiser steps", fontsize=10)
    figure.supylabel("training loss (nats)", fontsize=10)
    return figure


def dose_frame(rows: list[dict]) -> pd.DataFrame:
    """Retrieval along each intermediate stage, means over seeds: name, step, and distance and accuracy
    (percent).
    """
    first = [
        (x["metric"], x["value"])
        for row in rows
        if row["phase"] == 1 and not row["model"]
        for x in row["scores"]
    ]
    before = pd.DataFrame(first, columns=["metric", "value"]).groupby("metric").value.mean()
    start = {
        "step": 0,
        "distance": 0.0,
        "tatoeba": before.get("accuracy"),
        "tatoeba_centred": before.get("accuracy_centred"),
    }
    stages = [(_stage(row), [start, *row.get("curve", [])]) for row in rows if row["phase"] == 2]
    probes = [{"name": who} | point for who, points in stages for point in points if "tatoeba" in point]
    table = pd.DataFrame(probes, columns=["name", "step", "distance", *ACCURACY]).dropna()
    return table.assign(distance=100 * table.distance).groupby(["name", "step"], as_index=False).mean()


@plt.rc_context(STYLE)
def dose(rows: list[dict]) -> Figure | None:
    """Lines: retrieval along each intermediate training against the distance that the encoder has moved."""
    table = dose_frame(rows)
    if table.empty:
        return None
    figure, grid = _grid(2, 2, 4)
    for axes, kind in zip(grid, PANELS, strict=False):
        _lines(axes, table, "distance", kind, "distance the encoder moved (%)", marker="o", markersize=3)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def speed_frame(kept: list[dict]) -> pd.DataFrame:
    """What `xit bench train --keep` wrote: device, scale, task, who, intensity (FLOP/byte), achieved
    (GFLOP/s).
    """
    lines = []
    for told in kept:
        at = {
            row["name"].partition(": ")[0]: row["value"]
            for row in told["records"]
            if row["name"].endswith(": intensity")
        }
        for row in told["records"]:
            task, _, what = row["name"].partition(": ")
            if what == "achieved":
                line = {"device": told["device"], "scale": told["scale"], "task": task, "intensity": at[task]}
                lines += [line | {"who": "this package", "achieved": row["value"]}]
                lines += [line | {"who": row["baseline"], "achieved": row["baseline_value"]}]
    return pd.DataFrame(
        lines, columns=["device", "scale", "task", "intensity", "who", "achieved"]
    ).drop_duplicates()


@plt.rc_context(STYLE)
def roofline(kept: list[dict]) -> Figure | None:
    """What each task achieved against what the device's measured memory bandwidth and matmul allow. A panel a
    measurement.
    """
    table = speed_frame(kept)
    if table.empty:
        return None
    shown = table[["device", "scale"]].drop_duplicates().itertuples(index=False)
    limits = {
        (told["device"], told["scale"]): {row["name"]: row["value"] for row in told["records"]}
        for told in kept
    }
    figure, grid = _grid(len(limits), min(2, len(limits)), 3.2)
    for axes, at in zip(grid, shown, strict=True):
        part = table[(table.device == at.device) & (table.scale == at.scale)]
        _roof(axes, limits[at]["matmul ceiling"], limits[at]["memory bandwidth"], part.intensity)
        look = {
            "hue": "who",
            "style": "task",
            "palette": [COLOURS[k] for k in ("span", "classify", "mlm")],
            "s": 60,
        }
        sns.scatterplot(part, x="intensity", y="achieved", ax=axes, zorder=3, **look)
        axes.set(title=f"{at.device}\nscale {at.scale}", xlabel="", ylabel="")
        axes.get_legend().remove()
    figure.supxlabel("arithmetic intensity (FLOP on real tokens a byte that must move)", fontsize=10)
    figure.supylabel("achieved (GFLOP/s on real tokens)", fontsize=10)
    handles = dict(zip(*reversed(grid[0].get_legend_handles_labels()), strict=True))
    for title in ("who", "task"):
        handles.pop(title, None)
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=3)
    return figure


def _roof(axes: Axes, ceiling: float, bandwidth: float, at: pd.Series) -> None:
    """The limits: memory bandwidth times intensity, and the ceiling."""
    ridge = ceiling / bandwidth
    x = np.geomspace(min(ridge, at.min()) / 4, max(ridge, at.max()) * 4, 200)
    axes.plot(x, np.minimum(bandwidth * x, ceiling), color="black", linewidth=1.5)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(NullFormatter())


def _stage(row: dict) -> str:
    said = name(row["source"], row["lang"], row["model"])
    return "before" if said == "baseline" else said


def _lines(axes: Axes, table: pd.DataFrame, x: str, kind: str, xlabel: str, **look) -> None:
    """A line a stage: colour by the kind of task, line style within a kind; before any training thick, black
    or grey.
    """
    styles: dict[str, Iterator[str]] = {}
    for who in order(table.name):
        sort = (
            TASKS[who].kind if who in TASKS else next((k for k in ("translated", "mlm") if k in who), "joint")
        )
        if who in ("before", "random weights"):
            style, colour, width = "-", "black" if who == "before" else "#999999", 2.5
        else:
            style = next(styles.setdefault(sort, itertools.cycle(["-", "--", ":", "-."])))
            colour, width = COLOURS.get(sort, "#999999"), 1.5
        part = table[table.name == who]
        axes.plot(part[x], part[kind], style, color=colour, linewidth=width, label=who, **look)
    title, unit = PANELS[kind]
    top = 1.05 * table[ACCURACY].max(axis=None) if kind != "share" else None  # shared: to be compared
    axes.set(title=title, xlabel=xlabel, ylabel=unit, ylim=(0, top))


def _grid(number: int, columns: int, height: float, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure of panels, each so many inches high, and its panels."""
    lines = -(-number // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(width, height * lines + 0.6), squeeze=False)
    plt.close(figure)  # a notebook shows the figure that a cell returns, once
    for unused in grid.flat[number:]:
        unused.set_axis_off()
    return figure, list(grid.flat[:number])
