"""What a run is: a path through the tasks at one scale with one seed. Everything that changes a score is a
field here.
"""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property

from ..machine.errors import Bad
from ..machine.files import MOST
from .encoders import RANDOM, fingerprint
from .methods import Method, canonical, methods
from .scales import PIVOT, Scale, scale
from .tasks import TASKS, TEXT, Task, languages, nine, ordered, task

PRETRAINED = "pretrained"  # the path of the encoder itself
MODELS = {
    "": "the scale's encoder",
    "random": "its shape with random weights",
    "remake": "the scale's encoder, pretrained anew",
}
MACHINE_TRANSLATED = "mt"
ARRANGED = (  # fields of a scale that only arrange the work, or are told otherwise
    "name", "world", "encoder", "seeds", "together", "save_every", "pretraining", "lacks", "note", "sources",
    "targets",
    "stand_ins", "by_seed", "prolongs", "first",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """What is trained at once: one task, or several jointly, by one method."""

    tasks: tuple[Task, ...]
    method: Method

    @property
    def name(self) -> str:
        """ "squad1+mlm" """
        return "+".join(t.name for t in self.tasks)


@dataclass(frozen=True)
class Run:
    """One path at one scale with one seed; the unit of the ledger.

    It is resolved here, once: what is below takes the objects `scale`, `stages`, `target` and `encoder`, and
    looks no name up again. `path`: `>` is *then*, `+` is *jointly with*: "xnli" is the baseline, "squad1+mlm
    > tydiqa" a transfer, "mnli" the intermediate stage itself, "pretrained" the encoder itself.
    """

    path: str = "xnli"
    scale: Scale | str = "smoke"  # a name becomes the scale
    seed: int = 1
    model: str = ""  # a key of MODELS
    method: str = "full"  # of every stage, or one for each with `>` between
    # of the intermediate data: "en", or "mt" = machine-translated into the target languages
    lang: str = PIVOT
    size: int = 0  # rows of intermediate data, 0 = all that the scale allows

    def __post_init__(self):
        object.__setattr__(self, "scale", scale(self.scale))
        for name, allowed in {"lang": (PIVOT, MACHINE_TRANSLATED), "model": tuple(MODELS)}.items():
            if getattr(self, name) not in allowed:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")
        for name, least in {"seed": 1, "size": 0}.items():
            if type(getattr(self, name)) is not int or not least <= getattr(self, name) <= MOST:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: a whole number from {least} to {MOST}")
        paths = parse(self.path)
        if len(paths) != 1:
            raise Bad(
                f"path {self.path!r} names {len(paths)} runs; a run has one target: {' | '.join(paths)}"
            )
        object.__setattr__(self, "path", paths[0])
        object.__setattr__(self, "method", canonical(methods(self.method, len(self.stages) or 1)))
        for each in (t for stage in self.stages for t in stage.tasks):
            languages(each, self.scale)  # raises for a task that the scale's world does not tell

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Every stage in order; none for the encoder itself."""
        if self.path == PRETRAINED:
            return ()
        names = [s.split("+") for s in self.path.split(" > ")]
        chosen = methods(self.method, len(names))
        return tuple(Stage(tuple(TASKS[n] for n in s), m) for s, m in zip(names, chosen, strict=True))

    @property
    def on(self) -> str:
        """The name of what the run is scored on: its target, or for a stage run the stage itself."""
        return self.stages[-1].name if self.stages else self.path

    @property
    def target(self) -> Task | None:
        """The target task of a run of phase 3."""
        last = self.stages[-1].tasks if self.stages else ()
        return last[0] if len(last) == 1 and last[0].scored else None

    @property
    def phase(self) -> int:
        """1 pretrained encoder, 2 an intermediate stage, 3 a target."""
        return 1 if not self.stages else 3 if self.target else 2

    @property
    def source(self) -> str:
        """The path without its target: "" for a baseline; a stage run's whole path."""
        return self.path if self.phase < 3 else " > ".join(s.name for s in self.stages[:-1])

    @property
    def parent(self) -> "Run | None":
        """The run whose encoder this one starts from; None for the pretrained encoder itself."""
        if self.phase == 1:
            return None
        before = self.stages[:-1]
        if not before:  # one encoder for all seeds, unless its weights are drawn at random
            return Run(PRETRAINED, self.scale, self.seed if self.model else 1, self.model)
        chosen = canonical(tuple(s.method for s in before))
        return replace(self, path=" > ".join(s.name for s in before), method=chosen)

    @property
    def named(self) -> dict[str, str | int]:
        """Its fields as words and numbers: what a notebook, a ledger row and the command line say of it."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"scale": self.scale.name}

    @property
    def changed(self) -> dict[str, str | int]:
        """Of these, the ones that differ from their defaults."""
        return {k: v for k, v in self.named.items() if v != DEFAULTS[k]}

    @cached_property
    def id(self) -> str:
        """File-safe and readable, with a hash of what the words do not show: recipe, data revisions,
        encoder."""
        all_nine = set(nine(self.scale))
        joint = ["multi" if {t.name for t in s.tasks} == all_nine else s.name for s in self.stages]
        marks = [
            str(self.changed[k]).replace(" > ", ".") for k in ("model", "method", "lang") if k in self.changed
        ]
        marks += [f"n{self.size}"] if self.size else []
        told = [self.named, recipe(self), revisions(self)]
        told += [fingerprint(self.scale.encoder)] if self.stages or not self.model else []
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        return "-".join([".".join(joint or [self.path]), *marks, f"s{self.seed}", digest])


DEFAULTS = {f.name: f.default for f in fields(Run)}


def runs_of(path: str, seed: int = 1, **given) -> tuple[Run, ...]:
    """Every run that a path with commas names, with one seed or (0) each seed of the scale; `given`: other
    fields of `Run`.

    Raises: Bad for a wrong path or field.
    """
    seeds = scale(given.get("scale", DEFAULTS["scale"])).seeds if type(seed) is int and seed == 0 else (seed,)
    return tuple(dict.fromkeys(Run(path=p, seed=x, **given) for x in seeds for p in parse(path)))


def revisions(run: Run) -> list[tuple[str, str]]:
    """The data that make its numbers: task and revision, of the tasks of its stages and those that train
    them.
    """
    used = {t.name: t for s in run.stages for t in s.tasks}
    used |= {t.train_on: TASKS[t.train_on] for t in used.values() if t.train_on}
    if not run.stages and run.scale.world.made:
        used[TEXT.name] = TEXT
    return [(name, used[name].version(run.scale.world)) for name in sorted(used)]


def recipe(run: Run) -> dict:
    """What makes a run's numbers: every field of its scale that differs from its default, as JSON data.

    Less seeds and what only arranges the work; how the encoder was pretrained counts where the run makes one.
    """
    s = run.scale
    told = differing(s, leave=ARRANGED) | {"world": s.world.name}
    named = {"encoder": s.encoder.name, "revision": s.encoder.revision}
    told |= {name: value for name, value in named.items() if value or name == "encoder"}
    told |= {"lacks": own} if (own := [x for x in s.lacks if x.startswith(f"{run.on}/")]) else {}
    if s.pretraining and (run.model or s.encoder.origin == RANDOM):
        told["pretraining"] = differing(s.pretraining)
    return json.loads(json.dumps(told))


def differing(row, leave: tuple[str, ...] = ()) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {
        f.name: getattr(row, f.name)
        for f in fields(row)
        if f.name not in leave and getattr(row, f.name) != f.default
    }


def parse(text: str) -> list[str]:
    """Canonical paths of a path string whose last stage may name several alternatives with commas.

    Raises: Bad for an unknown task, an empty part, or a stage that cannot stand where it does.
    """
    if text.strip() == PRETRAINED:
        return [PRETRAINED]
    *stages, last = [s.strip() for s in text.split(">")]
    first = [joint(s, text) for s in stages]
    if bad := [s for s in first if s in TASKS and TASKS[s].scored]:
        raise Bad(f"path {text!r}: target {bad[0]!r} must come last; a path is intermediates > target")
    return [" > ".join([*first, joint(a, text)]) for a in last.split(",")]


def joint(stage: str, text: str) -> str:
    """The canonical name of a stage of the path `text`.

    Raises: Bad.
    """
    found = [task(n.strip(), within=text) for n in stage.split("+")]
    if len(set(found)) < len(found):
        raise Bad(f"path {text!r}: a task stands twice in {stage!r}; name each once")
    if len(found) > 1 and any(t.scored for t in found):
        raise Bad(
            f"path {text!r}: a target cannot be trained jointly ({stage!r}); join targets with commas in "
            "the last stage"
        )
    return "+".join(t.name for t in ordered(found))
