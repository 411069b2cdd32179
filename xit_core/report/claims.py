"""The 22 claims of the paper, and how each is measured or checked."""

from collections.abc import Callable
from dataclasses import dataclass

from .checks import (
    anli_size,
    comes_from,
    hellaswag_source,
    mnli_size,
    most_languages,
    nine_targets,
    nine_tasks,
    phases,
    sota,
    starting_point,
    untrained,
)
from .contrasts import Ledger
from .findings import Finding
from .published import claimed
from .rules import (
    DRAMATIC,
    MARGIN,
    RETRIEVAL,
    beats_mlm,
    beats_translated,
    best,
    gain,
    multitask,
    no_benefit,
    retrieval_rule,
    tydiqa,
)

MEASURED = 10  # claims 1 to 10 are measured; the others are checked by code


@dataclass(frozen=True)
class Claim:
    """One claim. `measure` reads the ledger or the declarations; `expect` is the claimed number, if any."""

    id: str
    number: int
    says: str
    on: str  # what the paper measures it on, or what it is checked against
    measure: Callable[[Ledger], Finding]
    expect: float | None = None
    # of measured claims
    short: str = ""  # its name in figures
    estimand: str = ""  # what is estimated, in words
    singly: tuple[str, ...] = ()  # where it speaks about the intermediate tasks one by one: its targets
    limit: float = 0.0  # what its estimate is compared with, in points


AVERAGE = "mean over the nine targets, development sets"
STATED = "what the data sets publish about themselves"
DESIGN = "the declarations of this study, which hold by design where they are as in the paper"


def claim(number: int, name: str, says: str, on: str, measure: Callable[[Ledger], Finding], **more) -> Claim:
    """A claim whose number, if it states one, is in published.csv under its name."""
    return Claim(name, number, says, on, measure, claimed(name), **more)


GAIN = (
    "for each target that counts, the mean over seeds of its score after this training less its score "
    "without any; then the mean over these targets"
)
OVER_TASKS = (
    "for each target and each intermediate task that count, the mean over seeds of the score after the task "
    "less the score without any; then the mean over all of them. The verdict is about the tasks one by one"
)
AGAINST = (
    "for SQuAD, MNLI and HellaSwag and each target that counts, the mean over seeds of the score after plain "
    "English training less the score after its variant; then the mean over all of them"
)
CHOSEN = (
    "for each target that counts, the mean over seeds of the score after its best training less the score "
    "without any, where the best is chosen on other seeds and the other half of the instances; then the mean "
    "over these targets"
)

# fmt: off
CLAIMS = (
    claim(1, "squad", "Intermediate training on SQuAD improves the average over the nine targets",
          AVERAGE, gain("squad1"), short="SQuAD first", estimand=GAIN),
    claim(2, "mnli", "Intermediate training on MNLI improves the average over the nine targets",
          AVERAGE, gain("mnli"), short="MNLI first", estimand=GAIN),
    claim(3, "hellaswag", "Intermediate training on HellaSwag improves the average over the nine targets",
          AVERAGE, gain("hellaswag"), short="HellaSwag first", estimand=GAIN),
    claim(4, "multitask", "Multi-task intermediate training on all nine tasks performs best",
          AVERAGE, multitask, short="all nine jointly", estimand=GAIN),
    claim(5, "retrieval", "BUCC and Tatoeba, which have no training data, improve dramatically with almost "
          "every intermediate task",
          "development sets", retrieval_rule, short="BUCC and Tatoeba", estimand=OVER_TASKS,
          singly=RETRIEVAL, limit=DRAMATIC),
    claim(6, "tydiqa", "TyDiQA improves consistently with many intermediate tasks",
          "development set", tydiqa, short="TyDiQA", estimand=OVER_TASKS, singly=("tydiqa",)),
    claim(7, "xnli", "XNLI does not benefit from intermediate training",
          "development set", no_benefit, short="XNLI", estimand=OVER_TASKS, singly=("xnli",),
          limit=MARGIN),
    claim(8, "best", "The best model for each target improves XTREME on average",
          "test sets", best, short="best for each target", estimand=CHOSEN),
    claim(9, "mlm", "English intermediate training beats continuing multilingual MLM during it",
          AVERAGE, beats_mlm, short="English over MLM", estimand=AGAINST),
    claim(10, "translated", "English intermediate training beats machine-translated intermediate data",
          AVERAGE, beats_translated, short="English over translated", estimand=AGAINST),
    claim(11, "sota", "XLM-R Large is the state of the art on many zero-shot cross-lingual tasks (June 2020)",
          "published results", sota),
    claim(12, "languages", "XTREME evaluates up to 40 languages a task",
          STATED, most_languages),
    claim(13, "targets", "The targets are nine tasks of XTREME",
          DESIGN, nine_targets),
    claim(14, "untrained", "BUCC and Tatoeba have no training data of their own",
          STATED, untrained),
    claim(15, "nine", "Nine English intermediate tasks: question answering, sentence tagging, sentence "
          "completion, paraphrase detection, natural language inference",
          DESIGN, nine_tasks),
    claim(16, "phases", "Three phases: a public masked LM, intermediate training, target fine-tuning and "
          "zero-shot evaluation",
          DESIGN, phases),
    claim(17, "anli_size", "ANLI+ has 1,104,934 training examples",
          STATED, anli_size),
    claim(18, "mnli_size", "MNLI has 392,702 training examples",
          STATED, mnli_size),
    claim(19, "qqp_source", "QQP comes from Quora questions",
          STATED, comes_from("Quora", "qqp")),
    claim(20, "squad_source", "SQuAD v2.0 and v1.1 come from Wikipedia",
          STATED, comes_from("Wikipedia", "squad2", "squad1")),
    claim(21, "hellaswag_source", "HellaSwag comes from video captions and WikiHow",
          STATED, hellaswag_source),
    claim(22, "start", "XLM-R Large is the starting point of all experiments",
          DESIGN, starting_point),
)
# fmt: on
BY_ID = {claim.id: claim for claim in CLAIMS}


# -- target by target ----------------------------------------------------------------------------------------

EVERY_TARGET = "average"


@dataclass(frozen=True)
class Estimate:
    """One estimate with its 95 % interval, in points. `target`: a target's name, or EVERY_TARGET."""

    scale: str
    target: str
    estimate: float
    low: float
    high: float


def estimates(claim: Claim, found: Finding, ledger: Ledger) -> list[Estimate]:
    """The estimates of a claim at one scale: on all targets, then on each by itself where possible."""
    if not found.interval:
        return []
    parts = {EVERY_TARGET: found}
    for target in ledger.targets if len(found.targets or ledger.targets) > 1 else ():
        parts[target] = claim.measure(ledger.restricted(lambda cell, _, only=target: cell[2] == only))
    return [
        Estimate(ledger.scale.name, name, part.interval.mean, part.interval.low, part.interval.high)
        for name, part in parts.items()
        if part.interval
    ]
