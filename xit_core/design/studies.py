"""Which runs make up each study: one expression a study, a function of the scale."""

from collections.abc import Callable

from ..machine.errors import Bad
from .run import Run, parse
from .scales import PIVOT, scale
from .tasks import INTERMEDIATES, TARGETS

MIXED = ("squad1", "mnli", "hellaswag")  # the three tasks that are also mixed with MLM, and translated
ABROAD = ("ocnli", "jcqa")  # intermediate tasks in Chinese and Japanese: the control for English

# The sources, targets and controls each scale can afford; a scale not named here runs everything.
SMALL = {
    "smoke": (("", "mnli", "squad1+mlm"), ("xnli", "tatoeba")),
    "pocket": (("", "squad1", "csqa", "mnli"), ("xquad", "xnli", "udpos", "panx", "tatoeba")),
}
# Scales that run in slices, seed by seed, with what stands in for those of the nine that they cannot have.
SLICED = {name: {"ccg": "udtag"} for name in ("mini", "mini-long", "mini-scratch")}
LONG = {"mini-long": ("mnli", "squad1")}  # scales that ask what a longer intermediate training does, with the first they ask of
LEAST = 3  # seeds of every cell; at a sliced scale the cells of claims 1 to 8 get the scale's other seeds too


def nine(scale_name: str) -> tuple[str, ...]:
    """The nine single intermediate tasks of a scale, a stand-in in the place of what it stands in for."""
    return tuple(SLICED.get(scale_name, {}).get(t, t) for t in INTERMEDIATES)


def multi(scale_name: str) -> str:
    """The source that joins the nine."""
    return parse("+".join(nine(scale_name)))[0]


def paths(source: str, targets: tuple[str, ...]) -> list[str]:
    """The stage itself (phase 2), then the source followed by each target (phase 3)."""
    return [source, *(f"{source} > {t}" for t in targets)] if source else list(targets)


def grid(scale_name: str, sources: tuple[str, ...], targets: tuple[str, ...], **fields: str) -> list[Run]:
    """Every source over every target with every seed of the scale; `fields` are further fields of `Run`."""
    seeds = scale(scale_name).seeds
    return [Run(path=p, scale=scale_name, seed=s, **fields) for source in sources for s in seeds for p in paths(source, targets)]


def main(scale_name: str) -> list[Run]:
    """The paper's study: baseline, single tasks, multi-task, MLM, translated, and a control of random weights."""
    if scale_name in LONG:
        return longer(scale_name)
    if scale_name in SLICED:
        return sliced(scale_name)
    everything = ("", *INTERMEDIATES, multi(scale_name), "mlm", *(f"{t}+mlm" for t in MIXED)), TARGETS
    sources, targets = SMALL.get(scale_name, everything)
    return [
        Run(path="pretrained", scale=scale_name),
        *grid(scale_name, sources, targets),
        *grid(scale_name, MIXED if scale_name not in SMALL else (), targets, lang="mt"),
        *grid(scale_name, ("",), targets, model="random"),
    ]


def sliced(scale_name: str) -> list[Run]:
    """The same in an order of which every finished seed is a balanced design, with tasks in other languages than English.

    First the cells that claims 1 to 8 read, with the fewest seeds a verdict needs, one seed after the other: baseline and
    random weights, the sources that a claim names, the other single tasks. Then the variants; then the first cells with further
    seeds. Translated data come last: most machines have none.
    """
    rest = (t for t in nine(scale_name) if t not in MIXED)
    read = [(paths(s, TARGETS), {}) for s in ("", *MIXED, multi(scale_name), *rest)]
    control = (["pretrained", *TARGETS], {"model": "random"})
    variants = [(paths(s, TARGETS), {}) for s in ("mlm", *(f"{t}+mlm" for t in MIXED), *ABROAD)]
    translated = [(paths(s, TARGETS), {"lang": "mt"}) for s in MIXED]
    first, more = scale(scale_name).seeds[:LEAST], scale(scale_name).seeds[LEAST:]
    rounds = (first, [read[0], control, *read[1:]]), (first, variants), (more, read), (first, translated)
    return [
        Run(path="pretrained", scale=scale_name),
        *(Run(p, scale_name, seed, **given) for seeds, cells in rounds for seed in seeds for ps, given in cells for p in ps),
    ]


def longer(scale_name: str) -> list[Run]:
    """The same, with every seed of a few sources first. Random weights are those of the scale that it prolongs."""
    first = ("", *LONG[scale_name])
    plan = [run for run in sliced(scale_name) if not run.model]
    return sorted(plan, key=lambda run: run.phase > 1 and (run.source not in first or run.lang != PIVOT))


STUDIES: dict[str, Callable[[str], list[Run]]] = {"main": main}


def runs(study: str, scale_name: str) -> list[Run]:
    """Every run of the study at the scale, parents before children, in the order in which they are best made.

    Raises: Bad for an unknown study or scale.
    """
    if study not in STUDIES:
        raise Bad(f"no study {study!r}; known: {', '.join(STUDIES)}")
    return STUDIES[study](scale(scale_name).name)
