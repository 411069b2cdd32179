"""A ledger of made-up rows for the tests of figures and pages: right in shape, right in nothing else."""

import json
from collections.abc import Iterable

import numpy as np

from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS, languages
from xit_core.machine import files
from xit_core.machine.places import results_dir

LAYERS = 4


def fill(scale: str, every: int = 1, first: int | None = None) -> list[dict]:
    """Write every n-th of the first runs of the main study at the scale to the ledger; return the rows."""
    rows = [row(run) for run in studies.runs("main", SCALES[scale])[:first:every]]
    enter(rows)
    return rows


def enter(rows: Iterable[dict]) -> None:
    """Write rows to the ledger as working rows that nobody has to read, in a third of the usual time."""
    for each in rows:
        file = results_dir() / each["scale"] / f"{each['id']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(sealed(each), encoding="utf-8")


def sealed(row: dict) -> str:
    """The text of a row's file."""
    return json.dumps(files.sealed(row))


def row(run: Run) -> dict:
    draw = np.random.default_rng(sum(run.id.encode()))
    langs = languages(TASKS["tatoeba"], run.scale)
    probes = [
        {"step": s, "distance": s / 900, "tatoeba": 20 + s / 9, "tatoeba_centred": 30.0} for s in (5, 9)
    ]
    return run.described | {
        "scores": scores(run, draw),
        "protocols": [x | {"protocol": "made-up/other"} for x in scores(run, draw)] if run.phase == 3 else [],
        "items": draw.uniform(0, 3, 20).round(3).tolist(),
        "abroad": draw.uniform(2, 3, 20).round(3).tolist(),
        "curve": [{"step": s, "loss": 3 - s / 5, "rate": 1e-3} for s in range(1,
        10)] + probes * (run.phase == 2),
        "dose": {"steps": 9, "rate": 1e-3, "rows": 48, "distance": 0.01},
        "layers": [
            {"lang": lang, "layer": i, "centred": centred, "value": float(draw.uniform(5, 40))}
            for lang in langs for i in range(LAYERS) for centred in (False, True)
        ],
        "language_share": draw.uniform(0.2, 0.8, LAYERS).round(3).tolist(),
        "provenance": provenance(run),
    }  # fmt: skip


def scores(run: Run, draw: np.random.Generator) -> list[dict]:
    if run.phase == 2:
        return [
            {"lang": "en", "metric": m, "protocol": f"{task.name}: made-up",
            "value": round(draw.uniform(20, 80), 3), "n": 20}
            for task in run.stages[-1].tasks for m in task.metrics
        ]  # fmt: skip
    metrics, langs = ("accuracy", "accuracy_centred"), languages(TASKS["tatoeba"], run.scale)
    if run.phase == 3:
        metrics, langs = run.target.metrics, languages(run.target, run.scale)
    value = 20 if run.model else 50
    return [
        {"lang": lang, "metric": m, "protocol": "made-up", "value": round(value + draw.uniform(-5, 5), 3),
        "n": 20}
        for lang in langs for m in metrics
    ]  # fmt: skip


def provenance(run: Run) -> dict:
    read = {
        "task": run.on,
        "split": "validation",
        "rows": 20,
        "source": "made/up",
        "licence": "none",
        "dropped": 2,
        "note": "",
    }
    read |= {"counts": {"no label": 2, "answer moved to where its text is": 1}}
    return {
        "commit": "c" * 40, "clean": True, "device": "none", "seconds": 1.5, "tokens_per_second": 100,
        "packages": {},
        "data": [read | {"lang": lang, "sha256": lang * 32, "stand_in": lang == "en"} for lang in ("en",
        "de")],
        "encoder": {"name": run.scale.name, "sha256": "e" * 64}, "predictions_sha256": "p" * 64, "recipe": {},
        "started": "",
    }  # fmt: skip
