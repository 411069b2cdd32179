"""A budget of time: which run may still start."""

import contextlib
import math
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..design import studies
from ..design.run import Run
from ..design.scales import Scale
from ..ledger import predictions, results
from ..report.cost import costs

GRACE = 10.0  # seconds at the end of a budget to stop what runs
FOREVER = 1e9  # seconds; a longer budget is none
CARE = 1.2  # a run may take this many times what is expected of it


# -- time ----------------------------------------------------------------------------------------------------


class Over(BaseException):
    """The time is over; as an interrupt, nothing on the way may take it for a failure."""


@dataclass
class Clock:
    """When a study must end, and when a run must start to be expected to end before.

    A run is expected to take as long for its FLOP as those with the same target, or of the same phase, took
    here. One that is longer than all the time there is may start in its first tenth: what it trains resumes
    from its checkpoints.
    """

    end: float = math.inf  # seconds since the epoch
    span: float = math.inf  # seconds from the beginning to the end
    flops: dict[str, float] = field(default_factory=dict)  # by run id
    spent: dict[str | int, list[float]] = field(default_factory=dict)  # by target or phase: seconds and FLOP

    @classmethod
    def of(cls, study: str, scale: Scale, budget: float | None) -> "Clock":
        """The clock of a budget in seconds; it has learnt from the rows whose predictions are here, as they
        were made here.
        """
        if not budget or budget > FOREVER:
            return cls()
        span = budget - min(GRACE, budget / 5)
        clock = cls(time.time() + span, span)
        clock.flops = {r["id"]: r["flops"] for r in costs(study, scale)["runs"]}
        for run in studies.runs(study, scale):
            if predictions.predictions_file(run) and results.finished(run) and (row := results.read(run)):
                clock.learn(run, row["provenance"].get("seconds", 0.0))
        return clock

    def learn(self, run: Run, seconds: float) -> None:
        """Remember how long a run took."""
        like = self.spent.setdefault(run.on if run.phase == 3 else run.phase, [0.0, 0.0])
        like[0] += seconds
        like[1] += self.flops.get(run.id, 0.0)

    def latest(self, runs: Iterable[Run]) -> float:
        """When runs must have started, and with them the stages that have a row but no checkpoint here."""
        todo = [r for r in runs if not results.finished(r)]
        again = {r.parent for r in todo if r.parent and r.parent.phase == 2 and results.finished(r.parent)}
        todo += [r for r in again if not results.trained(r)]
        return self.end - min(CARE * sum(map(self.expected, todo)), 0.9 * self.span)

    def expected(self, run: Run) -> float:
        """Seconds that a run is expected to take; 0 where nothing like it was measured: it may start."""
        seconds, flops = self.spent.get(run.on if run.phase == 3 else run.phase, (0.0, 0.0))
        # nothing like it was measured: it may start
        return seconds * self.flops.get(run.id, 0.0) / flops if flops else 0.0


@contextlib.contextmanager
def until(end: float) -> Iterator[None]:
    """End the block when the time has come, wherever it is then."""

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
