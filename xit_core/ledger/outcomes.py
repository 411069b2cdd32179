"""The results of a training and of an evaluation, which together make a row of the ledger."""

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
    """The record of a training."""

    curve: list[dict] = field(default_factory=list)  # step, loss, rate; what was measured during training
    dose: dict = field(default_factory=dict)  # steps, rate, rows, share of each task, distance moved
    seen: list[dict] = field(default_factory=list)  # the data that were read, as `data.reading.Seen`
    tokens: float = 0.0  # number of tokens that its steps read
    spent: dict[str, float] = field(
        default_factory=dict
    )  # seconds for reading and encoding "data", in "training"

    def row(self) -> dict:
        """The fields that it adds to a row of the ledger."""
        return {"curve": self.curve, "dose": self.dose}


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    `instances`: for each language, what each evaluation row adds to the headline score (0-100); empty where
    intervals do not need it. `protocols`: scores of the same predictions under further protocols, kept
    separate. `more`: further fields of the ledger's row. `exact`: scores that it has first, and unrounded.
    `clusters`: for each language, the number of the cluster that each row belongs to; {} = its position.
    """

    scores: list[Score]
    instances: dict[str, list[float]] = field(default_factory=dict)
    predictions: list[dict] = field(default_factory=list)
    seen: list[dict] = field(default_factory=list)
    protocols: list[Score] = field(default_factory=list)
    more: dict = field(default_factory=dict)
    exact: list[Score] = field(default_factory=list)
    clusters: dict[str, list[int]] = field(default_factory=dict)

    @property
    def items(self) -> list[float]:
        """items[i] = sum over languages, and the rows of cluster i, of instances[lang] / (languages * rows).

        Where the headline is a mean over rows, they add up to it. Where it is not (tagging, BUCC), they
        stand in for it when intervals are computed.
        """
        return row_contributions(self.instances, self.clusters)

    @property
    def items_zero_shot(self) -> list[float]:
        """As `items`, over the languages other than the pivot."""
        abroad = {lang: values for lang, values in self.instances.items() if lang != PIVOT}
        return row_contributions(abroad, self.clusters)

    def row(self) -> dict:
        """The fields that it adds to a row of the ledger."""
        scores = [asdict(score) for score in self.exact] + rounded(self.scores)
        fields = {"scores": scores, "items": self.items, "abroad": self.items_zero_shot}
        return fields | {"protocols": rounded(self.protocols)} | self.more


def rounded(scores: list[Score]) -> list[dict]:
    """Scores as the ledger keeps them: dictionaries, values with 6 decimals."""
    return [asdict(score) | {"value": round(score.value, 6)} for score in scores]


def row_contributions(instances: dict[str, list[float]], clusters: dict[str, list[int]]) -> list[float]:
    """What each cluster of rows adds to the mean over languages of the means over rows.

    A cluster that has no row in these languages adds nothing and is left out.
    """
    items: dict[int, float] = {}
    for lang, values in instances.items():
        for cluster, value in zip(clusters.get(lang, range(len(values))), values, strict=True):
            items[cluster] = items.get(cluster, 0.0) + value / (len(instances) * len(values))
    return [round(items[cluster], 6) for cluster in sorted(items)]
