"""One visit to a machine with a GPU: what it measures, pretrains and finishes of a study within a time.

It needs torch, transformers, accelerate, tokenizers and this tree; no network, Parquet or notebooks. From the
tree's root:

    here    xit data --scale mini-scratch --pack mirror
    there   XIT_MIRROR=mirror PYTHONPATH=.:tests python3 tools/gpu.py --scale mini-scratch --seconds 540 --to
        out
    here    mkdir came && tar xzf out/rows.tar.gz -C came && xit results merge came

Where it has pretrained, out/*.safetensors and came/encoder/* make up xit_core/encoders/<scale>. The next
visit resumes: a pretraining from what XIT_RUNS holds, a study from the rows of the ledger.
"""

import argparse
import json
import platform
import shutil
import sys
import tarfile
import time
from pathlib import Path

import plain
from xit_core import cli, phases
from xit_core.design import encoders
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, Scale
from xit_core.design.scales import scale as scale_of
from xit_core.design.studies import MAIN
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine.places import results_dir, runs_dir
from xit_core.machine.provenance import versions
from xit_core.model import origins, train
from xit_core.model.mixture import Mixture
from xit_core.run import clock, direct
from xit_core.score import evaluate

STEPS = 20  # of the training that is compared with the plain loop


def check(scale: Scale, end: float) -> None:
    """What is installed; and whether logits and losses here are those of the plain padded path in float32 on
    the CPU.
    """
    told = {"python": platform.python_version(), "device": phases.device()} | phases.CODE | versions()
    s = SCALES["micro"]
    for name in ("mnli", "squad1", "udpos"):
        net = origins.start(s)
        features, _ = phases.training_set(net, (TASKS[name],), s, 320, seed=1)
        other, some = plain.twin(net).cpu(), [features[name][i] for i in range(64)]
        ours, theirs = evaluate.predict(net, name, some), plain.logits(other.eval(), name, some).detach()
        theirs = [y[: len(x)] for x, y in zip(ours, theirs, strict=True)]
        off = max((x - y).abs().max().item() for x, y in zip(ours, theirs, strict=True))
        steps = Mixture(features, 16, STEPS, seed=1)
        curve = [p["loss"] for p in train.fit(net, steps, 1e-3, 1, runs_dir() / "check") if "loss" in p]
        plainly = plain.fit(other, steps, 1e-3, 1)
        told[name] = {"logits off by": round(off, 5), "last loss": curve[-1], "plain": round(plainly[-1], 6)}
        if not off < 0.05 or not abs(curve[-1] - plainly[-1]) < 0.05 * plainly[0]:
            raise SystemExit(f"{name}: the packed path is not the plain one here: {json.dumps(told)}")
    print(json.dumps(told))


def bench(scale: Scale, end: float) -> None:
    """Our training core beside Trainer, at the shape of XLM-R Large, kept for the book."""
    with clock.until(end):
        cli.main(["bench", "train", "--scale", "paper", "--random", "--keep", "--json"])


def pretrain(scale: Scale, end: float) -> None:
    """The scale's encoder, unless it is there; killed in time, the next visit goes on from its last
    checkpoint.
    """
    own, made = scale.encoder.folder, runs_dir() / scale.name / "encoder"
    if all(file.is_file() for file in encoders.weight_files(own)):
        return print(f"{own} is there already")
    with clock.until(end):
        phases.pretrained(Run("pretrained", scale, model="remake"))
    if not results.read(Run("pretrained", scale, model="remake")):
        return print(f"pretraining stopped in time; {made} resumes")
    shutil.copytree(made, own, dirs_exist_ok=True)
    encoders.weights_hash.cache_clear()


def study(scale: Scale, end: float) -> None:
    """What of the main study ends in time."""
    direct.run_direct(MAIN, scale, max(1.0, end - time.time()))


def collect(scale: Scale, begin: float, out: Path) -> None:
    """What is new since `begin`: rows, measurements and what describes an encoder in one archive, its weights
    beside that.
    """
    out.mkdir(parents=True, exist_ok=True)
    own = scale.encoder.folder
    new = list(own.iterdir()) if own.is_dir() and own.stat().st_mtime >= begin else []
    with tarfile.open(out / "rows.tar.gz", "w:gz") as archive:
        for file in sorted(p for p in results_dir().rglob("*.json") if p.stat().st_mtime >= begin):
            archive.add(file, file.relative_to(results_dir()))
        for file in (p for p in new if p.suffix == ".json"):
            archive.add(file, Path("encoder", file.name))
    for file in (p for p in new if p.suffix == ".safetensors"):
        shutil.copy(file, out)
    print("\n".join(f"{p.name}: {p.stat().st_size:,} bytes" for p in sorted(out.iterdir())))


def main(argv: list[str]) -> None:
    known = {f.__name__: f for f in (check, bench, pretrain, study)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", default=list(known), help=" ".join(known))
    parser.add_argument("--scale", default="mini-scratch")
    parser.add_argument("--seconds", type=float, default=540.0)
    parser.add_argument("--to", type=Path, required=True)
    given, begin = parser.parse_args(argv), time.time()
    scale = scale_of(given.scale)
    try:
        for name in given.steps:
            print(f"{name}: {begin + given.seconds - time.time():.0f} seconds left", flush=True)
            known[name](scale, begin + given.seconds)
    finally:
        collect(scale, begin, given.to)


if __name__ == "__main__":
    main(sys.argv[1:])
