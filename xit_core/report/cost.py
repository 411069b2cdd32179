"""What a study costs: tokens and FLOP of every run."""

import math

from ..data.inventory import rows_of
from ..design import studies
from ..design.run import Run
from ..design.scales import Scale
from ..design.tasks import PARALLEL, TASKS, Task, languages
from ..ledger import results

GPU = 2.6e14  # FLOP/s kept up in practice: a third of one H200's 790 TFLOP/s in bf16


def costs(study: str, scale: Scale) -> dict:
    """The runs of a study with parents, state and estimated cost: tokens read, and FLOP of the encoder's
    layers.
    """
    runs, per_token = studies.runs(study, scale), 2 * layer_weights(scale)
    planned, counted, told = {r.id: r for r in runs}, set(), []
    for r in runs:
        trained, read = train_tokens(r, counted), eval_tokens(r)
        told.append({
            "id": r.id, "path": r.path, "on": r.on, "seed": r.seed,
            "parents": parents(r, planned), "done": results.finished(r),
            "tokens": trained + read, "flops": per_token * (3 * trained + read),
        })  # fmt: skip
    return {"runs": told, "gpu_hours": sum(r["flops"] for r in told if not r["done"]) / GPU / 3600}


def layer_weights(scale: Scale) -> int:
    """Weights of the encoder's layers; its embeddings cost no multiplication."""
    shape = scale.pretraining or scale.encoder
    return 12 * shape.layers * shape.hidden**2


def parents(run: Run, planned: dict[str, Run]) -> list[str]:
    """Ids of the planned runs that this one starts from; every seed starts from the one pretrained
    encoder."""
    first = run.parent
    if not first or first.id in planned:
        return [first.id] if first else []
    return [i for i, r in planned.items() if r.phase == first.phase == 1 and r.model == first.model]


def train_tokens(run: Run, counted: set) -> int:
    """Tokens (at most) of the run's last stage; 0 if it trains nothing or `counted` holds that training
    already.
    """
    s, tasks = run.scale, trained_tasks(run)
    key = (run.source, tasks, run.seed, run.model, run.method, run.lang, run.size)
    if not tasks or key in counted:
        return 0
    counted.add(key)
    fixed, cap = (s.stage_steps, run.size or s.stage_rows) if run.phase == 2 else (s.steps, s.rows)
    total = 0
    for task in tasks:
        rows = rows_of(task, task.train) or cap
        steps = fixed or math.ceil(min(rows, cap or rows) * task.epochs / task.batch)
        total += steps * (s.batch or task.batch) * s.longest(task.kind)
    return total


def trained_tasks(run: Run) -> tuple[Task, ...]:
    """The tasks whose rows train the run's last stage; () for an encoder that is only scored."""
    if run.phase == 2:
        return run.stages[-1].tasks
    return (TASKS[run.target.train_on],) if run.target and run.target.train_on else ()


def eval_tokens(run: Run) -> int:
    """Tokens (at most) that scoring reads; every run but a target's is scored by retrieval."""
    s, task = run.scale, run.target or PARALLEL
    texts = 2 if task.retrieves else 1
    rows = (min(rows_of(task, task.validation, x) or 1000, s.eval_rows or 10**9) for x in languages(task, s))
    return texts * s.longest(task.kind) * sum(rows)
