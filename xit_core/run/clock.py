"""A budget of time, which decides whether a run may still start."""

import contextlib
import math
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..design.run import Run
from ..design.scales import Scale
from ..ledger import results
from ..report.cost import Pace, paces

GRACE = 10.0  # seconds kept at the end of a budget to stop what is running
FOREVER = 1e9  # seconds; a longer budget means no limit
CARE = 1.2  # a run may take this many times its expected time


# -- time ----------------------------------------------------------------------------------------------------


class Over(BaseException):
    """The time is over. Like an interrupt, it is no Exception, so no handler takes it for a failure."""


@dataclass
class Clock:
    """When a study must end, and by when a run must start so that it can be expected to end in time.

    A run is expected to take what runs like it took on this machine. A run that is expected to take longer
    than the whole budget may start in its first tenth, because its training resumes from checkpoints later.
    """

    end: float = math.inf  # seconds since the epoch
    span: float = math.inf  # seconds from the beginning to the end
    pace: Pace | None = None

    @classmethod
    def of(cls, study: str, scale: Scale, budget: float | None) -> "Clock":
        """The clock for a budget in seconds (None or 0: no limit)."""
        if not budget or budget > FOREVER:
            return cls()
        span = budget - min(GRACE, budget / 5)
        return cls(time.time() + span, span, paces(study, scale)[0])

    def learn(self, run: Run, seconds: float) -> None:
        """Record how many seconds a run took."""
        if self.pace:
            self.pace.learn(run, seconds)

    def latest(self, runs: Iterable[Run]) -> float:
        """The latest start of these runs, in seconds since the epoch, at which the first is expected to end.

        The others resume where the time stops them. Its time includes stages that have a row but no
        checkpoint here and must be trained again.
        """
        todo = [run for run in runs if not results.finished(run)][:1]
        needed = {parent for run in todo for parent in run.parents}
        retrained = {parent for parent in needed if parent.phase == 2 and results.finished(parent)}
        todo += [run for run in retrained if not run.has_checkpoint]
        return self.end - min(CARE * sum(map(self.expected, todo)), 0.9 * self.span)

    def expected(self, run: Run) -> float:
        """Seconds that a run is expected to take; 0, so that it may start, if no similar run was measured."""
        return self.pace and self.pace.expected(run) or 0.0


@contextlib.contextmanager
def until(end: float) -> Iterator[None]:
    """Leave the block at `end` (seconds since the epoch), wherever it is then."""

    def ring(*_) -> None:
        raise Over

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(end - time.time(), 1e-3) if end < math.inf else 0)
    try:
        yield
    except Over:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
