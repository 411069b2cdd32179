"""Checkpoints that nothing in a study starts from any more: they may go before the study ends."""

import shutil
from collections.abc import Callable, Iterable

from ..design.run import Run
from ..design.studies import stages
from ..ledger import results


def tidier(runs: Iterable[Run]) -> Callable[[], None]:
    """A function that deletes the checkpoint of every stage from which all runs of the plan are finished.

    The rows stay. A run that starts from such a stage later trains it again.
    """
    left = stages(runs)

    def tidy() -> None:
        for stage in [stage for stage, using in left.items() if all(map(has_row, using))]:
            del left[stage]
            if stage.folder.exists():
                shutil.rmtree(stage.folder)

    return tidy


def has_row(run: Run) -> bool:
    """Whether the ledger has a file with the row of a run; it is not read."""
    return results.home(run).is_file()
