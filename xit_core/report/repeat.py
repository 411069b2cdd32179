"""The chapter on repeating a study: the comparisons of ledgers that `xit compare --record` stored."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ..ledger.results import ELSEWHERE
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from . import compare
from .markdown import left_out, markdown_table, minus, small

NOT_STORED = (
    "*No comparison is stored yet: `make study` makes one where the ledger of its scale is published.*\n"
)
FIGURE = (float, type(None))
SIDE = {
    "folder": str, "rows": int, "left_out": str, "only_here": [str],
    "environments": [{
        "rows": int, "device": (str, type(None)), "environment": (dict, type(None)),
        "packages": (dict, type(None)),
    }],
}  # fmt: skip
NUMBERS = {"first": FIGURE, "second": FIGURE, "difference": FIGURE, "allowed": FIGURE, "off": bool}
COMPARISON = {
    "scale": str, "agrees": bool, "sentence": str, "first": SIDE, "second": SIDE,
    "claims": [NUMBERS | {
        "number": int, "id": str, "says": str, "first_verdict": str, "second_verdict": str,
    }],
    "runs": [NUMBERS | {"id": str, "on": str, "same_environment": bool, "equal": bool}],
    "targets": [{"target": str, "runs": int, "equal": int, "rms": float, "seed_sd": FIGURE}],
}  # fmt: skip

# -- records -------------------------------------------------------------------------------------------------


def comparisons_dir() -> Path:
    """The folder of the stored comparisons."""
    return results_dir() / "compare"


def keep_comparison(report: dict, label: str | None = None) -> Path:
    """Store a report, without the runs that are equal, as <scale>-<label>.json; return the file.

    `label`: by default the instructions of the processor that made the second ledger. An earlier report of
    that name is replaced. Raises: Bad for a label of other characters, and when it cannot be written.
    """
    if label and not re.fullmatch("[A-Za-z0-9 -]*[A-Za-z0-9][A-Za-z0-9 -]*", label):
        raise Bad(f"--label {label}; allowed: letters and digits of ASCII, spaces and hyphens")
    name = re.sub("[^a-z0-9]+", "-", (label or instructions_of(report["second"])).lower()).strip("-")
    stored = report | {"runs": [run for run in report["runs"] if not run["equal"]]}
    text = json.dumps(files.sealed(stored), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return files.write_text(comparisons_dir() / f"{report['scale']}-{name or 'other'}.json", text, ELSEWHERE)


def instructions_of(side: dict) -> str:
    """The instructions of the processors that made a ledger: one name, "several", or "unknown"."""
    names = {(made["environment"] or {}).get("instructions", "unknown") for made in side["environments"]}
    return names.pop() if len(names) == 1 else "several"


def kept_comparisons() -> tuple[dict[Path, dict], list[Path]]:
    """The stored reports by file, and the damaged files."""
    return files.load_all(comparisons_dir(), COMPARISON)


def summary(scale: str) -> dict[str, int | None]:
    """What the stored comparisons of a scale with other processors came to: runs, and those equal to the
    digit; claims, those whose estimates noise explains, and verdicts that changed. None without a comparison.
    """
    reports = [
        report
        for report in kept_comparisons()[0].values()
        if report["scale"] == scale and instructions_of(report["first"]) != instructions_of(report["second"])
    ]
    found = [claim for report in reports for claim in report["claims"]]
    runs = sum(report["first"]["rows"] - len(report["first"]["only_here"]) for report in reports)
    told = {
        "runs": runs,
        "equal": runs - sum(len(report["runs"]) for report in reports),  # equal ones are not stored
        "claims": len(found),
        "within": sum(not claim["off"] for claim in found),
        "changed": sum(claim["first_verdict"] != claim["second_verdict"] for claim in found),
    }
    return told if reports else dict.fromkeys(told)


# -- page ----------------------------------------------------------------------------------------------------


def page() -> str:
    """Every stored comparison as Markdown, and the names of damaged ones."""
    reports, damaged = kept_comparisons()
    text = (
        "".join(f"### `{file.stem}`\n\n{section(report)}" for file, report in reports.items()) or NOT_STORED
    )
    return text + left_out(damaged)


def section(report: dict) -> str:
    """One comparison: the sentence, both environments, claims, targets, runs that are off, and gaps."""
    off = [run for run in report["runs"] if run["off"]]
    head = ["ledger", "rows", "device", "environment", "packages"]
    sides = [cells for name in ("first", "second") for cells in environment_cells(report[name])]
    return "".join([
        f"At `{report['scale']}` the second ledger **{report['sentence']}**.\n\n",
        small(markdown_table(head, sides)),
        table(compare.CLAIM_HEAD, map(compare.claim_cells, report["claims"])),
        table(compare.TARGET_HEAD, map(compare.target_cells, report["targets"])),
        table(compare.RUN_HEAD, map(compare.run_cells, off)) if off else "",
        "".join(f"- {line}\n" for line in compare.gaps(report)),
        "\n",
    ])  # fmt: skip


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    """A Markdown table of lines that the terminal has, too, with a reader's sign for minus."""
    return small(minus(markdown_table(head, [*lines])))


def environment_cells(side: dict) -> list[list[object]]:
    """A line of a table for each environment of a ledger."""
    return [
        [f"`{side['folder']}`", made["rows"], made["device"] or "–", numbered_pairs(made["environment"]),
         numbered_pairs(made["packages"])]
        for made in side["environments"]
    ]  # fmt: skip


def numbered_pairs(told: dict | None) -> str:
    """Names with their values: "threads 1, instructions AVX2"; a dash for none."""
    flat = {
        name: value if not isinstance(value, dict) else numbered_pairs(value)
        for name, value in (told or {}).items()
    }
    return ", ".join(f"{name} {value}" for name, value in flat.items() if value != "–") or "–"
