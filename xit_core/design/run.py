"""A run: a path through the tasks at one scale with one seed.

Everything that changes a score is a field of `Run`.
"""

import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path

from ..machine.errors import Bad
from ..machine.files import MOST
from ..machine.places import runs_dir
from .encoders import RANDOM, WHOLE, fingerprint
from .methods import FUSION, Method, canonical, methods
from .scales import PIVOT, Scale, scale_of
from .tasks import EVERY, TASKS, TEXT, Task, languages, nine, ordered, task

PRETRAINED = "pretrained"  # the path of the encoder itself
RANDOM_WEIGHTS = "random"
MODELS = {
    "": "the scale's encoder",
    RANDOM_WEIGHTS: "its shape with random weights",
    "remake": "the scale's encoder, pretrained anew",
}
MACHINE_TRANSLATED = "mt"
RULES = SUM, SINGLE, PER_ROW = "sum", "single", "rows"  # values of `Run.steps`
LATER = ("steps",)  # fields that are not in the ids of runs that have their defaults
ARRANGED = (  # fields of a scale that only arrange the work, or are recorded elsewhere
    "name", "world", "encoder", "seeds", "together", "save_every", "pretraining", "lacks", "note", "sources",
    "targets",
    "stand_ins", "translated", "by_seed", "start", "prolongs", "instructions",
)  # fmt: skip
# fields of a scale of which a recipe has only what is said of its own tasks
BY_TASK = ("eval_rows_of", "steps_of", "lr_of")


@dataclass(frozen=True)
class Stage:
    """One step of a path: one task, or several trained jointly, by one method."""

    tasks: tuple[Task, ...]
    method: Method

    @property
    def name(self) -> str:
        """ "squad1+mlm" """
        return "+".join(member.name for member in self.tasks)


def joint_steps(alone: dict[Task, int], rule: str) -> int:
    """Optimiser steps of a stage, from those that each of its tasks takes alone.

    `rule`: a value of `Run.steps`: with SINGLE their mean, masked LM not counted; otherwise their sum.
    """
    if rule != SINGLE:
        return sum(alone.values())
    labelled = [steps for task, steps in alone.items() if task.role != TEXT.role] or [*alone.values()]
    return round(sum(labelled) / len(labelled))


@dataclass(frozen=True)
class Run:
    """One path at one scale with one seed; the unit of the ledger.

    Names are resolved here, once. The code below takes the objects `scale`, `stages`, `target` and `encoder`
    and does not look up names again. In `path`, `>` means *then* and `+` means *jointly with*. "xnli" is the
    baseline, "squad1+mlm > tydiqa" a transfer, "mnli" the intermediate stage itself, "pretrained" the encoder
    itself.
    """

    path: str = "xnli"
    scale: Scale | str = "smoke"  # a name is replaced by its scale
    seed: int = 1
    model: str = ""  # a key of MODELS
    method: str = "full"  # one for every stage, or one for each with `>` between
    # language of the intermediate data: "en", or "mt" = machine-translated into the target languages
    lang: str = PIVOT
    size: int = 0  # rows of intermediate data, 0 = all that the scale allows
    # of a joint stage: the sum of what its tasks take alone, or "single" = as many as one of them takes; of a
    # stage with another number of rows: "rows" = in proportion to them
    steps: str = SUM

    def __post_init__(self):
        object.__setattr__(self, "scale", scale_of(self.scale))
        self.refuse_values()
        paths = parse(self.path)
        if len(paths) != 1:
            raise Bad(
                f"path {self.path!r} names {len(paths)} runs; a run has one target: {' | '.join(paths)}"
            )
        object.__setattr__(self, "path", paths[0])
        object.__setattr__(self, "method", canonical(methods(self.method, len(self.stages) or 1)))
        if self.fuses:
            self.refuse_fusion()
        if not self.differ_in_steps:
            object.__setattr__(self, "steps", SUM)
        if not self.intermediate:  # what its rows would be makes no difference
            object.__setattr__(self, "lang", PIVOT)
            object.__setattr__(self, "size", 0)
        for trained in (member for stage in self.stages for member in stage.tasks):
            languages(trained, self.scale)  # raises for a task that the scale's world does not have

    def refuse_values(self) -> None:
        """Check the fields that are one of a few values, or whole numbers. Raises: Bad for a wrong one."""
        choices = {"lang": (PIVOT, MACHINE_TRANSLATED), "model": tuple(MODELS), "steps": RULES}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")
        for name, least in {"seed": 1, "size": 0}.items():
            if type(getattr(self, name)) is not int or not least <= getattr(self, name) <= MOST:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: a whole number from {least} to {MOST}")

    @property
    def differ_in_steps(self) -> bool:
        """Whether its rule for steps makes a difference to it.

        Raises: Bad for steps in proportion to a number of rows that is not given.
        """
        if self.steps == PER_ROW:
            if not self.size:
                raise Bad(f"steps={PER_ROW!r} with size=0; allowed: a size, in proportion to which steps are")
            tasks = (task for stage in self.intermediate for task in stage.tasks)
            fixed = (self.scale.steps_for(task.name, target=False) for task in tasks)
            return self.share != 1 and any(fixed)
        return not self.fuses and any(len(stage.tasks) > 1 for stage in self.stages)

    @property
    def share(self) -> float:
        """The part of a scale's fixed number of steps that each task of its stages takes."""
        return self.size / (self.scale.stage_rows or self.size) if self.steps == PER_ROW else 1.0

    def refuse_fusion(self) -> None:
        """Check that a fusion has adapters to join and rows to train on. Raises: Bad."""
        if not self.target or not self.target.train_on:
            raise Bad(f"path {self.path!r}: {FUSION!r} is trained on a target's rows, and {self.on} has none")
        if len(self.stages[0].tasks) < 2:
            raise Bad(f"path {self.path!r}: {FUSION!r} joins several tasks; name them with + in one stage")

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order; () for the pretrained encoder itself."""
        if self.path == PRETRAINED:
            return ()
        names = [stage.split("+") for stage in self.path.split(" > ")]
        chosen = methods(self.method, len(names))
        return tuple(
            Stage(tuple(TASKS[name] for name in stage), method)
            for stage, method in zip(names, chosen, strict=True)
        )

    @property
    def intermediate(self) -> tuple[Stage, ...]:
        """Its stages before the target, or all of a run without one; () for a baseline."""
        return self.stages[:-1] if self.target else self.stages

    @property
    def fuses(self) -> bool:
        """Whether it joins the adapters of single tasks."""
        return bool(self.stages) and self.stages[-1].method.name == FUSION

    @property
    def on(self) -> str:
        """The name of what the run is scored on: its target, or the stage itself for a stage run."""
        return self.stages[-1].name if self.stages else self.path

    @property
    def target(self) -> Task | None:
        """The target task of a run of phase 3; None in other phases."""
        last = self.stages[-1].tasks if self.stages else ()
        return last[0] if len(last) == 1 and last[0].scored else None

    @property
    def phase(self) -> int:
        """1 for the pretrained encoder, 2 for an intermediate stage, 3 for a target."""
        return 1 if not self.stages else 3 if self.target else 2

    @property
    def source(self) -> str:
        """The path without its target: "" for a baseline; a stage run's whole path."""
        return self.path if self.phase < 3 else " > ".join(stage.name for stage in self.stages[:-1])

    @property
    def added(self) -> str:
        """Its source without what every training of its scale starts from."""
        return self.source.removeprefix(self.scale.start).removeprefix(" > ")

    @property
    def parent(self) -> "Run | None":
        """The run whose encoder this one starts from; None for the pretrained encoder itself."""
        if self.phase == 1:
            return None
        earlier = self.stages[:-1]
        if not earlier:  # one encoder for all seeds, unless its weights are drawn at random
            return Run(PRETRAINED, self.scale, self.seed if self.model else 1, self.model)
        method = canonical(tuple(stage.method for stage in earlier))
        # what is trained in every language is not translated: it is the same before any rows
        translated = any(member.train_lang != EVERY for stage in earlier for member in stage.tasks)
        path, lang = " > ".join(stage.name for stage in earlier), self.lang if translated else PIVOT
        return replace(self, path=path, method=method, lang=lang)

    @property
    def parents(self) -> "tuple[Run, ...]":
        """The runs whose checkpoints it reads: its parent, or for a fusion those of each task alone."""
        if self.fuses:
            return tuple(replace(self.parent, path=member.name) for member in self.stages[0].tasks)
        return (self.parent,) if self.parent else ()

    @property
    def named(self) -> dict[str, str | int]:
        """Its fields as texts and numbers, as in a notebook, a ledger row and the command line."""
        return {name: getattr(self, name) for name in DEFAULTS} | {"scale": self.scale.name}

    @property
    def training(self) -> tuple:
        """What runs have in common whose last training is one and the same: all but what it is scored on."""
        trained_on = self.target.train_on if self.target else ""
        return (self.phase, self.source, trained_on, *{**self.named, "path": ""}.values())

    @property
    def trained_on(self) -> tuple[Task, ...]:
        """The tasks whose rows its last training reads; () for an encoder that is only scored."""
        if not self.target:
            return self.stages[-1].tasks if self.stages else ()
        return (TASKS[self.target.train_on],) if self.target.train_on else ()

    @property
    def batch(self) -> int:
        """Rows of an optimiser step of its last training: the most that one of its tasks takes alone."""
        return max(self.scale.batch_of(task.kind) or task.batch for task in self.trained_on)

    def alone(self, rows: dict[Task, int]) -> dict[Task, int]:
        """Optimiser steps that each task of its last training takes alone, with batches of that training.

        `rows`: of each task, its rows to train on. The epochs are a target's own, which may be others than
        those of the task that trains it.
        """
        target, cap = bool(self.target), 0 if self.target else self.scale.cap
        share = 1.0 if target else self.share
        fixed = {task: math.ceil(share * self.scale.steps_for(task.name, target)) for task in rows}
        epochs = {
            task: (self.target or task).epochs * -(-min(n, cap or n) // self.batch)
            for task, n in rows.items()
        }
        return {task: fixed[task] or epochs[task] for task in rows}

    @property
    def changed(self) -> dict[str, str | int]:
        """The items of `named` that differ from their defaults."""
        return {name: value for name, value in self.named.items() if value != DEFAULTS[name]}

    @property
    def described(self) -> dict[str, str | int]:
        """The fields of its row that say which run it is."""
        return self.named | {"id": self.id, "source": self.source, "on": self.on, "phase": self.phase}

    @property
    def folder(self) -> Path:
        """Its folder on this machine: the encoder that a stage leaves, and the state of a training."""
        return runs_dir() / self.scale.name / self.id

    @property
    def has_checkpoint(self) -> bool:
        """Whether all files of a stage's encoder are on this machine."""
        return all((self.folder / name).is_file() for name in ("config.json", WHOLE))

    @cached_property
    def recipe(self) -> dict:
        """The settings behind its numbers: its scale's fields that differ from their defaults, as JSON data.

        Seeds and fields that only arrange the work are left out. The pretraining is included where the run
        makes the encoder or starts from random weights.
        """
        s = self.scale
        values = json.loads(shared_recipe(s))
        trained = {member.name for stage in self.stages for member in stage.tasks}
        trained |= {self.target.train_on} if self.target else set()
        own = {name: [x for x in getattr(s, name) if x[0] in trained] for name in BY_TASK}
        values |= {name: found for name, found in own.items() if found}
        if gaps := [gap for gap in s.lacks if gap.startswith(f"{self.on}/")]:
            values["lacks"] = gaps
        if rates := {stage.method.name: stage.method.rate for stage in self.stages if stage.method.rate != 1}:
            values["rates"] = rates
        if s.pretraining and (self.model or s.encoder.origin == RANDOM):
            values["pretraining"] = differing(s.pretraining)
        return json.loads(json.dumps(values))

    @cached_property
    def id(self) -> str:
        """A readable, file-safe name with a hash of what it leaves out: recipe, data revisions, encoder."""
        all_nine = set(nine(self.scale))
        names = [
            "multi" if {member.name for member in stage.tasks} == all_nine else stage.name
            for stage in self.stages
        ]
        named, changed = self.named, self.changed
        marks = [
            str(changed[name]).replace(" > ", ".")
            for name in ("model", "method", "lang", "steps")
            if name in changed
        ]
        marks += [f"n{self.size}"] if self.size else []
        early = {name: x for name, x in named.items() if name not in LATER or name in changed}
        identity = [early, self.recipe, revisions(self)]
        identity += [fingerprint(self.scale.encoder)] if self.stages or not self.model else []
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
        return "-".join([".".join(names or [self.path]), *marks, f"s{self.seed}", digest])


DEFAULTS = {f.name: f.default for f in fields(Run)}


def runs_of(path: str, seed: int = 1, **given) -> tuple[Run, ...]:
    """Every run that a path with commas names.

    `seed`: one seed, or 0 for each seed of the scale. `given`: other fields of `Run`.
    Raises: Bad for a wrong path or field.
    """
    seeds = (
        scale_of(given.get("scale", DEFAULTS["scale"])).seeds if type(seed) is int and seed == 0 else (seed,)
    )
    return tuple(
        dict.fromkeys(
            Run(path=single_path, seed=run_seed, **given) for run_seed in seeds for single_path in parse(path)
        )
    )


def revisions(run: Run) -> list[tuple[str, str]]:
    """The data behind a run's numbers: (task, revision) of its stages' tasks and of those that train them."""
    used = {member.name: member for stage in run.stages for member in stage.tasks}
    used |= {member.train_on: TASKS[member.train_on] for member in used.values() if member.train_on}
    if not run.stages and run.scale.world.made:
        used[TEXT.name] = TEXT
    found = [(name, used[name].version(run.scale.world)) for name in sorted(used)]
    if run.lang == MACHINE_TRANSLATED and not run.scale.world.made:
        found += [(x.spec, x.langs) for name in sorted(used) for x in used[name].translated]
    return found


@lru_cache
def shared_recipe(scale: Scale) -> str:
    """What the recipes of all runs of a scale share, as JSON."""
    values = differing(scale, leave=(*ARRANGED, *BY_TASK)) | {"world": scale.world.name}
    named = {"encoder": scale.encoder.name, "revision": scale.encoder.revision}
    return json.dumps(values | {name: x for name, x in named.items() if x or name == "encoder"})


def differing(row, leave: tuple[str, ...] = ()) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {
        field.name: getattr(row, field.name)
        for field in fields(row)
        if field.name not in leave and getattr(row, field.name) != field.default
    }


def parse(text: str) -> list[str]:
    """The canonical paths of a path string whose last stage may name alternatives, separated by commas.

    Raises: Bad for an unknown task, an empty part, or a stage that cannot stand where it does.
    """
    if text.strip() == PRETRAINED:
        return [PRETRAINED]
    *stages, last = [stage.strip() for stage in text.split(">")]
    earlier = [joint(stage, text) for stage in stages]
    if targets := [stage for stage in earlier if stage in TASKS and TASKS[stage].scored]:
        raise Bad(f"path {text!r}: target {targets[0]!r} must come last; a path is intermediates > target")
    return [" > ".join([*earlier, joint(alternative, text)]) for alternative in last.split(",")]


def joint(stage: str, text: str) -> str:
    """The canonical name of a stage of the path `text`.

    Raises: Bad for an unknown task, a task named twice, or a target in a joint stage.
    """
    members = [task(name.strip(), within=text) for name in stage.split("+")]
    if len(set(members)) < len(members):
        raise Bad(f"path {text!r}: a task stands twice in {stage!r}; name each once")
    if len(members) > 1 and any(member.scored for member in members):
        raise Bad(
            f"path {text!r}: a target cannot be trained jointly ({stage!r}); join targets with commas in "
            "the last stage"
        )
    return "+".join(member.name for member in ordered(members))
