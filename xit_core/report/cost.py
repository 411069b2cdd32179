"""The cost of a study: tokens and FLOP of every run."""

import math

from ..data.inventory import rows_of
from ..design import studies
from ..design.run import SINGLE, SUM, Run, joint_steps
from ..design.scales import Scale
from ..design.tasks import PARALLEL, TASKS, Task, languages
from ..ledger import results

GPU = 2.6e14  # FLOP/s sustained in practice: a third of one H200's 790 TFLOP/s in bf16


def costs(study: str, scale: Scale) -> dict:
    """The runs of a study with parents, state and estimated cost, and the GPU-hours of those not yet done.

    A run's cost is the tokens it reads and the FLOP of the encoder's layers.
    """
    runs, per_token = studies.runs(study, scale), 2 * layer_weights(scale)
    planned, counted, rows = {r.id: r for r in runs}, set(), []
    for r in runs:
        trained, read = train_tokens(r, counted), eval_tokens(r)
        rows.append({
            "id": r.id, "path": r.path, "on": r.on, "seed": r.seed,
            "parents": parents(r, planned), "done": results.finished(r),
            "tokens": trained + read, "flops": per_token * (3 * trained + read),
        })  # fmt: skip
    return {"runs": rows, "gpu_hours": sum(r["flops"] for r in rows if not r["done"]) / GPU / 3600}


def layer_weights(scale: Scale) -> int:
    """The number of weights in the encoder's layers. Embeddings do not count: they need no multiplication."""
    shape = scale.pretraining or scale.encoder
    return 12 * shape.layers * shape.hidden**2


def parents(run: Run, planned: dict[str, Run]) -> list[str]:
    """Ids of the planned runs that this run starts from. All seeds start from the same pretrained encoder."""
    parent = run.parent
    if not parent or parent.id in planned:
        return [parent.id] if parent else []
    return [
        run_id
        for run_id, candidate in planned.items()
        if candidate.phase == parent.phase == 1 and candidate.model == parent.model
    ]


def train_tokens(run: Run, counted: set) -> int:
    """Upper bound on the training tokens of the run's last stage.

    Returns 0 if the stage trains nothing or `counted` already has that training; otherwise adds it there.
    """
    scale, tasks = run.scale, trained_tasks(run)
    key = (run.source, tasks, run.seed, run.model, run.method, run.lang, run.size, run.steps)
    if not tasks or key in counted:
        return 0
    counted.add(key)
    fixed, cap = (
        (scale.stage_steps, run.size or scale.stage_rows) if run.phase == 2 else (scale.steps, scale.rows)
    )
    total, alone = 0, {}  # tokens, and the steps of each task
    for task in tasks:
        rows = rows_of(task, task.train) or cap
        alone[task] = fixed or math.ceil(min(rows, cap or rows) * task.epochs / task.batch)
        total += alone[task] * (scale.batch or task.batch) * scale.longest(task.kind)
    return total if run.steps == SUM else round(total * joint_steps(alone, SINGLE) / sum(alone.values()))


def trained_tasks(run: Run) -> tuple[Task, ...]:
    """The tasks whose rows the run's last stage trains on; () for an encoder that is only scored."""
    if run.phase == 2:
        return run.stages[-1].tasks
    return (TASKS[run.target.train_on],) if run.target and run.target.train_on else ()


def eval_tokens(run: Run) -> int:
    """Upper bound on the tokens read for scoring. Runs that end in no target are scored by retrieval."""
    scale, task = run.scale, run.target or PARALLEL
    texts = 2 if task.retrieves else 1
    rows = (
        min(rows_of(task, task.validation, lang) or 1000, scale.eval_rows or 10**9)
        for lang in languages(task, scale)
    )
    return texts * scale.longest(task.kind) * sum(rows)
