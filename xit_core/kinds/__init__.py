"""Six output shapes are enough for every task. Each kind is a module with the same names:

    encode(task, examples, tokenizer, max_len) -> features   dicts with "ids" (one or several sequences) and "length"
    Head(hidden, labels, pooling)                            an nn.Module: (states (B, T, H), batch) -> logits
    target(features, length) -> (B, ...)                     the gold labels as a tensor, padded to `length` tokens
    loss(logits, gold) -> scalar
    decode(logits, features, examples) -> predictions        one per example, plain JSON data
    score(task, predictions, examples, lang) -> (metrics, x)  {metric: 0-100} and the headline of each instance, 0-100

`retrieve` has no head: the encoder is scored directly. `mlm` is trained and measured, never decoded.
"""

from importlib import import_module

KINDS = {name: import_module(f".{name}", __name__) for name in ("classify", "choose", "span", "tag", "mlm")}


def encode(task, examples: list[dict], tokenizer, s, names: tuple[str, ...] = ()) -> list[dict]:
    """The features of a task's examples at the lengths of a scale."""
    if task.kind == "span":
        return KINDS["span"].encode(task, examples, tokenizer, s.span_len or s.max_len, names, s.span_step)
    return KINDS[task.kind].encode(task, examples, tokenizer, s.max_len, names)


def labels(task, examples: list[dict]) -> tuple[str, ...]:
    """The label set of a task: declared, or for a tagging task without one the tags of its training rows."""
    return task.labels or tuple(sorted({t for e in examples for t in e.get("tags", ())}))
