"""Kinds of task, by output shape; seven are enough for every task.

Each is a module with a `KIND` that declares it (`kind.Kind`).
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tokenizers import Tokenizer

from ...design.scales import Scale
from ...design.tasks import Task
from ..encoded import shared
from ..features import Encoded
from . import kind as kinds
from .kind import Kind

MODULES = {m.name: import_module(f".{m.name}", __name__) for m in iter_modules(__path__) if m.name != "kind"}
KINDS: dict[str, Kind] = {name: module.KIND for name, module in MODULES.items()}


def kind(task: Task) -> Kind:
    """The kind of a task."""
    return KINDS[task.kind]


def encode(
    task: Task, examples: list[dict], tokenizer: Tokenizer, s: Scale, names: tuple[str, ...] = ()
) -> list[dict]:
    """The features of a task's examples, at the scale's lengths.

    `names`: the label set; () for the task's own.
    """
    return kind(task).encode(examples, tokenizer, s.longest(task.kind), names or task.labels, s.span_step)


def encoded(
    task: Task,
    examples: list[dict],
    seen: list[dict],
    tokenizer: Tokenizer,
    s: Scale,
    names: tuple[str, ...] = (),
) -> Encoded:
    """What training needs of `encode`. Equal examples are encoded once and then mapped from a file.

    `seen`: what was read, with the hash of the examples.
    """
    tokenizer.no_truncation()
    code = [Path(module.__file__).read_text(encoding="utf-8") for module in (kinds, MODULES[task.kind])]
    sources = [*code, tokenizer.to_str(), *(x["sha256"] for x in seen)]

    def make() -> Encoded:
        plain = encode(task, examples, tokenizer, s, names)
        return Encoded.of([f | {"gold": kind(task).gold(f)} for f in plain], kind(task).lost(plain, examples))

    return shared([sources, task.kind, s.max_len, s.span_len, s.span_step, names or task.labels], make)


def labels(task: Task, examples: list[dict]) -> tuple[str, ...]:
    """The label set of a task: declared, or without one the tags or attributes of its training rows."""
    found = {label for e in examples for field in ("tags", "scene") for label in e.get(field, ())}
    return task.labels or tuple(sorted(found))
