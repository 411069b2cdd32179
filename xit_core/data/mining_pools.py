"""BUCC's sentences to be mined: from the official files, a mirror or the hub."""

from pathlib import Path

from ..design.scales import PIVOT
from ..machine.errors import Bad
from ..machine.places import local_dir, mirror_dir
from . import formats
from .hub import from_hub
from .local import Part, from_own_files, misplaced
from .mirror import from_mirror

POOLS = "414572247440f0ccacf7eb0bb70a31533a0e5443"  # the commit of mteb/BUCC


# -- pools to be mined ---------------------------------------------------------------------------------------

Pools = tuple[list[dict], list[dict], list[tuple[str, str]] | None, Part]
# XTREME's names of the splits, then the shared task's own
BUCC_SPLITS = {"validation": ("dev", "sample"), "test": ("test", "training")}


def bucc_pools(lang: str, split: str = "validation") -> Pools:
    """BUCC's sentences to be mined: those of the language, those of English, the gold pairs, and provenance.

    Sentences are rows {id, sentence}; a gold pair is two ids. Gold is None where the pools come without it.
    The hub's bucc18 holds gold pairs only, which cannot be mined. mteb/BUCC has pools and gold of one split,
    XTREME's test, which is returned for either split (the note says so).

    Raises: Bad when the pools cannot be had.
    """
    if stem := official_pools(lang, split):
        return _official_pools(stem, lang)
    if not mirror_dir():
        return _hub_pools(lang, split)
    advice = "unset XIT_MIRROR to use the hub, or put the official files into XIT_LOCAL/bucc2018"
    if split != "validation":
        raise Bad(f"bucc/{lang}: got the split {split!r}; a mirror has pools of validation only; {advice}")
    pools = [part for side in ("source", "target") for part in from_mirror("bucc2018", f"{lang}-en", side)]
    if len(pools) < 2:
        raise Bad(f"bucc/{lang}: the mirror holds no bucc2018/{lang}-en pools of {split}; {advice}")
    for part in pools:
        whole = [type(row.get("id")) is type(row.get("sentence")) is str for row in part.rows]
        if not all(whole) or not whole:
            where = f"{part.source}: " + (f"row {whole.index(False)} is no" if whole else "it has no")
            raise Bad(f"{where} sentence with its id, both of them texts; copy the pools again")
    return pools[0].rows, pools[1].rows, None, pools[0]._replace(rows=[], source=f"bucc2018/{lang}-en")


def official_pools(lang: str, split: str = "validation") -> Path | None:
    """The path, without its last ending, of the user's files from the shared task; None where there are none.

    The files are XIT_LOCAL/bucc2018/<lang>-en.<split>.{<lang>,en,gold}.
    """
    folder = local_dir()
    stems = [folder / "bucc2018" / f"{lang}-{PIVOT}.{name}" for name in BUCC_SPLITS[split]] if folder else []
    match = next((stem for stem in stems if stem.with_name(f"{stem.name}.{lang}").is_file()), None)
    for stem in stems if not match else ():
        misplaced("bucc2018", f"{stem.name}.*", f"bucc2018/{stem.name}.{lang} (and .{PIVOT}, .gold)")
    return match


def _official_pools(stem: Path, lang: str) -> Pools:
    files = [
        file
        for ending in (lang, PIVOT, "gold")
        if (file := stem.with_name(f"{stem.name}.{ending}")).is_file() or ending != "gold"
    ]
    source, target, *gold = map(_pairs, files)
    ids = [{name for name, _ in side} for side in (source, target)]
    if bad := [pair for pair in (gold[0] if gold else ()) if pair[0] not in ids[0] or pair[1] not in ids[1]]:
        raise Bad(
            f"{files[2]}: pair {' '.join(bad[0])} is not in the pools; take all three files from one release"
        )
    sides = [[{"id": name, "sentence": text} for name, text in side] for side in (source, target)]
    return *sides, gold[0] if gold else None, from_own_files([], f"bucc2018/{stem.name}", files)


def _pairs(file: Path) -> list[tuple[str, str]]:
    """The lines of a file, each with two fields separated by a tab."""
    if not file.is_file():
        raise Bad(f"{file}: no such file; the pools are pairs of files, .<language> and .{PIVOT}")
    lines = formats.file_text(file).removesuffix("\n").split("\n")
    if bad := [i for i, line in enumerate(lines) if "\t" not in line]:
        raise Bad(
            f"{file}: row {bad[0]}: got {lines[bad[0]][:40]!r}; allowed: two fields with a tab between them"
        )
    return [(first.strip(), second.strip()) for first, _, second in (line.partition("\t") for line in lines)]


def _hub_pools(lang: str, split: str) -> Pools:
    (part,) = from_hub("mteb/BUCC", f"{lang}-{PIVOT}", "test", POOLS)
    (row,) = part.rows
    sides = [
        [{"id": f"{code}-{i:09}", "sentence": text} for i, text in enumerate(row[column], 1)]
        for code, column in ((lang, "sentence1"), (PIVOT, "sentence2"))
    ]
    if not all(1 <= i <= len(sides[0]) and 1 <= j <= len(sides[1]) for i, j in row["gold"]):
        raise Bad(
            f"{part.source}: gold pairs outside 1 to the number of sentences; this is not the data set that "
            "is declared"
        )
    gold = [(sides[0][i - 1]["id"], sides[1][j - 1]["id"]) for i, j in row["gold"]]
    note = (
        ""
        if split == "test"
        else "the shared task's training set, XTREME's test: the hub has no pools of the sample"
    )
    return *sides, gold, part._replace(rows=[], note=note)
