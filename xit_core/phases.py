"""The three phases of the study, one function each: what the notebooks call. Every finished run becomes a row of the ledger."""

import platform
import time
from dataclasses import asdict

import numpy as np
import torch

from .data import reading
from .design.encoders import encoder_dir, encoder_hash
from .design.run import Run, recipe, runs
from .design.scales import PIVOT, Scale, scale
from .design.tasks import TASKS, languages
from .ledger import predictions, results
from .ledger.results import checkpoint
from .machine import files
from .machine.environment import fix_threads, recorded
from .machine.errors import Bad
from .machine.provenance import commit, versions
from .model import checkpoints, encoder, mixture, origins
from .model.encoder import Model
from .model.kinds import encoded, labels
from .model.train import fit, spent
from .score import evaluate, probe, retrieval

LOST = "answer in no window: trained as if there were none"


def pretrained(run: Run) -> dict:
    """Phase 1: what the public encoder knows before anything else; with `model="remake"` it is pretrained anew first."""
    if run.phase != 1:
        raise Bad(f"path {run.path!r}: notebook 1 takes the path 'pretrained'")
    if done := results.read(run):
        return done
    fix_threads()
    begin = time.time()
    if run.model == "remake":
        from .model.pretrain import remake

        net, told, read = remake(run)
        begin = time.time() - told["seconds"]  # of all sittings, also those of a process that was killed
    else:
        net, told, read = origins.start(run.scale, run.model, run.seed), card(run), 0
    s = scale(run.scale)
    row = evaluate.encoder(net, s) | {k: told[k] for k in ("curve", "dose")}
    if not s.world.made and s.pretraining:
        row["probe"], seen = probe.linear(net, s)
        row["seen"] = row["seen"] + seen
    return enter(run, row, begin, read)


def card(run: Run) -> dict:
    """What the encoder's pretraining left beside its weights: its curve and dose; empty for random and for hub models."""
    file = encoder_dir(run.scale) / "card.json"
    shipped = scale(run.scale).encoder and not run.model and file.is_file()
    return files.load(file, checkpoints.CARD, files.RESTORE) if shipped else {"curve": [], "dose": {}}


def intermediate(run: Run) -> dict:
    """Phase 2: train a stage (one task, or several jointly), keep the encoder, enter its English dev scores in the ledger."""
    if run.phase != 2:
        raise Bad(f"path {run.path!r} is no intermediate stage; notebook 2 takes paths that end in one: 'mnli', 'squad1+mlm'")
    if done := results.read(run):
        return done
    fix_threads()
    net, begin = reach(run), time.time() - spent(checkpoint(run))  # the seconds of a killed run count, its parent's do not
    told, read = stage(net, run)
    row = evaluate.stage(net, run.stages[-1], scale(run.scale))
    end = row.pop("probe") | {"distance": told["dose"]["distance"]}
    row |= told | {"curve": [*told["curve"], {"step": told["dose"]["steps"]} | end], "seen": told["seen"] + row["seen"]}
    checkpoints.write(net, checkpoint(run))
    return enter(run, row, begin, read)


def stage(net: Model, run: Run) -> tuple[dict, float]:
    """Train a stage: (what its row says of the training, tokens read)."""
    s = scale(run.scale)
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    features, seen = training_set(net, run.stages[-1], s, run.size or s.stage_rows, run.seed, run.lang)
    batch = s.batch or max(TASKS[t].batch for t in features)
    batches = mixture.Mixture(features, batch, steps_of(features, s, s.stage_steps, batch), run.seed, s.cap, s.temperature)

    def look(now: Model) -> dict:
        return retrieval.probe(now, s) | {"distance": encoder.distance(now, before)}

    points = fit(net, batches, s.stage_lr, run.seed, checkpoint(run), s.save_every, probe=(s.probes, look) if s.probes else None)
    dose = {
        "steps": batches.steps,
        "rate": s.stage_lr,
        "rows": sum(map(len, features.values())),
        "share": batches.share,
        "distance": encoder.distance(net, before),
    }
    return {"curve": points, "dose": dose, "seen": seen}, batches.tokens()


def stages(path: str, **fields) -> list[dict]:
    """Phase 2 as notebook 2 calls it: the stage with one seed, or (seed 0) with each seed of the scale."""
    return [intermediate(run) for run in runs(path, **fields)]


def targets(path: str, **fields) -> list[dict]:
    """Phase 3: for every target of a path, fine-tune on English rows, score zero-shot in all languages, enter the row.

    Targets with one training set (XQuAD and MLQA) share one training; the retrieval tasks score the encoder itself.
    """
    found = runs(path, **fields)
    if bad := [r.path for r in found if r.phase != 3]:
        raise Bad(f"path {bad[0]!r} ends in no target; notebook 3 takes paths such as 'mnli > xnli'")
    rows, tuned = [], {}
    for run in found:
        tuned = tuned if run.seed in tuned else {run.seed: {}}
        rows.append(results.read(run) or target(run, tuned[run.seed]))
    return rows


def target(run: Run, tuned: dict[str, tuple]) -> dict:
    """One target of phase 3; `tuned` keeps the models of a notebook by the task they were fine-tuned on."""
    fix_threads()
    name, s = TASKS[run.on].train_on, scale(run.scale)
    net = tuned[name][0] if name in tuned else reach(run)
    begin = time.time() - spent(checkpoint(run))  # what a killed run took counts, what its parent took does not
    if name not in tuned:
        tuned[name] = (net, *(tune(net, run, name, s) if name else ([], [], {}, 0)))
    net, seen, points, dose, read = tuned[name]
    tuned[name] = (net, seen, points, dose, 0)  # the tokens count where the seconds do
    row = evaluate.target(net, run.on, s) | {"curve": points, "dose": dose}
    apart(run, seen, row["seen"])
    row["seen"] = seen + row["seen"]
    return enter(run, row, begin, read)


def apart(run: Run, trained: list[dict], evaluated: list[dict]) -> None:
    """Check that no rows train a run, or a stage of its path, and then evaluate it: a mirror's stand-in may serve both.

    Raises: Bad.
    """
    parent = run.parent
    while parent and parent.phase == 2:
        told = results.read(parent)  # not there when its checkpoint came without its row
        trained, parent = trained + (told["provenance"]["data"] if told else []), parent.parent
    used = {(x.get("source"), x["lang"]) for x in trained if x["split"] == "train" and TASKS[x["task"]].kind != "mlm"}
    both = [x for x in evaluated if (x["source"], x["lang"]) in used]
    if both and not scale(run.scale).world.made:
        raise Bad(f"{run.path}: rows of {both[0]['source']} ({both[0]['lang']}) trained a stage; take another stage or target")


def tune(net: Model, run: Run, name: str, s: Scale) -> tuple[list[dict], list[dict], dict, float]:
    """Fine-tune on the English rows of a target's training task: (rows seen, curve, dose, tokens read)."""
    features, seen = training_set(net, (name,), s, s.rows, run.seed)
    batch = s.batch or TASKS[run.on].batch
    steps = s.steps or TASKS[run.on].epochs * -(-len(features[name]) // batch)
    batches = mixture.Mixture(features, batch, steps, run.seed)
    points = fit(net, batches, s.lr, run.seed, checkpoint(run), s.save_every)
    return seen, points, {"steps": steps, "rate": s.lr, "rows": len(features[name])}, batches.tokens()


# -- stages ------------------------------------------------------------------------------------------------------------


def reach(run: Run) -> Model:
    """The encoder a run starts from: its parent's, which is trained first (and entered in the ledger) if it is not there.

    A row from another machine comes without its checkpoint, and a copy may lack a file: the stage is then trained once
    more, and the row stays as it is.
    """
    parent = run.parent
    if parent.phase == 1:
        return origins.start(run.scale, run.model, run.seed)
    if not results.trained(parent):
        if results.read(parent):
            stage(net := reach(parent), parent)
            checkpoints.write(net, checkpoint(parent))
        else:
            intermediate(parent)
    return checkpoints.read(checkpoint(parent), origins.tokenizer(run.scale), scale(run.scale))


def training_set(net: Model, names: tuple[str, ...], s: Scale, rows: int, seed: int, lang: str = PIVOT) -> tuple[dict, list[dict]]:
    """Encoded training rows by task, and what was read; gives the model a new head for each task, drawn from the seed."""
    features, seen = {}, []
    torch.manual_seed(seed)
    for name in names:
        langs = languages("mlm", s) if name == "mlm" else (TASKS[name].train_lang,)
        parts = [reading.examples(name, "train", x, s, -(-rows // len(langs)), lang if name != "mlm" else PIVOT) for x in langs]
        examples, read = [e for p in parts for e in p[0]], [x for p in parts for x in p[1]]
        net.add_head(name, labels(TASKS[name], examples))
        features[name] = encoded(TASKS[name], examples, read, net.tokenizer, s, net.labels[name])
        seen = seen + counted(read, features[name].lost)
    return features, seen


def counted(read: list[dict], lost: np.ndarray) -> list[dict]:
    """What was read, with how many examples of each part have their answer in no window (`lost` has their numbers)."""
    numbers, _ = np.histogram(lost, np.cumsum([0, *(x["rows"] for x in read)]))
    told = zip(read, numbers.tolist(), strict=True)
    return [x | {"counts": x["counts"] | {LOST: n}} if n else x for x, n in told]


def steps_of(features: dict, s: Scale, fixed: int, batch: int) -> int:
    """Optimiser steps of a stage: as many as its tasks take alone. Of these a task gets its share of the mixture."""
    if fixed:
        return fixed * len(features)
    return sum(TASKS[t].epochs * -(-min(len(f), s.cap or len(f)) // batch) for t, f in features.items())


# -- the row -----------------------------------------------------------------------------------------------------------


def enter(run: Run, row: dict, begin: float, read: float) -> dict:
    """Write a finished run's row with its provenance; its predictions stay beside the checkpoints, the row has their hash."""
    seconds = time.time() - begin
    digest = predictions.keep(run, row.pop("predictions"))
    s = scale(run.scale)
    provenance = {
        **CODE, "data": row.pop("seen"), "encoder": {"name": run.model or s.encoder or "random", "sha256": encoder_hash(run.scale)},
        "packages": versions(), "device": device(), "environment": recorded(), "seconds": round(seconds, 2),
        "tokens_per_second": round(read / seconds), "predictions_sha256": digest,
        "recipe": recipe(run), "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
    }  # fmt: skip
    named = asdict(run) | {"id": run.id, "source": run.source, "on": run.on, "phase": run.phase}
    results.write(named | row | {"provenance": provenance})
    return results.read(run)


def device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


CODE = commit()  # of the code that was loaded, whatever happens to the tree while it runs
