"""The research questions: each is a study with a chapter, and is declared in one file of this folder.

A file defines `QUESTION`. Then `xit study ID` runs the study, its rows are in the ledger like all others, and
the chapter book/questions/ID.md shows its answer and, further down, its page with

    ```{include} ../_generated/questions/ID_answer.md
    ```

    ```{include} ../_generated/questions/ID.md
    ```

and book/_toc.yml names that chapter, in the order of the questions. How many there are is also said in the
caption there, in book/index.md and in each chapter. One question more widens the interval that covers all
answers together, which decides nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from ...design import studies
from ...design.run import PRETRAINED, Run, parse
from ...design.scales import PIVOT, Scale
from ...design.studies import STUDIES
from ...design.tasks import TARGETS, nine
from ...ledger import results
from ..contrasts import Cell, Ledger, Short, Source, Weights, main_cell, mean_contrast, versus
from ..drops import WHOLE, Drops, Measure, Pair, abroad, matched
from ..gates import Gate, enough, gates_of
from ..rules import MARGIN
from ..stats import LEVEL, Interval, two_sided

Contrast = Weights | Callable[[Ledger], Interval]

YES, NO, SAME, OPEN, UNTESTABLE = "yes", "no, the opposite", "no difference", "open", "not testable"
SIDES = {YES: "above zero", NO: "below zero"}  # of a contrast that does not answer
UNFINISHED = "not finished"  # in place of a verdict, until every run of the design is there
DATED = "2026-11-28"  # when these words and their rule were fixed, before any run that is a question's own
RULE = (
    "A contrast is *above zero* or *below zero* where its 95 % interval is; otherwise it is *no difference* "
    "where two one-sided tests place it within {margin:g} point of zero, and *open* where they do not, or "
    "it is not in points. The first contrast answers the question: above zero is *yes*, below zero "
    "*no, the opposite*, and where a gate that was fixed before the runs fails it is *not testable*. "
    "That rule was fixed on {dated}, before any run was made that only this question has; what other studies "
    "share with it may have been read before."
)
LIMITS = (
    "*Detectable* is the true difference that such a study finds in eight of ten repetitions; an estimate "
    "that is significant and smaller than that tends to be too large. Each interval in the table stands "
    "alone and misses with a probability of one in twenty, so in a table of many some may miss; the "
    "widened interval of an answer covers the answers of all questions together (Bonferroni). "
    "Trainings are compared at the same seeds. How much a difference of scores or of drops varies from seed "
    "to seed is judged with the other trainings of the study, any other contrast by its own seeds. "
    "Intervals of scores and drops cover seeds and test rows, those of correlations and mixed models seeds "
    "alone. The rows that a training reads, encoder, data sets, languages and recipe are always the same."
)
GATES_SAY = (
    "A training is learned where the lower 95 % bound of its score is above *guessing*: the best of chance, "
    "of one answer to every row, and, where answers are spans, of random weights. Of several intermediate "
    "tasks more than half must be learned (for a claim about the nine, six of nine). A target is learned "
    "where full training without an intermediate task beats random weights by at least {beyond:g} points, "
    "significantly, with three seeds of each; how many must be is fixed for each question and scale."
)
ALONE_SAYS = (
    "*Own seeds*: the interval by the seeds of a contrast alone. It borrows no noise from other trainings, "
    "so it does not take for independent those that start from the same checkpoint. It was added on "
    "1 December 2026, after the answers had been read, and decides nothing; where it is on another side of "
    "zero, believe neither."
)
LATER_MARK, LATER_SAYS = "‡", "added after the answer had been read; decides nothing"
ADDED = " (added later)"  # behind a gate, in a note


@dataclass(frozen=True)
class Question:
    """A research question and how it is answered."""

    id: str  # also of its study and its chapter
    number: int
    short: str  # in a line; the words of the study documents are in its chapter
    scales: tuple[str, ...]  # that its design is made for
    runs: Callable[[Scale], list[Run]]
    # name -> weights of the cells of its runs, or how the interval is found; the first is the answer
    contrasts: Callable[[Scale], dict[str, Contrast]]
    # what a run is an observation of; its own where runs differ in method, rows or start
    cell_of: Callable[[Run], Cell | None] = main_cell
    # what of a ledger's rows the contrasts read: a metric of their own, or all
    read: Callable[[list[dict]], list[dict]] = list
    # what must be learned before the answer can be given: name -> gate
    gates: Callable[[Ledger], dict[str, Gate]] = lambda ledger: {}
    figure: str = "contrasts"  # of its chapter: a key of `question_pages.FIGURES`
    # where it compares a target with the same task on other rows: each with that
    pairs: Callable[[Scale], tuple[Pair, ...]] | None = None
    # of its scores in another domain, what is left beyond what is expected
    beyond: Callable[[Ledger], Drops] | None = None
    # the same on one target alone, or on the other task of one pair: shown target by target, never judged
    on_one: Callable[[Scale, str], Contrast] | None = None
    without: str = ""  # the source without an intermediate task that the answer compares with; "" = baseline
    literal: tuple[str, ...] = ()  # the contrasts that take the question at its word, if the answer does not
    on_front: tuple[str, ...] = ()  # contrasts without which the front page would mislead
    control: str = ""  # the contrast that is above zero, if the design can see it at all
    control_on: str = ""  # the target of that contrast
    simulated: str = ""  # what a constructed world has in place of what the question is about
    beside: tuple[str, ...] = ()  # contrasts that a short answer says, too; () = the second
    # contrasts and gates that were added after the answer had been read: they are marked, and decide nothing
    later: tuple[str, ...] = ()
    margin: float = MARGIN  # points within which a contrast is no difference
    other_units: tuple[str, ...] = ()  # beginnings of the names of contrasts that are not in points
    dated: str = DATED  # when its rule and its margin were fixed


def seeds_at(scale: Scale, declared: dict[str, int]) -> Sequence[int]:
    """The seeds of a question at a scale: as many as declared for it, else as many as a verdict needs."""
    most = declared.get(scale.name)
    return range(1, most + 1) if most else scale.seeds[: studies.LEAST_SEEDS]


def singles(scale: Scale) -> tuple[str, ...]:
    """The intermediate tasks that are trained alone and jointly: all nine, or three on real data."""
    return nine(scale) if scale.world.made else studies.MIXED


def joint(scale: Scale) -> str:
    """The source that trains on all of them jointly."""
    return parse("+".join(singles(scale)))[0]


def seed_by_seed(scale: Scale, declared: dict[str, int], plan: list[tuple[str, dict]]) -> list[Run]:
    """The runs of a design: the encoder itself, then its plan with each seed.

    `declared`: as `seeds_at` has it. `plan`: each path and the other fields of its run.
    """
    runs = (Run(path, scale, seed, **given) for seed in seeds_at(scale, declared) for path, given in plan)
    return list(dict.fromkeys([Run(PRETRAINED, scale), *runs]))


def both_sides(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The tasks of pairs: the targets, then what each is compared with."""
    return (*inside(pairs), *(outside for _, outside in pairs))


def inside(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The targets of pairs, with their own rows."""
    return tuple(dict.fromkeys(target for target, _ in pairs))


def after(start: str, task: str) -> str:
    """The source that trains a task after a start; either may be "", for nothing."""
    return " > ".join(filter(None, (start, task)))


def target_gates(ledger: Ledger, targets: Sequence[str]) -> dict[str, Gate | None]:
    """The gates of some targets, by name; None for one that the ledger does not have."""
    return {name: gates_of(ledger).targets.get(name) for name in targets}


def learned(found: dict[str, Gate | None]) -> tuple[str, ...]:
    """The names whose gate is passed.

    Raises: Short where none is.
    """
    if names := tuple(name for name, gate in found.items() if gate and gate.passed):
        return names
    raise Short("nothing is learned")


def in_other_languages(weights: Weights) -> Contrast:
    """A contrast over the languages other than English, in which no target was trained."""

    def gap(ledger: Ledger) -> Interval:
        return abroad(ledger).gap(weights)

    return gap


def on_pairs(pairs: Sequence[Pair], weights: Weights, measure: Measure, part: str = WHOLE) -> Contrast:
    """A contrast of what is measured on pairs of a target and its twin. `part`: which languages count."""
    return lambda ledger: Drops(ledger, pairs, measure, part).gap(weights)


def over_learned(of: Callable[[Scale, tuple[str, ...]], Weights], targets: Sequence[str]) -> Contrast:
    """A contrast on those of the targets that are learned. `of`: its weights on some targets."""
    return lambda ledger: ledger.gap(of(ledger.scale, learned(target_gates(ledger, targets))))


def gain_after(start: str, sources: Sequence[Source], targets: Sequence[str]) -> Weights:
    """The weights of what tasks add after a start, as the mean over tasks and targets.

    `sources`: each task and the language of its rows.
    """
    begin = (start, PIVOT)
    return mean_contrast([versus((after(start, task), lang), begin, targets) for task, lang in sources])


def gates_of_starts(
    ledger: Ledger, starts: dict[str, str], targets: Sequence[str], learned: dict[str, int]
) -> dict[str, Gate]:
    """The gates of a question that compares a start with its sham: the one is learned, the other is not, and
    enough targets are.

    `starts`: what the one and what the other teaches -> its stage. `learned`: how many targets must be, by
    scale; elsewhere all but one.
    """
    found, unknown = gates_of(ledger), Gate(None, "not trained yet")
    (what, taught), (shuffled, shammed) = starts.items()
    sham = found.stages.get((shammed, PIVOT), unknown)
    on = target_gates(ledger, targets)
    return {
        f"{what} are learned": found.stages.get((taught, PIVOT), unknown),
        f"{shuffled} are not learned": Gate(None if sham.passed is None else not sham.passed, sham.says),
        "targets learned": enough(on, learned.get(ledger.scale.name, len(on) - 1)),
    }


def ledger_of(question: Question, scale: Scale, stored: list[dict] | None = None) -> Ledger:
    """The finished runs of a question. `stored`: rows to use in place of the ledger's files."""
    rows = results.rows(scale.name) if stored is None else stored
    return Ledger(scale, question.id, question.cell_of, question.read(rows))


def answers(question: Question, scale: Scale, stored: list[dict] | None = None) -> list[dict]:
    """Every contrast of a question at a scale, the answer first.

    Keys: name; estimate, low, high and the smallest detectable difference, in points; alone, the interval by
    its own seeds alone, where it is a sum of scores that borrows the seed noise of others; wide, the interval
    that covers one contrast of every question together; narrow, whether an estimate of zero would be no
    difference; verdict; note, why there is no estimate or which gate failed.
    """
    return answers_from(question, ledger_of(question, scale, stored))


def answers_from(question: Question, ledger: Ledger) -> list[dict]:
    """The same from the finished runs of the question."""
    rows = [
        answer(ledger, name, contrast, 0.0 if name.startswith(question.other_units) else question.margin)
        for name, contrast in question.contrasts(ledger.scale).items()
    ]
    failed = {name: gate.says for name, gate in question.gates(ledger).items() if gate.passed is False}
    deciding = failed.keys() - question.later
    # without an estimate, what was added later must not hide why there is none
    if rows and (deciding or failed and rows[0]["estimate"] is not None):
        added = dict.fromkeys(question.later, ADDED)
        rows[0]["note"] = "; ".join(f"{name}{added.get(name, '')}: {says}" for name, says in failed.items())
        rows[0] |= {"verdict": UNTESTABLE} if deciding else {}
    return rows


def told(question: Question, scale: Scale, stored: list[dict]) -> list[dict]:
    """Every contrast of a question at a scale as `xit questions` tells it; `stored`: the scale's ledger.

    Beside what `answers` has: question, number and scale; runs, how many are finished and how many are
    planned; later, whether it was added after the answer had been read; with the answer its gates. Until
    every run is there each verdict is UNFINISHED, and the note says what it is so far.
    """
    ledger = ledger_of(question, scale, stored)
    done, planned, *_ = progress(question, scale, stored)
    about = {"question": question.id, "number": question.number, "scale": scale.name}
    rows = [about | row | {"runs": [done, planned]} for row in answers_from(question, ledger)]
    for row in rows:
        row["later"] = row["name"] in question.later
    for row in rows[1:]:
        row["verdict"] = SIDES.get(row["verdict"], row["verdict"])
    for row in rows if done < planned else []:
        so_far = "" if row["estimate"] is None else f"so far: {row['verdict']}"
        row |= {"verdict": UNFINISHED, "note": "; ".join(filter(None, [so_far, row["note"]]))}
    rows[0]["gates"] = {name: asdict(gate) for name, gate in question.gates(ledger).items()}
    return rows


class Progress(NamedTuple):
    """How many of the runs of a design are finished, and how many there are; of its own, which no other study
    has, too; and with how many seeds.
    """

    done: int
    planned: int
    own_done: int
    own: int
    seeds: int


def progress(question: Question, scale: Scale, stored: list[dict]) -> Progress:
    """How far a design is at a scale. `stored`: the scale's ledger."""
    runs, have = studies.runs(question.id, scale), {row["id"] for row in stored}
    planned, seeds = {run.id for run in runs}, {run.seed for run in runs if run.phase > 1}
    own = planned - shared_runs(question, scale)
    return Progress(len(planned & have), len(planned), len(own & have), len(own), len(seeds))


class OnOne(NamedTuple):
    """The answer of a question on one target alone: descriptive, never judged."""

    target: str
    outside: str  # the other task of its pair; "" without
    learned: bool | None  # None: not known yet
    # scores without an intermediate task, None where it has not run; of a pair inside and outside, in the
    # languages that both have
    baseline: tuple[float | None, ...]
    found: dict  # as `answer` has it


def target_by_target(question: Question, ledger: Ledger) -> list[OnOne]:
    """The answer on each of its targets, or of its pairs; [] where the question has none."""
    scale, passed, lines = ledger.scale, gates_of(ledger).targets, []
    for target, outside in parts_of(question, scale) if question.on_one else ():
        found = answer(ledger, outside or target, question.on_one(scale, outside or target), 0.0)
        gate, scores = passed.get(target), without_task(question, ledger, target, outside)
        lines.append(OnOne(target, outside, gate and gate.passed, scores, found))
    return lines


def parts_of(question: Question, scale: Scale) -> Sequence[Pair]:
    """The targets that the answer is about, each with "", or its pairs."""
    if question.pairs:
        return question.pairs(scale)
    first = next(iter(question.contrasts(scale).values()))
    return [(target, "") for target in TARGETS if any(cell[2] == target for cell in first)]


def without_task(question: Question, ledger: Ledger, target: str, outside: str) -> tuple[float | None, ...]:
    """The mean scores on a target, and on the other task of its pair, without an intermediate task."""
    if outside:
        both = [sides for ((name, _), _), sides in matched(ledger, (target, outside)).items() if not name]
        scores = list(zip(*([side.score for side in sides] for sides in both), strict=True)) or [(), ()]
    else:
        cell = (question.without, PIVOT, target)
        scores = [[entry.score for entry in ledger.cells.get(cell, {}).values()]]
    return tuple(sum(x) / len(x) if x else None for x in scores)


def shared_runs(question: Question, scale: Scale) -> set[str]:
    """The ids of the runs of a question's design that another study at the scale has, too."""
    others = (
        name
        for name in STUDIES
        if name != question.id and (name not in QUESTIONS or scale.name in QUESTIONS[name].scales)
    )
    planned = {run.id for run in studies.runs(question.id, scale)}
    return planned & {run.id for name in others for run in studies.runs(name, scale)}


def answer(ledger: Ledger, name: str, contrast: Contrast, margin: float) -> dict:
    """One contrast, measured, or why it cannot be. `margin`: within which it is no difference, 0 = none."""
    row = dict.fromkeys(("estimate", "low", "high", "alone", "wide", "detectable", "narrow"))
    try:
        gap = contrast(ledger) if callable(contrast) else ledger.gap(contrast)
    except Short as short:
        return {"name": name} | row | {"verdict": OPEN, "note": str(short)}
    row = {"estimate": gap.mean, "low": gap.low, "high": gap.high, "detectable": gap.detectable()}
    alone = None if callable(contrast) else ledger.gap_alone(contrast)
    row["alone"] = alone and [alone.low, alone.high]
    half = gap.half(LEVEL / len(QUESTIONS))
    row["wide"] = [gap.mean - half, gap.mean + half]
    row["narrow"] = verdict(replace(gap, mean=0.0), margin) == SAME
    return {"name": name} | row | {"verdict": verdict(gap, margin), "note": ""}


def verdict(gap: Interval, margin: float) -> str:
    """The word for an interval, by RULE. `margin`: within which it is no difference, 0 = none."""
    tests = {
        YES: two_sided(gap.above()),
        NO: two_sided(gap.below()),
        SAME: max(gap.above(-margin), gap.below(margin)) if margin else 1.0,
    }
    return next((word for word, p in tests.items() if p < LEVEL), OPEN)


def own_runs(scale: Scale) -> set[str]:
    """The ids of runs at a scale that only questions have, and not the main study."""
    asked = [name for name, question in QUESTIONS.items() if scale.name in question.scales]
    found = {run.id for name in asked for run in studies.runs(name, scale)}
    return found - {run.id for run in studies.runs(studies.MAIN, scale)} if found else set()


def add(question: Question) -> None:
    """Register a question, so that its study can be planned and run, and its page is written.

    Raises: ValueError when its id is taken.
    """
    if question.id in STUDIES:
        raise ValueError(f"study {question.id!r} is declared twice")
    QUESTIONS[question.id], STUDIES[question.id] = question, question.runs


def in_order() -> list[Question]:
    """Every question, by its number."""
    return sorted(QUESTIONS.values(), key=lambda question: question.number)


QUESTIONS: dict[str, Question] = {}
for _module in iter_modules(__path__):
    add(import_module(f".{_module.name}", __name__).QUESTION)
