"""From findings to verdicts: correction for multiplicity, and the table of claims."""

from ..design.scales import scale as scale_of
from .claims import CLAIMS, Finding
from .contrasts import Ledger, Short
from .stats import LEVEL, holm

# -- verdicts ------------------------------------------------------------------------------------------------


def verdict(finding: Finding, expect: float | None, p: float = 0.0, p_expect: float = 1.0) -> tuple[str, str]:
    """(direction, magnitude) by RULE; the magnitude is "" when the claim has no number.

    `p` (of the direction) and `p_expect` (of "the mean is the claimed number") are Holm-adjusted.
    """
    direction = finding.side if p < LEVEL else "open"
    if expect is None:
        return direction, ""
    if finding.interval is None:  # checked, or nothing to measure yet
        return (
            direction,
            "open" if finding.estimate is None else "holds" if finding.estimate == expect else "fails",
        )
    if finding.p is None:
        return direction, "open"
    if p_expect < LEVEL:
        return direction, "fails"
    near = abs(finding.interval.mean - expect) <= finding.interval.half() <= abs(expect)
    return direction, "holds" if near else "open"


def findings(scale: str) -> dict[str, Finding]:
    """Every claim's uncorrected finding, by claim id; `note` says what was counted or why it is open."""
    ledger, by_claim = Ledger(scale_of(scale)), {}
    for claim in CLAIMS:
        try:
            by_claim[claim.id] = claim.measure(ledger)
        except Short as short:
            by_claim[claim.id] = Finding(note=str(short))
    return by_claim


def corrected(p: dict[str, float]) -> dict[str, float]:
    """p-values adjusted by Holm's method, by claim."""
    return dict(zip(p, holm(list(p.values())), strict=True))


def table(scale: str, found: dict[str, Finding] | None = None) -> list[dict]:
    """One row per claim: id number says scale published estimate low high detectable direction magnitude runs
    note.

    `found`: the scale's findings, if they have already been measured. The note of a number measured at a
    reduced scale says so.
    """
    found = found or findings(scale)
    measured = {claim.id: found[claim.id] for claim in CLAIMS if found[claim.id].p is not None}
    directions = corrected({name: f.p for name, f in measured.items()})
    numeric = [claim for claim in CLAIMS if claim.id in measured and claim.expect is not None]
    sizes = corrected({claim.id: measured[claim.id].interval.p(claim.expect) for claim in numeric})
    rows = []
    for claim in CLAIMS:
        finding = found[claim.id]
        interval = finding.interval
        direction, magnitude = verdict(
            finding, claim.expect, directions.get(claim.id, 0.0), sizes.get(claim.id, 1.0)
        )
        numbers = {
            "estimate": finding.estimate,
            "low": interval and interval.low,
            "high": interval and interval.high,
            "detectable": interval and interval.detectable(),
        }
        rows.append(
            {
                "id": claim.id,
                "number": claim.number,
                "says": claim.says,
                "scale": scale,
                "published": claim.expect,
            }
            | {name: None if value is None else round(value, 3) for name, value in numbers.items()}
            | {"direction": direction, "magnitude": magnitude, "runs": list(finding.runs)}
            | {"note": "; ".join(filter(None, (finding.note, interval and scale_of(scale).note)))}
        )
    return rows
