"""One visit to a machine with a GPU: what it checks, measures and finishes of a study within a time.

It needs torch, transformers, accelerate, tokenizers and this tree, but no network, Parquet or notebooks. Run
it from the tree's root:

    here    xit data --scale small --pack mirror
    there   XIT_MIRROR=mirror PYTHONPATH=.:tests python3 tools/gpu.py --scale small --seconds 540 --to out
    here    mkdir came && tar xzf out/rows.tar.gz -C came && xit results merge came

The next visit resumes a study from the rows of the ledger.
"""

import argparse
import json
import platform
import sys
import tarfile
import time
from pathlib import Path

import plain
from xit_core import cli, phases
from xit_core.design.scales import SCALES, Scale, scale_of
from xit_core.design.studies import MAIN
from xit_core.design.tasks import TASKS
from xit_core.machine.places import results_dir, runs_dir
from xit_core.machine.provenance import versions
from xit_core.model import origins, train
from xit_core.model.mixture import Mixture
from xit_core.run import clock, direct
from xit_core.score import evaluate

STEPS = 20  # of the training that is compared with the plain loop


def check(scale: Scale, end: float) -> None:
    """Print what is installed; compare logits and losses with the plain padded path in float32 on the CPU.

    Raises: SystemExit when they differ.
    """
    report = {"python": platform.python_version(), "device": phases.device()} | phases.CODE | versions()
    s = SCALES["micro"]
    for name in ("mnli", "squad1", "udpos"):
        net = origins.start(s)
        features, _ = phases.training_set(net, (TASKS[name],), s, 320, seed=1)
        other, examples = plain.twin(net).cpu(), [features[name][i] for i in range(64)]
        ours, theirs = (
            evaluate.predict(net, name, examples),
            plain.logits(other.eval(), name, examples).detach(),
        )
        theirs = [their[: len(our)] for our, their in zip(ours, theirs, strict=True)]
        difference = max((our - their).abs().max().item() for our, their in zip(ours, theirs, strict=True))
        steps = Mixture(features, 16, STEPS, seed=1)
        curve = [
            point["loss"] for point in train.fit(net, steps, 1e-3, 1, runs_dir() / "check") if "loss" in point
        ]
        plainly = plain.fit(other, steps, 1e-3, 1)
        report[name] = {
            "logits off by": round(difference, 5),
            "last loss": curve[-1],
            "plain": round(plainly[-1], 6),
        }
        if not difference < 0.05 or not abs(curve[-1] - plainly[-1]) < 0.05 * plainly[0]:
            raise SystemExit(f"{name}: the packed path is not the plain one here: {json.dumps(report)}")
    print(json.dumps(report))


def bench(scale: Scale, end: float) -> None:
    """Measure our training core against Trainer, at the shape of XLM-R Large, and keep it for the book."""
    with clock.until(end):
        cli.main(["bench", "train", "--scale", "paper", "--random", "--keep", "--json"])


def study(scale: Scale, end: float) -> None:
    """Run as much of the main study as ends in time."""
    direct.run_direct(MAIN, scale, max(1.0, end - time.time()))


def collect(begin: float, out: Path) -> None:
    """Collect rows and measurements since `begin` (seconds since the epoch) in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / "rows.tar.gz", "w:gz") as archive:
        for file in sorted(path for path in results_dir().rglob("*.json") if path.stat().st_mtime >= begin):
            archive.add(file, file.relative_to(results_dir()))
    print("\n".join(f"{path.name}: {path.stat().st_size:,} bytes" for path in sorted(out.iterdir())))


def main(argv: list[str]) -> None:
    steps = {step.__name__: step for step in (check, bench, study)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", default=list(steps), help=" ".join(steps))
    parser.add_argument("--scale", default="small")
    parser.add_argument("--seconds", type=float, default=540.0)
    parser.add_argument("--to", type=Path, required=True)
    given, begin = parser.parse_args(argv), time.time()
    scale = scale_of(given.scale)
    try:
        for name in given.steps:
            print(f"{name}: {begin + given.seconds - time.time():.0f} seconds left", flush=True)
            steps[name](scale, begin + given.seconds)
    finally:
        collect(begin, given.to)


if __name__ == "__main__":
    main(sys.argv[1:])
