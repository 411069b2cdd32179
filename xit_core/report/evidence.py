"""What the data behind an estimate are: stand-ins, and text that training and evaluation share."""

from collections.abc import Iterable

from .contrasts import Ledger


def rows_behind(ledger: Ledger, runs: tuple[str, ...]) -> list[dict]:
    """The ledger's rows of these target runs, and of the trainings that they start from."""
    wanted, rows = set(runs), []
    for (source, lang, _), seeds in ledger.cells.items():
        for seed, entry in seeds.items():
            if entry.id in wanted:
                rows.append(entry.row)
                rows += [row for row in [ledger.stages.get((source, lang), {}).get(seed)] if row]
    return list({row["id"]: row for row in rows}.values())


def stand_ins(rows: list[dict]) -> list[str]:
    """Which splits other data stood in for, as "task/split: source"."""
    parts = (part for row in rows for part in row["provenance"].get("data", []))
    return distinct(
        f"{part['task']}/{part['split']}: {part['source']}" for part in parts if part.get("stand_in")
    )


def overlap(rows: list[dict]) -> list[str]:
    """How many evaluation rows share text with a training split, as "target/language: n of N in task".

    The number is unknown where the training rows were not on the machine that evaluated.
    """
    return distinct(
        f"{row['on']}/{part['lang']}: {part.get('shared', 'unknown')} of {part['rows']} in {part['task']}"
        for row in rows
        for part in row.get("overlap", [])
    )


def distinct(lines: Iterable[str]) -> list[str]:
    """The lines without repetition, sorted."""
    return sorted(set(lines))
