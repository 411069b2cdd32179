"""Finished runs -> a folder in XTREME's submission layout, and the gold labels of the same instances beside it."""

from pathlib import Path

from . import data, results, submission
from .config import Bad, Run
from .config import scale as scale_of
from .tasks import TARGETS


def export(ids: list[str], to: Path, gold: Path | None = None) -> list[Path]:
    """Write the predictions of runs, one file a task and language; return the files.

    Raises: Bad for an unknown run, one that ends in no target of XTREME, two of the same target, predictions that are not
    there, and rows that are no longer those that were predicted.
    """
    ledger = {row["id"]: row for row in results.rows()}
    runs = [found(i, ledger) for i in ids]
    targets = [run.on for run in runs]
    if len(set(targets)) < len(targets):
        raise Bad(f"runs {', '.join(ids)}: two end in the same target; a submission has one run for each")
    written = []
    for run in runs:
        predicted = results.predictions(run)
        for lang in dict.fromkeys(x["lang"] for x in predicted):
            said = {x["id"]: x["prediction"] for x in predicted if x["lang"] == lang}
            examples = instances(run, lang, list(said))
            written.append(submission.write(to, run.on, lang, list(said.values()), examples))
            if gold:
                submission.write(gold, run.on, lang, None, examples)
    return written


def found(name: str, ledger: dict[str, dict]) -> Run:
    """The run of an id of the ledger."""
    told = ledger.get(name)
    if told is None:
        raise Bad(f"no run {name!r} in the ledger; its file names are the ids: see XIT_RESULTS, or `xit plan`")
    if told["on"] not in TARGETS:
        raise Bad(f"run {name!r} ends in {told['on']!r}; a submission has {', '.join(TARGETS)}")
    return Run(**{k: told[k] for k in results.RUN})


def instances(run: Run, lang: str, ids: list[str]) -> list[dict]:
    """The examples that a run predicted in a language, in their order."""
    s = scale_of(run.scale)
    if run.on == "bucc":  # predictions are mined pairs, examples gold pairs; real ones are never sampled
        return data.examples(run.on, "validation", lang, s, s.eval_rows if s.world == "micro" else 0)[0]
    rows, _ = data.examples(run.on, "validation", lang, s, s.eval_rows)
    if [row["id"] for row in rows] != ids:
        raise Bad(f"{run.id}/{lang}: the rows at hand are not those that were predicted; use the data the ledger names (hashes)")
    return rows
