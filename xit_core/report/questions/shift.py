"""Question 3: does multi-task intermediate training make transfer more robust to a shift of domain?

Joint and single trainings take as many steps. On real data these are those of a single task. In the
micro-world nine tasks are not learned in so few; there both take nine times as many, on as many rows: the
joint training on each task's rows, a single one on nine times as many of its own.
"""

from ...design.run import PER_ROW, SINGLE, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import paths
from ...design.tasks import TARGETS, TASKS
from .. import drops
from ..contrasts import Cell, Ledger, Source, Weights, mean_contrast, minus, versus
from ..drops import Drops, Pair, drop, effective_robustness, relative_drop
from ..gates import Gate, enough, gates_of, stage_gate
from ..stats import Interval
from . import (
    Contrast,
    Question,
    both_sides,
    inside,
    joint,
    learned,
    on_pairs,
    seed_by_seed,
    singles,
    target_gates,
)

SUFFIX = "_shift"  # of the twin of a task in a constructed world
PAIRS = (  # on real data: a target, and the same of other sources
    ("xnli", "cad_nli"), ("xnli", "shift_snli"), ("xnli", "shift_sick"), ("xnli", "shift_ocnli"),
    ("xquad", "shift_wiki"), ("xquad", "shift_amazon"), ("udpos", "shift_gum"), ("tatoeba", "lareqa"),
)  # fmt: skip
SEEDS = {"micro": 12}  # elsewhere as many as a verdict needs
CONTROL = "mnli"  # its twin trains in the other domain: the robustness that the design must find
LEARNED = {"micro": 6}  # of the targets that must be learned; elsewhere all but one
ANSWER = "effective robustness: joint − mean of single tasks"
TARGETS_LEARNED = f"{ANSWER}, targets that were learned"
DROP_AT_HOME = "drop in English: mean of single tasks − joint"
OVER_NONE = "effective robustness: joint − none"
AT_HOME, ABROAD = (f"{ANSWER}, {langs}" for langs in ("in English", "in other languages"))
FOUND_BY = "effective robustness on XNLI: MNLI of the other domain − MNLI"


def pairs(scale: Scale) -> tuple[Pair, ...]:
    """Each target with its twin in another domain."""
    if not scale.world.made:
        return PAIRS
    return tuple((name, name + SUFFIX) for name in TARGETS if name + SUFFIX in TASKS)


def long_steps(scale: Scale) -> dict:
    """The fields of a single training that takes as many steps as all of them together."""
    return {"size": len(singles(scale)) * scale.stage_rows, "steps": PER_ROW}


def runs(scale: Scale) -> list[Run]:
    """Seed by seed: nothing, each task alone and all jointly in as many steps, each on every target in both
    domains; in a constructed world also MNLI in the other domain, on XNLI alone.
    """
    on = both_sides(pairs(scale))
    alone, together = (long_steps(scale), {}) if scale.world.made else ({}, {"steps": SINGLE})
    sources = [("", {}), *((name, alone) for name in singles(scale)), (joint(scale), together)]
    plan = [(path, fields) for source, fields in sources for path in paths(source, on)]
    if scale.world.made:
        plan += [(path, alone) for path in paths(CONTROL + SUFFIX, ("xnli", "xnli" + SUFFIX))]
    return seed_by_seed(scale, SEEDS, plan)


def cell_of(run: Run) -> Cell | None:
    """What a run is an observation of: all trainings of the study have the same steps."""
    return None if run.model else (run.source, run.lang, run.on)


def over_singles(scale: Scale, on: tuple[str, ...]) -> Weights:
    """The weights of the joint training minus the mean of the single tasks."""
    return mean_contrast([versus((joint(scale), PIVOT), (name, PIVOT), on) for name in singles(scale)])


def contrasts(scale: Scale) -> dict[str, Contrast]:
    """Robustness beyond what the score inside explains, then plain drops, whole and by language, then the
    controls, and what was added later.
    """
    over = over_singles(scale, tuple(outside for _, outside in pairs(scale)))
    less, (home, away) = minus({}, over), by_language(scale)
    over_none = versus((joint(scale), PIVOT), ("", PIVOT), tuple(outside for _, outside in pairs(scale)))
    told: dict[str, Contrast] = {
        ANSWER: robust(scale, over),
        "drop: mean of single tasks − joint": on_pairs(pairs(scale), less, drop),
        "relative drop, % of the score inside: mean of single tasks − joint": on_pairs(
            pairs(scale), less, relative_drop
        ),
        DROP_AT_HOME: on_pairs(home[2], minus({}, home[0]), drop, home[1]),
        "drop in other languages: mean of single tasks − joint": on_pairs(
            away[2], minus({}, away[0]), drop, away[1]
        ),
        "score inside: joint − mean of single tasks": over_singles(scale, inside(pairs(scale))),
    }
    if scale.world.made:
        one = versus((CONTROL + SUFFIX, PIVOT), (CONTROL, PIVOT), ("xnli" + SUFFIX,))
        told[FOUND_BY] = robust(scale, one)
    told |= {TARGETS_LEARNED: on_learned, OVER_NONE: robust(scale, over_none, apart=(("", PIVOT),))}
    return told | {AT_HOME: robust(scale, *home), ABROAD: robust(scale, *away)}


def by_language(scale: Scale) -> tuple[tuple[Weights, str, tuple[Pair, ...]], ...]:
    """For English and for the other languages: the weights of the answer, which languages count, and the
    pairs that have them.
    """
    home = tuple(pair for pair in pairs(scale) if PIVOT in drops.shared(pair, scale))
    away = tuple(pair for pair in pairs(scale) if drops.shared(pair, scale) - {PIVOT})
    return tuple(
        (over_singles(scale, tuple(outside for _, outside in of)), part, of)
        for part, of in ((drops.ENGLISH, home), (drops.ABROAD, away))
    )


def on_learned(ledger: Ledger) -> Interval:
    """The answer on the targets that are learned."""
    kept = set(learned(gates_of_targets(ledger)))
    on = tuple(outside for target, outside in pairs(ledger.scale) if target in kept)
    return robust(ledger.scale, over_singles(ledger.scale, on))(ledger)


def on_one(scale: Scale, outside: str) -> Contrast:
    """The answer on one target alone, by the name of its twin."""
    only = tuple(pair for pair in pairs(scale) if pair[1] == outside)
    return robust(scale, over_singles(scale, (outside,)), only=only)


def robust(
    scale: Scale, weights: Weights, part: str = drops.WHOLE, only: tuple[Pair, ...] = (),
    apart: tuple[Source, ...] = (),
) -> Contrast:  # fmt: skip
    """A contrast of effective robustness; what is expected is drawn through nothing and the single tasks.

    `part`: which languages count; `only`: which pairs do; `apart`: of those sources what is expected is not
    drawn through, for they are compared.
    """
    kept_out = judged(scale) + apart
    return lambda ledger: drops.robustness(ledger, only or pairs(scale), weights, kept_out, part)


def judged(scale: Scale) -> tuple[Source, ...]:
    """The sources that do not take part in what is expected."""
    return (joint(scale), PIVOT), (CONTROL + SUFFIX, PIVOT)


def beyond(ledger: Ledger) -> Drops:
    """Each run's score in the other domain, beyond what is expected from the one at home."""
    return Drops(ledger, pairs(ledger.scale), effective_robustness, judged=judged(ledger.scale))


def gates_of_targets(ledger: Ledger) -> dict[str, Gate | None]:
    """The gate of each target, with its own rows."""
    return target_gates(ledger, inside(pairs(ledger.scale)))


def gates(ledger: Ledger) -> dict[str, Gate]:
    """The joint training and enough targets are learned, and the other domain costs something."""
    scale, least = ledger.scale, len(singles(ledger.scale)) // 2 + 1
    on = gates_of_targets(ledger)
    alone = {name: gates_of(ledger).stages.get((name, PIVOT)) for name in singles(scale)}
    return {
        "single tasks learned": enough(alone, least),
        "the joint training learns more than half of its tasks": stage_gate(
            ledger, (joint(scale), PIVOT), least
        ),
        "targets learned": enough(on, LEARNED.get(scale.name, len(on) - 1)),
        "the other domain is harder": drops.costs(ledger, pairs(scale)),
    }


QUESTION = Question(
    "shift", 3,
    "Is a joint intermediate training more robust to another domain than single ones?",
    ("micro", "small"), runs, contrasts, cell_of, gates=gates, figure="pairs", pairs=pairs, beyond=beyond,
    other_units=("relative drop",), dated="2026-11-29",
    on_one=on_one, control=FOUND_BY, control_on="xnli", simulated="a constructed other domain",
    beside=(
        OVER_NONE, TARGETS_LEARNED, AT_HOME, ABROAD, "drop: mean of single tasks − joint", DROP_AT_HOME,
        "score inside: joint − mean of single tasks",
    ),
    later=(TARGETS_LEARNED, AT_HOME, ABROAD, OVER_NONE),
)  # fmt: skip
