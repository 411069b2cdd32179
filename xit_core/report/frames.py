"""Scores and measurements of the ledger as tidy frames with the names of readers: what figures draw and
chapters tell.
"""

import numpy as np
import pandas as pd

from ..design.methods import FULL
from ..design.run import PER_ROW, SUM
from ..design.scales import PIVOT
from ..design.studies import LEAST_SEEDS
from ..design.tasks import INTERMEDIATES, TASKS
from ..ledger import scored
from .contrasts import EQUAL_STEPS, at
from .stats import paired

# of each layer: sentence retrieval, raw and language-centred, and how much language identity explains
LAYER_MEASURES = ("tatoeba", "tatoeba_centred", "share")
ACCURACY = list(LAYER_MEASURES[:2])


def name(source: str, lang: str = PIVOT, model: str = "", steps: str = SUM) -> str:
    """The readers' name of a source: "baseline", "multi-task", "multi-task, equal steps", "squad1+mlm",
    "mnli (translated)", "random weights".
    """
    label = source.replace("pretrained", "") or "baseline"
    label = "multi-task" if source.count("+") == len(INTERMEDIATES) - 1 else label
    label = (
        {"random": "random weights", "remake": "baseline"}.get(model, model)
        if model and label == "baseline"
        else label
    )
    return at(f"{label} (translated)" if lang != PIVOT else label, steps)


def order(names: list[str]) -> list[str]:
    """Names of sources without duplicates, in reading order.

    The order is: controls, the nine tasks and their English stand-ins, multi-task, trainings with MLM, then
    those that are not in English.
    """
    alternatives = [task for task in TASKS.values() if task.role == "alternative"]
    english, others = (
        [x.name for x in alternatives if (x.train_lang == PIVOT) is pivot] for pivot in (True, False)
    )
    mixed = ["mlm", *(f"{task}+mlm" for task in INTERMEDIATES)]
    ranks = ["random weights", "baseline", "before", *INTERMEDIATES, *english, "multi-task", *mixed, *others]

    def rank(label: str) -> tuple[int, str]:
        known = label.removesuffix(EQUAL_STEPS)
        return ranks.index(known) if known in ranks else len(ranks) + ("translated" in label), label

    return sorted(set(names), key=rank)


def source_names(frame: pd.DataFrame) -> pd.Series:
    """The readers' name of the source of each row of a frame."""
    sources = zip(frame.source, frame.data_lang, frame.model, frame.steps, strict=True)
    return pd.Series([name(*source) for source in sources], frame.index, dtype=object)


def interval(values: pd.Series) -> float:
    """Half the width of the 95 % t interval of a mean over seeds; NaN for fewer than two seeds."""
    return paired(values, []).half() if len(values) > 1 else np.nan


def claimed_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the main study that claims are about: targets only, full fine-tuning, all intermediate data
    that the scale allows, joint trainings at equal steps and at the full dose.
    """
    return frame[
        (frame.phase == 3) & (frame.method == FULL) & (frame["size"] == 0) & (frame.steps != PER_ROW)
    ]


def main_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the main study, of joint trainings those at the full dose."""
    return claimed_runs(frame)[lambda kept: kept.steps == SUM]


def gains_by_seed(scores: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """Gain over the baseline of the same seed, one row per source and seed. No rows without a baseline."""
    wide = scores.pivot_table(index=["name", "seed"], columns=columns, values="score")
    if "baseline" not in wide.index.get_level_values("name"):
        return wide.iloc[:0]
    return wide - wide.loc["baseline"].reindex(wide.index, level="seed")


def gains_of(scores: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """Mean gain over the baseline of the same seed, one row per source. No rows if there is no baseline."""
    gains = gains_by_seed(scores, columns).groupby("name").mean()
    return gains.loc[[n for n in order(gains.index) if n not in ("baseline", "random weights")]]


def language_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The headline score in every language: one row per run and language, with the readers' `name` of its
    source.
    """
    return scored.headline_by_language(main_runs(frame)).assign(name=source_names)


def language_gains(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean gain of each language over the English intermediate trainings that are complete: on, lang,
    gain and beyond.

    `gain` is in points. `beyond` is the gain minus the mean gain of the target's languages, which makes
    languages of different targets comparable. The pivot language is left out.
    """
    scores = language_scores(frame[frame.lang != PIVOT])
    gains = gains_of(scores, ["on", "lang"])
    english = gains[gains.index.isin(averaged(scores))]
    table = english.mean().rename("gain").reset_index().dropna()
    # a target with a single language has nothing to compare it with
    table = table[table.groupby("on").gain.transform("size") > 1]
    return table.assign(beyond=table.gain - table.groupby("on").gain.transform("mean"))


def averaged(scores: pd.DataFrame) -> list[str]:
    """The English intermediate trainings that are complete, over which the gain of a language is a mean."""
    return [
        name
        for name in order(list(complete(scores)))
        if name == "multi-task" or name in TASKS and name != "mlm" and TASKS[name].train_lang == PIVOT
    ]


def complete(scores: pd.DataFrame) -> set[str]:
    """The sources that have as many seeds of every target as a verdict needs, or all that there are."""
    seeds = scores.groupby(["name", "on"]).seed.nunique().unstack(fill_value=0)
    return set(seeds.index[(seeds >= min(LEAST_SEEDS, scores.seed.nunique())).all(axis=1)])


def layer_frame(rows: list[dict]) -> pd.DataFrame:
    """Retrieval by layer before and after each intermediate training, means over languages and seeds: name,
    layer and LAYER_MEASURES.
    """
    return layer_lines(rows).groupby(["name", "layer"], as_index=False)[[*LAYER_MEASURES]].mean()


def layer_lines(rows: list[dict]) -> pd.DataFrame:
    """What is known of each layer before and after intermediate trainings: name, seed, layer and
    LAYER_MEASURES in percent. A line has the accuracy of one language, raw or centred, or the share.
    """
    lines = []
    for row in rows:
        if row["phase"] < 3 and row.get("layers"):
            base = {"name": stage_name(row), "seed": row["seed"]}
            lines += [
                base | {"layer": x["layer"], "tatoeba" + "_centred" * x["centred"]: x["value"]}
                for x in row["layers"]
            ]
            lines += [
                base | {"layer": i, "share": 100 * x} for i, x in enumerate(row.get("language_share", []))
            ]
    return pd.DataFrame(lines, columns=["name", "seed", "layer", *LAYER_MEASURES])


def dose_frame(rows: list[dict]) -> pd.DataFrame:
    """`dose_lines` as means over seeds: name, step, distance and accuracies."""
    return dose_lines(rows).drop(columns="seed").groupby(["name", "step"], as_index=False).mean()


def dose_lines(rows: list[dict]) -> pd.DataFrame:
    """Retrieval during each intermediate stage: name, seed, step, and distance and accuracies in percent. All
    seeds start from one encoder, or from the mean of several.
    """
    scores = [
        (score["metric"], score["value"])
        for row in rows
        if row["phase"] == 1 and not row["model"]
        for score in row["scores"]
    ]
    before = pd.DataFrame(scores, columns=["metric", "value"]).groupby("metric").value.mean()
    start = {"step": 0, "distance": 0.0}
    start |= {"tatoeba": before.get("accuracy"), "tatoeba_centred": before.get("accuracy_centred")}
    probes = [
        {"name": stage_name(row), "seed": row["seed"]} | point
        for row in rows
        if row["phase"] == 2
        for point in [start, *row.get("curve", [])]
        if "tatoeba" in point
    ]
    table = pd.DataFrame(probes, columns=["name", "seed", "step", "distance", *ACCURACY]).dropna()
    return table.assign(distance=100 * table.distance)


def speed_frame(kept: list[dict]) -> pd.DataFrame:
    """The measurements of `xit bench train --keep`: device, scale, task, who, intensity (FLOP/byte), achieved
    (GFLOP/s).
    """
    lines = []
    for measurement in kept:
        intensities = {
            row["name"].partition(": ")[0]: row["value"]
            for row in measurement["records"]
            if row["name"].endswith(": intensity")
        }
        for row in measurement["records"]:
            task, _, quantity = row["name"].partition(": ")
            if quantity == "achieved":
                line = {
                    "device": measurement["device"],
                    "scale": measurement["scale"],
                    "task": task,
                    "intensity": intensities[task],
                }
                lines += [line | {"who": "this package", "achieved": row["value"]}]
                lines += [line | {"who": row["baseline"], "achieved": row["baseline_value"]}]
    return pd.DataFrame(
        lines, columns=["device", "scale", "task", "intensity", "who", "achieved"]
    ).drop_duplicates()


def stage_name(row: dict) -> str:
    """The readers' name of the encoder that a row of phase 1 or 2 leaves."""
    label = name(row["source"], row["lang"], row["model"])
    return "before" if label == "baseline" else label
