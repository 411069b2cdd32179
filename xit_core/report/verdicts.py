"""From findings to verdicts: correction for multiplicity, the table of claims, and the data behind it."""

from collections.abc import Iterable

from ..design.scales import PAPER, scale_of
from .claims import CLAIMS, Claim
from .contrasts import Ledger
from .findings import FAILS, HOLDS, OPEN, UNTESTABLE, Finding, joined, likelier
from .rules import SHARE
from .stats import LEVEL, Interval, holm


def found_in(ledger: Ledger) -> dict[str, Finding]:
    """Every claim's uncorrected finding, by claim id; `note` says what was counted or why it is open."""
    return {claim.id: claim.measure(ledger) for claim in CLAIMS}


def corrected(p: dict[str, float]) -> dict[str, float]:
    """p-values adjusted by Holm's method, by claim."""
    return dict(zip(p, holm(list(p.values())), strict=True))


def verdict(finding: Finding, adjusted: float) -> str:
    """The verdict of a finding, whose p-value is `adjusted` after the correction."""
    return finding.side if finding.side == UNTESTABLE or adjusted < LEVEL else OPEN


def second_verdicts(found: dict[str, Finding]) -> dict[str, str]:
    """The verdicts of non-inferiority, corrected together, of the claims that have them."""
    pairs = {name: finding.second for name, finding in found.items() if finding.second}
    adjusted = corrected({name: p for name, (_, p) in pairs.items()})
    return {name: side if adjusted[name] < LEVEL else OPEN for name, (side, _) in pairs.items()}


def magnitude(interval: Interval, expect: float) -> tuple[str, float]:
    """The side of a claimed number that an interval is on, and its p-value.

    It is reached when the interval lies within expect / SHARE of it, and missed when it misses that range.
    """
    low, high = sorted((expect * (1 - 1 / SHARE), expect * (1 + 1 / SHARE)))
    inside = 2 * max(interval.above(low), interval.below(high))
    outside = 2 * min(interval.below(low), interval.above(high))
    return likelier(inside, outside)


def magnitudes(scale: str, found: dict[str, Finding], directions: dict[str, str]) -> dict[str, str]:
    """The verdict on the claimed number of each claim that has one, or "" where it is not judged.

    Counted numbers must be equal; measured ones are judged at the paper's own scale only.
    """
    told = {
        claim.id: counted_number(claim, found[claim.id])
        for claim in CLAIMS
        if claim.expect is not None and not found[claim.id].interval
    }
    numeric = [claim for claim in CLAIMS if claim.expect is not None and found[claim.id].p is not None]
    if scale != PAPER.name:
        return {name: side for name, side in told.items() if found[name].estimate is not None}
    sides = {claim.id: magnitude(found[claim.id].interval, claim.expect) for claim in numeric}
    adjusted = corrected({name: p for name, (_, p) in sides.items()})
    for name, (side, _) in sides.items():
        settled = adjusted[name] < LEVEL and (side == FAILS or directions[name] == HOLDS)
        told[name] = side if settled else OPEN
    return told


def counted_number(claim: Claim, finding: Finding) -> str:
    """The verdict on a number that was counted."""
    return OPEN if finding.estimate is None else HOLDS if finding.estimate == claim.expect else FAILS


def table(scale: str, found: dict[str, Finding] | None = None, ledger: Ledger | None = None) -> list[dict]:
    """One row per claim, with these keys.

    id number says scale published estimate; low high, of the 95 % interval of this claim alone; joint_low
    joint_high, of the interval that covers all tested claims together; detectable; p, of the likelier side
    alone, and p_joint, corrected for all tested claims; direction not_worse magnitude; targets tasks, that it
    was tested on; stand_ins overlap, of the data of its runs; runs note.
    `found`: the scale's findings, if they have already been measured. The note of a number measured at a
    reduced scale says so.
    """
    ledger = ledger or Ledger(scale_of(scale))
    found = found or found_in(ledger)
    tests = {name: finding.p for name, finding in found.items() if finding.p is not None}
    adjusted = corrected(tests)
    directions = {name: verdict(finding, adjusted.get(name, 0.0)) for name, finding in found.items()}
    behind = {name: rows_behind(ledger, finding.runs) for name, finding in found.items()}
    seconds, sizes = second_verdicts(found), magnitudes(scale, found, directions)
    return [
        {
            "id": claim.id, "number": claim.number, "says": claim.says, "scale": scale,
            "published": claim.expect,
        }
        | numbers(found[claim.id], len(tests))
        | {"p": tests.get(claim.id), "p_joint": adjusted.get(claim.id)}
        | {
            "direction": directions[claim.id], "not_worse": seconds.get(claim.id, ""),
            "magnitude": sizes.get(claim.id, ""), "targets": list(found[claim.id].targets),
            "tasks": list(found[claim.id].tasks), "stand_ins": stand_ins(behind[claim.id]),
            "overlap": overlap(behind[claim.id]), "runs": list(found[claim.id].runs),
            "note": with_notes(found[claim.id], ledger),
        }
        for claim in CLAIMS
    ]  # fmt: skip


def numbers(finding: Finding, tests: int) -> dict[str, float | None]:
    """The numbers of a row, rounded to ten decimals. `tests`: how many claims are tested together."""
    interval = finding.interval
    joint = interval and interval.half(LEVEL / max(1, tests))
    values = {
        "estimate": finding.estimate,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "joint_low": interval and interval.mean - joint,
        "joint_high": interval and interval.mean + joint,
        "detectable": interval and interval.detectable(),
    }
    return {name: None if value is None else round(value, 10) for name, value in values.items()}


def with_notes(finding: Finding, ledger: Ledger) -> str:
    """The note of a finding, and how its scale is reduced."""
    return joined(finding.note, ledger.scale.note if finding.interval else "")


# -- the data behind an estimate: stand-ins, and text that training and evaluation share ---------------------


def rows_behind(ledger: Ledger, runs: tuple[str, ...]) -> list[dict]:
    """The ledger's rows of these target runs, and of the trainings that they start from."""
    wanted, rows = set(runs), []
    for (source, lang, _), seeds in ledger.cells.items():
        for seed, entry in seeds.items():
            if entry.id in wanted:
                rows.append(entry.row)
                rows += [row for row in [ledger.stages.get((source, lang), {}).get(seed)] if row]
    return list({row["id"]: row for row in rows}.values())


def stand_ins(rows: list[dict]) -> list[str]:
    """Which splits other data stood in for, as "task/split: source"."""
    parts = (part for row in rows for part in row["provenance"].get("data", []))
    return distinct(
        f"{part['task']}/{part['split']}: {part['source']}" for part in parts if part.get("stand_in")
    )


def overlap(rows: list[dict]) -> list[str]:
    """How many evaluation rows share text with a training split, as "target/language: n of N in task".

    The number is unknown where the training rows were not on the machine that evaluated.
    """
    return distinct(
        f"{row['on']}/{part['lang']}: {part.get('shared', 'unknown')} of {part['rows']} in {part['task']}"
        for row in rows
        for part in row.get("overlap", [])
    )


def distinct(lines: Iterable[str]) -> list[str]:
    """The lines without repetition, sorted."""
    return sorted(set(lines))
