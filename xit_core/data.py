"""From pinned rows to batches: read, choose, hash, tokenise, mix. A row that is dropped is counted."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from dataclasses import field as made
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import files, sources
from .config import PIVOT, Bad, Scale, encoder_dir, mirror_dir
from .config import scale as scale_of
from .sources import Part
from .tasks import MISPLACED, NAMES, TRANSLATED, Note, Task, Wrong, located, task

BUDGET = {"cuda": 2**14, "cpu": 2**11}  # tokens of a forward pass that is trained on: what fits, what stays in the cache
READ = 2**13  # tokens of one that is not
HELD_OUT = 50  # every 50th page of a text corpus that has no validation split is kept out of training
# "de", "german" and "deu" -> "de"
CODES = {word.lower(): code for code, names in NAMES.items() for word in (code, *names.split())}
LABELLED = 20  # evaluation rows that all have one label are placeholders, from so many on
TYPES = {
    "a": str, "b": str, "question": str, "context": str, "mention": str, "tokens": list, "tags": list, "choices": list,
    "sentences": list, "label": int,
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a run really read: rows, their content hash, where they came from. `stand_in`: not the declared data set's split.

    `counts`: rows by what happened to them (why a row gave no example, what was mended in one); `dropped` of them gave none.
    """

    task: str
    split: str
    lang: str
    rows: int
    dropped: int
    sha256: str
    source: str
    revision: str
    stand_in: bool
    licence: str
    counts: dict[str, int]
    note: str


def examples(name: str, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT) -> tuple[list[dict], list[dict]]:
    """Examples of one task, split ("train" or "validation") and language, and what was read (as `Seen` dictionaries).

    Each has an "id": the row's own, or its number among the examples. `n`: at most so many of each source of
    its rows, the same ones for every seed; 0 = all. `data_lang` "mt": the rows in machine translation.
    Raises: Bad when the rows cannot be had, or one of them is not what the task declares (names source, row and field).
    """
    declared = task(name)
    parts = (
        micro_rows(declared, split, lang, n, data_lang)
        if scale.world == "micro"
        else real_rows(declared, split, lang, data_lang, scale)
    )
    kept, seen = [], []
    for number, part in enumerate(parts):
        found, counts = read(declared, part, lang, split == "train", n)
        if split == "train" and declared.apart and scale.world == "real":
            found, counts = unseen(found, counts, declared.apart, scale)
        chosen = range(len(found))
        if n and len(found) > n and not declared.expand:
            chosen = sorted(random.Random(f"{name} {split}").sample(chosen, n))
        some = [found[i] for i in chosen]
        digest = hashlib.sha256(json.dumps(some, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        dropped = sum(c for what, c in counts.items() if not isinstance(what, Note))
        licence = declared.licence if scale.world == "real" else "as this package"
        seen.append(asdict(Seen(
            name, split, lang, len(some), dropped, digest, part.source, part.revision, part.stand_in, licence,
            {str(k): v for k, v in counts.items()}, part.note,
        )))  # fmt: skip
        kept += [{"id": f"{number}-{i}" if number else str(i)} | example for i, example in zip(chosen, some, strict=True)]
    if not kept:
        raise Bad(f"{name}/{split}/{lang}: no example could be read from {', '.join(p.source for p in parts)}; see `xit data`")
    if split != "train":
        labelled(name, lang, kept)
    return kept, seen


def unseen(found: list[dict], counts: Counter, names: tuple[str, ...], scale: Scale) -> tuple[list[dict], Counter]:
    """The examples, less those with an English context that one of these tasks is evaluated on; counted."""
    held = {" ".join(e["context"].split()): name for name in names for e in examples(name, "validation", PIVOT, scale)[0]}
    by = [held.get(" ".join(e["context"].split()), "") for e in found]
    counts = counts + Counter(f"context is evaluated in {name}" for name in by if name)
    return [e for e, name in zip(found, by, strict=True) if not name], counts


class Watched(dict):
    """A raw row that remembers which field was asked for last, so that an error can name it."""

    last = ""

    def __getitem__(self, key):
        self.last = key
        return super().__getitem__(key)


def read(declared: Task, part: Part, lang: str, training: bool, n: int = 0) -> tuple[list[dict], Counter]:
    """The examples of a part, and how many rows gave none or were mended, by reason.

    Raises: Bad naming source, row and field.
    """
    found, counts = [], Counter()
    rows = expanded(declared, part, lang, n)
    for i, raw in enumerate(rows):
        row = Watched(raw)
        try:
            told = list(declared.read(row, lang))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            said = f"got {raw[row.last]!r:.60}" if row.last in raw else "it is missing"
            allowed = f"allowed: {error}" if isinstance(error, Wrong) else f"({type(error).__name__})"
            needs = f"{declared.name} needs the columns {declared.columns}"
            raise Bad(f"{part.source}: row {i}, field {row.last!r}: {said}; {allowed}; {needs}") from None
        marks, good = [x for x in told if isinstance(x, str)], [x for x in told if not isinstance(x, str)]
        if training and MISPLACED in marks:  # nothing to point to
            marks, good = [MISPLACED], []
        for example in good:
            sound(declared, example, f"{part.source}: row {i}")
        if good and not training:
            same_language(raw, lang, f"{part.source}: row {i}")
        counts.update(marks)
        found += good
    return found, counts


def expanded(declared: Task, part: Part, lang: str, n: int) -> list[dict]:
    """The rows of a part, or what is made from its templates.

    Raises: Bad for templates that are not whole.
    """
    if not declared.expand:
        return part.rows
    try:
        return declared.expand(part.rows, lang, n)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, NameError) as error:
        if isinstance(error, Bad):
            raise
        raise Bad(f"{part.source}: the templates are not whole ({type(error).__name__}: {error}); copy the file again") from None


def same_language(raw: dict, lang: str, where: str) -> None:
    """Raise Bad for a row that says itself that it is in another language than the one that it would count for."""
    for field in ("language", "lang", "langs", "source_lang"):
        values = raw.get(field) if isinstance(raw.get(field), list) else [raw.get(field)]
        words = [x for x in values if isinstance(x, str) and lang in NAMES]
        if other := [x for x in words if CODES.get(x.lower(), lang) != lang]:
            raise Bad(f"{where}, field {field!r}: got {other[0]!r} in the rows of {lang!r}; put it with its own language")


def sound(declared: Task, example: dict, where: str) -> None:
    """Raise Bad for an example whose fields do not have the types and sizes that its kind needs."""
    for field, kind in TYPES.items():
        value = example.get(field, kind())
        if not isinstance(value, kind) or kind is list and not all(isinstance(x, str) for x in value):
            allowed = "list of str" if kind is list else kind.__name__
            raise Bad(f"{where}, field {field!r} of a {declared.name} example: got {value!r:.60}; allowed: {allowed}")
    if "tags" in example and len(example["tags"]) != len(example["tokens"]):
        raise Bad(f"{where}: {len(example['tokens'])} tokens and {len(example['tags'])} tags; every token needs one tag")
    classes = len(declared.labels) or len(example.get("choices", ()))
    if "label" in example and not 0 <= example["label"] < classes:
        raise Bad(f"{where}, field 'label': got {example['label']}; allowed: 0 to {classes - 1}")


def labelled(name: str, lang: str, rows: list[dict]) -> None:
    """Raise Bad for evaluation rows that all have one label: released test files hold placeholders (xtreme#24)."""
    if len(rows) >= LABELLED and len({row["label"] for row in rows if "label" in row}) == 1:
        label = rows[0]["label"]
        raise Bad(f"{name}/{lang}: all {len(rows)} evaluation rows have label {label}: placeholders; take a source with labels")


def micro_rows(declared: Task, split: str, lang: str, n: int, data_lang: str) -> list[Part]:
    """Rows of the micro-world; machine-translated training rows go round the other languages in turn."""
    from . import micro

    if data_lang == "mt" and split == "train":
        langs = list(micro.LANGUAGES)[1:]
        rows = [r for i, x in enumerate(langs) for r in micro.rows(declared.name, split, x, len(range(i, n or 1000, len(langs))))]
    else:
        rows = micro.rows(declared.name, split, lang, n or 1000)
    return [Part(rows, f"micro/{declared.name}", declared.version("micro"), False, True)]


def real_rows(declared: Task, split: str, lang: str, data_lang: str, scale: Scale) -> list[Part]:
    """Rows of a folder of the user's, of the mirror with its stand-ins, or of the hub at the declared commit."""
    if data_lang == "mt" and split == "train":
        return translations(declared, scale)
    names = (declared.train if split == "train" else declared.validation).split(",")
    if declared.original and (parts := sources.ORIGINALS[declared.original](lang, split)):
        return parts
    wanted = [(*declared.config(lang), name, declared.revision) for name in names]
    wanted += [located(spec) for spec in declared.joined if split == "train"]
    parts = [part for where in wanted for part in sources.fetch(*where, obtain=declared.obtain)]
    incomplete = len(parts) < len(wanted) or any(not p.complete for p in parts)
    if mirror_dir() and (incomplete and split == "train" or not parts):
        for spec in declared.stand_ins:
            parts += [p._replace(stand_in=True) for p in sources.from_mirror(*located(spec.format(lang=lang))[:3])]
    if not parts:
        how = declared.obtain or "unset XIT_MIRROR to use the hub"
        raise Bad(f"{declared.name}/{split}/{lang}: the mirror holds no {'/'.join(declared.config(lang))}; {how}")
    if declared.kind == "mlm":  # one corpus, two splits
        held = split == "validation"
        parts = [p._replace(rows=[r for i, r in enumerate(p.rows) if (i % HELD_OUT == 0) == held]) for p in parts]
    return parts


def translations(declared: Task, scale: Scale) -> list[Part]:
    """The training rows in machine translation: row i in the i-th language in turn, so that there are as many as in English.

    Of languages that are not there no rows are left out: those that are take turns, and the part's note says how many.

    The languages are those of MNLI's published translation, or those the user has in XIT_LOCAL/mt/<task>/<language>.
    """
    langs = [x for x in TRANSLATED if x in (scale.langs or TRANSLATED)]
    found = {lang: translation(declared, lang) for lang in langs}
    there = [lang for lang in langs if found[lang]]
    if not there:
        raise Bad(
            f"{declared.name}: no machine translation of its rows is at hand; put your own into XIT_LOCAL/mt/{declared.name}/"
            f"<language>/train.jsonl ({' '.join(langs)}), or take lang=en"
        )
    few = f"translated into {len(there)} of {len(langs)} languages" if len(there) < len(langs) else ""
    return [
        p._replace(rows=p.rows[k :: len(there)], note="; ".join(filter(None, [p.note, few])))
        for k, lang in enumerate(there)
        for p in found[lang]
    ]


def translation(declared: Task, lang: str) -> list[Part]:
    """The training rows in one language: the user's own, else the published ones; [] where there are none."""
    own = sources.from_local("mt", f"{declared.name}/{lang}", "train")
    published = () if own else (located(spec.format(lang=lang)) for spec in declared.translated)
    return own or [part for where in published for part in sources.fetch(*where)]


@lru_cache
def tokenizer(scale_name: str) -> Tokenizer:
    """The encoder's own tokenizer: from the package, or from the hub at the pinned commit."""
    s = scale_of(scale_name)
    file = encoder_dir(scale_name) / "tokenizer.json"
    if s.revision:
        from huggingface_hub import hf_hub_download

        try:
            file = Path(hf_hub_download(s.encoder, "tokenizer.json", revision=s.revision))
        except OSError as error:
            raise Bad(
                f"{s.encoder}: the hub gave no tokenizer ({str(error).splitlines()[0][:120]}); connect, or choose another scale"
            ) from None
    if not file.is_file():
        raise Bad(f"scale {scale_name!r}: no encoder at {file.parent}; make one: `make encoder SCALE={scale_name}`")
    return files.given(file, lambda file: Tokenizer.from_file(str(file)), files.RESTORE)


@dataclass(frozen=True)
class Encoded(Sequence):
    """Features as flat arrays: `widths` (N,) sequences of each feature, `lengths` tokens of each sequence, `sizes` (N,) gold
    labels of each feature, and the `ids` and `gold` of all. Item i is the feature as a dictionary: ids, length, gold.
    `lost`: the numbers of the examples whose answer is in none of their features."""

    widths: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray
    ids: np.ndarray
    gold: np.ndarray
    lost: np.ndarray = made(default_factory=lambda: np.empty(0, np.int32))

    HASH = 8  # numbers at the beginning of a file that are the hash of the rest

    @classmethod
    def of(cls, features: list[dict], lost: Sequence[int] = ()) -> "Encoded":
        parts = [sequences(f) for f in features]
        gold = [f.get("gold", ()) for f in features]
        counts = [len(x) for x in parts], [len(x) for some in parts for x in some], [len(x) for x in gold]
        flat = chain.from_iterable(chain.from_iterable(parts)), chain.from_iterable(gold)
        told = (np.array(x, np.int32) for x in counts), (np.fromiter(x, np.int32) for x in flat)
        return cls(*told[0], *told[1], np.array(lost, np.int32))

    @classmethod
    def read(cls, file: Path) -> "Encoded":
        """Mapped from a file, and as it was written.

        Raises: OSError, ValueError when there is none, or not a whole one.
        """
        try:
            flat = np.load(file, mmap_mode="r")
            head, rest = flat[: cls.HASH], flat[cls.HASH :]
            same = flat.dtype == np.int32 and head.tobytes() == hashlib.sha256(rest).digest()
        except OSError:
            raise
        except Exception as error:  # numpy has a dozen types for a file of another kind
            raise ValueError(f"{file}: no array ({type(error).__name__})") from None
        if not same:
            raise ValueError(f"{file}: not as it was written")
        n = len(fields(cls))
        return cls(*np.split(rest[n:], np.cumsum(rest[: n - 1], dtype=np.int64)))

    def write(self, file: Path) -> None:
        """Raises: Bad when it cannot be written."""
        parts = [getattr(self, f.name) for f in fields(self)]
        flat = np.concatenate(
            [np.zeros(self.HASH, np.int32), np.array([len(x) for x in parts], np.int32), *parts]
        )
        flat[: self.HASH] = np.frombuffer(hashlib.sha256(flat[self.HASH :]).digest(), np.int32)

        def make(part: Path) -> None:
            with part.open("wb") as out:
                np.save(out, flat)

        files.whole(file, make)

    def __post_init__(self):
        begins = {"first": self.widths, "begin": self.lengths, "label": self.sizes}
        for name, counts in begins.items():
            object.__setattr__(self, name, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, i: int) -> dict:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        a, b = self.first[i : i + 2]
        ids = [self.ids[self.begin[k] : self.begin[k + 1]] for k in range(a, b)]
        gold = self.gold[self.label[i] : self.label[i + 1]]
        return {"ids": ids if len(ids) > 1 else ids[0], "length": max(map(len, ids)), "gold": gold}

    @cached_property
    def longest(self) -> np.ndarray:
        return np.maximum.reduceat(self.lengths, self.first[:-1])


def sequences(feature: dict) -> list:
    """The sequences of one feature: its choices, or the only one."""
    return feature["ids"] if hasattr(feature["ids"][0], "__len__") else [feature["ids"]]


def size(feature: dict) -> int:
    """Tokens of one feature."""
    return sum(map(len, sequences(feature)))


def pieces(features: Sequence[dict]) -> np.ndarray:
    """The ids of all features, one after the other."""
    return features.ids if isinstance(features, Encoded) else np.concatenate([x for f in features for x in sequences(f)])


def longest(features: Sequence[dict]) -> np.ndarray:
    """(N,): tokens of the longest sequence of each feature."""
    return features.longest if isinstance(features, Encoded) else np.array([f["length"] for f in features])


@dataclass
class Mixture:
    """Batches of one stage as a function of the step, so that a resumed run sees what an unbroken one would.

    `features`: encoded features by task, lists of dictionaries or `Encoded`. `share`: the sampling probabilities,
    p ~ min(rows, cap) ** (1 / temperature).
    """

    features: dict[str, Sequence[dict]]
    batch: int
    steps: int
    seed: int
    cap: int = 0
    temperature: float = 1.0

    def __post_init__(self):
        sizes = np.array([min(len(f), self.cap or len(f)) for f in self.features.values()], float) ** (1 / self.temperature)
        self.share = dict(zip(self.features, (sizes / sizes.sum()).tolist(), strict=True))
        draw = np.random.default_rng([self.seed, 1])
        names = list(self.features)
        order = draw.choice(len(names), size=self.steps, p=list(self.share.values())) if len(names) > 1 else [0] * self.steps
        self.order = [names[i] for i in order]
        visits = dict.fromkeys(names, -1)
        self.visit = [visits.__setitem__(t, visits[t] + 1) or visits[t] for t in self.order]
        self.epochs: dict[tuple[str, int], list[np.ndarray]] = {}

    def at(self, step: int) -> tuple[str, list[dict]]:
        """The task and the features of one optimiser step."""
        name, visit = self.order[step], self.visit[step]
        features = self.features[name]
        per_epoch = max(1, len(features) // self.batch)
        epoch, k = divmod(visit, per_epoch)
        if (name, epoch) not in self.epochs:
            self.epochs[name, epoch] = self.deal(features, epoch, sum(name.encode()))
        return name, [features[i] for i in self.epochs[name, epoch][k]]

    def deal(self, features: Sequence[dict], epoch: int, salt: int) -> list[np.ndarray]:
        """A shuffled epoch cut into batches of neighbours in length (within pools of 16 batches), so that steps are even."""
        draw = np.random.default_rng([self.seed, 2, epoch, salt])
        order = draw.permutation(len(features))
        pool = 16 * self.batch
        lengths = longest(features)
        pools = [p[np.argsort(lengths[p], kind="stable")] for p in (order[i : i + pool] for i in range(0, len(order), pool))]
        order = np.concatenate(pools)
        batches = [order[i : i + self.batch] for i in range(0, max(1, len(order) - self.batch + 1), self.batch)]
        return [batches[i] for i in draw.permutation(len(batches))]

    def tokens(self) -> float:
        """Tokens that all steps read."""
        mean = {
            t: f.lengths.sum() / len(f) if isinstance(f, Encoded) else np.mean([*map(size, f)]) for t, f in self.features.items()
        }
        return float(sum(mean[t] for t in self.order) * self.batch)


def cut(features: list[dict], budget: int) -> Iterator[list[dict]]:
    """Consecutive parts of at most `budget` tokens; a longer feature is a part alone."""
    part, tokens = [], 0
    for feature in features:
        if part and tokens + size(feature) > budget:
            yield part
            part, tokens = [], 0
        part.append(feature)
        tokens += size(feature)
    if part:
        yield part


def batches(features: Sequence[dict]) -> Iterator[list[int]]:
    """Indices of features of like length, in batches of at most READ tokens; the order never depends on the machine."""
    ordered = sorted(({"ids": f["ids"], "length": f["length"], "i": i} for i, f in enumerate(features)), key=lambda f: f["length"])
    yield from ([f["i"] for f in part] for part in cut(ordered, READ))
