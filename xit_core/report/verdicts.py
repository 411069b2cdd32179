"""From findings to verdicts: correction for multiplicity, and the table of claims."""

from ..design.scales import scale as scale_of
from .claims import CLAIMS, Finding
from .contrasts import Ledger, Short
from .stats import LEVEL, holm

# -- verdicts ------------------------------------------------------------------------------------------------


def verdict(finding: Finding, expect: float | None, p: float = 0.0, p_expect: float = 1.0) -> tuple[str, str]:
    """Direction and magnitude by RULE; `p` (of the direction) and `p_expect` (of "is the number") are
    Holm-adjusted.
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
    """Every claim's finding, uncorrected, by claim id; `note` says what was counted or why it is open."""
    ledger, found = Ledger(scale_of(scale)), {}
    for c in CLAIMS:
        try:
            found[c.id] = c.measure(ledger)
        except Short as short:
            found[c.id] = Finding(note=str(short))
    return found


def corrected(p: dict[str, float]) -> dict[str, float]:
    """p-values adjusted by Holm's method, by claim."""
    return dict(zip(p, holm(list(p.values())), strict=True))


def table(scale: str, found: dict[str, Finding] | None = None) -> list[dict]:
    """One row a claim: id number says scale published estimate low high direction magnitude runs note.

    `found`: the scale's findings, where they have been measured already. A number measured at a reduced scale
    says so.
    """
    found = found or findings(scale)
    measured = {c.id: found[c.id] for c in CLAIMS if found[c.id].p is not None}
    directions = corrected({name: f.p for name, f in measured.items()})
    numeric = [c for c in CLAIMS if c.id in measured and c.expect is not None]
    sizes = corrected({c.id: measured[c.id].interval.p(c.expect) for c in numeric})
    rows = []
    for c in CLAIMS:
        finding = found[c.id]
        interval = finding.interval
        direction, magnitude = verdict(finding, c.expect, directions.get(c.id, 0.0), sizes.get(c.id, 1.0))
        numbers = {
            "estimate": finding.estimate,
            "low": interval and interval.low,
            "high": interval and interval.high,
        }
        rows.append(
            {"id": c.id, "number": c.number, "says": c.says, "scale": scale, "published": c.expect}
            | {name: None if value is None else round(value, 3) for name, value in numbers.items()}
            | {"direction": direction, "magnitude": magnitude, "runs": list(finding.runs)}
            | {"note": "; ".join(filter(None, (finding.note, interval and scale_of(scale).note)))}
        )
    return rows
