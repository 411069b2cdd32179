"""Which runs make up each study: a function of the scale for each study."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from ..machine.errors import Bad
from .run import MACHINE_TRANSLATED, PRETRAINED, RANDOM_WEIGHTS, SINGLE, Run, parse
from .scales import Scale
from .tasks import INTERMEDIATES, TARGETS, TEXT, nine

MAIN = "main"  # the paper's own study, the one that the claims read
MIXED = ("squad1", "mnli", "hellaswag")  # the three tasks that are also mixed with MLM
OTHER_LANGUAGES = ("ocnli", "jcqa")  # intermediate tasks in Chinese and Japanese: the control for English
# seeds of every cell; where a scale runs seed by seed, the cells of claims 1 to 8 get its other seeds too
LEAST_SEEDS = 3
# the targets that claims 5 to 7 read; the first three take a third of the time of all nine
SINGLY = (("tydiqa", "bucc", "tatoeba"), ("xnli",))


def multi(scale: Scale) -> str:
    """The source that trains on the nine intermediate tasks jointly."""
    return parse("+".join(nine(scale)))[0]


def equal_steps(scale: Scale) -> tuple[str, ...]:
    """The joint sources that claims compare with a single task: trained once more with as many steps."""
    return (multi(scale), *(source for source in mixed() if "+" in source))


def mixed() -> tuple[str, ...]:
    """The sources with masked language modelling: alone, and with each of MIXED."""
    return (TEXT.name, *(f"{name}+{TEXT.name}" for name in MIXED))


def translated(scale: Scale) -> tuple[str, ...]:
    """The three tasks that are also trained on in translation: MIXED, with the scale's stand-ins in place."""
    replacements = dict(scale.translated)
    return tuple(replacements.get(name, name) for name in MIXED)


def paths(source: str, targets: tuple[str, ...]) -> list[str]:
    """The paths of a source: the stage itself (phase 2), then the source with each target (phase 3)."""
    return [source, *(f"{source} > {target}" for target in targets)] if source else list(targets)


def grid(scale: Scale, sources: tuple[str, ...], targets: tuple[str, ...], **fields: str) -> list[Run]:
    """Every source over every target with every seed of the scale; `fields` are further fields of `Run`."""
    cells = [(source, seed) for source in sources for seed in scale.seeds]
    return [Run(path, scale, seed, **fields) for source, seed in cells for path in paths(source, targets)]


def stages(runs: Iterable[Run]) -> dict[Run, list[Run]]:
    """The stages of a plan, each with itself and the runs that start from it, in the order of the plan."""
    found: dict[Run, list[Run]] = {}
    for run in runs:
        for stage in {run, *run.parents}:
            if stage.phase == 2:
                found.setdefault(stage, []).append(run)
    return found


def main_study(scale: Scale) -> list[Run]:
    """The paper's study: baseline, single tasks, multi-task, MLM, translated, and a control of random
    weights.
    """
    if scale.start:
        return started(scale)
    if scale.by_seed:
        return by_seed(scale)
    sources = scale.sources or ("", *INTERMEDIATES, multi(scale), *mixed())
    targets = scale.targets or TARGETS
    return [
        Run(PRETRAINED, scale),
        *grid(scale, sources, targets),
        *grid(scale, () if scale.sources else equal_steps(scale), targets, steps=SINGLE),
        *grid(scale, () if scale.sources else translated(scale), targets, lang=MACHINE_TRANSLATED),
        *grid(scale, ("",), targets, model=RANDOM_WEIGHTS),
    ]


def by_seed(scale: Scale) -> list[Run]:
    """The main study in the order of its claims, and seed by seed: every finished seed is a balanced design.

    It also has intermediate tasks in other languages than English. First come, with the fewest seeds that a
    verdict needs, the baseline, random weights and the single tasks that claims 1 to 3 name. The other single
    tasks follow target by target: those of claims 5 to 7, and with the joint training at equal steps the
    rest, for claims 4 and 8. Then come translated data for claim 10, masked language modelling for claim 9,
    which is not testable where one of its three tasks is not learned, the joint training at its full dose,
    which no claim is judged on, the variants, and at last the cells of claims 1 to 8 with further seeds.
    """
    first, more = scale.seeds[:LEAST_SEEDS], scale.seeds[LEAST_SEEDS:]
    baseline, whole = ("", {}), (multi(scale), {})
    rest = tuple(name for name in nine(scale) if name not in MIXED)
    named, others, variants = (
        [(source, {}) for source in sources] for sources in (MIXED, rest, (*mixed(), *OTHER_LANGUAGES))
    )
    joint, *single = [(source, {"steps": SINGLE}) for source in equal_steps(scale)]
    plain = [(source, {}) for source in translated(scale) if source not in MIXED]
    in_translation = [(source, {"lang": MACHINE_TRANSLATED}) for source in translated(scale)]
    rounds = (
        (first, [baseline, ("", {"model": RANDOM_WEIGHTS}), *named], TARGETS),
        *((first, others, targets) for targets in SINGLY),
        (first, [joint, *others], TARGETS),
        (first, [*plain, *in_translation], TARGETS),
        (first, single, TARGETS),
        (first, [whole, *variants], TARGETS),
        (more, [baseline, *named, joint, *others, whole], TARGETS),
    )
    planned = (run for round_ in rounds for run in balanced(scale, *round_))
    return list(dict.fromkeys([Run(PRETRAINED, scale), *planned]))


def balanced(
    scale: Scale, seeds: tuple[int, ...], sources: list[tuple[str, dict]], targets: tuple[str, ...]
) -> list[Run]:
    """Every source with every target, seed by seed. `sources`: each with further fields of `Run`."""
    return [
        Run(path, scale, seed, **given)
        for seed in seeds
        for source, given in sources
        for path in ([PRETRAINED, *targets] if given.get("model") else paths(source, targets))
    ]


def started(scale: Scale) -> list[Run]:
    """The study of a scale whose paths all begin with the same stage: it, and each single task after it.

    It has no runs with random weights; those of the scale that it prolongs are used.
    """
    sources = [scale.start, *(f"{scale.start} > {name}" for name in nine(scale))]
    return balanced(scale, scale.seeds, [(source, {}) for source in sources], scale.targets)


# the research questions add theirs (report.questions)
STUDIES: dict[str, Callable[[Scale], list[Run]]] = {MAIN: main_study}


def names_of(study: str) -> list[str]:
    """The names in one name of a study, or several with commas. Raises: Bad for an unknown one."""
    names = study.split(",")
    if unknown := [name for name in names if name not in STUDIES]:
        raise Bad(f"no study {unknown[0]!r}; known: {', '.join(STUDIES)}")
    return names


def runs(study: str, scale: Scale, seeds: int = 0) -> list[Run]:
    """Every run of the study at the scale, in the best order to make them, parents before children.

    `study`: a name, or several with commas, whose runs then stand `together`. `seeds`: only those of seeds up
    to this number; 0 = all.
    Raises: Bad for an unknown study.
    """
    plans = [planned(STUDIES[name], scale) for name in names_of(study)]
    return [run for run in (together(plans) if plans[1:] else plans[0]) if run.seed <= (seeds or run.seed)]


def together(plans: list[tuple[Run, ...]]) -> list[Run]:
    """The runs of several plans in the order of the first, those that share a training side by side.

    One execution then makes what several studies score.
    """
    shared: dict[tuple, dict[Run, None]] = {}
    for run in (run for plan in plans for run in plan):
        shared.setdefault(run.training, {})[run] = None
    return [run for group in shared.values() for run in group]


@lru_cache
def planned(plan: Callable[[Scale], list[Run]], scale: Scale) -> tuple[Run, ...]:
    """The runs of a plan, resolved once in a process: a study has hundreds, and many ask for them."""
    return tuple(plan(scale))
