"""Weighted sums of scores over the cells of a study, with their intervals."""

import copy
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..design import studies
from ..design.run import RANDOM_WEIGHTS, SINGLE, Run
from ..design.scales import PIVOT, Scale, scale_of
from ..design.tasks import INTERMEDIATES, TARGETS, TASKS, nine
from ..ledger import results
from ..ledger.scored import by_language, headline_of
from .stats import SEEDS, Interval, Spread, instance_variance, own_variance, source_variance

BASELINE = ("", PIVOT)
EQUAL_STEPS = ", equal steps"  # in the name of a joint source that took as many steps as a single task

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
    row: dict  # of the ledger

    @cached_property
    def by_language(self) -> dict[str, float]:
        """The headline score in each language."""
        return by_language(self.row)


def main_cell(run: Run) -> Cell | None:
    """The cell of a run of the main study; None for the random-weights control, which is no source.

    Where all paths of a scale begin with the same stage, that is its baseline.
    """
    if run.model or run.path == run.scale.start:
        return None
    return at(run.added, run.steps), run.lang, run.on


def control_cell(run: Run) -> Cell | None:
    """The cell of a run of the control of random weights; None for other runs."""
    return (run.source, run.lang, run.on) if run.model == RANDOM_WEIGHTS else None


def at(source: str, steps: str) -> str:
    """The name of a source that is trained with this rule for its steps."""
    return f"{source}{EQUAL_STEPS if steps == SINGLE else ''}"


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


@dataclass(frozen=True)
class SourcePool:
    """Sources that share seeds and targets. Shapes: means (K, S), over the targets; alone (K,)."""

    sources: tuple[Source, ...]
    means: np.ndarray
    alone: np.ndarray  # whether a source is a stratum of its own: the baseline


def is_trained(cell: Cell) -> bool:
    """Whether a cell trains anything: an encoder without intermediate training has no seed in retrieval."""
    return bool(cell[0]) or bool(TASKS[cell[2]].train_on)


def scored(stored: list[dict]) -> dict[str, Entry]:
    """The entry of each row that has a headline score, by run id."""
    return {
        row["id"]: Entry(row["id"], score, np.asarray(row["items"], float), row)
        for row in stored
        if row["phase"] == 3 and (score := headline_of(row)) is not None
    }


def entries(
    found: dict[str, Entry], planned: Iterable[Run], cell_of: Callable[[Run], Cell | None]
) -> dict[Cell, dict[int, Entry]]:
    """The finished target runs of a study: cell -> seed -> entry. A cell without a finished run is empty.

    Raises: ValueError when two runs are the same seed of the same cell.
    """
    cells: dict[Cell, dict[int, Entry]] = {}
    for (cell, seed), run in runs_by_cell(planned, cell_of).items():
        seeds = cells.setdefault(cell, {})
        if run.id in found:
            seeds[seed] = found[run.id]
    return cells


def stage_rows(
    stored: list[dict], planned: Iterable[Run], cell_of: Callable[[Run], Cell | None]
) -> dict[Source, dict[int, dict]]:
    """The rows of finished intermediate trainings of a study: source -> seed -> row."""
    rows, found = {row["id"]: row for row in stored}, {}
    for run in planned:
        if run.phase == 2 and run.id in rows and (cell := cell_of(run)):
            found.setdefault(cell[:2], {})[run.seed] = rows[run.id]
    return found


def controls(scale: Scale, found: dict[str, Entry]) -> dict[str, dict[int, Entry]]:
    """The finished runs of the control of random weights: target -> seed -> entry.

    A scale that prolongs another uses that one's, from its files.
    """
    planned = studies.runs(studies.MAIN, scale_of(scale.prolongs or scale))
    if scale.prolongs:
        wanted = {run.id for run in planned if run.model == RANDOM_WEIGHTS}
        found = scored(results.rows(scale.prolongs, wanted))
    cells = entries(found, planned, control_cell)
    return {target: seeds for (_, _, target), seeds in cells.items()}


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
        """`cell_of`: what a run is an observation of, next to its seed. `stored`: rows of the scale to use in
        place of the ledger's files. `least`: how many seeds in common an estimate needs.

        Raises: ValueError when two runs of the study are the same seed of the same cell.
        """
        self.scale, self.least, self.gates = scale, least, None
        self.lends: Callable[[Source], bool] = lambda source: True  # whether others may borrow its seed noise
        planned = studies.runs(study, scale)
        wanted = {run.id for run in (*planned, *studies.runs(studies.MAIN, scale))}
        stored = results.rows(scale.name, wanted) if stored is None else stored
        found = scored([row for row in stored if row["id"] in wanted])
        self.cells = entries(found, planned, cell_of)
        self.stages = stage_rows(stored, planned, cell_of)
        self.control = controls(scale, found)
        self.targets = tuple(t for t in TARGETS if ("", PIVOT, t) in self.cells)
        self.nine, self.multi = nine(scale), at(studies.multi(scale), SINGLE)
        self.instead = ", ".join(
            f"{stand_in} stands in for {t}"
            for stand_in, t in zip(self.nine, INTERMEDIATES, strict=True)
            if stand_in != t
        )
        self.singles = tuple(
            source for source in self.nine if any(cell[:2] == (source, PIVOT) for cell in self.cells)
        )

    def shown(self, source: Source) -> str:
        """The name of a training for readers: the nine together are "multi"."""
        name = source[0].replace(studies.multi(self.scale), "multi")
        return name if source[1] == PIVOT else f"{name} ({source[1]})"

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

    def lending(self, lends: Callable[[Source], bool]) -> "Ledger":
        """The same, where a source borrows the seed noise of those alone that `lends` allows."""
        other = copy.copy(self)
        other.lends = lends
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
            raise Short(f"{len(common)} of {self.least} seeds complete")
        return sorted(common)

    def gap(self, weights: Weights) -> Interval:
        """The interval (points) of a weighted sum with the same weights at every seed that its cells share.

        The weights of a source must be equal over the targets. Raises: Short.
        """
        seeds, targets = self.seeds(weights), tuple(dict.fromkeys(cell[2] for cell in weights))
        pool = self.pool(seeds, targets, {cell[:2] for cell in weights})
        share = {source: sum(weights.get((*source, t), 0.0) for t in targets) for source in pool.sources}
        parts = source_variance(pool.means, np.array(list(share.values())), pool.alone)
        instances = Spread(self.over_instances(weights, seeds))
        return Interval(float(np.mean(self.sums(weights, seeds))), (*parts, instances))

    def gap_alone(self, weights: Weights) -> Interval:
        """The same from the seeds of this sum alone: it borrows nothing, and does not take for independent
        what trainings that start from one another have in common. Raises: Short.
        """
        seeds = self.seeds(weights)
        sums, instances = self.sums(weights, seeds), Spread(self.over_instances(weights, seeds))
        return Interval(float(np.mean(sums)), (own_variance(sums), instances))

    def sums(self, weights: Weights, seeds: list[int]) -> list[float]:
        """The weighted sum at each seed, in points."""
        return [sum(w * self.cells[cell][seed].score for cell, w in weights.items()) for seed in seeds]

    def pool(self, seeds: list[int], targets: tuple[str, ...], own: Collection[Source] = ()) -> "SourcePool":
        """The means over targets of every source that trains something and has these seeds of them.

        `own`: the sources that are compared, which take part also where they do not lend.
        """
        sources = [
            source
            for source in dict.fromkeys(cell[:2] for cell in self.cells)
            if (source in own or self.lends(source))
            and any(is_trained((*source, t)) for t in targets)
            and all(set(seeds) <= set(self.cells.get((*source, t), ())) for t in targets)
        ]
        scores = [
            [[self.cells[(*source, t)][seed].score for t in targets] for seed in seeds] for source in sources
        ]
        alone = np.array([source == BASELINE for source in sources], dtype=bool)
        return SourcePool(
            tuple(sources), np.array(scores).reshape(-1, len(seeds), len(targets)).mean(2), alone
        )

    def over_instances(self, weights: Weights, seeds: list[int]) -> float:
        """The part of the variance of a weighted sum that comes from the test instances."""
        # for each target, what each instance adds to the sum at each seed: (S, N)
        differences: dict[str, np.ndarray] = {}
        for cell, weight in weights.items():
            items = np.array([self.cells[cell][seed].items for seed in seeds])
            differences[cell[2]] = differences.get(cell[2], 0.0) + weight * items
        return sum(map(instance_variance, differences.values()))

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


def minus(a: Weights, b: Weights) -> Weights:
    """One contrast minus another as one contrast."""
    return {cell: a.get(cell, 0.0) - b.get(cell, 0.0) for cell in dict.fromkeys((*a, *b))}
