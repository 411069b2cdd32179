"""Six output shapes are enough for every task. Each kind is a module with the same names:

    encode(task, examples, tokenizer, max_len) -> features   dicts with "ids" (one or several sequences) and "length"
    gold(feature) -> [int]                                   what training needs of a feature beside its ids
    Head(hidden, labels, pooling)                            an nn.Module: (states (T, H) of packed sequences, batch) -> logits
    loss(logits, batch) -> scalar                            summed over the gold labels of a batch
    decode(logits, features, examples) -> predictions        one per example, plain JSON data

`retrieve` has no head: the encoder is scored directly. `mlm` is trained and measured, never decoded.
"""

import hashlib
import json
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from ...machine.places import runs_dir
from ..features import Encoded
from . import span

FORM = "begins with its hash"  # of the files; those of another form have other names
KINDS = {name: import_module(f".{name}", __name__) for name in ("classify", "choose", "span", "tag", "mlm")}


def encode(task, examples: list[dict], tokenizer, s, names: tuple[str, ...] = ()) -> list[dict]:
    """The features of a task's examples at the lengths of a scale."""
    step = (s.span_step,) if task.kind == "span" else ()
    return KINDS[task.kind].encode(task, examples, tokenizer, s.longest(task.kind), names, *step)


def encoded(task, examples: list[dict], seen: list[dict], tokenizer, s, names: tuple[str, ...] = ()) -> Encoded:
    """What training needs of `encode`, done once for equal examples and mapped from a file of its own from then on.

    `seen`: what was read; it has the hash of the examples.
    """
    kind = KINDS[task.kind]
    tokenizer.no_truncation()
    sources = [
        FORM,
        Path(kind.__file__).read_text(encoding="utf-8"),
        tokenizer.to_str(),
        *(x["sha256"] for x in seen),
    ]
    told = [sources, task.kind, s.max_len, s.span_len, s.span_step, names or task.labels]
    file = runs_dir() / "encoded" / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()}.npy"
    with suppress(OSError, ValueError):  # not there yet, or damaged
        return Encoded.read(file)
    found = encode(task, examples, tokenizer, s, names)
    lost = span.lost(found, examples) if task.kind == "span" else ()
    features = Encoded.of([f | {"gold": kind.gold(f)} for f in found], lost)
    features.write(file)
    return features


def labels(task, examples: list[dict]) -> tuple[str, ...]:
    """The label set of a task: declared, or for a tagging task without one the tags of its training rows."""
    return task.labels or tuple(sorted({t for e in examples for t in e.get("tags", ())}))
