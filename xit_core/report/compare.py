"""Whether two ledgers of a scale agree: their runs, their claims, and how far noise may move either."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

from ..design.scales import know_own, scale_of
from ..design.tasks import TARGETS
from ..ledger import results, scored, volumes
from ..machine.errors import Bad
from ..machine.places import reading
from . import verdicts
from .contrasts import Ledger

FALSE_ALARMS = (
    0.05  # how often, about, a claim is off in a repetition whose every training ends like another seed
)
SDS = 4  # a run may move by this many standard deviations of the difference between two seeds
CELL = tuple(
    name for name in results.RUN_FIELDS if name != "seed"
)  # runs that differ in nothing but the seed

CLAIM_HEAD = ["claim", "first", "second", "difference", "allowed", "verdicts", ""]
RUN_HEAD = ["run", "first", "second", "difference", "allowed", "why it is off"]
TARGET_HEAD = ["target", "equal runs", "root mean square difference", "two seeds differ by"]

ALLOWANCE = f"""\
The first of two ledgers is the reference, the second repeats it.

**Same environment.** Two rows whose records of environment (machine, instructions, threads, settings of
libraries), device and package versions are equal must be equal to the digit, in every score and in the
contribution of every test instance. A run that is not is *off*, and so is then a claim whose estimate moves.

**Another environment, or none recorded.** Rounding makes a training end like one from another seed, at most,
so what seeds allow is allowed. For a run it is {SDS} √2 *s*, where *s* is the standard deviation between
seeds of its task in the reference, pooled over all cells (runs that differ in the seed alone); with few
degrees of freedom, {SDS} is replaced by the quantile of Student's t that is exceeded as rarely. Where no cell
has two seeds, or a run has no headline score, the run is shown and not judged. For the estimate of a claim it
is *z* √2 SE, where SE is half the width of the 95 % interval in the reference over 1.96. That is an upper
bound: the interval also covers other test instances, and both ledgers have the same. For one claim *z* is
1.96, for all that both ledgers measure that of Bonferroni's correction: without it, too many repetitions in
which every training diverges would be called off.

The differences between the runs themselves set no bound, because then any difference would pass. Verdicts are
shown side by side and not judged: an estimate near the edge may change its verdict within noise."""


@dataclass(frozen=True)
class Side:
    """What one ledger holds of a scale: rows and headline scores (0-100) by run, and claims by id."""

    folder: str
    rows: dict[str, dict]
    scores: dict[str, float]
    claims: dict[str, dict]
    left_out: str


@dataclass(frozen=True)
class Noise:
    """The standard deviation between seeds of a task's score (points), and its degrees of freedom."""

    sd: float
    df: int

    @property
    def limit(self) -> float:
        """How far (points) a run may move."""
        return float(t.isf(norm.sf(SDS), self.df) * 2**0.5 * self.sd)


# -- reading -------------------------------------------------------------------------------------------------


def common_scales(first: Path, second: Path, only: str | None = None) -> list[str]:
    """The scales that two ledgers have files of, or `only` this one.

    Raises: Bad when there are none, or when a folder is no ledger.
    """
    if first.resolve() == second.resolve():
        raise Bad(f"{first} and {second} are the same folder; name two ledgers")
    has = [scales_of(folder) for folder in (first, second)]
    if common := [name for name in has[0] if name in has[1] and only in (None, name)]:
        return common
    parts = [f"{folder} has {', '.join(names)}" for folder, names in zip((first, second), has, strict=True)]
    wanted = f"scale {only!r} is not in both" if only else "no scale in common"
    raise Bad(f"{wanted}: {'; '.join(parts)}; name two ledgers of one scale")


def scales_of(folder: Path) -> list[str]:
    """The scales that a ledger has files of. Raises: Bad when the folder is no ledger."""
    if not folder.is_dir():
        raise Bad(f"no folder {folder}; name a ledger: it holds {volumes.NAMES_OF_FILES}")
    with reading(folder):
        know_own()
        names = results.scales()
    if not names:
        raise Bad(f"{folder} is no ledger: it holds no {volumes.NAMES_OF_FILES}")
    return names


def read_side(folder: Path, scale: str) -> Side:
    """What a ledger holds of a scale. Raises: Bad for a damaged volume, or no usable row."""
    with reading(folder):
        found = results.whole(scale)
        if not found.rows:
            why = f"no row of scale {scale!r} that can be used ({found.left_out})"
            raise Bad(f"{folder} has {why}; name another ledger")
        claims = verdicts.table(scale, ledger=Ledger(scale_of(scale), stored=found.rows))
    scores = {row["id"]: x for row in found.rows if (x := scored.headline_of(row)) is not None}
    rows, claims = ({row["id"]: row for row in told} for told in (found.rows, claims))
    return Side(str(folder), rows, scores, claims, found.left_out)


def environment_of(row: dict) -> dict:
    """What a row records of where it was made; scores may depend on nothing else but the run itself."""
    return {name: row["provenance"].get(name) for name in ("device", "environment", "packages")}


def environments(rows: Iterable[dict]) -> list[dict]:
    """The environments of rows, each with its number of `rows`, the most frequent first."""
    counts = Counter(json.dumps(environment_of(row), sort_keys=True) for row in rows)
    return [{"rows": n} | json.loads(text) for text, n in counts.most_common()]


def seed_noise(side: Side) -> dict[str, Noise]:
    """By task: the spread between seeds, pooled over the cells that have two or more."""
    cells: dict[tuple, list[float]] = {}
    for run_id, score in side.scores.items():
        row = side.rows[run_id]
        cells.setdefault((row["on"], *(row[name] for name in CELL)), []).append(score)
    by_task: dict[str, list[np.ndarray]] = {}
    for (task, *_), values in cells.items():
        if len(values) > 1:
            by_task.setdefault(task, []).append(np.asarray(values) - np.mean(values))
    return {task: pooled(residuals) for task, residuals in by_task.items()}


def pooled(residuals: list[np.ndarray]) -> Noise:
    """The pooled standard deviation. Shapes: one array (S_k,) of differences from its own mean per cell."""
    df = sum(len(values) - 1 for values in residuals)
    return Noise(math.sqrt(sum(float(np.sum(values**2)) for values in residuals) / df), df)


# -- comparing -----------------------------------------------------------------------------------------------


def compare_ledgers(first: Path, second: Path, scale: str) -> dict:
    """The report on two ledgers of a scale, as plain data.

    Its keys: scale, agrees, sentence, first and second (folder, rows, left_out, environments, and only_here:
    the ids of runs that the other lacks), claims, runs, targets.
    Raises: Bad as `read_side`, and when no run is in both.
    """
    sides = read_side(first, scale), read_side(second, scale)
    shared = [run_id for run_id in sides[0].rows if run_id in sides[1].rows]
    if not shared:
        raise Bad(f"{first} and {second} have no run of {scale} in common: other recipes; name other ledgers")
    noise = seed_noise(sides[1]) | seed_noise(sides[0])
    runs = [compared_run(*sides, run_id, noise) for run_id in shared]
    report = {
        "scale": scale, "first": described_side(sides[0], shared), "second": described_side(sides[1], shared),
        "claims": compared_claims(*sides, runs), "runs": runs, "targets": by_target(runs, noise),
    }  # fmt: skip
    agrees = not any(each["off"] for each in report["claims"] + runs)
    return {"agrees": agrees, "sentence": sentence(report, agrees)} | report


def described_side(side: Side, shared: list[str]) -> dict:
    """What the report says of one ledger."""
    elsewhere = set(shared)
    return {
        "folder": side.folder,
        "rows": len(side.rows),
        "left_out": side.left_out,
        "only_here": [run_id for run_id in side.rows if run_id not in elsewhere],
        "environments": environments(side.rows.values()),
    }


def same_environment(one: dict, other: dict) -> bool:
    """Whether two rows record equal environments; a row that records none is never equal to another."""
    return bool(one["provenance"].get("environment")) and environment_of(one) == environment_of(other)


def compared_run(first: Side, second: Side, run_id: str, noise: dict[str, Noise]) -> dict:
    """A run in two ledgers: headline scores, their difference, what is allowed (points; None: unknown)."""
    pair = first.rows[run_id], second.rows[run_id]
    equal, same = not results.differ(*pair), same_environment(*pair)
    before, after = first.scores.get(run_id), second.scores.get(run_id)
    difference = None if before is None or after is None else after - before
    task = pair[0]["on"]
    allowed = 0.0 if same else noise[task].limit if task in noise else None
    judged = not equal and allowed is not None
    return {
        "id": run_id, "on": task, "first": before, "second": after, "difference": difference,
        "allowed": allowed, "same_environment": same, "equal": equal,
        "off": judged and (same or abs(difference or 0.0) > allowed),
    }  # fmt: skip


def compared_claims(first: Side, second: Side, runs: list[dict]) -> list[dict]:
    """Every claim that at least one ledger measures; `runs`: the compared ones."""
    pairs = [[side.claims[name] for side in (first, second)] for name in first.claims]
    measured = [pair for pair in pairs if any(row["low"] is not None for row in pair)]
    exact = all(run["same_environment"] for run in runs) and first.rows.keys() == second.rows.keys()
    factor = 0.0 if exact else widening(measured)
    return [compared_claim(*pair, factor) for pair in measured]


def widening(pairs: list[list[dict]]) -> float:
    """What is allowed of a claim, as a multiple of half the width of its 95 % interval: z sqrt(2) / 1.96."""
    both = sum(None not in (before["estimate"], after["estimate"]) for before, after in pairs)
    return float(norm.isf(FALSE_ALARMS / 2 / max(both, 1)) / norm.isf(FALSE_ALARMS / 2) * 2**0.5)


def compared_claim(before: dict, after: dict, factor: float) -> dict:
    """A claim in two ledgers: estimates, their difference, what is allowed (points; None: unknown), verdicts.

    `factor`: how many half widths of the first ledger's interval are allowed.
    """
    estimates = [row["estimate"] for row in (before, after)]
    difference = None if None in estimates else round(estimates[1] - estimates[0], 3)
    allowed = None if before["low"] is None else factor * (before["high"] - before["low"]) / 2
    return {
        "number": before["number"], "id": before["id"], "says": before["says"],
        "first": estimates[0], "second": estimates[1], "difference": difference, "allowed": allowed,
        "first_verdict": verdict_words(before), "second_verdict": verdict_words(after),
        "off": None not in (difference, allowed) and abs(difference) > allowed,
    }  # fmt: skip


def verdict_words(row: dict) -> str:
    """The words of a claim's verdict: "fails · open"."""
    return " · ".join(filter(None, (row["direction"], row.get("magnitude"))))


def by_target(runs: list[dict], noise: dict[str, Noise]) -> list[dict]:
    """For each target: runs in both, how many are equal, and, in points, the root mean square of their
    differences and the spread between seeds.
    """
    lines = []
    for target in TARGETS:
        of = [run for run in runs if run["on"] == target and run["difference"] is not None]
        if of:
            rms = math.sqrt(sum(run["difference"] ** 2 for run in of) / len(of))
            seed_sd = noise[target].sd if target in noise else None
            equal = sum(run["equal"] for run in of)
            lines.append({"target": target, "runs": len(of), "equal": equal, "rms": rms, "seed_sd": seed_sd})
    return lines


# -- words ---------------------------------------------------------------------------------------------------


def sentence(report: dict, agrees: bool) -> str:
    """One sentence: whether the ledgers agree, and by how much."""
    runs, claims = report["runs"], report["claims"]
    parts = [f"{sum(run['equal'] for run in runs)} of {len(runs)} runs equal to the digit"]
    if told := [claim for claim in claims if claim["difference"] is not None]:
        largest = max(told, key=lambda claim: (claim["off"], abs(claim["difference"])))
        allowed = "not known" if largest["allowed"] is None else f"{largest['allowed']:.3f}"
        size = f"{abs(largest['difference']):.3f} points (allowed {allowed})"
        parts.append(f"the largest difference of a claim's estimate is {size}, claim {largest['number']}")
    else:
        parts.append("no claim is measured in both")
    if agrees:
        return f"agrees: {', '.join(parts)}"
    off = [
        f"{n} {noun}{'s' * (n != 1)}"
        for noun, of in (("run", runs), ("claim", claims))
        if (n := sum(each["off"] for each in of))
    ]
    return f"does not agree: more than noise allows in {' and '.join(off)}; {', '.join(parts)}"


def gaps(report: dict) -> list[str]:
    """A line for everything that only one of the ledgers has, or that could not be used."""
    lines = []
    for side in (report["first"], report["second"]):
        if ids := side["only_here"]:
            listed = ", ".join(ids[:5]) + ", ..." * (len(ids) > 5)
            lines.append(f"{len(ids)} runs are only in {side['folder']}: {listed}")
        if side["left_out"]:
            lines.append(f"{side['folder']}: rows left out: {side['left_out']}")
    for claim in report["claims"]:
        for name in ("first", "second"):
            if claim[name] is None:
                lines.append(f"claim {claim['number']} is not measured in {report[name]['folder']}")
    return lines


def points(value: float | None) -> str:
    """A number of points with three decimals; a dash when there is none."""
    return "–" if value is None else f"{value + 0.0:.3f}"  # + 0.0: no "-0.0"


def claim_cells(claim: dict) -> list[str]:
    """The cells of a claim under CLAIM_HEAD."""
    verdicts_equal = claim["first_verdict"] == claim["second_verdict"]
    both = "equal" if verdicts_equal else f"{claim['first_verdict']} → {claim['second_verdict']}"
    numbers = [points(claim[name]) for name in ("first", "second", "difference", "allowed")]
    return [f"{claim['number']} {claim['id']}", *numbers, both, "OFF" if claim["off"] else ""]


def run_cells(run: dict) -> list[str]:
    """The cells of a run under RUN_HEAD."""
    numbers = [points(run[name]) for name in ("first", "second", "difference", "allowed")]
    return [run["id"], *numbers, "same environment" if run["same_environment"] else "further than a seed"]


def target_cells(line: dict) -> list[str]:
    """The cells of a target under TARGET_HEAD."""
    shares = f"{line['equal']} of {line['runs']}"
    of_two_seeds = None if line["seed_sd"] is None else 2**0.5 * line["seed_sd"]
    return [line["target"], shares, points(line["rms"]), points(of_two_seeds)]


def text(report: dict) -> str:
    """The report for a terminal: a line a claim, a line a target, runs that are off, gaps, the sentence."""
    from tabulate import tabulate

    parts = [
        (CLAIM_HEAD, [claim_cells(claim) for claim in report["claims"]]),
        (TARGET_HEAD, [target_cells(line) for line in report["targets"]]),
        (RUN_HEAD, [run_cells(run) for run in report["runs"] if run["off"]]),
    ]
    tables = [
        tabulate(cells, head, tablefmt="plain", disable_numparse=True) for head, cells in parts if cells
    ]
    last = "\n".join([*gaps(report), f"{report['scale']}: {report['sentence']}"])
    return "\n\n".join([*tables, last])
