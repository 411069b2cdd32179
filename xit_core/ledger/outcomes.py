"""What a training left and what an evaluation found: the two halves of a row of the ledger."""

from dataclasses import asdict, dataclass, field

from ..design.scales import PIVOT


@dataclass(frozen=True)
class Score:
    """One number of one run: `value` (0-100) of `metric` in language `lang` over `n` instances, scored by
    `protocol`.
    """

    lang: str
    metric: str
    protocol: str
    value: float
    n: int


@dataclass(frozen=True)
class Training:
    """What a training left."""

    curve: list[dict] = field(default_factory=list)  # step, loss, rate; what was measured on the way
    dose: dict = field(default_factory=dict)  # steps, rate, rows, share of each task, distance moved
    seen: list[dict] = field(default_factory=list)  # what was read, as `data.reading.Seen`
    tokens: float = 0.0  # that its steps read

    def row(self) -> dict:
        """Its fields of a row of the ledger."""
        return {"curve": self.curve, "dose": self.dose}


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    `instances`: by language what each evaluation row adds to the headline (0-100), () where intervals need
    none. `protocols`: the same predictions scored under further protocols, kept apart. `more`: further fields
    of the row.
    """

    scores: list[Score]
    instances: dict[str, list[float]] = field(default_factory=dict)
    predictions: list[dict] = field(default_factory=list)
    seen: list[dict] = field(default_factory=list)
    protocols: list[Score] = field(default_factory=list)
    more: dict = field(default_factory=dict)

    @property
    def items(self) -> list[float]:
        """items[i] = sum over languages of instances[lang][i] / (languages * rows).

        They add up to the headline where that is a mean over rows, and stand for it in intervals where it is
        not (tagging, BUCC).
        """
        return row_contributions(self.instances)

    @property
    def items_zero_shot(self) -> list[float]:
        """Per-row contributions without English."""
        return row_contributions({lang: values for lang, values in self.instances.items() if lang != PIVOT})

    def row(self) -> dict:
        """Its fields of a row of the ledger."""
        told = {"scores": rounded(self.scores), "items": self.items, "abroad": self.items_zero_shot}
        return told | {"protocols": rounded(self.protocols)} | self.more


def rounded(scores: list[Score]) -> list[dict]:
    """Scores as the ledger keeps them."""
    return [asdict(score) | {"value": round(score.value, 6)} for score in scores]


def row_contributions(instances: dict[str, list[float]]) -> list[float]:
    """What each row adds to the mean over languages of the mean over rows."""
    items = [0.0] * max(map(len, instances.values()), default=0)
    for values in instances.values():
        for i, value in enumerate(values):
            items[i] += value / (len(instances) * len(values))
    return [round(value, 6) for value in items]
