"""The three phases of the study, one function each, which the notebooks call.

Every finished run becomes a row of the ledger.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np
import torch
from accelerate import PartialState

from .data import contamination, reading
from .design.encoders import fingerprint
from .design.run import PRETRAINED, Run, joint_steps, runs_of
from .design.scales import PIVOT, Scale
from .design.tasks import TASKS, TEXT, Task
from .ledger import predictions, results
from .ledger.outcomes import Evaluation, Training
from .machine import files
from .machine.errors import Bad
from .machine.provenance import commit, versions
from .model import checkpoints, encoder, methods, mixture, origins
from .model.device import agreed, by_main, device, fix_threads, recorded
from .model.encoder import Model
from .model.kinds import encoded, labels
from .model.pretrain import remake
from .model.train import fit, spent
from .score import evaluate, retrieval

LOST = "answer in no window: trained as if there were none"
TAKES = {
    1: f"notebook 1 takes the path {PRETRAINED!r}",
    2: "notebook 2 takes paths that end in an intermediate stage: 'mnli', 'squad1+mlm'",
    3: "notebook 3 takes paths that end in a target: 'mnli > xnli'",
}


def once(phase: int) -> Callable:
    """A decorator for what does a run of one phase and returns its row of the ledger.

    A run that has its row already is not done again. Another phase raises Bad. Processes that share a run
    look for the row together, as the first of them may soon write it.
    """

    def decorate(do: Callable[..., dict]) -> Callable[..., dict]:
        @wraps(do)
        def row(run: Run, *given) -> dict:
            refuse_other_phases((run,), phase)
            if finished := agreed(results.read(run)):
                return finished
            fix_threads(run.scale.instructions)
            return do(run, *given)

        return row

    return decorate


def refuse_other_phases(runs: tuple[Run, ...], phase: int) -> None:
    """Check that runs are of one phase.

    Raises: Bad for the first that is not.
    """
    if other := [run.path for run in runs if run.phase != phase]:
        raise Bad(f"path {other[0]!r}: {TAKES[phase]}")


@once(1)
def pretrained(run: Run) -> dict:
    """Phase 1: evaluate the pretrained encoder before any other training, and return the row of the ledger.

    With `model="remake"` the encoder is first pretrained anew.
    Raises: Bad for a run of another phase.
    """
    begin = time.time()
    if run.model == "remake":
        net, training, seconds = remake(run)
        begin = time.time() - seconds  # of all attempts, including those that were killed
    else:
        net, training = origins.start(run.scale, run.model, run.seed), pretraining_card(run)
    return enter(run, evaluate.encoder(net, run.scale), training, begin)


def pretraining_card(run: Run) -> Training:
    """The curve and dose of the encoder's pretraining, from the card beside its weights.

    Empty for random encoders and for models of the hub.
    Raises: Bad for a damaged card.
    """
    file = run.scale.encoder.folder / "card.json"
    if not run.scale.encoder.name or run.model or not file.is_file():
        return Training()
    card = files.load(file, checkpoints.CARD, files.RESTORE)
    return Training(card["curve"], card["dose"])


@once(2)
def intermediate(run: Run) -> dict:
    """Phase 2: train a stage (one task, or several jointly), keep the encoder, enter its English dev scores
    in the ledger, and return that row.

    Raises: Bad for a run of another phase.
    """
    # wall time includes interrupted attempts, not the parent stage
    net, begin = reach(run), time.time() - spent(run.folder)
    training = train_stage(net, run)
    evaluation, after = evaluate.stage(net, run.stages[-1].tasks, run.scale)
    last_point = {"step": training.dose["steps"]} | after | {"distance": training.dose["distance"]}
    training = replace(training, curve=[*training.curve, last_point])
    by_main(lambda: method_of(run).write(net, run.folder))
    return enter(run, evaluation, training, begin)


def method_of(run: Run):
    """The module of the method that trains the last stage of a run."""
    return methods.of(run.stages[-1].method)


def train_stage(net: Model, run: Run) -> Training:
    """Train the last stage of a run on `net`, in place; return its curve, dose, data and number of tokens."""
    s, stage, begin = run.scale, run.stages[-1], time.time()
    tasks, names = stage.tasks, tuple(task.name for task in stage.tasks)
    rate = s.rate(names, target=False) * stage.method.rate
    features, data = training_set(net, tasks, s, run.size or s.stage_rows, run.seed, run.lang)
    read, earlier = time.time(), spent(run.folder)
    methods.of(stage.method).add(net)
    # with what the method added
    before = {name: weights.clone() for name, weights in net.encoder.state_dict().items()}
    steps = joint_steps(run.alone({task: len(features[task.name]) for task in tasks}), run.steps)
    batches = mixture.Mixture(features, run.batch, steps, run.seed, s.cap, s.temperature)

    def look(now: Model) -> dict:
        return retrieval.probe_retrieval(now, s) | {"distance": encoder.distance(now, before)}

    probed = (s.probes, look) if s.probes else None
    alone = s.head_first if TEXT in tasks and not net.lm_head else (0, 0.0)
    curve = fit(net, batches, rate, run.seed, run.folder, s.save_every, probe=probed, alone=alone)
    dose = {
        "steps": batches.steps,
        "rate": rate,
        "trained": trained_weights(net),
        "rows": sum(map(len, features.values())),
        "share": batches.share,
        "distance": encoder.distance(net, before),
    }
    return Training(curve, dose, data, batches.tokens(), parts_of_time(begin, read, earlier))


def parts_of_time(begin: float, read: float, earlier: float) -> dict[str, float]:
    """Seconds of a training that has just ended, by part.

    `begin`, `read`: when reading its data began, and ended. `earlier`: seconds of interrupted attempts.
    """
    return {"data": round(read - begin, 2), "training": round(time.time() - read + earlier, 2)}


def stages(path: str, **fields) -> list[dict]:
    """Phase 2 as notebook 2 calls it: the stage with one seed, or with every seed of the scale (seed 0)."""
    return [intermediate(run) for run in runs_of(path, **fields)]


def targets(path: str, **fields) -> list[dict]:
    """Phase 3: for every target of a path, fine-tune on English rows, score zero-shot in all languages, and
    enter the row in the ledger.

    Targets with the same training set (XQuAD and MLQA) share one training. Retrieval tasks score the encoder
    without fine-tuning.
    Raises: Bad for a path that does not end in a target.
    """
    runs = runs_of(path, **fields)
    refuse_other_phases(runs, 3)
    tuned: Tuned = {}
    return [run_target(run, tuned) for run in runs]


# models that were fine-tuned earlier, by seed and training task
Tuned = dict[tuple[int, str], tuple[Model, Training]]


@once(3)
def run_target(run: Run, tuned: Tuned) -> dict:
    """Run one target of phase 3 and return its row of the ledger.

    `tuned`: this run's model is added, and those of other seeds are let go.
    """
    for old in [key for key in tuned if key[0] != run.seed]:
        del tuned[old]
    name, key = run.target.train_on, (run.seed, run.target.train_on)
    net = tuned[key][0] if key in tuned else reach(run)
    # wall time includes interrupted attempts, not the parent stage
    begin = time.time() - spent(run.folder)
    if key in tuned:
        training = tuned[key][1]
        training = replace(training, tokens=0.0, spent={})  # a shared training counts once
    else:
        training = tune(net, run) if name else Training()
    tuned[key] = net, training
    evaluation = evaluate.target(net, run.target, run.scale)
    refuse_training_rows(run, training.seen, evaluation.seen)
    evaluation = replace(evaluation, more=evaluation.more | {"overlap": contamination.of_run(run)})
    return enter(run, evaluation, training, begin)


def refuse_training_rows(run: Run, trained: list[dict], evaluated: list[dict]) -> None:
    """Check that a run is not scored on rows that trained it or a stage of its path.

    This can happen because one stand-in may serve as training and as evaluation data.
    Raises: Bad when it does.
    """
    parents = list(run.parents)
    while parents:
        parent = parents.pop()
        # None where a checkpoint came without its row
        training = results.read(parent) if parent.phase == 2 else None
        trained = trained + (training["provenance"]["data"] if training else [])
        parents += parent.parents
    training = [part for part in trained if part["split"] == "train" and TASKS[part["task"]].role != "text"]
    used = {(part.get("source"), part["lang"]) for part in training}
    shared = [part for part in evaluated if (part["source"], part["lang"]) in used]
    if shared and not run.scale.world.made:
        raise Bad(
            f"{run.path}: rows of {shared[0]['source']} ({shared[0]['lang']}) trained a stage; take another "
            "stage or target"
        )


def tune(net: Model, run: Run) -> Training:
    """Fine-tune `net`, in place, on the English rows of the task that trains a run's target."""
    s, method, (task,), begin = run.scale, run.stages[-1].method, run.trained_on, time.time()
    features, data = training_set(net, (task,), s, s.rows, run.seed)
    read, earlier = time.time(), spent(run.folder)
    methods.of(method).add(net)
    rows = len(features[task.name])
    steps = run.alone({task: rows})[task]
    batches = mixture.Mixture(features, run.batch, steps, run.seed)
    rate = s.rate((task.name,), target=True) * method.rate
    curve = fit(net, batches, rate, run.seed, run.folder, s.save_every)
    dose = {"steps": steps, "rate": rate, "trained": trained_weights(net), "rows": rows}
    return Training(curve, dose, data, batches.tokens(), parts_of_time(begin, read, earlier))


# -- stages --------------------------------------------------------------------------------------------------


def reach(run: Run) -> Model:
    """The encoder that a run starts from, which is its parent's.

    A parent that is not finished is trained first and entered in the ledger. A row from another machine comes
    without its checkpoint, and a copied checkpoint may lack a file. The stage is then trained once more, and
    its row stays as it is.
    """
    first, *others = run.parents
    if first.phase == 1:
        return origins.start(run.scale, run.model, run.seed)
    net = left_by(first, lambda: reach(first))
    for parent in others:  # a fusion's adapters, one beside the other
        net = left_by(parent, lambda net=net: net)
    return net


def left_by(run: Run, start: Callable[[], Model]) -> Model:
    """The model that a stage left, which is trained where it is not here. `start`: what it started from."""
    method = method_of(run)
    if not run.has_checkpoint:
        intermediate(run)
    if not run.has_checkpoint:  # its row was there already
        train_stage(net := reach(run), run)
        by_main(lambda: method.write(net, run.folder))
    return method.read(run, start)


def trained_weights(net: Model) -> int:
    """How many weights of the encoder a stage trains; heads are not counted."""
    return sum(weights.numel() for weights in net.encoder.parameters() if weights.requires_grad)


def training_set(
    net: Model, tasks: tuple[Task, ...], s: Scale, rows: int, seed: int, lang: str = PIVOT
) -> tuple[dict, list[dict]]:
    """Encoded training rows by task name, and a record of the data that were read.

    The model gets a new head for each task, initialised from the seed. `rows`: rows from each source of a
    task, 0 = all. `lang`: the language of the rows ("mt": translated). The text for masked LM is in all
    languages and never translated.
    """
    features, data = {}, []
    torch.manual_seed(seed)
    with PartialState().main_process_first():  # the others read what it encoded
        for task in tasks:
            examples, read = reading.training_examples(task, s, rows, lang)
            net.add_head(task, labels(task, examples))
            features[task.name] = encoded(task, examples, read, net.tokenizer, s, net.labels[task.name])
            data = data + counted(read, features[task.name].lost)
    return features, data


def counted(read: list[dict], lost: np.ndarray) -> list[dict]:
    """The records in `read`, each with the number of its examples whose answer is in no window.

    `lost`: the indices of such examples. Shapes: lost (N,).
    """
    numbers, _ = np.histogram(lost, np.cumsum([0, *(part["rows"] for part in read)]))
    parts = zip(read, numbers.tolist(), strict=True)
    return [part | {"counts": part["counts"] | {LOST: n}} if n else part for part, n in parts]


# -- the row -------------------------------------------------------------------------------------------------


def enter(run: Run, found: Evaluation, left: Training, begin: float) -> dict:
    """Write the row of a finished run with its provenance, and return it as the ledger has it.

    One of several processes that share the run writes. `begin`: seconds since the epoch.
    """
    by_main(lambda: write_row(run, found, left, begin))
    return results.read(run)


def write_row(run: Run, found: Evaluation, left: Training, begin: float) -> None:
    """Write the row of a finished run, and its predictions.

    The predictions stay beside the checkpoints; the row has their hash. `begin`: seconds since the epoch.
    """
    seconds, s = time.time() - begin, run.scale
    provenance = {
        **CODE, "data": left.seen + found.seen,
        "encoder": {"name": run.model or s.encoder.name or "random", "sha256": fingerprint(s.encoder)},
        "packages": versions(), "device": device(), "environment": recorded(), "seconds": round(seconds, 2),
        "spent": left.spent, "tokens_per_second": round(left.tokens / seconds),
        "predictions_sha256": predictions.write_predictions(run, found.predictions),
        "recipe": run.recipe, "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
    }  # fmt: skip
    results.write(run.described | found.row() | left.row() | {"provenance": provenance})


CODE = commit()  # of the code as loaded; later changes to the tree do not count
