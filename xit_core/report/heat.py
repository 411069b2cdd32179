"""The heat map of gains: a table, whose colours only repeat what its cells say."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_hex

from ..design.tasks import TARGETS
from ..ledger import scored
from . import frames
from .markdown import SIGNED, WIDE, number

MEAN = "mean"  # the column of the mean over targets
MIDDLE = (0.2, 0.8)  # the part of the palette on which black text is easy to read


def by_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """Gains over the baseline of the same seed, in points: a row for each source and seed, a column for each
    target and one for their mean.

    The mean is missing where a source lacks a target with any of its seeds. No rows without a baseline.
    """
    scores = scored.headline(frames.claimed_runs(frame)).assign(name=frames.source_names)
    gains = frames.gains_by_seed(scores, "on")
    gains = gains.drop(index=["baseline", "random weights"], level="name", errors="ignore")
    gains = gains[[target for target in TARGETS if target in gains]].dropna(how="all")
    if gains.empty:
        return gains
    whole = gains.notna().groupby(level="name").all().all(axis=1).reindex(gains.index, level="name")
    return gains.assign(**{MEAN: gains.mean(axis=1).where(whole)})


def table(frame: pd.DataFrame) -> str:
    """Mean gain of each source on each target, with its 95 % interval over seeds, as an HTML table.

    A cell that is pointed at says the ends of its interval and the number of seeds. "" without a gain.
    """
    gains = by_seed(frame)
    if gains.empty:
        return ""
    means = gains.groupby(level="name").mean()
    limit = max(1.0, float(np.nanquantile(np.abs(means.to_numpy()), 0.95)))
    head = "".join(f'<th scope="col">{column}</th>' for column in ("trained on first", *gains))
    lines = [
        f'<tr><th scope="row">{name}</th>'
        + "".join(_cell(name, on, gains.loc[name, on].dropna(), limit) for on in gains)
        + "</tr>"
        for name in frames.order(list(means.index))
    ]
    rows = "\n".join(lines)
    return (
        f'<div class="wide"><table class="heat"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(name: str, on: str, gains: pd.Series, limit: float) -> str:
    """A cell of the table. `limit`: the gain, in points, from which on the colour is the strongest."""
    if gains.empty:
        return "<td></td>"
    mean, half, many = gains.mean(), frames.interval(gains), len(gains) > 1
    share = Normalize(-limit, limit, clip=True)(mean)
    colour = to_hex(colormaps["RdBu"](MIDDLE[0] + (MIDDLE[1] - MIDDLE[0]) * share))
    cell = f"{name}, mean of all targets" if on == MEAN else f"{name} on {on}"
    ends = f"; 95 % interval {number(mean - half, SIGNED)} to {number(mean + half, SIGNED)}" if many else ""
    more = f"{cell}: {number(mean, SIGNED)} points{ends}; {len(gains)} seed{'s' if many else ''}"
    spread = f"<br><small>{_spread(gains, half)}</small>"
    return (
        f'<td style="background: {colour}; color: black" title="{more}">{number(mean, SIGNED)}{spread}</td>'
    )


def _spread(gains: pd.Series, half: float) -> str:
    """Half the interval of a cell; each seed where that is too wide to tell anything."""
    if len(gains) < 2:
        return "one seed"
    return f"±{half:,.1f}" if half <= WIDE else ", ".join(number(gain, SIGNED) for gain in gains)


def in_words(frame: pd.DataFrame) -> str:
    """The ends of the table in a sentence, of the cells that have most seeds; "" when there is none."""
    gains = by_seed(frame).drop(columns=MEAN, errors="ignore")
    if gains.empty:
        return ""
    seeds, means = gains.groupby(level="name").count(), gains.groupby(level="name").mean()
    most = seeds.max(axis=None)
    cells = means[seeds == most].stack().dropna()
    ends = dict.fromkeys((cells.idxmin(), cells.idxmax()))
    told = " to ".join(f"{number(cells[end], SIGNED)} ({end[0]} on {end[1]})" for end in ends)
    above = f"{(cells > 0).sum()} of {len(cells)} means are above zero"
    where = f"Where {most} seeds are there, gains" if len(cells) < (seeds > 0).sum(axis=None) else "Gains"
    return f"{where} go from {told}; {above}."
