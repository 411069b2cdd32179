"""Question 5: do non-English intermediate tasks help more where the encoder was trained on scenes?"""

from ...design.run import MACHINE_TRANSLATED, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import MIXED, paths
from ...design.tasks import TARGETS, TASKS, TEXT
from ..contrasts import Ledger, Weights, main_cell, mean_contrast, minus, versus
from ..gates import Gate, enough, gates_of
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

SCENES, SHAM, ALONE = "scenes", "scenes_sham", TEXT.name
STARTS = (ALONE, SHAM, SCENES)
# what the question asks for in so many words: the scores after both trainings; and each other start
LITERAL = "scenes − text alone, after non-English tasks"
OVER_SHAM = "scenes − shuffled ones, after non-English tasks"
AFTER = {LITERAL: ALONE, OVER_SHAM: SHAM}
ANSWER = "gain of non-English tasks after scenes − after shuffled ones"
TUNED = f"{ANSWER}, without retrieval"
LITERAL_TUNED = f"{LITERAL}, without retrieval"
ELSEWHERE, TARGETS_LEARNED = f"{ANSWER}, in other languages", f"{ANSWER}, targets that were learned"
ABROAD_LEARNED = "non-English tasks are learned after both starts"
AGAINST_ENGLISH = "non-English − English tasks, in gain after scenes − after shuffled ones"
LEVELS = {"scenes − no start": SCENES, "shuffled scenes − no start": SHAM, "text alone − no start": ALONE}
Tasks = tuple[tuple[str, str], ...]  # each a task and the language of its rows
ENGLISH: dict[str, Tasks] = {"micro": tuple((name, PIVOT) for name in MIXED)}  # elsewhere none
FOREIGN: dict[str, Tasks] = {"micro": tuple((name, MACHINE_TRANSLATED) for name in MIXED)}  # elsewhere OCNLI
TARGETS_AT = {"micro": TARGETS}
FEW_TARGETS = ("xnli", "panx", "tatoeba")  # elsewhere: of XTREME-R, one of each kind that is quick
SEEDS = {"micro": 12}  # of the start and of what comes after it; elsewhere as many as a verdict needs
LEARNED = {"micro": 6}  # of the targets that must be learned; elsewhere two of the three


def english(scale: Scale) -> Tasks:
    """The English intermediate tasks: none on real data, where a run takes minutes."""
    return ENGLISH.get(scale.name, ())


def foreign(scale: Scale) -> Tasks:
    """The intermediate tasks in other languages: at `micro` the English ones in translation."""
    return FOREIGN.get(scale.name, (("ocnli", PIVOT),))


def targets(scale: Scale) -> tuple[str, ...]:
    """The targets that are scored."""
    return TARGETS_AT.get(scale.name, FEW_TARGETS)


def runs(scale: Scale) -> list[Run]:
    """Seed by seed: the baseline, which says what targets are learned, then text alone, the sham and the
    scenes, each alone and before each task; on real data text alone only before the tasks.
    """
    tasks = (("", PIVOT), *english(scale), *foreign(scale))
    plan = [(target, {}) for target in targets(scale)]
    plan += [
        (path, {"lang": lang})
        for start in STARTS
        for task, lang in tasks
        if task or start != ALONE or scale.world.made
        for path in paths(after(start, task), targets(scale))
    ]
    return seed_by_seed(scale, SEEDS, plan)


def contrasts(scale: Scale) -> dict[str, Contrast]:
    """The difference in differences, and its parts; then what qualifies it. What a scale's design has no runs
    for is left out.
    """
    on, away = targets(scale), foreign(scale)
    scenes, sham, alone = (gain_after(start, away, on) for start in (SCENES, SHAM, ALONE))
    at_home = minus(*(gain_after(start, english(scale), on) for start in (SCENES, SHAM)))
    found = {
        ANSWER: over_sham(scale, on),
        "gain of non-English tasks after scenes − after text alone": minus(scenes, alone),
        "gain of non-English tasks after scenes": scenes,
        "gain of non-English tasks after shuffled scenes": sham,
        "gain of non-English tasks after text alone": alone,
        "gain of English tasks after scenes − after shuffled ones": at_home,
        "scenes − shuffled ones, no intermediate task": versus((SCENES, PIVOT), (SHAM, PIVOT), on),
        "scenes − text alone, no intermediate task": versus((SCENES, PIVOT), (ALONE, PIVOT), on),
        AGAINST_ENGLISH: minus(over_sham(scale, on), at_home) if at_home else {},
    } | later(scale)
    planned = {main_cell(run) for run in runs(scale)}
    return {name: of for name, of in found.items() if callable(of) or of and set(of) <= planned}


def later(scale: Scale) -> dict[str, Contrast]:
    """Contrasts that came after the answer had been read: without retrieval, task by task, the starts against
    none, the scores after both trainings, other languages alone, and learned targets alone.
    """
    on, away = targets(scale), foreign(scale)
    tuned = tuple(name for name in on if TASKS[name].train_on)
    found = {TUNED: over_sham(scale, tuned), LITERAL_TUNED: after_both(away, ALONE, tuned)}
    for task in away if len(away) > 1 else ():
        found[each_task(task[0])] = minus(*(gain_after(start, [task], on) for start in (SCENES, SHAM)))
    found |= {name: versus((start, PIVOT), ("", PIVOT), on) for name, start in LEVELS.items()}
    found |= {name: after_both(away, other, on) for name, other in AFTER.items()}
    found[ELSEWHERE] = in_other_languages(over_sham(scale, on))
    return found | {TARGETS_LEARNED: over_learned(over_sham, on)}


def over_sham(scale: Scale, on: tuple[str, ...]) -> Weights:
    """The weights of the answer on some targets."""
    return minus(*(gain_after(start, foreign(scale), on) for start in (SCENES, SHAM)))


def after_both(tasks: Tasks, other: str, on: tuple[str, ...]) -> Weights:
    """The weights of the scores after scenes and a task minus those after another start and the task."""
    return mean_contrast([
        versus((after(SCENES, task), lang), (after(other, task), lang), on) for task, lang in tasks
    ])  # fmt: skip


def each_task(task: str) -> str:
    """The name of the answer for one of the non-English tasks."""
    return f"{ANSWER}, {task} alone"


def on_one(scale: Scale, target: str) -> Weights:
    """The weights of the answer on one target alone."""
    return over_sham(scale, (target,))


def gates(ledger: Ledger) -> dict[str, Gate]:
    """The scenes are learned, those of other captions are not, and enough targets and tasks are."""
    on = targets(ledger.scale)
    found = gates_of_starts(ledger, {"scenes": SCENES, "shuffled scenes": SHAM}, on, LEARNED)
    return found | {ABROAD_LEARNED: tasks_learned(ledger)}


def tasks_learned(ledger: Ledger) -> Gate:
    """Whether more than half of the non-English tasks are learned after the scenes and after the sham."""
    stages, tasks = gates_of(ledger).stages, {}
    for task, lang in foreign(ledger.scale):
        both = [stages.get((after(start, task), lang), Gate(None, "")).passed for start in (SCENES, SHAM)]
        tasks[task] = Gate(False if False in both else None if None in both else True, "")
    return enough(tasks, len(tasks) // 2 + 1)


QUESTION = Question(
    "multimodal", 5,
    "Do non-English tasks add more after training on scenes than after shuffled scenes?",
    ("micro", "small"), runs, contrasts, gates=gates,
    on_one=on_one, literal=(LITERAL,), on_front=(TUNED, LITERAL_TUNED),
    simulated="scenes are sets of attributes, no pictures",
    beside=(
        "gain of non-English tasks after scenes", "gain of non-English tasks after shuffled scenes",
        "gain of English tasks after scenes − after shuffled ones",
        "scenes − shuffled ones, no intermediate task", OVER_SHAM, TUNED, LITERAL_TUNED, *LEVELS,
        AGAINST_ENGLISH, ELSEWHERE, TARGETS_LEARNED,
    ),
    later=(
        *AFTER, TUNED, LITERAL_TUNED, *LEVELS, AGAINST_ENGLISH, ABROAD_LEARNED, ELSEWHERE, TARGETS_LEARNED,
        *(each_task(task) for task, _ in FOREIGN["micro"]),
    ),
)  # fmt: skip
