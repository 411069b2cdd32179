"""The 22 claims of the paper, how each is measured or checked, and the rule that gives the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..data.inventory import expected_examples
from ..design import studies
from ..design.scales import PAPER, PIVOT
from ..design.tasks import INTERMEDIATES, TARGETS, TASKS
from .contrasts import BASELINE, Ledger, Source, Weights, mean_contrast, versus
from .published import claimed, csv_table, stated
from .stats import LEVEL, SEEDS, Interval, at_least

MARGIN = 1.0  # points; a mean gain on XNLI of less than this is no benefit
ALMOST = 8  # of the nine intermediate tasks: "almost every"
MANY = 5  # of the nine: "many"
RETRIEVAL = ("bucc", "tatoeba")
START = "FacebookAI/xlm-roberta-large"
STATED = "2020-06-30"  # claim 11 speaks of June 2020
FAMILY = {
    "qa": "question answering", "commonsense": "question answering", "tagging": "sentence tagging",
    "completion": "sentence completion", "paraphrase": "paraphrase detection",
    "nli": "natural language inference",
}  # fmt: skip

RULE = f"""\
Every comparison is paired: the two models share the seed, the target and the test instances. For each seed
the difference is averaged over the targets; the estimate is the mean over the seeds. Its {1 - LEVEL:.0%}
interval adds two variances: between seeds (a t interval; the variance is pooled over all sources of the
scale, sources by seeds as blocks, because three seeds alone say too little about it; for the best source
per target it is that of the estimate itself) and between test instances (the variance of the paired
per-instance differences, seeds averaged, targets independent; where the score is no mean over instances, an
instance of UDPOS and PAN-X is a sentence with its own F1, one of BUCC a gold pair that is found or not).
Random seeds and the test sets are covered; other languages, other targets and other encoders are not.

**Direction** *holds* when the interval lies wholly on the claimed side of zero, *fails* when it lies wholly
on the other side, and is *open* otherwise. *Best* means above the baseline and above each of the nine
single tasks (each compared by itself, all must hold); it fails as soon as one of them is above it. *Almost
every* is at least {ALMOST} and *many* at least {MANY} of the nine tasks above zero, by the
partial-conjunction test of Benjamini and Heller; such a claim fails when so many tasks are below zero that
the number cannot be reached. *No benefit* on XNLI holds when the interval of the mean gain over the nine
tasks ends below {MARGIN:g} point, and fails when it begins above zero. The best source for a target is
chosen on the other seeds and measured on the seed left out (on the same test instances, so a little
optimism remains).

**Magnitude**, for claims with a number, *holds* when the number lies inside the interval and half the
interval is no wider than the number itself, *fails* when the interval excludes it, and is *open* otherwise.

The claims measured at one scale are corrected together by Holm's method, directions and magnitudes each as
one family: a verdict other than open needs an adjusted p-value below {LEVEL:g}, that is, an interval of a
higher level than the one shown; the p-value of a comparison is the level at which its interval just reaches
zero (or the number). A verdict is also open when fewer than {SEEDS} seeds are finished in common, and at
scales that leave out some of the tasks a claim speaks about. Where a scale cannot have one of the nine, a
declared stand-in counts as that one, and the finding says so.

Claims about data and method are checked by code against the declarations of the tasks, the scales and the
studies, and against the counts and origins that the data sets themselves publish; they are open where no
public source settles them."""


@dataclass(frozen=True)
class Finding:
    """The result of measuring or checking a claim, before correction for multiplicity."""

    estimate: float | None = None
    interval: Interval | None = None  # of a measured claim
    side: str = "open"  # the direction verdict if `p` survives the correction
    p: float | None = None  # p-value of that direction; None: nothing to correct
    runs: tuple[str, ...] = ()
    note: str = ""  # why it is open, or what was counted


@dataclass(frozen=True)
class Claim:
    """One claim. `measure` reads the ledger or the declarations; `expect` is the claimed number, if any."""

    id: str
    number: int
    says: str
    where: str
    measure: Callable[["Ledger"], Finding]
    expect: float | None = None


def decide(interval: Interval, holds: float, fails: float, runs: tuple[str, ...]) -> Finding:
    """A finding on the side with the smaller p-value."""
    side, p = ("holds", holds) if holds <= fails else ("fails", fails)
    return Finding(interval.mean, interval, side, p, runs)


def within(
    finding: Finding,
    ledger: Ledger,
    targets: tuple[str, ...] = TARGETS,
    singles: tuple[str, ...] | None = None,
) -> Finding:
    """The finding itself, or an open one when the scale leaves out some of the tasks that the claim is about.

    `singles` None stands for the nine intermediate tasks.
    """
    needed = ledger.nine if singles is None else singles
    shares = (targets, ledger.targets, "targets"), (needed, ledger.singles, "intermediate tasks")
    counts = [(len(set(want) & set(have)), len(want), noun) for want, have, noun in shares]
    if left_out := [f"{have} of {want} {noun}" for have, want, noun in counts if have < want]:
        return replace(finding, side="open", p=None, note=", ".join(left_out) + " at this scale")
    stand_ins = ledger.instead if singles is None else ""
    return replace(finding, note="; ".join(filter(None, (finding.note, stand_ins))))


def improves(ledger: Ledger, weights: Weights) -> Finding:
    """Is a weighted sum of scores above zero?"""
    gap = ledger.gap(weights)
    return decide(gap, gap.above(), gap.below(), ledger.ids(weights))


def of_nine(ledger: Ledger, targets: tuple[str, ...], enough: int) -> Finding:
    """Do at least `enough` of the nine intermediate tasks improve the mean over `targets`?"""
    covered = tuple(target for target in targets if target in ledger.targets)
    per_source = [versus((source, PIVOT), BASELINE, covered) for source in ledger.singles if covered]
    gaps = [ledger.gap(weights) for weights in per_source]
    mean_weights = mean_contrast(per_source)
    overall = ledger.gap(mean_weights)
    too_many = len(gaps) - min(enough, len(gaps)) + 1  # with this many losses, `enough` is out of reach
    holds = at_least([gap.above() for gap in gaps], min(enough, len(gaps)))
    finding = decide(
        overall, holds, at_least([gap.below() for gap in gaps], too_many), ledger.ids(mean_weights)
    )
    up, down = sum(gap.low > 0 for gap in gaps), sum(gap.high <= 0 for gap in gaps)
    note = f"{up} of {len(gaps)} intervals above zero, {down} at or below it"
    return within(replace(finding, note=note), ledger, targets)


# -- measured claims -----------------------------------------------------------------------------------------


def gain(source: str) -> Callable[[Ledger], Finding]:
    """Does the source improve the mean over the nine targets?"""

    def measure(ledger: Ledger) -> Finding:
        return within(improves(ledger, versus((source, PIVOT), BASELINE, ledger.targets)), ledger, singles=())

    return measure


def multitask(ledger: Ledger) -> Finding:
    """Multi-task against the baseline (the estimate) and against every single task."""
    others = [BASELINE, *((source, PIVOT) for source in ledger.singles)]
    comparisons = [versus((ledger.multi, PIVOT), other, ledger.targets) for other in others]
    gaps = [ledger.gap(weights) for weights in comparisons]
    holds, fails = (
        at_least([gap.above() for gap in gaps], len(gaps)),
        at_least([gap.below() for gap in gaps], 1),
    )
    finding = decide(gaps[0], holds, fails, ledger.ids(mean_contrast(comparisons)))
    closest = min(zip((gap.mean for gap in gaps[1:]), ledger.singles, strict=True), default=(0.0, ""))
    note = f"closest single task: {closest[1]}, {closest[0]:+.1f} points from it"
    return within(replace(finding, note=note), ledger)


def no_benefit(ledger: Ledger) -> Finding:
    """Whether XNLI has no benefit: the gain is not above zero, and its interval ends below MARGIN points.

    The two null hypotheses exclude each other.
    """
    weights = mean_contrast([versus((source, PIVOT), BASELINE, ("xnli",)) for source in ledger.singles])
    gap = ledger.gap(weights)
    side, p = ("fails", gap.above()) if gap.above() < LEVEL else ("holds", gap.below(MARGIN))
    finding = Finding(gap.mean, gap, side, p, ledger.ids(weights))
    return within(finding, ledger, targets=("xnli",))


def best(ledger: Ledger) -> Finding:
    """The gain of each target's best source, chosen on the other seeds and measured on the seed left out."""
    sources = [(s, PIVOT) for s in (*ledger.singles, ledger.multi)]
    cells = {(*s, t) for s in (BASELINE, *sources) for t in ledger.targets}
    seeds = ledger.seeds(cells)

    def chosen(target: str, out: int) -> Source:
        return max(
            sources,
            key=lambda s: sum(ledger.cells[(*s, target)][seed].score for seed in seeds if seed != out),
        )

    plan = {
        out: mean_contrast([versus(chosen(t, out), BASELINE, (t,)) for t in ledger.targets]) for out in seeds
    }
    gap = ledger.contrast(plan)
    return within(decide(gap, gap.above(), gap.below(), ledger.ids(cells)), ledger)


def plain_beats(variant: Callable[[str], Source]) -> Callable[[Ledger], Finding]:
    """Does English training on SQuAD, MNLI and HellaSwag beat `variant` of the same training?"""

    def measure(ledger: Ledger) -> Finding:
        finding = improves(
            ledger,
            mean_contrast(
                [versus((source, PIVOT), variant(source), ledger.targets) for source in studies.MIXED]
            ),
        )
        return within(finding, ledger, singles=studies.MIXED)

    return measure


def check(holds: bool, counted: float | None = None, note: str = "") -> Finding:
    """The finding of a claim that code checks."""
    return Finding(counted, side="holds" if holds else "fails", note=note)


def sota(_: Ledger) -> Finding:
    """Whether XLM-R was first in more than half of the tasks of a sourced leaderboard.

    The claim stays open unless such a leaderboard is dated June 2020 or earlier.
    """
    rows = [r for r in csv_table("published") if r["claim"] == "sota" and r["date"] and r["date"] <= STATED]
    boards: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        system, column = row["row"].split(" | ")
        boards.setdefault(column, []).append((float(row["sourced"]), system))
    xlmr_first = [max(entries)[1].startswith("XLM-R") for entries in boards.values() if len(entries) > 1]
    if not xlmr_first:
        return Finding(note="no sourced leaderboard is dated June 2020 or earlier")
    return check(
        sum(xlmr_first) > len(xlmr_first) / 2, note=f"first in {sum(xlmr_first)} of {len(xlmr_first)} tasks"
    )


def most_languages(_: Ledger) -> Finding:
    """The largest number of languages of a target, which must agree with XTREME's data sets and the claim."""
    declared = {t: len(TASKS[t].langs.split()) for t in TARGETS}
    most = max(declared.values())
    agree = all(n == int(stated(t, "languages")) for t, n in declared.items())
    return check(
        agree and most == claimed("languages"), most, f"{max(declared, key=declared.get)} has the most"
    )


def nine_targets(_: Ledger) -> Finding:
    """Whether the targets are the tasks that XTREME averages."""
    # XTREME's own list of tasks
    scored = {row["data"] for row in csv_table("sizes") if row["item"] == "languages"}
    return check(set(TARGETS) == scored, len(TARGETS), "the nine that XTREME's scorer averages")


def untrained(_: Ledger) -> Finding:
    """Whether the retrieval targets, and no other, are declared without training data."""
    without = [t for t in TARGETS if not TASKS[t].train_on]
    rows = sum(int(stated(t, "train")) for t in RETRIEVAL)
    agrees = set(without) == set(RETRIEVAL) and rows == claimed("untrained")
    return check(agrees, rows, "declared without training data: " + ", ".join(without))


def nine_tasks(_: Ledger) -> Finding:
    """Whether the nine intermediate tasks are English and belong to the families in the claim."""
    families = {FAMILY.get(TASKS[t].genre, TASKS[t].genre) for t in INTERMEDIATES}
    english = all(TASKS[t].langs == PIVOT for t in INTERMEDIATES)
    agrees = families == set(FAMILY.values()) and english and len(INTERMEDIATES) == claimed("nine")
    return check(agrees, len(INTERMEDIATES), "; ".join(sorted(families)))


def phases(_: Ledger) -> Finding:
    """Whether the runs of the main study have the three phases."""
    numbers = {run.phase for run in studies.runs(studies.MAIN, PAPER)}
    return check(numbers == {1, 2, 3}, len(numbers), "phases of the runs of the main study")


def anli_size(_: Ledger) -> Finding:
    """Whether ANLI+ has the claimed number of training rows."""
    total = expected_examples(TASKS["anli"])
    return check(total == claimed("anli_size"), total, "ANLI rounds 1-3 + MNLI + labelled SNLI")


def mnli_size(_: Ledger) -> Finding:
    """Whether MNLI has the claimed number of training rows."""
    rows = {expected_examples(TASKS["mnli"]), int(stated("multi_nli", "train"))}
    return check(rows == {claimed("mnli_size")}, max(rows), "the same count in GLUE and in MultiNLI")


def comes_from(origin: str, *data: str) -> Callable[[Ledger], Finding]:
    """Do the data sets state that they come from this origin?"""

    def measure(_: Ledger) -> Finding:
        origins = [stated(name, "origin") for name in data]
        if not all(origins):
            return Finding(note="no public source states the origin")
        return check(set(origins) == {origin}, note="stated by " + ", ".join(data))

    return measure


def hellaswag_source(_: Ledger) -> Finding:
    """Whether HellaSwag's training rows all come from ActivityNet videos or WikiHow, some from each."""
    counts = {origin: int(stated("hellaswag", f"train_{origin}")) for origin in ("activitynet", "wikihow")}
    adds_up = sum(counts.values()) == int(stated("hellaswag", "train"))
    note = "training rows: {activitynet:,} of ActivityNet videos, {wikihow:,} of WikiHow".format(**counts)
    return check(adds_up and all(counts.values()), note=note)


def starting_point(_: Ledger) -> Finding:
    """Whether every run of the paper scale starts from XLM-R Large."""
    models = {run.model for run in studies.runs(studies.MAIN, PAPER)}
    agrees = PAPER.encoder.name == START and models <= {"", "random"}
    return check(agrees, note=f"{PAPER.encoder.name}; random weights only as the control")


# -- the claims ----------------------------------------------------------------------------------------------

AVERAGE = "mean over the nine targets, development sets"


def claim(number: int, name: str, says: str, where: str, measure: Callable[[Ledger], Finding]) -> Claim:
    """A claim whose number, if it states one, is in published.csv under its name."""
    return Claim(name, number, says, where, measure, claimed(name))


# fmt: off
CLAIMS = (
    claim(1, "squad", "Intermediate training on SQuAD improves the average over the nine targets",
          AVERAGE, gain("squad1")),
    claim(2, "mnli", "Intermediate training on MNLI improves the average over the nine targets",
          AVERAGE, gain("mnli")),
    claim(3, "hellaswag", "Intermediate training on HellaSwag improves the average over the nine targets",
          AVERAGE, gain("hellaswag")),
    claim(4, "multitask", "Multi-task intermediate training on all nine tasks performs best",
          AVERAGE, multitask),
    claim(5, "retrieval", "BUCC and Tatoeba, which have no training data, improve dramatically with almost "
          "every intermediate task",
          "development sets", lambda ledger: of_nine(ledger, RETRIEVAL, ALMOST)),
    claim(6, "tydiqa", "TyDiQA improves consistently with many intermediate tasks",
          "development set", lambda ledger: of_nine(ledger, ("tydiqa",), MANY)),
    claim(7, "xnli", "XNLI does not benefit from intermediate training",
          "development set", no_benefit),
    claim(8, "best", "The best model for each target improves XTREME on average",
          "test sets", best),
    claim(9, "mlm", "English intermediate training beats continuing multilingual MLM during it",
          AVERAGE, plain_beats(lambda s: (f"{s}+mlm", PIVOT))),
    claim(10, "translated", "English intermediate training beats machine-translated intermediate data",
          AVERAGE, plain_beats(lambda s: (s, "mt"))),
    claim(11, "sota", "XLM-R Large is the state of the art on many zero-shot cross-lingual tasks (June 2020)",
          "published", sota),
    claim(12, "languages", "XTREME evaluates up to 40 languages a task",
          "data", most_languages),
    claim(13, "targets", "The targets are nine tasks of XTREME",
          "data", nine_targets),
    claim(14, "untrained", "BUCC and Tatoeba have no training data of their own",
          "data", untrained),
    claim(15, "nine", "Nine English intermediate tasks: question answering, sentence tagging, sentence "
          "completion, paraphrase detection, natural language inference",
          "data", nine_tasks),
    claim(16, "phases", "Three phases: a public masked LM, intermediate training, target fine-tuning and "
          "zero-shot evaluation",
          "method", phases),
    claim(17, "anli_size", "ANLI+ has 1,104,934 training examples",
          "data", anli_size),
    claim(18, "mnli_size", "MNLI has 392,702 training examples",
          "data", mnli_size),
    claim(19, "qqp_source", "QQP comes from Quora questions",
          "data", comes_from("Quora", "qqp")),
    claim(20, "squad_source", "SQuAD v2.0 and v1.1 come from Wikipedia",
          "data", comes_from("Wikipedia", "squad2", "squad1")),
    claim(21, "hellaswag_source", "HellaSwag comes from video captions and WikiHow",
          "data", hellaswag_source),
    claim(22, "start", "XLM-R Large is the starting point of all experiments",
          "method", starting_point),
)
