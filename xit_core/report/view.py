"""The ledger at one scale as the book reads it: its rows, and the claims and questions measured on them."""

from collections.abc import Iterable
from functools import cached_property

import pandas as pd

from ..design.methods import FULL
from ..design.run import SUM
from ..design.scales import SCALES
from ..design.tasks import INTERMEDIATES, nine
from ..ledger import results, scored
from . import findings, questions, verdicts
from .contrasts import Ledger
from .sensitivity import Variant, sensitivity

EMPTY = "*No runs yet at this scale.*\n"


class View:
    """The ledger at one scale, and the verdicts that follow from it."""

    def __init__(self, scale: str) -> None:
        self.scale = scale
        self.declared = SCALES[scale]
        self.real = not self.declared.world.made
        self.survey = results.survey(scale)
        self.stored = self.survey.rows
        # without those that only a research question has; they are in its chapter
        others = questions.own_runs(self.declared)
        self.rows = [row for row in self.stored if row["id"] not in others]
        self._asked: dict[str, tuple[Ledger, list[dict]]] = {}
        self._progress: dict[str, questions.Progress] = {}

    @property
    def left_out(self) -> str:
        """Which rows of the ledger are not used, and why; "" when all rows are used."""
        names = ", ".join(f"`{file.name}`" for file in self.survey.files)
        details = ": ".join(filter(None, [self.survey.left_out, names]))
        return f"left out of the ledger: {details}" if details else ""

    @property
    def main(self) -> list[dict]:
        """The rows of runs as the paper makes them; a question's runs are in its own chapter."""
        return [row for row in self.rows if row["method"] == FULL and not row["size"] and row["steps"] == SUM]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as one tidy data frame."""
        return scored.tidy(self.rows)

    @cached_property
    def ledger(self) -> Ledger:
        """The finished runs of the main study."""
        return Ledger(self.declared, stored=self.rows)

    def asked(self, question: questions.Question) -> tuple[Ledger, list[dict]]:
        """The finished runs of a question, and its answers; measured once."""
        if question.id not in self._asked:
            ledger = questions.ledger_of(question, self.declared, self.stored)
            self._asked[question.id] = ledger, questions.answers_from(question, ledger)
        return self._asked[question.id]

    def progress(self, question: questions.Question) -> questions.Progress:
        """How far the design of a question is; counted once."""
        if question.id not in self._progress:
            self._progress[question.id] = questions.progress(question, self.declared, self.stored)
        return self._progress[question.id]

    @cached_property
    def findings(self) -> dict[str, findings.Finding]:
        """Every claim's finding."""
        return verdicts.found_in(self.ledger)

    @cached_property
    def claims(self) -> list[dict]:
        """One row per claim, with its verdict."""
        return verdicts.table(self.scale, self.findings, self.ledger)

    @cached_property
    def sensitivity(self) -> dict[str, list[Variant]]:
        """By claim id: what its estimate would be under each restriction that changes it."""
        return sensitivity(self.declared, self.rows, self.findings)

    @property
    def note(self) -> str:
        """How the scale is reduced, to be shown beside its numbers; "" when it is not reduced."""
        return self.declared.note

    @property
    def instead(self) -> str:
        """Which tasks stand in for those of the nine that the scale cannot have; "" when it has all nine."""
        pairs = zip(nine(self.declared), INTERMEDIATES, strict=True)
        return ", ".join(f"`{task}` stands in for `{missing}`" for task, missing in pairs if task != missing)

    @cached_property
    def encoder(self) -> list[dict]:
        """The rows of phase 1: the encoder that every run starts from."""
        return [row for row in self.main if row["phase"] == 1 and not row["model"]]


def views_of(scales: Iterable[str], shown: list[View]) -> list[View]:
    """The views of these scales. Those in `shown` are reused, so that each scale is measured only once."""
    by_scale = {view.scale: view for view in shown}
    return [by_scale.get(scale) or View(scale) for scale in scales]


def reduced(view: View) -> str:
    """A sentence that says how the scale is reduced, to be shown beside its numbers; "" when it is not."""
    text = "; ".join(filter(None, [view.note, view.instead]))
    return f"{text[0].upper()}{text[1:]}.\n\n" if text else ""
