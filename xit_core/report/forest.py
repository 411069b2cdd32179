"""The estimate of a claim on each target by itself, beside the one on all, with its intervals."""

from dataclasses import dataclass

from .claims import Claim
from .contrasts import Ledger
from .findings import Finding

EVERY_TARGET = "average"


@dataclass(frozen=True)
class Estimate:
    """One estimate with its 95 % interval, in points. `target`: a target's name, or EVERY_TARGET."""

    scale: str
    target: str
    estimate: float
    low: float
    high: float


def lines(claim: Claim, found: Finding, ledger: Ledger) -> list[Estimate]:
    """The estimates of a claim at one scale: on all targets, then on each by itself where possible."""
    if not found.interval:
        return []
    parts = {EVERY_TARGET: found}
    for target in ledger.targets if len(found.targets or ledger.targets) > 1 else ():
        parts[target] = claim.measure(ledger.restricted(lambda cell, _, only=target: cell[2] == only))
    return [
        Estimate(ledger.scale.name, name, part.interval.mean, part.interval.low, part.interval.high)
        for name, part in parts.items()
        if part.interval
    ]
