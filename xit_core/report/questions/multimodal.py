"""Question 5: do non-English intermediate tasks help more where the encoder was trained on scenes?"""

from typing import TYPE_CHECKING

from ...design.run import MACHINE_TRANSLATED, PRETRAINED, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import MIXED, paths
from ...design.tasks import TARGETS, TASKS, TEXT
from . import Question, after, gain_after, gates_of_starts, seeds_at

if TYPE_CHECKING:
    from ..contrasts import Ledger, Weights
    from ..gates import Gate

SCENES, SHAM, ALONE = "scenes", "scenes_sham", TEXT.name
STARTS = (ALONE, SHAM, SCENES)
# what the question asks for in so many words: the scores after both trainings; and each other start
AFTER = {
    "scenes − text alone, after non-English tasks": ALONE,
    "scenes − shuffled ones, after non-English tasks": SHAM,
}
TUNED = "gain of non-English tasks after scenes − after shuffled ones, without retrieval"
Tasks = tuple[tuple[str, str], ...]  # each a task and the language of its rows
ENGLISH: dict[str, Tasks] = {"micro": tuple((name, PIVOT) for name in MIXED)}  # elsewhere MNLI
FOREIGN: dict[str, Tasks] = {"micro": tuple((name, MACHINE_TRANSLATED) for name in MIXED)}  # elsewhere OCNLI
TARGETS_AT = {"micro": TARGETS}
FEW_TARGETS = ("xnli", "panx", "tatoeba")  # elsewhere: of XTREME-R, one of each kind that is quick
SEEDS = {"micro": 12}  # of the start and of what comes after it; elsewhere as many as a verdict needs
LEARNED = {"micro": 6}  # of the targets that must be learned; elsewhere two of the three


def english(scale: Scale) -> Tasks:
    """The English intermediate tasks."""
    return ENGLISH.get(scale.name, (("mnli", PIVOT),))


def foreign(scale: Scale) -> Tasks:
    """The intermediate tasks in other languages: at `micro` the English ones in translation."""
    return FOREIGN.get(scale.name, (("ocnli", PIVOT),))


def targets(scale: Scale) -> tuple[str, ...]:
    """The targets that are scored."""
    return TARGETS_AT.get(scale.name, FEW_TARGETS)


def runs(scale: Scale) -> list[Run]:
    """Seed by seed: the baseline, which says what targets are learned, then text alone, the sham and the
    scenes, each alone and before each task.
    """
    tasks = (("", PIVOT), *english(scale), *foreign(scale))
    plan = [(target, PIVOT) for target in targets(scale)]
    plan += [
        (path, lang)
        for start in STARTS
        for task, lang in tasks
        for path in paths(after(start, task), targets(scale))
    ]
    return [
        Run(PRETRAINED, scale),
        *(Run(path, scale, seed, lang=lang) for seed in seeds_at(scale, SEEDS) for path, lang in plan),
    ]


def contrasts(scale: Scale) -> "dict[str, Weights]":
    """The difference in differences, and its parts."""
    from ..contrasts import mean_contrast, minus, versus

    on, away = targets(scale), foreign(scale)
    scenes, sham, alone = (gain_after(start, away, on) for start in (SCENES, SHAM, ALONE))
    tuned = tuple(name for name in on if TASKS[name].train_on)
    at_home = [gain_after(start, english(scale), on) for start in (SCENES, SHAM)]
    return {
        "gain of non-English tasks after scenes − after shuffled ones": minus(scenes, sham),
        "gain of non-English tasks after scenes − after text alone": minus(scenes, alone),
        "gain of non-English tasks after scenes": scenes,
        "gain of non-English tasks after shuffled scenes": sham,
        "gain of non-English tasks after text alone": alone,
        "gain of English tasks after scenes − after shuffled ones": minus(*at_home),
        "scenes − shuffled ones, no intermediate task": versus((SCENES, PIVOT), (SHAM, PIVOT), on),
        "scenes − text alone, no intermediate task": versus((SCENES, PIVOT), (ALONE, PIVOT), on),
        TUNED: minus(*(gain_after(start, away, tuned) for start in (SCENES, SHAM))),
    } | {
        name: mean_contrast([
            versus((after(SCENES, task), lang), (after(other, task), lang), on) for task, lang in away
        ])
        for name, other in AFTER.items()
    }  # fmt: skip


def gates(ledger: "Ledger") -> "dict[str, Gate]":
    """The scenes are learned, those of other captions are not, and enough targets are."""
    on = targets(ledger.scale)
    return gates_of_starts(ledger, {"scenes": SCENES, "scenes by lot": SHAM}, on, LEARNED)


QUESTION = Question(
    "multimodal", 5,
    "How does the zero-shot cross-lingual transfer performance on XTREME-R compare between multimodal models "
    "and text-only models when intermediate-task training is applied to a broader set of non-English "
    "intermediate tasks?",
    "Do non-English tasks add more after training on scenes?",
    ("micro", "small"), runs, contrasts, gates=gates,
    beside=(
        "gain of non-English tasks after scenes − after text alone",
        "gain of English tasks after scenes − after shuffled ones",
        "scenes − shuffled ones, no intermediate task", "scenes − text alone, no intermediate task",
        *AFTER, TUNED,
    ),
    later=(*AFTER, TUNED),
)  # fmt: skip
