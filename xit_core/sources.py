"""Rows of data sets as they are stored: in a folder of the user's, in a mirror, or on the hub at the declared commit."""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from . import formats
from .config import PIVOT, Bad, local_dir, mirror_dir

PAGES = 50_000  # of Wikipedia, a language
SQUEEZED = ".jsonl.xz"  # the form of a mirror to be carried to a machine that reads no Parquet
POOLS = "414572247440f0ccacf7eb0bb70a31533a0e5443"  # of mteb/BUCC
SPLIT_WORDS = (
    "not XTREME's own conversion: multiword tokens are split, and Greek, Chinese, French and Russian hold older languages too; "
    "put UD 2.5 into XIT_LOCAL/ud-treebanks-v2.5 for XTREME's"
)


class Part(NamedTuple):
    """Rows of one split and where they came from. `revision`: the commit, or the sha256 of a file of the user's."""

    rows: list[dict]
    source: str
    revision: str
    stand_in: bool  # not the declared data set's split
    complete: bool
    note: str = ""  # a caveat to show with the number


def fetch(repository: str, config: str, split: str, revision: str, obtain: str = "") -> list[Part]:
    """Rows of one split from the first of: the user's folder, the mirror, the hub; [] only where a mirror lacks it.

    `obtain`: how to get it where the hub has it at no known commit.
    Raises: Bad when the rows cannot be had, or are not what was asked for.
    """
    if found := from_local(repository, config, split):
        return found
    if mirror_dir():
        return from_mirror(repository, config, split)
    if obtain:
        raise Bad(f"{repository}/{config}/{split}: the hub has it at no known commit; {obtain}")
    return from_hub(repository, config, split, revision)


def sha256(file: Path) -> str:
    """Content hash of a file, taken once a process unless the file changes."""
    stat = file.stat()
    return _sha256(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sha256(file: Path, _stamp: int, _size: int) -> str:
    with formats.readable(file), open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- a folder of the user's --------------------------------------------------------------------------------------------


SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?")  # of a file in parts, as the datasets library names them
# words that people write for a split, and words of a file's name that say nothing of it
ALIASES = {
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("training", "trn", "tr"), "train"),
    **dict.fromkeys(("testing", "tst"), "test"),
}
KINDS_OF_FILE = {"gz", "bz2", "xz", "zst", "zip", "lz4", "txt", "jsonl", "json", "ndjson", "csv", "tsv", "parquet", "arrow", "xlsx"}
NO_DATA = re.compile(r"\..*|(readme|licen[cs]e|notice|sources|changelog)\b.*|.*\.(md|rst|pdf|html|lock|py)", re.I)


def from_local(repository: str, config: str, split: str) -> list[Part]:
    """Rows of the user's own copy of a split; [] where there is none.

    That is XIT_LOCAL/<repository>/<config>/<split>.<ending>, compressed or not, or in parts <split>-00000-of-00002.<ending>.
    Raises: Bad when there are several copies, one that cannot be read or holds nothing, or (where the split is missing) a file
    that looks like it under another name: it would be left aside unseen.
    """
    folder = local_dir() and local_dir() / repository / config
    if not folder or not os.path.lexists(folder):
        return []
    there = listed(folder)
    if broken := [f for f in there if own(f.name, split) and not f.is_file()]:
        raise Bad(f"{broken[0]}: no file (a folder, or a link to nothing); put the split there as a file, or take it away")
    files, strays = copies(there, split), [f for f in there if alike(f.name, split) and not own(f.name, split)]
    if strays and not files:
        endings = ", ".join(formats.READERS)
        raise Bad(f"{strays[0]} lies there and is not read; name it {split} with one of the endings {endings}, or take it away")
    if not files:
        return []
    parts = [formats.read(file) for file in files]
    if empty := [file for file, rows in zip(files, parts, strict=True) if not rows]:
        raise Bad(f"{empty[0]}: it holds no rows; take it away, or put the whole file there")
    rows = [row for some in parts for row in some]
    note = f"{', '.join(f.name for f in strays)} beside it: not read" if strays else ""
    name = files[0].name if len(files) == 1 else f"{split}-*-of-*{formats.form(files[0].name)}"
    revision = sha256(files[0]) if len(files) == 1 else hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return [Part(rows, f"local/{repository}/{config}/{name}", revision, False, True, note)]


def listed(folder: Path) -> list[Path]:
    """What lies in a folder and may be data, by name.

    Raises: Bad for what is no folder, such as a link to one that is not there.
    """
    with formats.readable(folder):
        return sorted(path for path in folder.iterdir() if not NO_DATA.fullmatch(path.name))


def misplaced(top: str, pattern: str, needed: str, right: str = "") -> None:
    """Raise Bad where a folder of original files has them, but not where they are read (`right`: there, for another split)."""
    folder = local_dir()
    if folder and (found := sorted(f for f in (folder / top).rglob(pattern) if not right or not f.match(right))):
        raise Bad(f"{found[0]} lies there and is not read; needed: XIT_LOCAL/{needed}, not compressed")


def own(name: str, split: str) -> bool:
    """Whether a file's name is that of a split, or of a part of it."""
    rest = formats.stem(name).removeprefix(split) if formats.form(name) and name.startswith(split) else None
    return rest is not None and (not rest or bool(SHARD.fullmatch(rest)))


def alike(name: str, split: str) -> bool:
    """Whether a name says a split in any words: "dev.jsonl" and "Validation.zip" are like "validation"."""
    return words(split) <= words(name)


def words(name: str) -> set[str]:
    found = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    return {ALIASES.get(word, word) for word in found} - KINDS_OF_FILE


def copies(there: list[Path], split: str) -> list[Path]:
    """The files of a split: one, or all of its parts in order.

    Raises: Bad for several copies, or for parts of which one is missing.
    """
    found: dict[tuple, dict[int, Path]] = {}
    for file in (f for f in there if f.is_file() and own(f.name, split)):
        part = SHARD.fullmatch(formats.stem(file.name).removeprefix(split))
        number, of = (int(part[1]), int(part[2])) if part else (0, None)
        key = (file.name[len(formats.stem(file.name)) :], of)
        if number in found.setdefault(key, {}):
            raise Bad(f"{found[key][number]}: {file.name} is there too; keep one of them")
        found[key][number] = file
    if len(found) > 1:
        one, other, *_ = (next(iter(parts.values())) for parts in found.values())
        raise Bad(f"{one}: {other.name} is there too; keep one of them")
    for (_, of), parts in found.items():
        if of is not None and (len(parts) != of or max(parts) >= of):
            gone = next(k for k in itertools.count() if k not in parts)
            raise Bad(f"{next(iter(parts.values()))}: part {gone} of {of} is missing, or one too many; copy all parts again")
        return [parts[k] for k in sorted(parts)]
    return []


def _own(rows: list[dict], source: str, files: list[Path], note: str = "") -> Part:
    revision = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return Part(rows, f"local/{source}", revision, False, True, note)


# Universal Dependencies as XTREME converts them (google-research/xtreme@0918248: scripts/download_data.sh,
# third_party/ud-conversion-tools, utils_preprocess.py udpos_preprocess; UD 2.5 in 2020). Tags that outrank others where a
# multiword token has several heads:
RANKS = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
}
NUMBER = re.compile(r"\d+([-.]\d+)?", re.ASCII)  # of a word, of the words that are fused, of an empty node
AGAIN = "unpack the treebanks again"
UD_SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def ud(lang: str, split: str) -> list[Part]:
    """XTREME's rows {tokens, pos_tags} of a language from the user's UD 2.5; [] where there are none.

    Treebanks are chosen by file name, which tells el_gdt (Greek) from grc_proiel (Ancient Greek).
    Raises: Bad naming file and line.
    """
    folder = local_dir()
    files = folder.glob(f"ud-treebanks-v2.5/UD_*/{lang}_*-ud-{UD_SPLITS[split]}.conllu") if folder else ()
    if not (files := sorted(files, key=lambda file: file.name)):
        name = f"{lang}_*-ud-{UD_SPLITS[split]}.conllu"
        misplaced("ud-treebanks-v2.5", f"{name}*", f"ud-treebanks-v2.5/UD_*/{name}")
        return []
    if len({file.name for file in files}) < len(files):
        raise Bad(f"{files[0]}: a treebank of this name lies in two folders; keep one of them")
    ranks = RANKS.get(lang, RANKS[""]).split()
    told = [sentence for file in files for sentence in surface(file, ranks)]
    # treebanks whose text is licensed have "_" for every word
    told = [s for s in told if (gone := sum(form == "_" for form, _ in s)) == 0 or gone < len(s) - 1]
    rows = [{"tokens": [form for form, _ in s], "pos_tags": [tag for _, tag in s]} for s in told]
    return [_own(rows, f"ud-treebanks-v2.5/{'+'.join(f.name.split('-')[0] for f in files)}", files)]


def surface(file: Path, ranks: list[str]) -> Iterator[list[tuple[str, str]]]:
    """The sentences of a file as forms and tags.

    Raises: Bad naming file and line.
    """
    for line, sentence in conllu(file):
        if odd := [cells[0] for cells in sentence if not NUMBER.fullmatch(cells[0])]:
            said = f"the sentence before line {line} has a word {odd[0]!r:.40}"
            raise Bad(f"{file}: {said}; allowed: 1, 1-2 or 1.1; {AGAIN}")
        heads = {int(cells[0]): cells[6] for cells in sentence if cells[0].isdigit()}
        if odd := [x for x in heads.values() if x not in {"0", *map(str, heads)}]:
            said = f"the sentence before line {line} has a head {odd[0]!r:.40}"
            raise Bad(f"{file}: {said}; allowed: 0, or the number of a word; {AGAIN}")
        numbers = [int(cells[0]) for cells in sentence if cells[0].isdigit()]
        if numbers != [*range(1, len(numbers) + 1)]:
            said = f"the sentence before line {line} has words {numbers[:9]}, not 1, 2, ..."
            raise Bad(f"{file}: {said}; a blank line ends a sentence: {AGAIN}")
        try:
            yield fused(sentence, ranks)
        except (ValueError, KeyError) as error:
            said = f"the sentence before line {line} has a broken number ({formats.brief(error)})"
            raise Bad(f"{file}: {said}; {AGAIN}") from None


def conllu(file: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Sentences of a CoNLL-U file as lines of ten columns, comments left out, with the number of the line after each."""
    sentence, lines = [], formats.text(file).split("\n")
    if not any(line.strip() and not line.startswith("#") for line in lines):
        raise Bad(f"{file}: it is empty; {AGAIN}")
    for n, line in enumerate((*lines, ""), 1):
        cells = line.split("\t")
        if line.strip() and not line.startswith("#"):
            if len(cells) != 10:
                raise Bad(f"{file}: line {n} has {len(cells)} columns; CoNLL-U has 10; {AGAIN}")
            sentence.append(cells)
        elif not line.strip() and sentence:
            yield n, sentence
            sentence = []


def fused(sentence: list[list[str]], ranks: list[str]) -> list[tuple[str, str]]:
    """Form and tag of each surface token: a multiword token has the tag of its highest word in the dependency graph.

    Of several that are equally high the tag that comes first in `ranks` is taken, then the earlier word. Highest = fewest
    ancestors, over basic and enhanced edges. Tags outside `ranks`, at which the original stops, come last.
    """
    words = {int(cells[0]): cells for cells in sentence if cells[0].isdigit()}
    heads = {i: {int(h) for h in (c[6], *(d.split(":")[0] for d in c[8].split("|"))) if h.isdigit()} for i, c in words.items()}

    def order(i: int) -> tuple[int, int]:
        above, fresh = {i}, set(heads[i])
        while fresh:
            above |= fresh
            fresh = {h for x in fresh for h in heads.get(x, ())} - above
        tag = words[i][3].strip()
        return len(above), ranks.index(tag) if tag in ranks else len(ranks)

    forms = {i: cells[1] for i, cells in words.items()}
    for cells in sentence:
        if "-" in cells[0]:
            first, last = map(int, cells[0].split("-"))
            head = min(range(first, last + 1), key=order)
            forms[head] = cells[1]
            forms = {i: form for i, form in forms.items() if i == head or not first <= i <= last}
    return [(form.strip().replace("\u200c", "").replace(" ", ""), words[i][3].strip()) for i, form in forms.items()]


LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) \S+>")  # category, two part-of-speech tags, word, category with its heads
SECTIONS = {"train": range(2, 22), "validation": range(1)}  # of the Wall Street Journal


def ccgbank(split: str) -> list[Part]:
    """Rows {tokens, supertags} of the user's CCGbank (LDC2005T13); [] where there is none.

    Raises: Bad naming file and line, or the sections that are missing.
    """
    folder, rows = local_dir(), []
    files = {n: sorted(folder.glob(f"ccgbank/data/AUTO/{n:02}/wsj_*.auto")) if folder else [] for n in SECTIONS.get(split, ())}
    if not any(files.values()):
        misplaced("ccgbank", "wsj_*.auto*", "ccgbank/data/AUTO/<section>/wsj_*.auto", "data/AUTO/*/*.auto")
        return []
    if missing := [f"{n:02}" for n, found in files.items() if not found]:
        raise Bad(f"ccgbank/data/AUTO: nothing in {', '.join(missing)}; {split} needs all of its {len(files)} sections")
    files = sum(files.values(), [])
    for file in files:
        rows += derivations(file)
    return [_own(rows, f"ccgbank/data/AUTO/{'02-21' if split == 'train' else '00'}", files)]


def derivations(file: Path) -> list[dict]:
    """The sentences of a file of CCGbank.

    Raises: Bad naming file and line.
    """
    rows = []
    for n, line in enumerate(formats.text(file).split("\n"), 1):
        leaves = LEAF.findall(line)
        if len(leaves) != line.count("<L ") or not leaves and line.strip() and not line.startswith("ID="):
            said = f"{file}: line {n}: neither a derivation nor its ID"
            raise Bad(f"{said}; copy CCGbank's AUTO folder again")
        if leaves:
            tags, words = map(list, zip(*leaves, strict=True))
            rows.append({"tokens": words, "supertags": tags})
    if not rows:
        raise Bad(f"{file}: it holds no derivation; copy CCGbank's AUTO folder again")
    return rows


# readers of original files, by name: (language, split) -> [] where the user has none
ORIGINALS: dict[str, Callable[[str, str], list[Part]]] = {"ud": ud, "ccgbank": lambda _, split: ccgbank(split)}


# -- a mirror ----------------------------------------------------------------------------------------------------------


COLUMNS = ("repo", "config", "split", "rows", "sha256", "complete", "commit", "note")  # that a manifest must have
OPTIONAL = ("source", "path", "licence")
ALLOWED = {  # column -> pattern, and the same in words
    "rows": (r"\d{1,15}", "a whole number, digits only"),
    "sha256": (r"[0-9a-fA-F]{64}", "64 hexadecimal digits"),
    "complete": ("yes|partial|derived", "yes, partial or derived"),
    "repo": (r"[^/.\s][^/\s]*(/[^/.\s][^/\s]*)?", "name or owner/name, without spaces"),
    "config": (r"[^/\s]+", "a name, without spaces"),
    "split": (r"[^/\s]+", "a name, without spaces"),
}


def manifest(mirror: Path) -> dict[tuple[str, str, str], dict]:
    """Lines of the mirror's manifest by repository, config and split.

    Raises: Bad naming file, line and column.
    """
    file = mirror / "MANIFEST.csv"
    with formats.readable(file):
        return _manifest(file, file.stat().st_mtime_ns, file.stat().st_size)


@lru_cache(maxsize=2)
def _manifest(file: Path, _stamp: int, _size: int) -> dict[tuple[str, str, str], dict]:
    rows, found = formats.read(file), {}
    if missing := [name for name in COLUMNS if rows and name not in rows[0]]:
        raise Bad(f"{file}: no column {missing[0]!r} in its header; needed: {', '.join(COLUMNS)}")
    if not rows:
        raise Bad(f"{file}: it lists nothing; needed: a header with {', '.join(COLUMNS)}, and a line a split")
    for n, row in ((n, row) for n, row in enumerate(rows) if any(row.values())):
        if broken := [column for column, value in row.items() if "\n" in value]:
            raise Bad(f"{file}: row {n}, column {broken[0]!r}: a line break; a quote is open: mend it")
        for column, (pattern, allowed) in ALLOWED.items():
            if not re.fullmatch(pattern, row[column], re.ASCII):
                raise Bad(f"{file}: row {n}, column {column!r}: got {row[column]!r:.60}; allowed: {allowed}")
        key = (row["repo"], row["config"], row["split"])
        if key in found:
            raise Bad(f"{file}: row {n}: {'/'.join(key)} stands there twice; keep one line")
        found[key] = dict.fromkeys(OPTIONAL, "") | row | {"sha256": row["sha256"].lower()}
    return found


def mirror_file(mirror: Path, entry: dict) -> Path:
    """Where the mirror holds what a line of its manifest describes: as Parquet, JSON lines, or the original under its own name."""
    forms = [mirror / entry["repo"] / entry["config"] / f"{entry['split']}{ending}" for ending in (".parquet", SQUEEZED)]
    if found := [file for file in forms if file.is_file()]:
        return found[0]
    return forms[0].parents[1] / Path(entry["path"]).name if entry.get("path") else forms[0]


def from_mirror(repository: str, config: str, split: str) -> list[Part]:
    """Rows of one split of the mirror; [] when it is not there.

    Raises: Bad when the file is not the one that the manifest describes.
    """
    mirror = mirror_dir()
    entry = manifest(mirror).get((repository, config, split))
    if entry is None:
        return []
    file = mirror_file(mirror, entry)
    found = sha256(file) if file.is_file() else "no file"
    if found != entry["sha256"]:
        told = f"{file}: sha256 {found[:12]}, the manifest says {entry['sha256'][:12]}"
        raise Bad(f"{told}; the mirror is damaged: copy this file again")
    stand_in = "STAND-IN" in entry["note"] or entry["complete"] == "derived"
    whole = entry["complete"] == "yes"
    note = entry["note"] if stand_in or not whole else ""
    rows = formats.read(file)
    if len(rows) != int(entry["rows"]) and not entry["path"].endswith(file.name):  # of an original file lines are counted
        raise Bad(f"{file}: {len(rows)} rows, the manifest says {entry['rows']}; mend its line, or copy both again")
    return [Part(rows, f"{repository}/{config}/{split}", entry["commit"][:40], stand_in, whole, note)]


# -- the hub -----------------------------------------------------------------------------------------------------------


def from_hub(repository: str, config: str, split: str, revision: str) -> list[Part]:
    """Rows of one split at a pinned commit; of Wikipedia, which is longer than needed, the first pages.

    Raises: Bad when the hub does not give them, or when they are of another commit: the library takes any copy that its
    cache holds where it cannot have the pin (datasets 5.2, `CachedDatasetModuleFactory`).
    """
    where = f"{repository} {config}/{split}"
    with _asking(where):
        builder = _builder(repository, config, revision)
    if builder.hash != revision:
        raise Bad(
            f"{where}: asked for commit {revision[:12]}, the datasets library gave a cached copy of {str(builder.hash)[:12]}; "
            f"connect to the hub, or delete {builder.cache_dir}"
        )
    with _asking(where):
        if repository.startswith("wikimedia/"):
            rows = list(builder.as_streaming_dataset(split=split).take(PAGES))
        else:
            builder.download_and_prepare()  # compares the sizes of the splits with those that the repository states
            rows = builder.as_dataset(split=split).to_list()
    note = SPLIT_WORDS if config.startswith("udpos.") else ""
    return [Part(rows, f"{repository}/{config}/{split}", revision, False, True, note)]


def _builder(repository: str, config: str, revision: str) -> Any:
    """A builder of one config. Branches that the hub converted itself know the one config "default", with a folder each."""
    from datasets import load_dataset_builder

    if not config:
        raise ValueError("no config named, which may merge all of them")
    try:
        return load_dataset_builder(repository, config, revision=revision)
    except ValueError as error:
        if "Available: ['default']" not in str(error):
            raise
        return load_dataset_builder(repository, "default", data_dir=config, revision=revision)


@contextmanager
def _asking(where: str) -> Iterator[None]:
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError  # what huggingface_hub speaks with

    try:
        yield
    except (OSError, ValueError, RuntimeError, HTTPError, DatasetsError) as error:
        raise Bad(f"{where}: the hub gave nothing ({formats.brief(error)}); connect, or name a mirror with XIT_MIRROR") from None


# -- pools to be mined -------------------------------------------------------------------------------------------------

Pools = tuple[list[dict], list[dict], list[tuple[str, str]] | None, Part]
BUCC_SPLITS = {"validation": ("dev", "sample"), "test": ("test", "training")}  # XTREME's names, the shared task's own


def pools(lang: str, split: str = "validation") -> Pools:
    """BUCC's sentences to be mined, of the language and of English, as rows {id, sentence}; the gold pairs of ids; provenance.

    Gold is None where the pools come without it. The hub's bucc18 holds gold pairs only, which cannot be mined; mteb/BUCC has
    pools and gold of one split, XTREME's test, whichever is asked for (the note says so).
    Raises: Bad when the pools cannot be had.
    """
    if stem := official_pools(lang, split):
        return _official_pools(stem, lang)
    if not mirror_dir():
        return _hub_pools(lang, split)
    found = [p for side in ("source", "target") if split == "validation" for p in from_mirror("bucc2018", f"{lang}-en", side)]
    if len(found) < 2:
        how = "unset XIT_MIRROR to use the hub, or put the official files into XIT_LOCAL/bucc2018"
        raise Bad(f"bucc/{lang}: the mirror holds no bucc2018/{lang}-en pools of {split}; {how}")
    return found[0].rows, found[1].rows, None, found[0]._replace(rows=[], source=f"bucc2018/{lang}-en")


def official_pools(lang: str, split: str = "validation") -> Path | None:
    """Where the user has the shared task's own files, XIT_LOCAL/bucc2018/<lang>-en.<split>.{<lang>,en,gold}, less the ending."""
    folder = local_dir()
    stems = [folder / "bucc2018" / f"{lang}-{PIVOT}.{name}" for name in BUCC_SPLITS[split]] if folder else []
    found = next((stem for stem in stems if stem.with_name(f"{stem.name}.{lang}").is_file()), None)
    for stem in stems if not found else ():
        misplaced("bucc2018", f"{stem.name}.*", f"bucc2018/{stem.name}.{lang} (and .{PIVOT}, .gold)")
    return found


def _official_pools(stem: Path, lang: str) -> Pools:
    files = [file for end in (lang, PIVOT, "gold") if (file := stem.with_name(f"{stem.name}.{end}")).is_file() or end != "gold"]
    source, target, *gold = map(_pairs, files)
    known = [{name for name, _ in side} for side in (source, target)]
    if lost := [pair for pair in (gold[0] if gold else ()) if pair[0] not in known[0] or pair[1] not in known[1]]:
        raise Bad(f"{files[2]}: pair {' '.join(lost[0])} is not in the pools; take all three files from one release")
    sides = [[{"id": name, "sentence": text} for name, text in side] for side in (source, target)]
    return *sides, gold[0] if gold else None, _own([], f"bucc2018/{stem.name}", files)


def _pairs(file: Path) -> list[tuple[str, str]]:
    """Lines of two fields with a tab between them."""
    if not file.is_file():
        raise Bad(f"{file}: no such file; the pools are pairs of files, .<language> and .{PIVOT}")
    lines = formats.text(file).removesuffix("\n").split("\n")
    if bad := [i for i, line in enumerate(lines) if "\t" not in line]:
        raise Bad(f"{file}: row {bad[0]}: got {lines[bad[0]][:40]!r}; allowed: two fields with a tab between them")
    return [(first.strip(), second.strip()) for first, _, second in (line.partition("\t") for line in lines)]


def _hub_pools(lang: str, split: str) -> Pools:
    (part,) = from_hub("mteb/BUCC", f"{lang}-{PIVOT}", "test", POOLS)
    (row,) = part.rows
    sides = [
        [{"id": f"{code}-{i:09}", "sentence": text} for i, text in enumerate(row[column], 1)]
        for code, column in ((lang, "sentence1"), (PIVOT, "sentence2"))
    ]
    if not all(1 <= i <= len(sides[0]) and 1 <= j <= len(sides[1]) for i, j in row["gold"]):
        raise Bad(f"{part.source}: gold pairs outside 1 to the number of sentences; this is not the data set that is declared")
    gold = [(sides[0][i - 1]["id"], sides[1][j - 1]["id"]) for i, j in row["gold"]]
    note = "" if split == "test" else "the shared task's training set, XTREME's test: the hub has no pools of the sample"
    return *sides, gold, part._replace(rows=[], note=note)
