"""Speed and memory compared with what people would otherwise run, in one process and in turns.

`measure` of `train`, `retrieval`, `study` and `report.estimate` returns records {name, unit, value, baseline,
baseline_value, ratio}; ratio = value / baseline_value. Measured numbers enter the book only from files that
`--keep` wrote.
"""

import json
import re
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from ..design.scales import scale_of

# KEYS and record are re-exported: measurements are stored by the ledger
from ..ledger.measurements import KEYS, folder, record  # noqa: F401
from ..machine import files
from ..machine.errors import Bad

OPTIONS = {
    "train": ("scale", "steps", "rounds", "long", "random", "keep"),
    "retrieval": ("rows", "dims", "rounds", "keep"),
    "study": ("scale", "before", "keep"),
    "paper": ("rate",),
}


# modules, imported on demand
PLACES = {"train": ".train", "retrieval": ".retrieval", "study": ".study", "paper": "..report.estimate"}


def benchmark(what: str, **given) -> list[dict]:
    """The records of one benchmark; `given` are its options, None for those that were not named.

    Raises: Bad for an option that the benchmark does not have, a missing extra, or a wrong value.
    """
    named = {k: v for k, v in given.items() if v is not None and v is not False}
    if wrong := [k for k in named if k not in OPTIONS[what]]:
        raise Bad(
            f"xit bench {what} has no --{wrong[0]}; it has: {', '.join(f'--{k}' for k in OPTIONS[what])}"
        )
    if low := [k for k, v in named.items() if k not in ("scale", "before") and v < 1]:
        raise Bad(f"--{low[0]} {named[low[0]]}; allowed: 1 or more")
    keep = named.pop("keep", False)
    module = import_module(PLACES[what], __name__)
    records = module.measure(**named)
    if keep:
        at = scale_of(named.get("scale", module.SCALE)).name if "scale" in OPTIONS[what] else ""
        keep_measurement(what, at, records)
    return records


def keep_measurement(what: str, scale: str, records: list[dict]) -> Path:
    """Save records with device, date, versions and commit for the book; returns the file.

    They replace older records of the same device and scale.
    Raises: Bad when the folder cannot be written.
    """
    from .. import phases

    details = {
        "what": what,
        "scale": scale,
        "device": phases.device(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    packages = "torch faiss-cpu" if what == "retrieval" else "torch transformers tokenizers accelerate"
    details |= phases.CODE | {"packages": {p: version(p) for p in packages.split()}}
    marks = [details["device"], *([what] if what != "train" else []), *([scale] if scale else [])]
    path = folder() / f"{re.sub(r'[^a-z0-9]+', '-', '-'.join(marks).lower())}.json"
    content = json.dumps(details | {"records": records}, indent=1, allow_nan=False) + "\n"
    return files.write_text(path, content, "name another folder with XIT_RESULTS")
