"""The cost of a study: tokens, FLOP and time of every run, and the disk space for checkpoints."""

import math
import statistics
from dataclasses import dataclass, field

from ..data.inventory import expected_examples, rows_of
from ..design import studies
from ..design.run import Run, joint_steps
from ..design.scales import Scale, scale_of, usual
from ..design.tasks import PARALLEL, Task, languages
from ..ledger import predictions, results
from ..machine.places import published_dir, reading, results_dir

PIECES = 250_002  # vocabulary of XLM-R's tokenizer
GPU = 2.6e14  # FLOP/s sustained in practice: a third of one H200's 790 TFLOP/s in bf16


@dataclass
class Pace:
    """How many seconds runs took for their FLOP, by phase and by what they train or are scored on."""

    said: str  # whose pace it is
    flops: dict[str, float]  # of the runs it may be asked about, by id
    # seconds and FLOP of every run
    spent: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)

    def learn(self, run: Run, seconds: float, trained: bool | None = None) -> None:
        """Record how many seconds a run took. `trained`: whether it made its last training itself, which
        several runs may share; None: as planned.
        """
        flops = self.flops.get(run.id)
        if flops and trained is not None:
            flops = flops_of(run, trained)
        if flops:
            self.spent.setdefault((run.phase, run.on), []).append((seconds, flops))

    def expected(self, run: Run) -> float | None:
        """Seconds that a run is expected to take, by runs on the same, else by all of its phase; None if none
        of them was learned.
        """
        same = self.spent.get((run.phase, run.on))
        groups = [same] if same else [runs for (phase, _), runs in self.spent.items() if phase == run.phase]
        if not (usual := [each for runs in groups for each in unhindered(runs)]):
            return None
        seconds, flops = map(sum, zip(*usual, strict=True))
        return seconds * self.flops.get(run.id, 0.0) / flops


def unhindered(runs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The runs, each with its seconds and FLOP, that took at most three times the median of seconds a FLOP:
    slower ones waited, or ran beside other work.
    """
    slowest = 3 * statistics.median(seconds / flops for seconds, flops in runs)
    return [(seconds, flops) for seconds, flops in runs if seconds / flops <= slowest]


def paces(study: str, scale: Scale) -> list[Pace]:
    """The paces by which the cost of runs is reckoned, in the order in which they are asked: from runs of the
    study and of the main one; then from those of the scale that it prolongs; and for an encoder of the user's
    own from those with the encoder of the scale.
    """
    flops: dict[str, float] = {}
    known, other = [], usual(scale)
    prolonged = [scale_of(scale.prolongs)] if scale.prolongs else []
    for s in dict.fromkeys((scale, *prolonged, other)):
        runs = [*dict.fromkeys((*studies.runs(study, s), *studies.runs(studies.MAIN, s)))]
        flops |= {row["id"]: row["flops"] for row in arithmetic(runs, s)}
        said = "" if s.encoder == scale.encoder else f" with {other.encoder.name}, in proportion to the FLOP"
        known += measured(runs, flops, said)
    return known


def measured(runs: list[Run], flops: dict[str, float], said: str = "") -> list[Pace]:
    """The paces at which this machine made such runs, and at which others made the published rows.

    Rows whose predictions are on this machine were made by it.
    """
    here = Pace(f"this machine{said}", flops)
    elsewhere = Pace(f"the machine of the published rows{said}", flops)
    own = results_dir()
    for folder in dict.fromkeys((own, published_dir())):
        with reading(folder):
            for run in runs:
                if results.finished(run) and (row := results.read(run)):
                    pace = here if folder == own and predictions.predictions_file(run) else elsewhere
                    made = row["provenance"]  # several processes take as long as one, times their number
                    several = made.get("environment", {}).get("processes", 1)
                    trained = "training" in made["spent"] if "spent" in made else None
                    pace.learn(run, several * made.get("seconds", 0.0), trained)
    return [here, elsewhere]


def arithmetic(runs: list[Run], scale: Scale) -> list[dict]:
    """The runs of a study with parents, state, the tokens they read and the FLOP of the encoder's layers."""
    planned, counted, rows = {r.id: r for r in runs}, set(), []
    for r in runs:
        trained, read = train_tokens(r, counted), eval_tokens(r)
        rows.append({
            "id": r.id, "path": r.path, "on": r.on, "seed": r.seed,
            "parents": [x.id for x in r.parents if x.id in planned], "done": results.finished(r),
            "tokens": trained + read, "flops": flops_for(scale, trained, read),
        })  # fmt: skip
    return rows


def flops_of(run: Run, trained: bool) -> float:
    """The FLOP of the encoder's layers in a run, with its last training or with scoring alone."""
    return flops_for(run.scale, train_tokens(run, set()) if trained else 0, eval_tokens(run))


def flops_for(scale: Scale, trained: int, read: int) -> float:
    """The FLOP of the encoder's layers for tokens that are trained on and tokens that are only read."""
    return 2 * layer_weights(scale) * (3 * trained + read)


def costs(study: str, scale: Scale) -> dict:
    """The runs of a study with parents, state and estimated cost, and what those not yet done will take.

    A run's cost is its `arithmetic` and the seconds that runs like it took, on this machine if there are any:
    None where there are none. `gb` is the space for checkpoints, and `gb_tidy` the most of it that a tidy
    study takes at a time.
    """
    runs = studies.runs(study, scale)
    rows = arithmetic(runs, scale)
    known, used = paces(study, scale), set()
    for r, row in zip(runs, rows, strict=True):
        told = ((pace.said, seconds) for pace in known if (seconds := pace.expected(r)))
        said, row["seconds"] = next(told, ("", None))
        used |= set() if row["done"] else {said}
    todo = [row for row in rows if not row["done"]]
    seconds = [row["seconds"] for row in todo]
    left = [r for r, row in zip(runs, rows, strict=True) if not row["done"]]
    each = checkpoint_bytes(scale) / 1e9
    return {
        "runs": rows, "hours": None if None in seconds else sum(seconds) / 3600,
        "paced": " and ".join(dict.fromkeys(p.said for p in known if p.said in used)) or known[0].said,
        "gpu_hours": sum(row["flops"] for row in todo) / GPU / 3600,
        "gb": len(studies.stages(left)) * each, "gb_tidy": most_kept(left) * each,
    }  # fmt: skip


def most_kept(runs: list[Run]) -> int:
    """How many checkpoints a tidy study has at a time, at most, if it makes its runs one after the other."""
    place = {run: i for i, run in enumerate(runs)}
    spans = [[place[run] for run in using] for using in studies.stages(runs).values()]
    return max((sum(min(x) <= i <= max(x) for x in spans) for i in range(len(runs))), default=0)


def layer_weights(scale: Scale) -> int:
    """The number of weights in the encoder's layers. Embeddings do not count: they need no multiplication."""
    shape = scale.pretraining or scale.encoder
    return 12 * shape.layers * shape.hidden**2


def checkpoint_bytes(scale: Scale) -> int:
    """The size of a stage's checkpoint: layers and table in float32, or layers alone in 16 bits."""
    if scale.frozen_table:
        return 2 * layer_weights(scale)
    shape = scale.pretraining or scale.encoder
    pieces = scale.pretraining.pieces if scale.pretraining else PIECES
    return 4 * (layer_weights(scale) + pieces * shape.hidden)


def train_tokens(run: Run, counted: set) -> int:
    """Upper bound on the training tokens of the run's last stage.

    Returns 0 if the stage trains nothing or `counted` already has that training; otherwise adds it there.
    """
    if not run.trained_on or run.training in counted:
        return 0
    counted.add(run.training)
    return sum(tokens_by_task(run).values())


def tokens_by_task(run: Run) -> dict[Task, int]:
    """Upper bound on the tokens of each task that the run's last training reads."""
    cap = run.scale.rows if run.target else run.size or run.scale.stage_rows
    known = {task: expected_examples(task) or cap for task in run.trained_on}
    alone = run.alone({task: min(rows, cap or rows) for task, rows in known.items()})
    part = joint_steps(alone, run.steps) / max(1, sum(alone.values()))
    of_step = {task: run.batch * run.scale.longest(task.kind) for task in alone}
    return {task: math.ceil(part * n * of_step[task]) for task, n in alone.items()}


def eval_tokens(run: Run) -> int:
    """Upper bound on the tokens read for scoring. Runs that end in no target are scored by retrieval."""
    scale, task = run.scale, run.target or PARALLEL
    texts = 2 if task.retrieves else 1
    rows = (
        min(rows_of(task, task.validation, lang) or 1000, scale.scored(task.name) or 10**9)
        for lang in languages(task, scale)
    )
    return texts * scale.longest(task.kind) * sum(rows)
