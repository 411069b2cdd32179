"""The three phases of the study, one function each: what the notebooks call. Every finished run becomes a row
of the ledger.
"""

import time
from dataclasses import replace

import numpy as np
import torch

from .data import reading
from .design.encoders import fingerprint
from .design.run import PRETRAINED, Run, recipe, runs_of
from .design.scales import PIVOT, Scale
from .design.tasks import EVERY, TASKS, Task, train_languages
from .ledger import predictions, results
from .ledger.outcomes import Evaluation, Training
from .ledger.results import checkpoint
from .machine import files
from .machine.errors import Bad
from .machine.provenance import commit, versions
from .model import checkpoints, encoder, methods, mixture, origins
from .model.device import device, fix_threads, recorded
from .model.encoder import Model
from .model.kinds import encoded, labels
from .model.pretrain import remake
from .model.train import fit, spent
from .score import evaluate, probe, retrieval

LOST = "answer in no window: trained as if there were none"


def pretrained(run: Run) -> dict:
    """Phase 1: what the public encoder knows before anything else; with `model="remake"` it is pretrained
    anew first.
    """
    if run.phase != 1:
        raise Bad(f"path {run.path!r}: notebook 1 takes the path {PRETRAINED!r}")
    if done := results.read(run):
        return done
    fix_threads()
    begin = time.time()
    if run.model == "remake":
        net, left, seconds = remake(run)
        begin = time.time() - seconds  # of all sittings, also those of a process that was killed
    else:
        net, left = origins.start(run.scale, run.model, run.seed), pretraining_card(run)
    found = evaluate.encoder(net, run.scale)
    if run.scale.pretraining and not run.scale.world.made:
        points, seen = probe.linear(net, run.scale)
        found = replace(found, seen=found.seen + seen, more=found.more | {"probe": points})
    return enter(run, found, left, begin)


def pretraining_card(run: Run) -> Training:
    """What the encoder's pretraining left beside its weights: its curve and dose; empty for random and for
    hub models.
    """
    file = run.scale.encoder.folder / "card.json"
    if not run.scale.encoder.name or run.model or not file.is_file():
        return Training()
    told = files.load(file, checkpoints.CARD, files.RESTORE)
    return Training(told["curve"], told["dose"])


def intermediate(run: Run) -> dict:
    """Phase 2: train a stage (one task, or several jointly), keep the encoder, enter its English dev scores
    in the ledger.
    """
    if run.phase != 2:
        raise Bad(
            f"path {run.path!r} is no intermediate stage; notebook 2 takes paths that end in one: 'mnli', "
            "'squad1+mlm'"
        )
    if done := results.read(run):
        return done
    fix_threads()
    # wall time includes interrupted attempts, not the parent stage
    net, begin = reach(run), time.time() - spent(checkpoint(run))
    left = train_stage(net, run)
    found, after = evaluate.stage(net, run.stages[-1].tasks, run.scale)
    end = {"step": left.dose["steps"]} | after | {"distance": left.dose["distance"]}
    left = Training([*left.curve, end], left.dose, left.seen, left.tokens)
    method_of(run).write(net, checkpoint(run))
    return enter(run, found, left, begin)


def method_of(run: Run):
    """The module of the method that trains the last stage of a run."""
    return methods.of(run.stages[-1].method)


def train_stage(net: Model, run: Run) -> Training:
    """Train a stage."""
    s, method, tasks = run.scale, method_of(run), run.stages[-1].tasks
    features, seen = training_set(net, tasks, s, run.size or s.stage_rows, run.seed, run.lang)
    method.add(net)
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}  # with what the method added
    batch = s.batch or max(t.batch for t in tasks)
    steps = steps_of(tasks, features, s, batch)
    batches = mixture.Mixture(features, batch, steps, run.seed, s.cap, s.temperature)

    def look(now: Model) -> dict:
        return retrieval.probe_retrieval(now, s) | {"distance": encoder.distance(now, before)}

    probed = (s.probes, look) if s.probes else None
    points = fit(
        net,
        batches,
        s.stage_lr,
        run.seed,
        checkpoint(run),
        s.save_every,
        probe=probed,
        trained=method.trained,
    )
    dose = {
        "steps": batches.steps,
        "rate": s.stage_lr,
        "rows": sum(map(len, features.values())),
        "share": batches.share,
        "distance": encoder.distance(net, before),
    }
    return Training(points, dose, seen, batches.tokens())


def stages(path: str, **fields) -> list[dict]:
    """Phase 2 as notebook 2 calls it: the stage with one seed, or (seed 0) with each seed of the scale."""
    return [intermediate(run) for run in runs_of(path, **fields)]


def targets(path: str, **fields) -> list[dict]:
    """Phase 3: for every target of a path, fine-tune on English rows, score zero-shot in all languages, enter
    the row.

    Targets with one training set (XQuAD and MLQA) share one training; the retrieval tasks score the encoder
    itself.
    """
    found = runs_of(path, **fields)
    if bad := [r.path for r in found if r.phase != 3]:
        raise Bad(f"path {bad[0]!r} ends in no target; notebook 3 takes paths such as 'mnli > xnli'")
    rows, tuned = [], {}
    for run in found:
        tuned = tuned if run.seed in tuned else {run.seed: {}}
        rows.append(results.read(run) or run_target(run, tuned[run.seed]))
    return rows


def run_target(run: Run, tuned: dict[str, tuple[Model, Training]]) -> dict:
    """One target of phase 3; `tuned` keeps the models of a notebook by the task they were fine-tuned on."""
    fix_threads()
    name = run.target.train_on
    net = tuned[name][0] if name in tuned else reach(run)
    # wall time includes interrupted attempts, not the parent stage
    begin = time.time() - spent(checkpoint(run))
    if name in tuned:
        left = tuned[name][1]
        left = Training(left.curve, left.dose, left.seen)  # count shared training tokens once
    else:
        left = tune(net, run) if name else Training()
    tuned[name] = net, left
    found = evaluate.target(net, run.target, run.scale)
    refuse_training_rows(run, left.seen, found.seen)
    return enter(run, found, left, begin)


def refuse_training_rows(run: Run, trained: list[dict], evaluated: list[dict]) -> None:
    """Refuse a run that would be scored on rows it, or a stage of its path, was trained on: a stand-in may
    serve both.

    Raises: Bad.
    """
    parent = run.parent
    while parent and parent.phase == 2:
        told = results.read(parent)  # not there when its checkpoint came without its row
        trained, parent = trained + (told["provenance"]["data"] if told else []), parent.parent
    told = [x for x in trained if x["split"] == "train" and TASKS[x["task"]].role != "text"]
    used = {(x.get("source"), x["lang"]) for x in told}
    both = [x for x in evaluated if (x["source"], x["lang"]) in used]
    if both and not run.scale.world.made:
        raise Bad(
            f"{run.path}: rows of {both[0]['source']} ({both[0]['lang']}) trained a stage; take another "
            "stage or target"
        )


def tune(net: Model, run: Run) -> Training:
    """Fine-tune on the English rows of a target's training task."""
    s, method, task = run.scale, method_of(run), TASKS[run.target.train_on]
    features, seen = training_set(net, (task,), s, s.rows, run.seed)
    method.add(net)
    batch, rows = s.batch or run.target.batch, len(features[task.name])
    steps = s.steps or run.target.epochs * -(-rows // batch)
    batches = mixture.Mixture(features, batch, steps, run.seed)
    points = fit(net, batches, s.lr, run.seed, checkpoint(run), s.save_every, trained=method.trained)
    return Training(points, {"steps": steps, "rate": s.lr, "rows": rows}, seen, batches.tokens())


# -- stages --------------------------------------------------------------------------------------------------


def reach(run: Run) -> Model:
    """The encoder a run starts from: its parent's, which is trained first (and entered in the ledger) if it
    is not there.

    A row from another machine comes without its checkpoint, and a copy may lack a file: the stage is then
    trained once more, and the row stays as it is.
    """
    parent = run.parent
    if parent.phase == 1:
        return origins.start(run.scale, run.model, run.seed)
    method = method_of(parent)
    if not results.trained(parent):
        if results.read(parent):
            train_stage(net := reach(parent), parent)
            method.write(net, checkpoint(parent))
        else:
            intermediate(parent)
    return method.read(checkpoint(parent), origins.tokenizer(run.scale), run.scale)


def training_set(
    net: Model, tasks: tuple[Task, ...], s: Scale, rows: int, seed: int, lang: str = PIVOT
) -> tuple[dict, list[dict]]:
    """Encoded training rows by task name, and what was read; the model gets a new head for each task, drawn
    from the seed.

    `lang`: of the rows; text for masked LM is in all languages, and not translated.
    """
    features, seen = {}, []
    torch.manual_seed(seed)
    for task in tasks:
        langs = train_languages(task, s)
        wanted = PIVOT if task.train_lang == EVERY else lang
        parts = [reading.examples(task, "train", x, s, -(-rows // len(langs)), wanted) for x in langs]
        examples, read = [e for p in parts for e in p[0]], [x for p in parts for x in p[1]]
        net.add_head(task, labels(task, examples))
        features[task.name] = encoded(task, examples, read, net.tokenizer, s, net.labels[task.name])
        seen = seen + counted(read, features[task.name].lost)
    return features, seen


def counted(read: list[dict], lost: np.ndarray) -> list[dict]:
    """What was read, with how many examples of each part have their answer in no window (`lost` has their
    numbers).

    Shapes: lost (N,).
    """
    numbers, _ = np.histogram(lost, np.cumsum([0, *(x["rows"] for x in read)]))
    told = zip(read, numbers.tolist(), strict=True)
    return [x | {"counts": x["counts"] | {LOST: n}} if n else x for x, n in told]


def steps_of(tasks: tuple[Task, ...], features: dict, s: Scale, batch: int) -> int:
    """Optimiser steps of a stage: as many as its tasks take alone. Of these a task gets its share of the
    mixture.
    """
    if s.stage_steps:
        return s.stage_steps * len(tasks)
    rows = {t: len(features[t.name]) for t in tasks}
    return sum(t.epochs * -(-min(n, s.cap or n) // batch) for t, n in rows.items())


# -- the row -------------------------------------------------------------------------------------------------


def enter(run: Run, found: Evaluation, left: Training, begin: float) -> dict:
    """Write a finished run's row with its provenance; its predictions stay beside the checkpoints, the row
    has their hash.
    """
    seconds, s = time.time() - begin, run.scale
    provenance = {
        **CODE, "data": left.seen + found.seen,
        "encoder": {"name": run.model or s.encoder.name or "random", "sha256": fingerprint(s.encoder)},
        "packages": versions(), "device": device(), "environment": recorded(), "seconds": round(seconds, 2),
        "tokens_per_second": round(left.tokens / seconds),
        "predictions_sha256": predictions.write_predictions(run, found.predictions),
        "recipe": recipe(run), "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
    }  # fmt: skip
    results.write(results.run_fields(run) | found.row() | left.row() | {"provenance": provenance})
    return results.read(run)


CODE = commit()  # of the code that was loaded, whatever happens to the tree while it runs
