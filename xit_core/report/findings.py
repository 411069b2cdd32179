"""What measuring a claim found, before correction for multiplicity, and on what it could be tested."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..design.scales import PIVOT
from ..design.tasks import TARGETS
from .contrasts import Ledger, Short, Source
from .gates import ENOUGH, Gate, constant_answers, gates_of
from .stats import Interval

HOLDS, FAILS, OPEN, UNTESTABLE = "holds", "fails", "open", "not testable"


@dataclass(frozen=True)
class Finding:
    """The result of measuring or checking a claim, before correction for multiplicity."""

    estimate: float | None = None
    interval: Interval | None = None  # of a measured claim
    side: str = OPEN  # the verdict if `p` survives the correction
    p: float | None = None  # p-value of that side; None: nothing to correct
    runs: tuple[str, ...] = ()
    note: str = ""  # why it is open or not testable, or what was counted
    second: tuple[str, float] | None = None  # side and p-value of non-inferiority, where a claim has it
    targets: tuple[str, ...] = ()  # that the estimate is about
    tasks: tuple[str, ...] = ()  # intermediate tasks that it is about


@dataclass(frozen=True)
class Tested:
    """What a claim is tested on, of the targets or intermediate tasks that it speaks about.

    `names`: those that are learned, or all that the scale has where the claim cannot be tested.
    """

    names: tuple[str, ...]
    untestable: str = ""  # why it cannot be tested at this scale
    pending: str = ""  # what is not finished
    note: str = ""


def tested(wanted: tuple[str, ...], passed: dict[str, Gate], needed: int, noun: str) -> Tested:
    """What a claim about `wanted` can be tested on. `passed`: the gates of those that the scale has."""
    present = tuple(name for name in wanted if name in passed)
    learned = tuple(name for name in present if passed[name].passed)
    unknown = [name for name in present if passed[name].passed is None]
    if len(learned) + len(unknown) < needed:
        left = tuple(name for name in present if name not in learned)
        return Tested(present, untestable=too_few(wanted, left, tuple(unknown), learned, needed, noun))
    if unknown:
        return Tested(present, pending=f"{unknown[0]}: {passed[unknown[0]].says}")
    left_out = [name for name in wanted if name not in learned]
    note = f"tested on {len(learned)} of {len(wanted)} {noun}, without {', '.join(left_out)}"
    return Tested(learned, note=note if left_out else "")


def too_few(wanted: tuple, left: tuple, unknown: tuple, learned: tuple, needed: int, noun: str) -> str:
    """Why a claim about `wanted` cannot be tested, in words. `left`: those of the scale that are not learned,
    among them `unknown`, of which that is not known yet.
    """
    groups = {
        "not at this scale": [name for name in wanted if name not in (*left, *learned)],
        "not learned": [name for name in left if name not in unknown],
        "not known yet": unknown,
    }
    told = [f"{what}: {', '.join(names)}" for what, names in groups.items() if names]
    if needed < len(wanted):
        told.append(f"{len(learned)} of {len(wanted)} {noun} learned, {needed} needed")
    return "; ".join(told)


def learned_targets(ledger: Ledger, wanted: tuple[str, ...] = TARGETS, needed: int = ENOUGH) -> Tested:
    """The targets that a claim is tested on."""
    found = tested(wanted, gates_of(ledger).targets, needed, "targets")
    # a restricted ledger may lack some
    return replace(found, names=tuple(name for name in found.names if name in ledger.targets))


def learned_tasks(ledger: Ledger) -> Tested:
    """The intermediate tasks that a claim about the nine is tested on."""
    found = tested(ledger.nine, stage_gates(ledger, ledger.singles), ENOUGH, "intermediate tasks")
    # a restricted ledger may lack some
    present = {source for source, lang, _ in ledger.cells if lang == PIVOT}
    return replace(found, names=tuple(name for name in found.names if name in present))


def learned_sources(ledger: Ledger, sources: tuple[Source, ...]) -> Tested:
    """Whether the trainings that a claim compares are all learned."""
    named = {ledger.shown(source): source for source in sources}
    found = {name: gates_of(ledger).stages.get(source, NOT_TRAINED) for name, source in named.items()}
    return tested(tuple(named), found, len(named), "trainings")


def stage_gates(ledger: Ledger, names: tuple[str, ...]) -> dict[str, Gate]:
    """The gates of intermediate tasks in English, by name."""
    return {name: gates_of(ledger).stages.get((name, PIVOT), NOT_TRAINED) for name in names}


NOT_TRAINED = Gate(None, "not trained yet")


def judged(ledger: Ledger, conditions: list[Tested], measure: Callable[[], Finding]) -> Finding:
    """What `measure` finds, if the claim can be tested.

    Where runs are missing, it is open and says which; where too little was learned, it is not testable.
    """
    try:
        finding = measure()
    except Short as short:
        finding = Finding(note=str(short))
    untestable, pending = (
        joined(*(getattr(each, field) for each in conditions)) for field in ("untestable", "pending")
    )
    constant = constant_answers(ledger, finding.runs)
    if untestable:
        note = joined(untestable, constant)
        return replace(finding, side=UNTESTABLE, p=None, second=None, note=note)
    if pending or finding.interval is None:
        return Finding(runs=finding.runs, note=joined(finding.note, pending))
    notes = [finding.note, *(each.note for each in conditions), constant]
    return replace(finding, note=joined(*notes))


def likelier(holds: float, fails: float) -> tuple[str, float]:
    """The side with the smaller p-value, and that p-value."""
    return (HOLDS, holds) if holds <= fails else (FAILS, fails)


def joined(*notes: str | None) -> str:
    """Notes as one text; empty ones are left out."""
    return "; ".join(filter(None, notes))


def decide(interval: Interval, holds: float, fails: float, runs: tuple[str, ...], **more) -> Finding:
    """A finding on the side with the smaller p-value."""
    return Finding(interval.mean, interval, *likelier(holds, fails), runs, **more)


def check(holds: bool, counted: float | None = None, note: str = "") -> Finding:
    """The finding of a claim that code checks."""
    return Finding(counted, side=HOLDS if holds else FAILS, note=note)
