"""Which runs make up each study: one expression a study, a function of the scale."""

from collections.abc import Callable

from .config import Bad, Run, scale
from .tasks import INTERMEDIATES, TARGETS

MULTI = "+".join(INTERMEDIATES)
MIXED = ("squad1", "mnli", "hellaswag")  # the three tasks that are also mixed with MLM, and translated

# The sources, targets and controls each scale can afford; a scale not named here runs everything.
SMALL = {
    "smoke": (("", "mnli", "squad1+mlm"), ("xnli", "tatoeba")),
    "pocket": (("", "squad1", "csqa", "mnli"), ("xquad", "xnli", "udpos", "panx", "tatoeba")),
}
ALL = (("", *INTERMEDIATES, MULTI, "mlm", *(f"{t}+mlm" for t in MIXED)), TARGETS)


def paths(source: str, targets: tuple[str, ...]) -> list[str]:
    """The stage itself (phase 2), then the source followed by each target (phase 3)."""
    return [source, *(f"{source} > {t}" for t in targets)] if source else list(targets)


def grid(scale_name: str, sources: tuple[str, ...], targets: tuple[str, ...], **fields: str) -> list[Run]:
    """Every source over every target with every seed of the scale; `fields` are further fields of `Run`."""
    seeds = scale(scale_name).seeds
    return [Run(path=p, scale=scale_name, seed=s, **fields) for source in sources for s in seeds for p in paths(source, targets)]


def main(scale_name: str) -> list[Run]:
    """The paper's study: baseline, single tasks, multi-task, MLM, translated, and a control of random weights."""
    sources, targets = SMALL.get(scale_name, ALL)
    return [
        Run(path="pretrained", scale=scale_name),
        *grid(scale_name, sources, targets),
        *grid(scale_name, MIXED if scale_name not in SMALL else (), targets, lang="mt"),
        *grid(scale_name, ("",), targets, model="random"),
    ]


STUDIES: dict[str, Callable[[str], list[Run]]] = {"main": main}


def runs(study: str, scale_name: str) -> list[Run]:
    """Every run of the study at the scale, parents before children.

    Raises: Bad for an unknown study or scale.
    """
    if study not in STUDIES:
        raise Bad(f"no study {study!r}; known: {', '.join(STUDIES)}")
    return STUDIES[study](scale(scale_name).name)
