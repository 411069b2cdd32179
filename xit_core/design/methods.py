"""Training methods: which weights of the encoder a stage trains. `model.methods` has a module for each."""

from dataclasses import dataclass

from ..machine.errors import Bad


@dataclass(frozen=True)
class Method:
    """A way to train a stage."""

    name: str
    says: str  # what it trains, for readers
    rate: float = 1.0  # its learning rate, in that of the scale
    whole: bool = False  # it trains the whole encoder, and its checkpoints have all of it
    adds: bool = False  # its checkpoints have modules that transformers' layout has no place for


FULL = "full"  # that of the paper, and of every claim
LORA, ADAPTER, FUSION = "lora", "adapter", "fusion"
METHODS = {
    m.name: m
    for m in (
        Method(FULL, "every weight is trained", whole=True),
        Method(LORA, "a product of two thin matrices is added to the queries' and values' weights", 10.0),
        Method(ADAPTER, "a bottleneck is added to every layer", 10.0, adds=True),
        Method(FUSION, "attention over the adapters of single tasks, in every layer", 10.0, adds=True),
    )
}


def methods(text: str, stages: int) -> tuple[Method, ...]:
    """The method of each stage, from a text that names one for all of them, or one for each with `>` between.

    Raises: Bad for an unknown method, the wrong number of methods, or one that cannot follow the one before.
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
    chosen = chosen if len(chosen) == stages else chosen * stages
    refuse_order(text, [method.name for method in chosen])
    return chosen


def refuse_order(text: str, names: list[str]) -> None:
    """Check that each method of a path can follow those before it.

    Raises: Bad for an intermediate stage that trains the whole encoder after one that added modules to it,
    and for a fusion that does not come right after one stage of adapters.
    """
    *earlier, _ = names
    added = [k for k, name in enumerate(earlier) if METHODS[name].adds]
    if added and (whole := [name for name in earlier[added[0] :] if METHODS[name].whole]):
        raise Bad(
            f"method={text!r}: an intermediate stage cannot be {whole[0]!r} after one that added modules; "
            f"train it with {LORA!r} or {ADAPTER!r}"
        )
    if FUSION in names and names != [ADAPTER, FUSION]:
        raise Bad(
            f"method={text!r}: {FUSION!r} joins the adapters of one joint stage on a target; allowed: "
            f"'{ADAPTER} > {FUSION}'"
        )


def canonical(found: tuple[Method, ...]) -> str:
    """The text that names these methods: a single name where all stages have the same."""
    names = list(dict.fromkeys(method.name for method in found))
    return names[0] if len(names) == 1 else " > ".join(method.name for method in found)
