"""Which runs make up each study: a function of the scale for each study."""

from collections.abc import Callable
from functools import lru_cache

from ..machine.errors import Bad
from .run import MACHINE_TRANSLATED, PRETRAINED, SINGLE, Run, parse
from .scales import PIVOT, Scale
from .tasks import INTERMEDIATES, TARGETS, TEXT, nine

MAIN = "main"  # the paper's own study, the one that the claims read
MIXED = ("squad1", "mnli", "hellaswag")  # the three tasks that are also mixed with MLM
OTHER_LANGUAGES = ("ocnli", "jcqa")  # intermediate tasks in Chinese and Japanese: the control for English
# seeds of every cell; where a scale runs seed by seed, the cells of claims 1 to 8 get its other seeds too
LEAST_SEEDS = 3


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


def main_study(scale: Scale) -> list[Run]:
    """The paper's study: baseline, single tasks, multi-task, MLM, translated, and a control of random
    weights.
    """
    if scale.prolongs:
        return prolonged(scale)
    if scale.by_seed:
        return by_seed(scale)
    sources = scale.sources or ("", *INTERMEDIATES, multi(scale), *mixed())
    targets = scale.targets or TARGETS
    return [
        Run(PRETRAINED, scale),
        *grid(scale, sources, targets),
        *grid(scale, () if scale.sources else equal_steps(scale), targets, steps=SINGLE),
        *grid(scale, () if scale.sources else translated(scale), targets, lang=MACHINE_TRANSLATED),
        *grid(scale, ("",), targets, model="random"),
    ]


def by_seed(scale: Scale) -> list[Run]:
    """The main study in the order of its claims, and seed by seed: every finished seed is a balanced design.

    It also has intermediate tasks in other languages than English. First come, with the fewest seeds that a
    verdict needs, the baseline, random weights and the single tasks that claims 1 to 3 name; then what claims
    4 to 8 read besides, the joint training at equal steps and the other single tasks; then masked language
    modelling and translated data for claims 9 and 10. Then come the joint training at its full dose, which no
    claim is judged on, and the variants, and at last the cells of claims 1 to 8 with further seeds.
    """
    others = [(paths(name, TARGETS), {}) for name in nine(scale) if name not in MIXED]
    baseline, *named = [(paths(source, TARGETS), {}) for source in ("", *MIXED)]
    control = ([PRETRAINED, *TARGETS], {"model": "random"})
    joint, *single = [(paths(source, TARGETS), {"steps": SINGLE}) for source in equal_steps(scale)]
    whole = (paths(multi(scale), TARGETS), {})
    variants = [(paths(source, TARGETS), {}) for source in (*mixed(), *OTHER_LANGUAGES)]
    plain = [(paths(source, TARGETS), {}) for source in translated(scale) if source not in MIXED]
    in_translation = [(paths(s, TARGETS), {"lang": MACHINE_TRANSLATED}) for s in translated(scale)]
    first, more = scale.seeds[:LEAST_SEEDS], scale.seeds[LEAST_SEEDS:]
    rounds = (
        (first, [baseline, control, *named]),
        (first, [joint, *others]),
        (first, [*single, *plain, *in_translation]),
        (first, [whole, *variants]),
        (more, [baseline, *named, joint, *others, whole]),
    )
    cells = [(seed, cell) for seeds, cells in rounds for seed in seeds for cell in cells]
    return [
        Run(PRETRAINED, scale),
        *(Run(path, scale, seed, **given) for seed, (cell_paths, given) in cells for path in cell_paths),
    ]


def prolonged(scale: Scale) -> list[Run]:
    """The study of a scale that prolongs another: as `by_seed`, but with every seed of a few sources first.

    It has no runs with random weights; those of the scale that it prolongs are used.
    """
    first = ("", *scale.first)
    plan = [run for run in by_seed(scale) if not run.model]
    return sorted(plan, key=lambda run: run.phase > 1 and (run.source not in first or run.lang != PIVOT))


# the research questions add theirs (report.questions)
STUDIES: dict[str, Callable[[Scale], list[Run]]] = {MAIN: main_study}


def runs(study: str, scale: Scale) -> list[Run]:
    """Every run of the study at the scale, in the best order to make them, parents before children.

    Raises: Bad for an unknown study.
    """
    if study not in STUDIES:
        raise Bad(f"no study {study!r}; known: {', '.join(STUDIES)}")
    return list(planned(STUDIES[study], scale))


@lru_cache
def planned(plan: Callable[[Scale], list[Run]], scale: Scale) -> tuple[Run, ...]:
    """The runs of a plan, resolved once in a process: a study has hundreds, and many ask for them."""
    return tuple(plan(scale))
