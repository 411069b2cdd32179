"""One number of one run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One number of one run: `value` (0-100) of `metric` in language `lang` over `n` instances, scored by `protocol`."""

    lang: str
    metric: str
    protocol: str
    value: float
    n: int
