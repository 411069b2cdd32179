"""Training methods: which weights of the encoder a stage trains. `model.methods` has a module for each."""

from dataclasses import dataclass

from ..machine.errors import Bad


@dataclass(frozen=True)
class Method:
    """A way to train a stage."""

    name: str
    says: str  # what it trains, for readers


FULL = "full"  # that of the paper, and of every claim
METHODS = {m.name: m for m in (Method(FULL, "every weight is trained"),)}


def methods(text: str, stages: int) -> tuple[Method, ...]:
    """The method of each stage, from a text that names one for all of them, or one for each with `>` between.

    Raises: Bad for an unknown method, or the wrong number of methods.
    """
    names = [name.strip() for name in text.split(">")] if isinstance(text, str) else [text]
    if unknown := [name for name in names if name not in tuple(METHODS)]:
        raise Bad(f"method={unknown[0]!r}; allowed: {', '.join(map(repr, METHODS))}")
    if len(names) not in (1, stages):
        allowed = (
            f"one, or one for each of the {stages} stages"
            if stages > 1
            else "one, as there is no second stage"
        )
        raise Bad(f"method={text!r} names {len(names)} methods; allowed: {allowed}")
    chosen = tuple(METHODS[name] for name in names)
    return chosen if len(chosen) == stages else chosen * stages


def canonical(found: tuple[Method, ...]) -> str:
    """The text that names these methods: a single name where all stages have the same."""
    names = list(dict.fromkeys(method.name for method in found))
    return names[0] if len(names) == 1 else " > ".join(method.name for method in found)
