"""What a run is: a path through the tasks at one scale with one seed. Everything that changes a score is a field here."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

from ..machine.errors import Bad
from ..machine.files import MOST
from .encoders import encoder_hash
from .scales import PIVOT, scale


@dataclass(frozen=True)
class Run:
    """One path at one scale with one seed; the unit of the ledger.

    `path`: `>` is *then*, `+` is *jointly with*: "xnli" is the baseline, "squad1+mlm > tydiqa" a transfer, "mnli" the
    intermediate stage itself, "pretrained" the encoder itself.
    """

    path: str = "xnli"
    scale: str = "smoke"
    seed: int = 1
    model: str = ""  # "" = the scale's encoder; "random" = its shape with random weights; "remake" = pretrain it anew
    method: str = "full"
    lang: str = PIVOT  # of the intermediate data: "en", or "mt" = machine-translated into the target languages
    size: int = 0  # rows of intermediate data, 0 = all that the scale allows

    def __post_init__(self):
        scale(self.scale)
        for name, allowed in {"method": ("full",), "lang": (PIVOT, "mt"), "model": ("", "random", "remake")}.items():
            if getattr(self, name) not in allowed:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")
        for name, least in {"seed": 1, "size": 0}.items():
            if type(getattr(self, name)) is not int or not least <= getattr(self, name) <= MOST:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: a whole number from {least} to {MOST}")
        paths = parse(self.path)
        if len(paths) != 1:
            raise Bad(f"path {self.path!r} names {len(paths)} runs; a run has one target: {' | '.join(paths)}")
        object.__setattr__(self, "path", paths[0])
        from .tasks import TASKS, languages

        for name in (n for stage in self.stages for n in stage if n in TASKS):
            languages(name, scale(self.scale))  # raises for a task that the micro-world does not tell

    @cached_property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Tasks of every stage, in order: "squad1+mlm > xquad" -> (("squad1", "mlm"), ("xquad",))."""
        return tuple(tuple(s.split("+")) for s in self.path.split(" > "))

    @property
    def on(self) -> str:
        """What the run is scored on: its target, or for a stage run the stage itself."""
        return "+".join(self.stages[-1])

    @property
    def phase(self) -> int:
        """1 pretrained encoder, 2 an intermediate stage, 3 a target."""
        from .tasks import TASKS

        return 1 if self.path == "pretrained" else 3 if self.on in TASKS and TASKS[self.on].scored else 2

    @property
    def source(self) -> str:
        """The path without its target: "" for a baseline; a stage run's whole path."""
        return self.path if self.phase < 3 else " > ".join(map("+".join, self.stages[:-1]))

    @property
    def parent(self) -> "Run | None":
        """The run whose encoder this one starts from; None for the pretrained encoder itself."""
        if self.phase == 1:
            return None
        path = " > ".join(map("+".join, self.stages[:-1])) or "pretrained"
        if path == "pretrained":  # one encoder for all seeds, unless its weights are drawn at random
            return Run(path, self.scale, self.seed if self.model else 1, self.model)
        return replace(self, path=path)

    @cached_property
    def id(self) -> str:
        """File-safe and readable, with a hash of what the words do not show: recipe, data revisions, encoder."""
        from .studies import nine
        from .tasks import TASKS

        words = ["multi" if set(s) == set(nine(self.scale)) else "+".join(s) for s in self.stages]
        marks = [getattr(self, f) for f in ("model", "method", "lang") if getattr(self, f) != Run.__dataclass_fields__[f].default]
        marks += [f"n{self.size}"] if self.size else []
        used = sorted({n for s in self.stages for t in s if t in TASKS for n in (t, TASKS[t].train_on) if n})
        used += ["mlm"] if self.path == "pretrained" and scale(self.scale).world.made else []
        told = [asdict(self), recipe(self), [(t, TASKS[t].version(scale(self.scale).world)) for t in used]]
        told += [encoder_hash(self.scale)] if self.path != "pretrained" or not self.model else []
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        return "-".join([".".join(words), *marks, f"s{self.seed}", digest])


def runs(path: str, seed: int = 1, **given) -> tuple[Run, ...]:
    """Every run that a path with commas names, with one seed or (0) each seed of the scale; `given`: other fields of `Run`.

    Raises: Bad for a wrong path or field.
    """
    seeds = scale(given.get("scale", "smoke")).seeds if type(seed) is int and seed == 0 else (seed,)
    return tuple(dict.fromkeys(Run(path=p, seed=x, **given) for x in seeds for p in parse(path)))


def recipe(run: Run) -> dict:
    """What makes a run's numbers: every field of its scale that differs from its default, as JSON data.

    Less seeds and what only arranges the work; how the encoder was pretrained counts where the run makes one.
    """
    s = scale(run.scale)
    told = changed(s, leave=("name", "seeds", "together", "save_every", "pretraining", "lacks", "note"))
    told["world"] = s.world.name
    told |= {"lacks": own} if (own := [x for x in s.lacks if x.startswith(f"{run.on}/")]) else {}
    if s.pretraining and (run.model or not s.encoder):
        told["pretraining"] = changed(s.pretraining)
    return json.loads(json.dumps(told))


def changed(row, leave: tuple[str, ...] = ()) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {f.name: getattr(row, f.name) for f in fields(row) if f.name not in leave and getattr(row, f.name) != f.default}


def parse(text: str) -> list[str]:
    """Canonical paths of a path string whose last stage may name several alternatives with commas.

    Raises: Bad for an unknown task, an empty part, or a stage that cannot stand where it does.
    """
    from .tasks import INTERMEDIATES, TASKS, task

    if text.strip() == "pretrained":
        return ["pretrained"]
    *stages, last = [s.strip() for s in text.split(">")]
    order = {t: i for i, t in enumerate((*INTERMEDIATES, *(t for t in TASKS if t not in INTERMEDIATES)))}
    targets = {t.name for t in TASKS.values() if t.scored}

    def joint(stage: str) -> str:
        names = [task(n.strip(), within=text).name for n in stage.split("+")]
        if len(set(names)) < len(names):
            raise Bad(f"path {text!r}: a task stands twice in {stage!r}; name each once")
        if len(names) > 1 and set(names) & targets:
            raise Bad(f"path {text!r}: a target cannot be trained jointly ({stage!r}); join targets with commas in the last stage")
        return "+".join(sorted(names, key=order.__getitem__))

    first = [joint(s) for s in stages]
    if bad := [s for s in first if s in targets]:
        raise Bad(f"path {text!r}: target {bad[0]!r} must come last; a path is intermediates > target")
    return [" > ".join([*first, joint(a)]) for a in last.split(",")]
