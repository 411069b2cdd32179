"""Question 2: does intermediate training help more where the encoder was aligned with human preferences?"""

from typing import TYPE_CHECKING

from ...design.run import PRETRAINED, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import paths
from ...design.tasks import TARGETS, TASKS
from . import Question, after, gain_after, gates_of_starts, seeds_at

if TYPE_CHECKING:
    from ..contrasts import Ledger, Weights
    from ..gates import Gate

ALIGNED, SHAM = "prefer", "prefer_sham"
TASKS_AT = {"micro": ("squad1", "mnli")}  # the intermediate tasks after each start; elsewhere MNLI alone
TARGETS_AT = {"micro": TARGETS}
FEW_TARGETS = ("xnli", "panx", "xquad")  # elsewhere: one of each kind
SEEDS = {"micro": 20}  # of the alignment and of what comes after it; elsewhere as many as a verdict needs
ANSWER = "gain after preferences − gain after shuffled ones"
TUNED = f"{ANSWER}, without retrieval"
AFTER_BOTH = {  # the scores after a start and a task, compared with those after less
    "preferences, then the task − the task alone": (ALIGNED, True),
    "shuffled preferences, then the task − the task alone": (SHAM, True),
    "preferences, then the task − nothing": (ALIGNED, False),
}
LATER = (
    "gain after preferences − gain without either", "gain after shuffled preferences − gain without either",
    *AFTER_BOTH, "shuffled preferences − nothing, no intermediate task", TUNED,
)  # fmt: skip
LEARNED = {"micro": 6}  # of the targets that must be learned; elsewhere two of the three


def tasks(scale: Scale) -> tuple[str, ...]:
    """The intermediate tasks that come after a start."""
    return TASKS_AT.get(scale.name, ("mnli",))


def targets(scale: Scale) -> tuple[str, ...]:
    """The targets that are scored."""
    return TARGETS_AT.get(scale.name, FEW_TARGETS)


def runs(scale: Scale) -> list[Run]:
    """Seed by seed: no start, the sham and the alignment, each alone and before each task."""
    sources = [after(start, task) for start in ("", SHAM, ALIGNED) for task in ("", *tasks(scale))]
    plan = [path for source in sources for path in paths(source, targets(scale))]
    return [
        Run(PRETRAINED, scale),
        *(Run(path, scale, seed) for seed in seeds_at(scale, SEEDS) for path in plan),
    ]


def contrasts(scale: Scale) -> "dict[str, Weights]":
    """The difference in differences, and its parts."""
    from ..contrasts import mean_contrast, minus, versus

    on = targets(scale)
    tuned = tuple(name for name in on if TASKS[name].train_on)
    sources = [(task, PIVOT) for task in tasks(scale)]
    aligned, sham, plain = (gain_after(start, sources, on) for start in (ALIGNED, SHAM, ""))
    return {
        ANSWER: minus(aligned, sham),
        "gain after preferences": aligned,
        "gain after shuffled preferences": sham,
        "gain without either": plain,
        "preferences − shuffled ones, no intermediate task": versus((ALIGNED, PIVOT), (SHAM, PIVOT), on),
        "preferences − nothing, no intermediate task": versus((ALIGNED, PIVOT), ("", PIVOT), on),
        "gain after preferences − gain without either": minus(aligned, plain),
        "gain after shuffled preferences − gain without either": minus(sham, plain),
        "shuffled preferences − nothing, no intermediate task": versus((SHAM, PIVOT), ("", PIVOT), on),
        TUNED: minus(*(gain_after(start, sources, tuned) for start in (ALIGNED, SHAM))),
    } | {
        name: mean_contrast([
            versus((after(start, task), PIVOT), (task if trained else "", PIVOT), on) for task in tasks(scale)
        ])
        for name, (start, trained) in AFTER_BOTH.items()
    }  # fmt: skip


def on_one(scale: Scale, target: str) -> "Weights":
    """The weights of the answer on one target alone."""
    from ..contrasts import minus

    sources = [(task, PIVOT) for task in tasks(scale)]
    return minus(*(gain_after(start, sources, (target,)) for start in (ALIGNED, SHAM)))


def gates(ledger: "Ledger") -> "dict[str, Gate]":
    """The preferences are learned, those by lot are not, and enough targets are."""
    on = targets(ledger.scale)
    return gates_of_starts(ledger, {"preferences": ALIGNED, "preferences by lot": SHAM}, on, LEARNED)


QUESTION = Question(
    "alignment", 2,
    "Does English intermediate-task training improve zero-shot cross-lingual performance on XTREME benchmark "
    "tasks when the model is aligned with human feedback compared to unaligned models?",
    "Does an intermediate task add more after training on preferences than after shuffled ones?",
    ("micro", "small"), runs, contrasts, gates=gates, on_one=on_one,
    beside=("gain after preferences", "gain without either", *LATER), later=LATER,
)  # fmt: skip
