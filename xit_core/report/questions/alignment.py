"""Question 2: does intermediate training help more where the encoder was aligned with human preferences?"""

from ...design.run import Run
from ...design.scales import PIVOT, Scale
from ...design.studies import paths
from ...design.tasks import TARGETS, TASKS
from ..contrasts import Ledger, Weights, mean_contrast, minus, versus
from ..gates import Gate
from . import (
    Contrast,
    Question,
    after,
    gain_after,
    gates_of_starts,
    in_other_languages,
    over_learned,
    seed_by_seed,
)

ALIGNED, SHAM = "prefer", "prefer_sham"
TASKS_AT = {"micro": ("squad1", "mnli")}  # the intermediate tasks after each start; elsewhere MNLI alone
TARGETS_AT = {"micro": TARGETS}
FEW_TARGETS = ("xnli", "panx", "xquad")  # elsewhere: one of each kind
SEEDS = {"micro": 20}  # of the alignment and of what comes after it; elsewhere as many as a verdict needs
ANSWER = "gain after preferences − gain after shuffled ones"
TUNED = f"{ANSWER}, without retrieval"
ELSEWHERE, TARGETS_LEARNED = f"{ANSWER}, in other languages", f"{ANSWER}, targets that were learned"
GAIN, OVER_NEITHER = "gain after preferences", "gain after preferences − gain without either"
SHAM_OVER_NEITHER = "gain after shuffled preferences − gain without either"
BOTH = "preferences, then the task − shuffled preferences, then the task"
OVER_TASK = "preferences, then the task − the task alone"
AFTER_BOTH = {  # the scores after a start and a task, compared with those after less
    OVER_TASK: (ALIGNED, True),
    "shuffled preferences, then the task − the task alone": (SHAM, True),
    "preferences, then the task − nothing": (ALIGNED, False),
}
LATER = (
    OVER_NEITHER, SHAM_OVER_NEITHER, *AFTER_BOTH, "shuffled preferences − nothing, no intermediate task",
    TUNED, BOTH, ELSEWHERE, TARGETS_LEARNED,
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
    plan = [(path, {}) for source in sources for path in paths(source, targets(scale))]
    return seed_by_seed(scale, SEEDS, plan)


def contrasts(scale: Scale) -> dict[str, Contrast]:
    """The difference in differences, and its parts."""
    on = targets(scale)
    tuned = tuple(name for name in on if TASKS[name].train_on)
    sources = [(task, PIVOT) for task in tasks(scale)]
    aligned, sham, plain = (gain_after(start, sources, on) for start in (ALIGNED, SHAM, ""))

    def against(start: str, other: str, trained: bool) -> Weights:  # the scores after a start and a task
        return mean_contrast([
            versus((after(start, task), PIVOT), (after(other, task if trained else ""), PIVOT), on)
            for task in tasks(scale)
        ])  # fmt: skip

    return {
        ANSWER: over_sham(scale, on),
        GAIN: aligned,
        "gain after shuffled preferences": sham,
        "gain without either": plain,
        "preferences − shuffled ones, no intermediate task": versus((ALIGNED, PIVOT), (SHAM, PIVOT), on),
        "preferences − nothing, no intermediate task": versus((ALIGNED, PIVOT), ("", PIVOT), on),
        OVER_NEITHER: minus(aligned, plain),
        SHAM_OVER_NEITHER: minus(sham, plain),
        "shuffled preferences − nothing, no intermediate task": versus((SHAM, PIVOT), ("", PIVOT), on),
        TUNED: over_sham(scale, tuned),
        BOTH: against(ALIGNED, SHAM, trained=True),
        ELSEWHERE: in_other_languages(over_sham(scale, on)),
        TARGETS_LEARNED: over_learned(over_sham, on),
    } | {name: against(start, "", trained) for name, (start, trained) in AFTER_BOTH.items()}


def over_sham(scale: Scale, on: tuple[str, ...]) -> Weights:
    """The weights of the answer on some targets."""
    sources = [(task, PIVOT) for task in tasks(scale)]
    return minus(*(gain_after(start, sources, on) for start in (ALIGNED, SHAM)))


def on_one(scale: Scale, target: str) -> Weights:
    """The weights of the answer on one target alone."""
    return over_sham(scale, (target,))


def gates(ledger: Ledger) -> dict[str, Gate]:
    """The preferences are learned, shuffled ones are not, and enough targets are."""
    on = targets(ledger.scale)
    return gates_of_starts(ledger, {"preferences": ALIGNED, "shuffled preferences": SHAM}, on, LEARNED)


QUESTION = Question(
    "alignment", 2,
    "Does an intermediate task add more after training on preferences than after shuffled ones?",
    ("micro", "small"), runs, contrasts, gates=gates, on_one=on_one,
    literal=(GAIN, OVER_NEITHER, OVER_TASK), on_front=(SHAM_OVER_NEITHER,),
    simulated="generated preferences, no human feedback",
    beside=(
        "gain without either", "preferences − nothing, no intermediate task",
        *(name for name in LATER if name not in (OVER_NEITHER, OVER_TASK)),
    ),
    later=LATER,
)  # fmt: skip
