"""Rows of data sets as they are stored: in a folder of the user's, in a mirror, or on the hub at the declared commit."""

import csv
import hashlib
import json
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from .config import PIVOT, Bad, local_dir, mirror_dir

PAGES = 50_000  # of Wikipedia, a language
KEPT = 8 << 20  # bytes: a larger file is read anew for every language rather than kept in memory
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


# -- files -------------------------------------------------------------------------------------------------------------


def read(file: Path) -> list[dict]:
    """Rows of a data file, by its ending; small files are kept, for a file that mixes languages is read for each of them.

    Raises: Bad naming file and row.
    """
    stat = file.stat()
    rows = _kept if stat.st_size <= KEPT else _kept.__wrapped__
    return rows(file, stat.st_mtime_ns)


@lru_cache(maxsize=2)
def _kept(file: Path, _stamp: int) -> list[dict]:
    try:
        return READERS[SQUEEZED if file.name.endswith(SQUEEZED) else file.suffix](file)
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise Bad(f"{file}: cannot be read ({_brief(error)}); copy it again") from None


def sha256(file: Path) -> str:
    """Content hash of a file, taken once a process unless the file changes."""
    stat = file.stat()
    return _sha256(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sha256(file: Path, _stamp: int, _size: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parquet(file: Path) -> list[dict]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        return parquet.read_table(file, partitioning=None).to_pylist()
    except pa.ArrowException as error:
        raise Bad(f"{file}: no whole parquet file ({_brief(error)}); copy it again") from None


def _jsonl(file: Path) -> list[dict]:
    with (lzma.open if file.name.endswith(SQUEEZED) else open)(file, "rt", encoding="utf-8") as lines:
        return [_object(line, f"{file}: row {i}") for i, line in enumerate(line for line in lines if line.strip())]


def _object(text: str, where: str, kind: type = dict) -> Any:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise Bad(f"{where}: no JSON ({error.msg}, character {error.pos}); mend this row") from None
    if not isinstance(found, kind):
        raise Bad(f"{where}: got {text.strip():.40}; allowed: an object of fields")
    return found


def _json(file: Path) -> list[dict]:
    """A list of rows, as it is or under "data"; SQuAD's articles give a row a question, with what else its paragraph holds."""
    whole = _object(file.read_text(encoding="utf-8"), str(file), (dict, list))
    rows = whole.get("data") if isinstance(whole, dict) else whole
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Bad(f'{file}: got no list of rows; allowed: a list of objects, or SQuAD\'s {{"data": [...]}}')
    return list(_questions(file, rows)) if rows and "paragraphs" in rows[0] else rows


def _questions(file: Path, articles: list[dict]) -> Iterator[dict]:
    n = 0
    for article in articles:
        for paragraph in article.get("paragraphs", ()):
            rest = {k: v for k, v in paragraph.items() if k != "qas"} | {"title": article.get("title", "")}
            for asked in paragraph.get("qas", ()):
                try:
                    told = {key: [answer[key] for answer in asked["answers"]] for key in ("text", "answer_start")}
                    yield rest | {"id": asked["id"], "question": asked["question"], "answers": told}
                except (KeyError, TypeError) as error:
                    raise Bad(f"{file}: row {n}: a question without {error}; needs id, question, answers") from None
                n += 1


def _table(file: Path, delimiter: str = ",") -> list[dict]:
    """Rows of a table with a header, quoted as CSV; a column name that comes back is numbered: "et", "et.1"."""
    csv.field_size_limit(1 << 30)
    with open(file, encoding="utf-8", newline="") as lines:
        cells = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header, *rows = cells
        except (csv.Error, ValueError) as error:
            near = f"{file}: cannot be read near line {cells.line_num or 1}"
            raise Bad(f"{near} ({_brief(error)}); mend it, or give .jsonl") from None
    names = [f"{x}.{k}" if (k := header[:i].count(x)) else x for i, x in enumerate(header)]
    if bad := [(i, len(row)) for i, row in enumerate(rows) if len(row) != len(names)]:
        i, found = bad[0]
        raise Bad(f"{file}: row {i} has {found} cells, the header {len(names)} ({', '.join(names[:6])}); mend this row")
    return [dict(zip(names, row, strict=True)) for row in rows]


READERS: dict[str, Callable[[Path], list[dict]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    SQUEEZED: _jsonl,
    ".json": _json,
    ".tsv": lambda file: _table(file, "\t"),
    ".csv": _table,
}


def _brief(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


# -- a folder of the user's --------------------------------------------------------------------------------------------


def from_local(repository: str, config: str, split: str) -> list[Part]:
    """Rows of the user's own copy of a split, XIT_LOCAL/<repository>/<config>/<split>.<ending>; [] where there is none.

    Raises: Bad when there are several copies, or one that cannot be read.
    """
    folder = local_dir()
    found = [f for e in READERS if (f := folder / repository / config / f"{split}{e}").is_file()] if folder else []
    if len(found) > 1:
        raise Bad(f"{found[0]}: {found[1].name} is there too; keep one of them")
    return [Part(read(f), f"local/{repository}/{config}/{f.name}", sha256(f), False, True) for f in found]


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
UD_SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def ud(lang: str, split: str) -> list[Part]:
    """XTREME's rows {tokens, pos_tags} of a language from the user's UD 2.5; [] where there are none.

    Treebanks are chosen by file name, which tells el_gdt (Greek) from grc_proiel (Ancient Greek).
    Raises: Bad naming file and line.
    """
    folder = local_dir()
    files = folder.glob(f"ud-treebanks-v2.5/UD_*/{lang}_*-ud-{UD_SPLITS[split]}.conllu") if folder else ()
    if not (files := sorted(files, key=lambda file: file.name)):
        return []
    ranks = RANKS.get(lang, RANKS[""]).split()
    told = [fused(sentence, ranks) for file in files for sentence in conllu(file)]
    # treebanks whose text is licensed have "_" for every word
    told = [s for s in told if (gone := sum(form == "_" for form, _ in s)) == 0 or gone < len(s) - 1]
    rows = [{"tokens": [form for form, _ in s], "pos_tags": [tag for _, tag in s]} for s in told]
    return [_own(rows, f"ud-treebanks-v2.5/{'+'.join(f.name.split('-')[0] for f in files)}", files)]


def conllu(file: Path) -> Iterator[list[list[str]]]:
    """Sentences of a CoNLL-U file as lines of ten columns, comments left out."""
    sentence = []
    with open(file, encoding="utf-8") as lines:
        for n, line in enumerate((*lines, ""), 1):
            cells = line.rstrip("\n").split("\t")
            if line.strip() and not line.startswith("#"):
                if len(cells) != 10:
                    raise Bad(f"{file}: line {n} has {len(cells)} columns; CoNLL-U has 10; unpack the treebanks again")
                sentence.append(cells)
            elif not line.strip() and sentence:
                yield sentence
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
        return []
    if missing := [f"{n:02}" for n, found in files.items() if not found]:
        raise Bad(f"ccgbank/data/AUTO: nothing in {', '.join(missing)}; {split} needs all of its {len(files)} sections")
    files = sum(files.values(), [])
    for file in files:
        for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            leaves = LEAF.findall(line)
            if not leaves and not line.startswith("ID="):
                raise Bad(f"{file}: line {n}: neither a derivation nor its ID; copy CCGbank's AUTO folder again")
            rows += [{"tokens": [word for _, word in leaves], "supertags": [tag for tag, _ in leaves]}] if leaves else []
    return [_own(rows, f"ccgbank/data/AUTO/{'02-21' if split == 'train' else '00'}", files)]


# readers of original files, by name: (language, split) -> [] where the user has none
ORIGINALS: dict[str, Callable[[str, str], list[Part]]] = {"ud": ud, "ccgbank": lambda _, split: ccgbank(split)}


# -- a mirror ----------------------------------------------------------------------------------------------------------


def manifest(mirror: Path) -> dict[tuple[str, str, str], dict]:
    """Lines of the mirror's manifest by repository, config and split."""
    return {(row["repo"], row["config"], row["split"]): row for row in read(mirror / "MANIFEST.csv")}


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
    return [Part(read(file), f"{repository}/{config}/{split}", entry["commit"][:40], stand_in, whole, note)]


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
        raise Bad(f"{where}: the hub gave nothing ({_brief(error)}); connect, or name a mirror with XIT_MIRROR") from None


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
    return next((stem for stem in stems if stem.with_name(f"{stem.name}.{lang}").is_file()), None)


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
    lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
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
