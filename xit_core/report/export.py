"""Finished runs as others read them: a folder in XTREME's submission layout with the gold labels of the same
instances in another, and the ledger of a book described as data (RO-Crate).
"""

import hashlib
import json
from datetime import date
from pathlib import Path

from ..data import reading
from ..design.run import Run
from ..design.tasks import TASKS
from ..ledger import predictions, results, volumes
from ..machine import files
from ..machine.errors import Bad
from ..metrics import submission

EXPORTED = tuple(name for name in TASKS if submission.called(name) in submission.SCORERS)
WHERE = "free some space or name another folder"


def write_submission(ids: list[str], to: Path, gold: Path | None = None) -> list[Path]:
    """Write the predictions of runs into a new folder, one file per task and language; return the files.

    Each folder also has a list of what was exported. A folder is written completely or not at all.

    Raises: Bad for an unknown run or one that does not end in a task that the scorers of XTREME or XTREME-R
    read, for two runs of the same target or of different scales, for missing predictions, for rows that
    differ from those that were predicted, and for a folder in use.
    """
    runs = chosen(ids)
    check_new_folders(to, gold)
    parts = [(run, lang, *part) for run in runs for lang, part in predicted(run).items()]

    def make(folder: Path) -> None:
        write_folder(folder, parts)
        if gold:
            unanswered = [(run, lang, None, examples) for run, lang, _, examples in parts]
            files.write_whole(gold.resolve(), lambda beside: write_folder(beside, unanswered), WHERE)

    files.write_whole(to.resolve(), make, WHERE)
    return [submission.prediction_file(to, submission.called(run.on), lang) for run, lang, *_ in parts]


def chosen(ids: list[str]) -> list[Run]:
    """The runs of a submission.

    Raises: Bad for an unknown run, two of the same target, or two scales.
    """
    ledger = results.survey()
    runs = [run_of_id(i, ledger) for i in ids]
    if len({run.on for run in runs}) < len(runs):
        raise Bad(f"runs {', '.join(ids)}: two end in the same target; a submission has one run for each")
    if len(scales := {run.scale for run in runs}) > 1:
        names = ", ".join(sorted(s.name for s in scales))
        raise Bad(f"runs of the scales {names}; a submission is of one encoder: export each scale by itself")
    return runs


def run_of_id(name: str, ledger: results.Survey) -> Run:
    """The run with this id in the ledger.

    Raises: Bad for an unknown or damaged run, or one that does not end in a task that a submission has.
    """
    ledger_row = next((row for row in ledger.rows if row["id"] == name), None)
    if ledger_row is None:
        raise Bad(missing(name, ledger))
    if ledger_row["on"] not in EXPORTED:
        raise Bad(f"run {name!r} ends in {ledger_row['on']!r}; a submission has {', '.join(EXPORTED)}")
    return results.run_of_row(ledger_row)  # of the rows of a survey, which all have one


def missing(name: str, ledger: results.Survey) -> str:
    """The message about a run without a row: its file or a volume is damaged, or there is none."""
    damaged = dict(zip(ledger.files, ledger.damaged, strict=True))
    own = [line for file, line in damaged.items() if file.stem == name]
    of_volumes = [line for file, line in damaged.items() if volumes.scale_of(file)]
    if own or of_volumes:
        return own[0] if own else f"no run {name!r} in what can be read of the ledger; {of_volumes[0]}"
    lists = "`xit plan --study <study> --scale <scale>` lists the ids of a study, and which runs are done"
    return f"no run {name!r} in the ledger {results.results_dir()}; {lists}"


def check_new_folders(to: Path, gold: Path | None) -> None:
    """Check that the folders are new or empty, and that neither is inside the other.

    Raises: Bad.
    """
    for folder in filter(None, (to, gold)):
        if (
            folder.resolve() == Path.cwd()
            or folder.exists()
            and not (folder.is_dir() and not any(folder.iterdir()))
        ):
            raise Bad(f"{folder} is in use; an export goes into a new folder: name one, or take this away")
    if gold and (to.resolve().is_relative_to(gold.resolve()) or gold.resolve().is_relative_to(to.resolve())):
        raise Bad(f"--to {to} and --gold {gold}; needed: two folders, none inside the other")


def predicted(run: Run) -> dict[str, tuple[list, list[dict]]]:
    """(predictions, examples) of a run, by language."""
    by_lang = {}
    for row in predictions.predictions(run):
        by_lang.setdefault(row["lang"], {})[row["id"]] = row["prediction"]
    return {
        lang: ([*answers.values()], predicted_examples(run, lang, [*answers]))
        for lang, answers in by_lang.items()
    }


def write_folder(folder: Path, parts: list[tuple[Run, str, list | None, list[dict]]]) -> None:
    """Write every file of a submission or of its gold labels, and the list of these files."""
    langs: dict[str, list[str]] = {}
    hashes: dict[str, str] = {}
    for run, lang, answers, examples in parts:
        file = submission.write_predictions(folder, run.on, lang, answers, examples)
        hashes[file.relative_to(folder).as_posix()] = files.sha256(file)
        langs.setdefault(submission.called(run.on), []).append(lang)
    runs = {submission.called(run.on): run.id for run, *_ in parts}
    listing = {
        "scale": next((run.scale.name for run, *_ in parts), ""),
        "runs": runs,
        "languages": langs,
        "files": hashes,
    }
    files.write_text(folder / submission.LIST, json.dumps(files.sealed(listing), indent=1) + "\n")


def predicted_examples(run: Run, lang: str, ids: list[str]) -> list[dict]:
    """The examples that a run predicted in a language, in the same order.

    Raises: Bad when the data have changed since.
    """
    scale = run.scale
    if run.target.pools:  # predictions are mined pairs, examples gold pairs; real ones are never sampled
        return reading.gold_pairs(run.target, lang, scale)[0]
    rows, _ = reading.examples(run.target, "validation", lang, scale, scale.scored(run.target.name))
    if [row["id"] for row in rows] != ids:
        raise Bad(
            f"{run.id}/{lang}: the rows at hand are not those that were predicted; use the data the ledger "
            "names (hashes)"
        )
    return rows


def described(book: Path, version: str, told: dict) -> dict:
    """The RO-Crate of a book: what it is, who made it, and the ledger of each scale as a data set.

    `told`: what CITATION.cff says. Source: RO-Crate Metadata Specification 1.1.
    """
    ledgers = [_ledger(folder, book) for folder in sorted((book / "ledger").iterdir()) if folder.is_dir()]
    paper = told["references"][0]
    root = {
        "@id": "./", "@type": "Dataset", "name": told["title"], "version": version,
        "description": told["abstract"].strip(), "datePublished": str(date.today()),
        "license": f"https://spdx.org/licenses/{told['license']}",
        "author": [{"@id": f"#{author['name']}"} for author in told["authors"]],
        "isBasedOn": {"@id": paper["url"]}, "hasPart": [{"@id": part["@id"]} for part in ledgers],
    }  # fmt: skip
    about = {
        "@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }  # fmt: skip
    people = [
        {"@id": f"#{author['name']}", "@type": "Organization", "name": author["name"]}
        for author in told["authors"]
    ]
    work = {"@id": paper["url"], "@type": "ScholarlyArticle", "name": paper["title"]}
    graph = [about, root, *people, work, *ledgers]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _ledger(folder: Path, book: Path) -> dict:
    """The rows of a scale as a data set: how many, of which commits, and one hash of them all."""
    files = sorted(folder.glob("*.json"))
    rows = [json.loads(file.read_text(encoding="utf8")) for file in files]
    commits = sorted({row["provenance"].get("commit", "")[:10] for row in rows} - {""})
    whole = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return {
        "@id": f"{folder.relative_to(book)}/", "@type": "Dataset",
        "name": f"ledger of the scale {folder.name}",
        "description": f"{len(rows)} finished runs, one JSON file each; made at commits {', '.join(commits)}",
        "size": str(len(rows)), "sha256": whole,
    }  # fmt: skip
