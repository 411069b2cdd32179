"""The research questions: each is a study with a chapter, and is declared in one file of this folder.

A file defines `QUESTION`. Then `xit study ID` runs the study, its rows are in the ledger like all others, and
the chapter book/questions/ID.md shows its page with

    ```{include} ../_generated/questions/ID.md
    ```

Nothing else needs to be edited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ...design.run import Run
from ...design.scales import Scale
from ...design.studies import STUDIES

if TYPE_CHECKING:  # a study can also be run where pandas is not installed
    from ..chapters import View
    from ..contrasts import Cell, Weights


@dataclass(frozen=True)
class Question:
    """A research question and how it is answered."""

    id: str  # also of its study and its chapter
    number: int
    asks: str  # in the words of the study documents
    runs: Callable[[Scale], list[Run]]
    contrasts: "Callable[[Scale], dict[str, Weights]]"  # name -> weights of the cells of its runs
    # (view, folder) -> the chapter's Markdown for one scale; figures are saved in the folder
    page: "Callable[[View, Path], str]"
    # what a run is an observation of; its own where runs differ in method, rows or start
    cell_of: "Callable[[Run], Cell | None] | None" = None


def answers(question: Question, scale: Scale) -> list[dict]:
    """Every contrast of a question at a scale: name, estimate, low and high in points, or a note why not."""
    from ..contrasts import Ledger, Short, main_cell

    ledger, rows = Ledger(scale, question.id, question.cell_of or main_cell), []
    for name, weights in question.contrasts(scale).items():
        try:
            gap = ledger.gap(weights)
            rows.append({"name": name, "estimate": gap.mean, "low": gap.low, "high": gap.high, "note": ""})
        except Short as short:
            rows.append({"name": name, "estimate": None, "low": None, "high": None, "note": str(short)})
    return rows


def add(question: Question) -> None:
    """Register a question, so that its study can be planned and run, and its page is written.

    Raises: ValueError when its id is taken.
    """
    if question.id in STUDIES:
        raise ValueError(f"study {question.id!r} is declared twice")
    QUESTIONS[question.id], STUDIES[question.id] = question, question.runs


QUESTIONS: dict[str, Question] = {}
for _module in iter_modules(__path__):
    add(import_module(f".{_module.name}", __name__).QUESTION)
