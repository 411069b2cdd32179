"""Weighted sums of scores over the cells of a study, with their intervals."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..design import studies
from ..design.run import Run
from ..design.scales import PIVOT, Scale
from ..design.tasks import INTERMEDIATES, TARGETS, nine
from ..ledger import results
from .stats import SEEDS, Interval, paired, pooled

BASELINE = ("", PIVOT)

# a run's source and the language of its intermediate data; where a study compares methods or numbers of rows,
# too, the names of its sources say them
Source = tuple[str, str]
Cell = tuple[str, str, str]  # a source, its language and a target
Weights = dict[Cell, float]


class Short(Exception):
    """Too few finished runs for an estimate; the message says which."""


@dataclass(frozen=True)
class Entry:
    """The result of one cell at one seed: the run, its score, and the contribution of each test instance."""

    id: str
    score: float  # 0-100
    items: np.ndarray  # (N,), sums to a proxy of the score


def main_cell(run: Run) -> Cell | None:
    """The cell of a run of the main study; None for the random-weights control, which is no source."""
    return None if run.model else (run.source, run.lang, run.on)


def runs_by_cell(
    planned: Iterable[Run], cell_of: Callable[[Run], Cell | None]
) -> dict[tuple[Cell, int], Run]:
    """The target runs of a study by cell and seed.

    Raises: ValueError when two are the same: one would be taken for the other.
    """
    found: dict[tuple[Cell, int], Run] = {}
    for run in planned:
        if run.phase != 3 or (cell := cell_of(run)) is None:
            continue
        other = found.setdefault((cell, run.seed), run)
        if other.id != run.id:
            raise ValueError(f"{run.id} and {other.id} are both seed {run.seed} of {cell}; tell them apart")
    return found


class Ledger:
    """The finished runs of a study at one scale: cell -> seed -> entry. Rows of other recipes are ignored."""

    def __init__(
        self,
        scale: Scale,
        study: str = studies.MAIN,
        cell_of: Callable[[Run], Cell | None] = main_cell,
        stored: list[dict] | None = None,
        least: int = SEEDS,
    ) -> None:
        """`cell_of`: what a run is an observation of, next to its seed. `stored`: rows to use in place of
        the ledger's files. `least`: how many seeds in common an estimate needs.

        Raises: ValueError when two runs of the study are the same seed of the same cell.
        """
        stored = results.rows(scale.name) if stored is None else stored
        self.least = least
        rows = {row["id"]: row for row in stored}
        scores = results.headline(results.tidy(stored)).set_index("id")["score"] if rows else {}
        self.cells: dict[Cell, dict[int, Entry]] = {}
        for (cell, seed), run in runs_by_cell(studies.runs(study, scale), cell_of).items():
            seeds = self.cells.setdefault(cell, {})
            if run.id in rows and run.id in scores:
                seeds[seed] = Entry(run.id, float(scores[run.id]), np.asarray(rows[run.id]["items"], float))
        self.targets = tuple(t for t in TARGETS if ("", PIVOT, t) in self.cells)
        self.nine, self.multi = nine(scale), studies.multi(scale)
        self.instead = ", ".join(
            f"{stand_in} stands in for {t}"
            for stand_in, t in zip(self.nine, INTERMEDIATES, strict=True)
            if stand_in != t
        )
        self.singles = tuple(
            source for source in self.nine if any(cell[:2] == (source, PIVOT) for cell in self.cells)
        )

    def restricted(self, keep: Callable[[Cell, int], bool]) -> "Ledger":
        """The same without the cells, or the seeds of cells, that `keep` refuses. One seed is then enough for
        an estimate; its interval is not to be used.
        """
        cells = {
            cell: {seed: entry for seed, entry in entries.items() if keep(cell, seed)}
            for cell, entries in self.cells.items()
        }
        other = copy.copy(self)
        other.cells = {cell: entries for cell, entries in cells.items() if entries}
        other.targets = tuple(t for t in self.targets if ("", PIVOT, t) in other.cells)
        other.least = 1
        return other

    def seeds(self, cells: Iterable[Cell]) -> list[int]:
        """The seeds that every cell has.

        Raises: Short when there are fewer than an interval needs, or a cell is not part of the study.
        """
        cells = list(cells)
        if not cells or any(cell not in self.cells for cell in cells):
            raise Short("not part of the study at this scale")
        common = set.intersection(*(set(self.cells[cell]) for cell in cells))
        if len(common) < self.least:
            done = sum(len(self.cells[cell]) for cell in cells)
            found = f"{len(common)} seed{'s' * (len(common) != 1)} finished in common ({done} runs)"
            raise Short(f"{found}, {self.least} needed")
        return sorted(common)

    def contrast(self, plan: dict[int, Weights]) -> Interval:
        """The interval (points) of a weighted sum of scores. `plan` gives the weights at each seed."""
        values = [
            sum(weight * self.cells[c][seed].score for c, weight in weights.items())
            for seed, weights in plan.items()
        ]
        differences: dict[str, np.ndarray] = {}
        for seed, weights in plan.items():
            for cell, weight in weights.items():
                instances = self.cells[cell][seed].items * (weight / len(plan))
                differences[cell[2]] = differences.get(cell[2], 0.0) + instances
        return paired(values, list(differences.values()))

    def gap(self, weights: Weights) -> Interval:
        """The interval (points) of a weighted sum with the same weights at every seed that its cells share.

        The weights must be equal over the targets. The seed variance is pooled over all sources that have
        these seeds. Raises: Short.
        """
        seeds, targets = self.seeds(weights), sorted({cell[2] for cell in weights})
        sources = dict.fromkeys(cell[:2] for cell in self.cells)
        complete = [
            source
            for source in sources
            if all(set(seeds) <= set(self.cells.get((*source, t), ())) for t in targets)
        ]
        means = [
            [np.mean([self.cells[(*source, t)][s].score for t in targets]) for s in seeds]
            for source in complete
        ]
        source_weights = [sum(weights.get((*source, t), 0.0) for t in targets) for source in complete]
        interval = self.contrast(dict.fromkeys(seeds, weights))
        return pooled(interval, np.array(means), np.array(source_weights))

    def ids(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """Ids of the runs behind the cells, at the seeds that all cells have. Raises: Short."""
        cells = sorted(cells)
        seeds = self.seeds(cells)
        return tuple(self.cells[cell][seed].id for cell in cells for seed in seeds)


# -- weights and decisions -----------------------------------------------------------------------------------


def versus(a: Source, b: Source, targets: Iterable[str]) -> Weights:
    """The weights of the mean over the targets of source `a` minus source `b`."""
    targets = tuple(targets)
    return {
        (*source, target): sign / len(targets) for target in targets for source, sign in ((a, 1), (b, -1))
    }


def mean_contrast(parts: list[Weights]) -> Weights:
    """The mean of several contrasts as one contrast."""
    cells = dict.fromkeys(c for part in parts for c in part)
    return {cell: sum(part.get(cell, 0.0) for part in parts) / len(parts) for cell in cells}
