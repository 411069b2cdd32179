"""Scores of the ledger's rows: one tidy frame, and the headline of each run, averaged as XTREME does."""

from statistics import fmean
from typing import TYPE_CHECKING

from ..design.run import DEFAULTS
from ..design.tasks import TASKS
from .results import SCORE, rows

if TYPE_CHECKING:
    import pandas

FIELDS = ("id", "path", "source", "on", "seed", "scale", "model", "method", "size", "steps", "phase")


def frame(scale: str | None = None) -> "pandas.DataFrame":
    """The ledger of a scale, or of all scales, in the form of `tidy`."""
    return tidy(rows(scale))


def tidy(told: list[dict]) -> "pandas.DataFrame":
    """A frame with one line for each score: the run's fields, `data_lang` (the language of its intermediate
    data), and lang, metric, protocol, value (0-100), n.
    """
    import pandas as pd

    scored = [
        (*fields_of_run, *(score[name] for name in SCORE))
        for row in told
        for fields_of_run in [(*(row.get(name, DEFAULTS.get(name)) for name in FIELDS), row["lang"])]
        for score in row["scores"]
    ]
    return pd.DataFrame(scored, columns=[*FIELDS, "data_lang", *SCORE])


def by_language(row: dict) -> dict[str, float]:
    """The headline score of one row in each language, as in `headline_by_language`; {} without any."""
    metrics, values = TASKS[row["on"]].metrics if row["on"] in TASKS else (), {}
    for score in row["scores"]:
        if score["metric"] in metrics:
            values.setdefault(score["lang"], []).append(score["value"])
    return {lang: sum(found) / len(found) for lang, found in values.items()}


def headline_of(row: dict) -> float | None:
    """The headline score of one row, as in `headline`; None without any."""
    scores = by_language(row)
    return fmean(scores.values()) if scores else None


def headline(scores: "pandas.DataFrame") -> "pandas.DataFrame":
    """A frame with one line for each run and its `score`, averaged as XTREME does.

    It is the mean over languages of `headline_by_language`.

    Source: google-research/xtreme@838c13b, evaluate.py.
    """
    return headline_by_language(scores).groupby([*FIELDS, "data_lang"], as_index=False)["score"].mean()


def headline_by_language(scores: "pandas.DataFrame") -> "pandas.DataFrame":
    """A frame with one line for each run and language, `lang`, and its `score`: the mean of the task's
    headline metrics.
    """
    wanted = [
        task in TASKS and metric in TASKS[task].metrics
        for task, metric in zip(scores["on"], scores["metric"], strict=True)
    ]
    by_language = scores.loc[wanted].groupby([*FIELDS, "data_lang", "lang"], as_index=False)["value"].mean()
    return by_language.rename(columns={"value": "score"})
