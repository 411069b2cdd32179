"""Question 1: does adapter training on several intermediate tasks at once beat training on single ones?"""

import numpy as np

from ...design.methods import ADAPTER, FULL, FUSION, LORA
from ...design.run import SINGLE, SUM, Run
from ...design.scales import PIVOT, Scale
from ...design.studies import paths
from ...design.tasks import TARGETS, TASKS
from ..contrasts import Cell, Ledger, Short, Source, Weights, at, mean_contrast, minus, versus
from ..gates import Gate, enough, gates_of, stage_gate
from ..stats import Interval, Spread, held_out_variance
from . import Contrast, Question, in_other_languages, joint, learned, seed_by_seed, singles, target_gates

F1 = tuple(name for name in TARGETS if "f1" in TASKS[name].metrics and TASKS[name].train_on)
SEEDS = {"micro": 8}  # elsewhere as many as a verdict needs
METHOD_NAMES = {ADAPTER: "adapters", FULL: "full training"}  # as the names of contrasts say them
FUSED = f"{ADAPTER} > {FUSION}"
JOINTLY = "joint training by adapters"
JOINTLY_IN_FULL = "joint training in full"
CONTROL = "SQuAD − none on XQuAD, adapters"
EQUAL = "joint − mean of single tasks, adapters"
LONGER = {  # the joint training with as many steps as its tasks have together, the single ones with their own
    method: f"joint in the steps of all its tasks − mean of single tasks, {name}"
    for method, name in METHOD_NAMES.items()
}
BEST, OVER_SQUAD = "joint − single task chosen on other seeds, adapters", "joint − SQuAD, adapters"
# the answer once more: on parts of the targets that have F1, and on what was learned
SPANS, TAGS = f"{EQUAL}, question answering alone", f"{EQUAL}, tagging alone"
ELSEWHERE = f"{EQUAL}, in other languages"
IN_FULL = "joint − mean of single tasks, full training"
LONG_OVER_NONE = {
    method: f"joint in the steps of all its tasks − none, {name}" for method, name in METHOD_NAMES.items()
}
TASKS_LEARNED = f"{EQUAL}, tasks that were learned"
TARGETS_LEARNED = f"{EQUAL}, targets that full training learns"
SINGLES_OVER_NONE = "mean of single tasks − none, adapters"
LEARNED = 3  # of the targets with F1 that must be learned, and of the single tasks more than half


def whole(scale: Scale) -> bool:
    """Whether a scale has the whole design: in a constructed world runs are cheap."""
    return scale.world.made


def targets(scale: Scale) -> tuple[str, ...]:
    """All nine targets; on real data those with F1, of question answering the quickest."""
    return TARGETS if whole(scale) else ("udpos", "panx", "xquad")


def runs(scale: Scale) -> list[Run]:
    """The runs seed by seed: none, each task alone and all jointly, in full and by adapters; LoRA without the
    single tasks; and the fusion of the adapters of single tasks. On real data only adapters train jointly,
    and in as many steps as a single task has.
    """
    together, on = joint(scale), targets(scale)
    none, alone = [("", SUM)], [(name, SUM) for name in singles(scale)]
    equal, long = [(together, SINGLE)], [(together, SUM)]
    trained = {FULL: none + alone, ADAPTER: none + alone + equal}
    if whole(scale):
        trained = {name: sources + long for name, sources in trained.items()}
        trained = trained | {FULL: trained[FULL] + equal, LORA: none + equal + long}
    plan = [
        (path, {"method": method, "steps": steps})
        for method, sources in trained.items()
        for source, steps in sources
        for path in paths(source, on)
    ]
    if whole(scale):
        plan += [(f"{together} > {target}", {"method": FUSED}) for target in on if TASKS[target].train_on]
    return seed_by_seed(scale, SEEDS, plan)


def cell_of(run: Run) -> Cell | None:
    """What a run is an observation of: its source is named with its method, unless that is the usual one."""
    if run.model:
        return None
    method = run.stages[-1].method.name if run.stages else FULL
    return named(method, at(run.source, run.steps)), run.lang, run.on


def named(method: str, source: str) -> str:
    """The name of a source trained by a method."""
    return source if method == FULL else f"{method}: {source}".strip()


def source(method: str, name: str, steps: str = SUM) -> Source:
    """A source as the contrasts name it."""
    return named(method, at(name, steps)), PIVOT


def over_singles(
    scale: Scale, method: str, ours: Source, on: tuple[str, ...], tasks: tuple[str, ...] = ()
) -> Weights:
    """The weights of a source minus the mean of the single tasks, or of these, trained by a method."""
    return mean_contrast([versus(ours, source(method, name), on) for name in tasks or singles(scale)])


def on_one(scale: Scale, target: str) -> Weights:
    """The weights of the answer on one target alone."""
    return over_singles(scale, ADAPTER, source(ADAPTER, joint(scale), SINGLE), (target,))


def contrasts(scale: Scale) -> dict[str, Contrast]:
    """The contrasts, on the targets with F1 where nothing else is said."""
    on = tuple(name for name in targets(scale) if name in F1)
    ours, none = source(ADAPTER, joint(scale), SINGLE), source(ADAPTER, "")
    found = {
        EQUAL: over_singles(scale, ADAPTER, ours, on),
        BEST: lambda ledger: over_best(ledger, ours, on),
        "joint − none, adapters": versus(ours, none, on),
        SINGLES_OVER_NONE: minus({}, over_singles(scale, ADAPTER, none, on)),
        "adapters − full training, no intermediate task": versus(none, source(FULL, ""), on),
        CONTROL: versus(source(ADAPTER, "squad1"), none, ("xquad",)),
        OVER_SQUAD: versus(ours, source(ADAPTER, "squad1"), on),
    } | parts(scale, on)
    return found | (of_the_whole_design(scale, on) if whole(scale) else {})


def of_the_whole_design(scale: Scale, on: tuple[str, ...]) -> dict[str, Weights]:
    """The contrasts with joint trainings in full or by LoRA, with more steps, and with fusion."""
    together = joint(scale)
    equal = {method: source(method, together, SINGLE) for method in (FULL, ADAPTER, LORA)}
    first, usual = (over_singles(scale, method, equal[method], on) for method in (ADAPTER, FULL))
    found = {
        "fusion of single tasks − their mean": over_singles(scale, ADAPTER, source(FUSION, together), on),
        IN_FULL: usual,
        "adapters − full training, in joint − single": minus(first, usual),
        "joint: LoRA − full training": versus(equal[LORA], equal[FULL], on),
    }
    for method, name in LONGER.items():
        found[name] = over_singles(scale, method, source(method, together), on)
        found[LONG_OVER_NONE[method]] = versus(source(method, together), source(method, ""), on)
    for method in (ADAPTER, FULL):
        name = f"joint − mean of single tasks, {METHOD_NAMES[method]}, all nine targets"
        found[name] = over_singles(scale, method, equal[method], targets(scale))
    return found


def parts(scale: Scale, on: tuple[str, ...]) -> dict[str, Contrast]:
    """The answer on question answering and on tagging, on what was learned, and in other languages."""
    ours = source(ADAPTER, joint(scale), SINGLE)
    found = {
        name: over_singles(scale, ADAPTER, ours, tuple(t for t in on if TASKS[t].kind == kind))
        for name, kind in ((SPANS, "span"), (TAGS, "tag"))
    }

    def on_learned(ledger: Ledger) -> Interval:
        return ledger.gap(over_singles(scale, ADAPTER, ours, learned(gates_of_targets(ledger))))

    def over_learned(ledger: Ledger) -> Interval:
        return ledger.gap(over_singles(scale, ADAPTER, ours, on, learned(gates_of_singles(ledger))))

    found |= {TARGETS_LEARNED: on_learned, TASKS_LEARNED: over_learned}
    return found | {ELSEWHERE: in_other_languages(over_singles(scale, ADAPTER, ours, on))}


def over_best(ledger: Ledger, ours: Source, on: tuple[str, ...]) -> Interval:
    """A source minus the best single task by adapters, which is chosen for each seed on the other seeds.

    Raises: Short.
    """
    others = [source(ADAPTER, name) for name in singles(ledger.scale)]
    seeds = ledger.seeds({(*each, target) for each in (ours, *others) for target in on})
    if len(seeds) < 2:
        raise Short("one seed: nothing to choose on")
    scores = np.array([mean_scores(ledger, each, on, seeds) for each in (ours, *others)])
    rest = np.array([np.delete(scores[1:], k, axis=1).mean(1).argmax() for k in range(len(seeds))])
    values = scores[0] - scores[1:][rest, np.arange(len(seeds))]
    weights = mean_contrast([versus(ours, others[k], on) for k in rest])
    instances = Spread(ledger.over_instances(weights, seeds))
    return Interval(float(values.mean()), (held_out_variance(values), instances))


def mean_scores(ledger: Ledger, of: Source, on: tuple[str, ...], seeds: list[int]) -> list[float]:
    """The mean score over targets of a source, at each seed."""
    return [sum(ledger.cells[(*of, target)][seed].score for target in on) / len(on) for seed in seeds]


def f1_alone(stored: list[dict]) -> list[dict]:
    """Rows with F1 as the only score of a target that has it: the question's own measure."""
    return [
        row | {"scores": [score for score in row["scores"] if score["metric"] == "f1"]}
        if row["on"] in F1
        else row
        for row in stored
    ]


def gates_of_targets(ledger: Ledger) -> dict[str, Gate | None]:
    """The gate of each target that has F1."""
    return target_gates(ledger, [name for name in targets(ledger.scale) if name in F1])


def gates_of_singles(ledger: Ledger) -> dict[str, Gate | None]:
    """The gate of each single task, trained by adapters."""
    return {name: gates_of(ledger).stages.get(source(ADAPTER, name)) for name in singles(ledger.scale)}


def gates(ledger: Ledger) -> dict[str, Gate]:
    """Enough targets and single tasks are learned, and of the tasks of the joint trainings."""
    scale, needed = ledger.scale, len(singles(ledger.scale)) // 2 + 1
    jointly = {JOINTLY: ADAPTER} | ({JOINTLY_IN_FULL: FULL} if whole(scale) else {})
    return {
        "targets learned by full training": enough(gates_of_targets(ledger), LEARNED),
        "single tasks learned by adapters": enough(gates_of_singles(ledger), needed),
    } | {
        name: stage_gate(ledger, source(method, joint(scale), SINGLE), needed)
        for name, method in jointly.items()
    }


QUESTION = Question(
    "adapters", 1,
    "Is a joint intermediate training by adapters better than the average single one, at equal steps?",
    ("micro", "small"), runs, contrasts, cell_of, f1_alone, gates, "weights",
    on_one=on_one, without=f"{ADAPTER}:", control=CONTROL, control_on="xquad",
    on_front=(TASKS_LEARNED, TARGETS_LEARNED, ELSEWHERE),
    beside=(
        SINGLES_OVER_NONE, "joint − none, adapters", BEST, IN_FULL, *LONGER.values(), SPANS, TAGS,
        TASKS_LEARNED, TARGETS_LEARNED, ELSEWHERE,
    ),
    later=(
        JOINTLY, JOINTLY_IN_FULL, "joint − none, adapters", OVER_SQUAD, SPANS, TAGS, TASKS_LEARNED,
        TARGETS_LEARNED, LONGER[FULL], *LONG_OVER_NONE.values(), ELSEWHERE,
        *(f"joint − mean of single tasks, {name}, all nine targets" for name in METHOD_NAMES.values()),
    ),
)  # fmt: skip
