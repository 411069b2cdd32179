"""Which runs make up each study: one expression a study, a function of the scale."""

from collections.abc import Callable

from ..machine.errors import Bad
from .run import MACHINE_TRANSLATED, PRETRAINED, Run, parse
from .scales import PIVOT, Scale
from .tasks import INTERMEDIATES, TARGETS, TEXT, nine

MAIN = "main"  # the paper's own study, the one that the claims read
MIXED = ("squad1", "mnli", "hellaswag")  # the three tasks that are also mixed with MLM, and translated
OTHER_LANGUAGES = ("ocnli", "jcqa")  # intermediate tasks in Chinese and Japanese: the control for English
# seeds of every cell; where a scale runs seed by seed, the cells of claims 1 to 8 get its other seeds too
LEAST_SEEDS = 3


def multi(scale: Scale) -> str:
    """The source that joins the nine."""
    return parse("+".join(nine(scale)))[0]


def mixed() -> tuple[str, ...]:
    """The sources with masked language modelling: alone, and with each of MIXED."""
    return (TEXT.name, *(f"{name}+{TEXT.name}" for name in MIXED))


def paths(source: str, targets: tuple[str, ...]) -> list[str]:
    """The stage itself (phase 2), then the source followed by each target (phase 3)."""
    return [source, *(f"{source} > {t}" for t in targets)] if source else list(targets)


def grid(scale: Scale, sources: tuple[str, ...], targets: tuple[str, ...], **fields: str) -> list[Run]:
    """Every source over every target with every seed of the scale; `fields` are further fields of `Run`."""
    cells = [(source, seed) for source in sources for seed in scale.seeds]
    return [Run(p, scale, seed, **fields) for source, seed in cells for p in paths(source, targets)]


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
        *grid(scale, () if scale.sources else MIXED, targets, lang=MACHINE_TRANSLATED),
        *grid(scale, ("",), targets, model="random"),
    ]


def by_seed(scale: Scale) -> list[Run]:
    """The same in an order of which every finished seed is a balanced design, with tasks in other languages
    than English.

    First the cells that claims 1 to 8 read, with the fewest seeds a verdict needs, one seed after the other:
    baseline and random weights, the sources that a claim names, the other single tasks. Then the variants;
    then the first cells with further seeds. Translated data come last: most machines have none.
    """
    rest = (t for t in nine(scale) if t not in MIXED)
    read = [(paths(s, TARGETS), {}) for s in ("", *MIXED, multi(scale), *rest)]
    control = ([PRETRAINED, *TARGETS], {"model": "random"})
    variants = [(paths(s, TARGETS), {}) for s in (*mixed(), *OTHER_LANGUAGES)]
    translated = [(paths(s, TARGETS), {"lang": MACHINE_TRANSLATED}) for s in MIXED]
    first, more = scale.seeds[:LEAST_SEEDS], scale.seeds[LEAST_SEEDS:]
    rounds = (first, [read[0], control, *read[1:]]), (first, variants), (more, read), (first, translated)
    cells = [(seed, cell) for seeds, cells in rounds for seed in seeds for cell in cells]
    return [
        Run(PRETRAINED, scale),
        *(Run(p, scale, seed, **given) for seed, (ps, given) in cells for p in ps),
    ]


def prolonged(scale: Scale) -> list[Run]:
    """The same, with every seed of a few sources first. Random weights are those of the scale that it
    prolongs.
    """
    first = ("", *scale.first)
    plan = [run for run in by_seed(scale) if not run.model]
    return sorted(plan, key=lambda run: run.phase > 1 and (run.source not in first or run.lang != PIVOT))


# a question adds its own (report.questions)
STUDIES: dict[str, Callable[[Scale], list[Run]]] = {MAIN: main_study}


def runs(study: str, scale: Scale) -> list[Run]:
    """Every run of the study at the scale, parents before children, in the order in which they are best made.

    Raises: Bad for an unknown study.
    """
    if study not in STUDIES:
        raise Bad(f"no study {study!r}; known: {', '.join(STUDIES)}")
    return STUDIES[study](scale)
