"""Figures from the ledger: each takes the ledger's rows or frame, and is None without data.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. Text is never smaller than 9 points.
The background is white, so that a figure looks the same on a light and a dark page. The same data give
byte-identical files.
"""

import itertools
import textwrap
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..design.methods import FUSION
from ..design.scales import PIVOT
from ..design.tasks import TARGETS, TASKS
from .claims import EVERY_TARGET, Estimate
from .contrasts import EQUAL_STEPS
from .frames import (
    ACCURACY,
    dose_frame,
    dose_lines,
    interval,
    language_scores,
    layer_frame,
    order,
    speed_frame,
    stage_name,
)

COLOURS = {
    "span": "#0072B2", "classify": "#D55E00", "choose": "#009E73",
    "tag": "#CC79A7", "mlm": "#E69F00", "joint": "#56B4E9",
}  # fmt: skip
PANELS = {
    "tatoeba": ("raw vectors", "Tatoeba accuracy (%)"),
    "tatoeba_centred": ("each language's mean subtracted", "Tatoeba accuracy (%)"),
    "share": ("what language identity explains", "share of variance (%)"),
}
DISTANCE = "distance the encoder moved (%)"
GIVEN = {"before": "black", "random weights": "#999999"}  # encoders that no stage has trained
# a figure shows the first three of these that have run
SHOWN_SOURCES = ("random weights", "baseline", "multi-task", "squad1")
WIDTH = 6.8  # inches: the text column of the book, so that no font is scaled below its size
MANY_LANGUAGES = 20  # more than half of the page has room for the names of
NARROW = 3.7  # inches: the column on a phone
ON_PHONE = ContextVar("ON_PHONE", default=False)  # whether what is drawn is for a phone
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10.5, "axes.labelsize": 10,
    "figure.labelsize": 10,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
    "grid.color": "#e4e4e4", "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100,
    "figure.constrained_layout.use": True, "svg.hashsalt": "xit",
}  # fmt: skip
# a notebook draws a figure outside of STYLE's context, where its ids must not be random either
plt.rcParams["svg.hashsalt"] = STYLE["svg.hashsalt"]


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as an SVG and return its path. The same data give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None})
    return path


@plt.rc_context(STYLE | {"axes.grid.axis": "y"})
def languages(frame: pd.DataFrame, shown: tuple[str, ...] = SHOWN_SOURCES) -> Figure | None:
    """Bars: the score of each language on each target, with its 95 % interval over seeds."""
    scores = language_scores(frame)
    shown = [n for n in shown if n in set(scores.name)][:3]
    # of the nine; a notebook may have further targets alone
    targets = [t for t in TARGETS if t in set(scores.on)] or sorted(set(scores.on))
    if not shown:
        return None
    colours = [{"random weights": "#999999", "baseline": "#0072B2"}.get(n, "#E69F00") for n in shown]
    options = {"color": colours, "width": 0.8, "error_kw": {"elinewidth": 0.8}, "legend": False, "xlabel": ""}
    most = scores.groupby("on").lang.nunique().max()
    figure, grid = _grid(len(targets), 1 if most > MANY_LANGUAGES else min(2, len(targets)), 1.8)
    for axes, target in zip(grid, targets, strict=True):
        groups = scores[scores.on == target].groupby(["lang", "name"]).score
        table = groups.agg(["mean", interval]).unstack()
        table = table.sort_index(key=lambda lang: lang != PIVOT, kind="stable")
        mean, half = (table[part].reindex(columns=shown) for part in ("mean", "interval"))
        mean.plot.bar(ax=axes, yerr=half, title=target, rot=90 if len(mean) > 12 else 0, **options)
        if ON_PHONE.get() and len(mean) > MANY_LANGUAGES:
            axes.set_xticks(axes.get_xticks()[::2], mean.index[::2])
    named = " (of many, every second is named)" if ON_PHONE.get() and most > MANY_LANGUAGES else ""
    figure.supxlabel(f"evaluation language{named}")
    figure.supylabel("score (0–100)")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shown))
    return figure


@plt.rc_context(STYLE)
def factors(gains: pd.DataFrame, facts: pd.DataFrame) -> Figure | None:
    """Points: how much more a language gains than the others, by script and by family.

    `gains` comes from `language_gains`. `facts` has, by language, "script" and "family".
    """
    table = gains.groupby("lang")[["beyond"]].mean().join(facts, how="inner").sort_values("beyond")
    if len(table) < 2:
        return None
    figure, grid = _grid(2, 2, 3)
    for axes, (fact, group) in zip(grid, {"script": "Latin", "family": "Indo-European"}.items(), strict=True):
        is_other = table[fact] != group
        # labels of similar values are placed side by side
        offsets = table.groupby(is_other).cumcount() % 5 * 0.18 - 0.4
        _labelled(axes, is_other + offsets, table)
        axes.set(xticks=[0, 1], xticklabels=[group, "other"], xlim=(-0.5, 1.6), xlabel=fact)
    for axes in grid:
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_ylim(1.15 * table.beyond.min(), 1.15 * table.beyond.max())
        axes.tick_params(labelleft=axes.get_subplotspec().is_first_col())
    figure.supylabel("gain beyond the mean of the target (points)")
    return figure


def _labelled(axes: Axes, x: pd.Series, table: pd.DataFrame) -> None:
    """One point per language, labelled with its code: blue for Latin script, vermilion for others."""
    colours = np.where(table.script == "Latin", COLOURS["span"], COLOURS["classify"])
    axes.scatter(x, table.beyond, s=12, color=colours)
    for lang, position, value, colour in zip(table.index, x, table.beyond, colours, strict=True):
        axes.annotate(
            lang, (position, value), (3, 0), textcoords="offset points", va="center", fontsize=9, color=colour
        )


@plt.rc_context(STYLE)
def retrieval(rows: list[dict]) -> Figure | None:
    """Lines by layer: sentence retrieval, raw and language-centred, and the share of variance that language
    identity explains.
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


@plt.rc_context(STYLE)
def curves(rows: list[dict], phases: tuple[int, ...] = (1, 2)) -> Figure | None:
    """Small multiples: the training loss of every stage, one line per seed."""
    stages = [row for row in rows if row["phase"] in phases and row.get("curve") and not row["model"]]
    names = order([stage_name(row) for row in stages])
    if not names:
        return None
    figure, grid = _grid(len(names), min(3, len(names)), 1.6 if len(names) > 3 else 2.4)
    for axes, stage in zip(grid, names, strict=True):
        seeds = [row for row in stages if stage_name(row) == stage]
        for row, colour in zip(seeds, itertools.cycle(COLOURS.values()), strict=False):
            points = [(point["step"], point["loss"]) for point in row["curve"] if "loss" in point]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.3)
        axes.set_title("the encoder" if stage == "before" else stage)
    figure.supxlabel("optimiser steps")
    figure.supylabel("training loss (nats)")
    return figure


@plt.rc_context(STYLE)
def dose(rows: list[dict]) -> Figure | None:
    """Retrieval during each intermediate training against the distance that the encoder has moved: lines, as
    means over seeds. A point for each seed where no training was measured between its start and its end, for
    a line would claim a way between them.
    """
    table = dose_lines(rows)
    if table.empty:
        return None
    between = (table.groupby("name").step.nunique() > 2).any()
    means = dose_frame(rows)
    figure, grid = _grid(2, 2, 4)
    for axes, kind in zip(grid, PANELS, strict=False):
        if between:
            _lines(axes, means, "distance", kind, DISTANCE, marker="o", markersize=3)
        else:
            _ends(axes, table, kind)
    columns = 1 if ON_PHONE.get() else 3
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure


@plt.rc_context(STYLE)
def forest(shown: list[Estimate]) -> Figure | None:
    """Estimates with 95 % intervals: one panel for each scale, a line for all targets and one for each, the
    same targets and points on all panels.
    """
    scales = list(dict.fromkeys(line.scale for line in shown))
    if not scales:
        return None
    names = sorted({line.target for line in shown}, key=(EVERY_TARGET, *TARGETS).index)
    figure, grid = _grid(len(scales), min(2, len(scales)), 0.3 * len(names) + 1.0)
    for axes, scale in zip(grid, scales, strict=True):
        part = {line.target: (line.estimate, line.low, line.high) for line in shown if line.scale == scale}
        _intervals(axes, [(name, *part.get(name, (np.nan,) * 3)) for name in names])
        axes.tick_params(axis="y", labelleft=axes.get_subplotspec().is_first_col())
        axes.set(title=scale)
    _same_points(grid)
    return figure


@plt.rc_context(STYLE)
def claims(rows: list[dict], labels: dict[str, str], limits: dict[str, float]) -> Figure | None:
    """Every measured claim at every scale: one panel for each scale, a line for each claim, the same points
    on all panels.

    `rows`: those of the table of claims, with their `state`, which stands where there is no estimate.
    `labels` and `limits`: by claim, its name and the limit of its rule where that is not zero.
    """
    scales = list(dict.fromkeys(row["scale"] for row in rows))
    if not scales:
        return None
    figure, grid = _grid(len(scales), min(2, len(scales)), 0.29 * len(labels) + 0.7)
    for axes, scale in zip(grid, scales, strict=True):
        part = {row["id"]: row for row in rows if row["scale"] == scale}
        for y, name in enumerate(reversed(labels)):
            if name in part:
                _claim(axes, y, part[name], limits.get(name))
        axes.axvline(0, color="black", linewidth=0.8, zorder=1)
        axes.set(title=f"at {scale}", xlabel="gain in points", ylim=(-0.6, len(labels) - 0.4))
        axes.set_yticks(range(len(labels)), list(labels.values())[::-1])
        axes.tick_params(axis="y", labelleft=axes.get_subplotspec().is_first_col(), length=0)
    _same_points(grid)
    return figure


def _same_points(grid: list[Axes]) -> None:
    """Let all panels show the same range of points."""
    ends = [axes.get_xlim() for axes in grid]
    for axes in grid:
        axes.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))


def _claim(axes: Axes, y: int, row: dict, limit: float | None) -> None:
    """One claim: its estimate with both intervals, what was claimed, and the limit of its rule; or its state,
    where it has no estimate.
    """
    if row["low"] is None:
        place = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 9}
        axes.text(0.99, y, row["state"], color="#666666", **place)
        return
    untested = row["direction"] == "not testable"
    colour = {"holds": COLOURS["span"], "fails": COLOURS["classify"]}.get(row["direction"], "#666666")
    axes.plot([row["joint_low"], row["joint_high"]], [y, y], color=colour, linewidth=1)
    axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=3.2, alpha=0.5 if untested else 1)
    face = "white" if untested else colour
    axes.plot(row["estimate"], y, "o", color=colour, markerfacecolor=face, markersize=6.5)
    if row["published"] is not None:
        axes.plot(row["published"], y, "D", color=COLOURS["mlm"], markeredgecolor="black", markersize=6)
    if limit is not None:
        axes.plot([limit, limit], [y - 0.4, y + 0.4], "--", color="black", linewidth=1.2)


@plt.rc_context(STYLE)
def simulation(records: list[dict], limits: dict[str, float]) -> Figure | None:
    """Two panels: how often each interval covers, and how often each side of each rule is wrong, in percent.

    One mark for each scenario and truth; `limits`: by panel, the line that no mark may cross.
    """
    if not records:
        return None
    frame = pd.DataFrame([record for record in records if record["what"] != "family"])
    frame["percent"] = 100 * frame.share
    frame["panel"] = np.where(frame.what == "covered", "covered", "wrong")
    figure, grid = _grid(2, 2, 4.2)
    for axes, (panel, limit) in zip(grid, limits.items(), strict=True):
        part = frame[frame.panel == panel]
        sns.stripplot(
            part, x="percent", y="claim", hue="scenario", ax=axes, size=5, alpha=0.8,
            jitter=False, dodge=True, palette=list(COLOURS.values())[: part.scenario.nunique()],
        )  # fmt: skip
        axes.axvline(100 * limit, color="black", linewidth=1.2, linestyle="--")
        axes.set(xlabel=f"{panel} (%)", ylabel="")
        axes.get_legend().remove()
    columns = 1 if ON_PHONE.get() else 4
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    return figure


@plt.rc_context(STYLE)
def roofline(kept: list[dict]) -> Figure | None:
    """Points: the speed that each task achieved, against the limits of the device's measured memory bandwidth
    and matmul. One panel per device and scale.
    """
    table = speed_frame(kept)
    if table.empty:
        return None
    limits = {
        (each["device"], each["scale"]): {row["name"]: row["value"] for row in each["records"]}
        for each in kept
    }
    figure, grid = _grid(len(limits), min(2, len(limits)), 3.2)
    for axes, (panel, part) in zip(grid, table.groupby(["device", "scale"], sort=False), strict=True):
        _roof(axes, limits[panel]["matmul ceiling"], limits[panel]["memory bandwidth"], part.intensity)
        colours = [COLOURS[kind] for kind in ("span", "classify", "mlm")]
        sns.scatterplot(
            part, x="intensity", y="achieved", hue="who", style="task", palette=colours, s=60, ax=axes,
            zorder=3,
        )  # fmt: skip
        axes.set(title="{}\nscale {}".format(*panel), xlabel="", ylabel="")
        axes.get_legend().remove()
    intensity = "arithmetic intensity (FLOP on real tokens a byte that must move)"
    figure.supxlabel("FLOP a byte" if ON_PHONE.get() else intensity)
    figure.supylabel("achieved (GFLOP/s on real tokens)")
    handles = dict(zip(*reversed(grid[0].get_legend_handles_labels()), strict=True))
    for title in ("who", "task"):
        handles.pop(title, None)
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=1 if ON_PHONE.get() else 3)
    return figure


@plt.rc_context(STYLE)
def kills(kept: list[dict]) -> Figure | None:
    """Points: when each process of a study was killed, one row for each kind of process.

    Filled: while a run was being made. Hollow: before the first or between two.
    """
    rows = [row for measurement in kept for row in measurement["records"] if " | " in row["name"]]
    if not rows:
        return None
    frame = pd.DataFrame(
        [
            dict(zip(("victim", "running"), row["name"].split(" | "), strict=False), s=row["value"])
            for row in rows
        ]
    )
    order = frame.groupby("victim").size().sort_values(kind="stable").index
    figure, (axes,) = _grid(1, 1, 0.4 * len(order) + 0.6)
    colour = COLOURS["span"]
    for busy, face in ((False, "white"), (True, colour)):
        part = frame[(frame.running != "") == busy]
        axes.scatter(
            part.s, [order.get_loc(v) for v in part.victim], s=22, c=face, edgecolors=colour, zorder=3
        )
    axes.set(yticks=range(len(order)), yticklabels=order, xlabel="seconds after the study's start")
    return figure


def _roof(axes: Axes, ceiling: float, bandwidth: float, at: pd.Series) -> None:
    """Draw the limits: memory bandwidth times intensity, and the matmul ceiling."""
    ridge = ceiling / bandwidth
    x = np.geomspace(min(ridge, at.min()) / 4, max(ridge, at.max()) * 4, 200)
    axes.plot(x, np.minimum(bandwidth * x, ceiling), color="black", linewidth=1.5)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(NullFormatter())


def _lines(axes: Axes, table: pd.DataFrame, x: str, kind: str, xlabel: str, **look) -> None:
    """One line per stage; line style tells tasks of a kind apart.

    The encoder before training is a thick black line, random weights a thick grey one.
    """
    for stage, style, colour in _looks(table.name, ["-", "--", ":", "-."]):
        part = table[table.name == stage]
        width = 2.5 if stage in GIVEN else 1.5
        axes.plot(part[x], part[kind], style, color=colour, linewidth=width, label=stage, **look)
    _described(axes, table, kind, xlabel)


def _ends(axes: Axes, table: pd.DataFrame, kind: str) -> None:
    """The start, and a point per seed for the end of each stage; its mark tells tasks of a kind apart."""
    start = table[table.step == 0].iloc[:1]
    axes.plot(start.distance, start[kind], "o", color="black", markersize=7, label="before")
    for stage, mark, colour in _looks(table.name, ["o", "s", "^", "D"]):
        part = table[(table.name == stage) & (table.step > 0)]
        axes.plot(part.distance, part[kind], mark, color=colour, markersize=5, alpha=0.8, label=stage)
    _described(axes, table, kind, DISTANCE)


def _looks(stages: pd.Series, styles: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each stage, in order, with its style and colour. Colour shows the kind of task, and the styles take
    turns within a kind.
    """
    turns: dict[str, Iterator[str]] = {}
    for stage in order(stages):
        mixed = next((kind for kind in ("translated", "mlm") if kind in stage), "joint")
        group = TASKS[stage].kind if stage in TASKS else mixed
        if stage in GIVEN:
            yield stage, styles[0], GIVEN[stage]
        else:
            style = next(turns.setdefault(group, itertools.cycle(styles)))
            yield stage, style, COLOURS.get(group, "#999999")


def _described(axes: Axes, table: pd.DataFrame, kind: str, xlabel: str) -> None:
    """Name a panel of PANELS and its axes. Those of accuracy share a limit."""
    title, unit = PANELS[kind]
    top = 1.05 * table[ACCURACY].max(axis=None) if kind != "share" else None
    axes.set(title=title, xlabel=xlabel, ylabel=unit, ylim=(0, top))


def _intervals(axes: Axes, lines: list[tuple[str, float, float, float]]) -> None:
    """Draw estimates with their intervals from top to bottom, the first one marked.

    `lines`: name, estimate, low, high; in points.
    """
    for y, (_, estimate, low, high) in enumerate(lines[::-1]):
        first = y == len(lines) - 1
        colour = COLOURS["classify" if first else "span"]
        axes.plot([low, high], [y, y], color=colour, linewidth=2.5 if first else 1.5)
        axes.plot(estimate, y, marker="D" if first else "o", color=colour, markersize=6)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set(xlabel="points", ylabel="")
    axes.set_yticks(range(len(lines)), [line[0] for line in lines[::-1]])


def for_phone(draw: Callable[[], Figure | None]) -> Figure | None:
    """A figure as wide as a phone, with its panels below each other; None where it has a width of its own."""
    token = ON_PHONE.set(True)
    try:
        drawn = draw()
    finally:
        ON_PHONE.reset(token)
    return drawn if drawn is not None and drawn.get_figwidth() == NARROW else None


def _grid(number: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `number` panels in `columns` columns, each `height` inches high, and the list of panels.

    On a phone, panels are below each other.
    """
    columns, width = (1, NARROW) if ON_PHONE.get() else (columns, WIDTH)
    rows = -(-number // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(width, height * rows + 0.6), squeeze=False)
    plt.close(figure)  # so that a notebook shows it only once, as the value of a cell
    for unused in grid.flat[number:]:
        unused.set_axis_off()
    return figure, list(grid.flat[:number])


def _joint(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a joint training."""
    return table.source.str.contains("+", regex=False)


KINDS = {  # of source: its mark, its colour, and its column beside that of its method, as a factor
    "none": ("x", "mlm", 0.83),
    "single": ("o", "span", 0.91),
    f"joint{EQUAL_STEPS}": ("D", "classify", 1.0),
    "joint, all steps": ("s", "tag", 1.1),
    "fusion of single ones": ("^", "choose", 1.2),
}


COLLAPSED = 20.0  # points below all others from which on a score is left out of a figure


@plt.rc_context(STYLE)
def trained(table: pd.DataFrame) -> Figure | None:
    """Points: the mean score of each source against the weights that are trained for one target, a column
    for each method and within it one for each kind of source: none, single ones, joint ones and their fusion.
    """
    table = table[table.trained > 0]
    if table.empty:
        return None
    figure, (axes,) = _grid(1, 1, 3.6)
    weights = table.groupby("method").trained.median()
    parts = dict(list(table.groupby(_kinds(table))))
    for name, (mark, colour, aside) in KINDS.items():
        if name in parts:
            told = {"marker": mark, "color": COLOURS[colour], "label": name}
            axes.scatter(aside * parts[name].trained, parts[name].score, s=22, alpha=0.8, **told)
    axes.set(
        xscale="log", xlabel="trained weights of the encoder", ylabel="mean F1 over languages and targets"
    )
    axes.set_xticks(weights, [f"{method}\n{n:,.0f}" for method, n in weights.items()])
    axes.minorticks_off()
    _without_the_lowest(axes, table)
    columns = 2 if ON_PHONE.get() else len(parts)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure


def _kinds(table: pd.DataFrame) -> pd.Series:
    """The kind of each row's source, a key of KINDS."""
    none = table.source.isin(["", *(f"{method}:" for method in set(table.method))])
    equal, joint = table.source.str.endswith(EQUAL_STEPS), _joint(table)
    words = ["fusion of single ones", f"joint{EQUAL_STEPS}", "joint, all steps", "none"]
    found = np.select([table.method == FUSION, joint & equal, joint, none], words, "single")
    return pd.Series(found, table.index)


def _without_the_lowest(axes: Axes, table: pd.DataFrame) -> None:
    """Leave out a collapsed point that would flatten all others, and say where it is."""
    lowest, rest = table.score.min(), table.score.nlargest(len(table) - 1)
    if len(rest) < 2 or rest.min() - lowest < max(COLLAPSED, np.ptp(rest)):
        return
    axes.set_ylim(rest.min() - 0.2 * np.ptp(rest), rest.max() + 0.1 * np.ptp(rest))
    at = (table.trained[table.score.idxmin()], axes.get_ylim()[0])
    axes.annotate(f"\N{DOWNWARDS ARROW} one at {lowest:.0f}", at, (-3, 4), textcoords="offset points")


@plt.rc_context(STYLE)
def contrasts(measured: list[dict]) -> Figure | None:
    """Contrasts of a question with 95 % intervals, the answer first."""
    if not measured:
        return None
    letters = 20 if ON_PHONE.get() else 44
    names = [textwrap.fill(row["name"], letters) for row in measured]
    lines = max(name.count("\n") + 1 for name in names)
    figure, (axes,) = _grid(1, 1, (0.15 * lines + 0.17) * len(measured) + 0.6)
    ends = [(row["estimate"], row["low"], row["high"]) for row in measured]
    _intervals(axes, [(name, *each) for name, each in zip(names, ends, strict=True)])
    return figure


@plt.rc_context(STYLE)
def pairs(table: pd.DataFrame) -> Figure | None:
    """A panel for each pair: the score on other rows against the score on a target's own, a point for each
    run, and the line of what is expected where the table has it. The joint training has a colour of its own.
    """
    if table.empty:
        return None
    names = list(dict.fromkeys(zip(table.target, table.twin, strict=True)))
    figure, grid = _grid(len(names), 4, 2.0)
    for axes, (target, twin) in zip(grid, names, strict=True):
        part = table[(table.target == target) & (table.twin == twin)]
        joint = _joint(part)
        for chosen, colour, label in (
            (~joint, "span", "single tasks and none"),
            (joint, "classify", "joint"),
        ):
            axes.scatter(
                *part[chosen][["inside", "outside"]].to_numpy().T, s=9, color=COLOURS[colour], label=label
            )
        ends = [part[["inside", "outside"]].min(axis=None), part[["inside", "outside"]].max(axis=None)]
        axes.plot(ends, ends, ":", color="grey", linewidth=1, label="as on its own rows")
        if "expected" in part:
            line = part.sort_values("inside")
            axes.plot(line.inside, line.expected, color="black", linewidth=1, label="expected")
        title = target if twin.startswith(target) else twin  # of a twin in a constructed world
        axes.set(title=title, xlabel="own rows", ylabel="other rows")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@plt.rc_context(STYLE)
def sizes(table: pd.DataFrame, without: float) -> Figure | None:
    """A panel for each rule for steps: what is lost on adversarial rows by the rows of the intermediate task.

    `without`: what is lost without one, in points.
    """
    if table.empty:
        return None
    rules = list(dict.fromkeys(table.steps))
    figure, grid = _grid(len(rules), 2, 3.0)
    for axes, rule in zip(grid, rules, strict=True):
        for task, part in table[table.steps == rule].groupby("task"):
            axes.plot(part["size"], part["drop"], marker="o", markersize=4, label=task)
        axes.axhline(without, color="0.5", linestyle=":", label="no intermediate task")
        axes.set(title=rule, xscale="log", xlabel="rows of the intermediate task", ylabel="points lost")
        rows = sorted(set(table["size"]))
        axes.set_xticks(rows, [f"{x:,}" for x in rows])
        axes.minorticks_off()
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
