"""From pinned rows to batches: read, choose, hash, tokenise, mix. A row that is dropped is counted."""

import csv
import hashlib
import json
import random
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .config import PIVOT, Bad, Scale, encoder_dir, mirror_dir
from .tasks import Task, task

PAGES = 50_000  # of Wikipedia, a language
HELD_OUT = 50  # every 50th page of a text corpus that has no validation split is kept out of training


@dataclass(frozen=True)
class Seen:
    """What a run really read: rows, their content hash, where they came from. `stand_in`: not the declared data set's split."""

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


def examples(name: str, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT) -> tuple[list[dict], list[dict]]:
    """Examples of one task, split ("train" or "validation") and language, and what was read (as `Seen` dictionaries).

    `n`: at most so many, the same ones for every seed; 0 = all. `data_lang` "mt": the rows in machine translation.
    Raises: Bad when the rows cannot be had.
    """
    declared = task(name)
    parts = (
        micro_rows(declared, split, lang, n, data_lang) if scale.world == "micro" else real_rows(declared, split, lang, data_lang)
    )
    kept, seen = [], []
    for raw, source, revision, stand_in in parts:
        read = [example for row in raw for example in declared.read(row, lang)]
        dropped = len(raw) - len(read) if declared.one_language_a_file else 0
        if n and len(read) > n:
            read = [read[i] for i in sorted(random.Random(f"{name} {split}").sample(range(len(read)), n))]
        digest = hashlib.sha256(json.dumps(read, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        licence = declared.licence if scale.world == "real" else "as this package"
        seen.append(asdict(Seen(name, split, lang, len(read), dropped, digest, source, revision, stand_in, licence)))
        kept += read
    if not kept:
        raise Bad(f"{name}/{split}/{lang}: no example could be read from {', '.join(p[1] for p in parts)}; see `xit data`")
    return kept, seen


def micro_rows(declared: Task, split: str, lang: str, n: int, data_lang: str) -> list[tuple]:
    """Rows of the micro-world; machine-translated training rows go round the other languages in turn."""
    from . import micro

    if data_lang == "mt" and split == "train":
        langs = list(micro.LANGUAGES)[1:]
        rows = [r for i, x in enumerate(langs) for r in micro.rows(declared.name, split, x, len(range(i, n or 1000, len(langs))))]
    else:
        rows = micro.rows(declared.name, split, lang, n or 1000)
    return [(rows, f"micro/{declared.name}", declared.version("micro"), False)]


def real_rows(declared: Task, split: str, lang: str, data_lang: str) -> list[tuple]:
    """Rows of the hub at the declared commit, or of the mirror with its stand-ins."""
    if data_lang == "mt":
        raise Bad(f"{declared.name}: machine-translated rows of real data are not declared yet; allowed here: lang=en")
    names = (declared.train if split == "train" else declared.validation).split(",")
    repository, config = declared.config(lang)
    mirror = mirror_dir()
    fetch = from_mirror if mirror else from_hub
    wanted = [(repository, config, name, declared.revision) for name in names]
    wanted += [(*spec.split("@")[0].rsplit("/", 2), spec.split("@")[1]) for spec in declared.joined if split == "train"]
    parts = [part for place in wanted for part in fetch(*place)]
    incomplete = mirror and (len(parts) < len(wanted) or any(not p[4] for p in parts))
    if incomplete and split == "train" or not parts:
        for spec in declared.stand_ins:
            repository, config, name = spec.format(lang=lang).rsplit("/", 2)
            parts += [(rows, source, commit, True, done) for rows, source, commit, _, done in from_mirror(repository, config, name)]
    if not parts:
        raise Bad(f"{declared.name}/{split}/{lang}: the mirror holds no {declared.config(lang)}; unset XIT_MIRROR to use the hub")
    if declared.kind == "mlm":  # one corpus, two splits
        parts = [
            ([r for i, r in enumerate(rows) if (i % HELD_OUT == 0) == (split == "validation")], *rest) for rows, *rest in parts
        ]
    return [part[:4] for part in parts]


def from_hub(repository: str, config: str, split: str, revision: str) -> list[tuple]:
    """Rows of one split of the hub at a pinned commit; of Wikipedia, which has no end, the first pages."""
    from datasets import load_dataset

    try:
        if repository.startswith("wikimedia/"):
            rows = load_dataset(repository, config, split=split, revision=revision, streaming=True).take(PAGES)
            return [(list(rows), f"{repository}/{config}", revision, False, True)]
        rows = load_dataset(repository, config, split=split, revision=revision)
    except (OSError, ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise Bad(
            f"{repository} {config}/{split}: the hub gave nothing ({reason}); connect, or name a mirror with XIT_MIRROR"
        ) from None
    return [(rows.to_list(), f"{repository}/{config}", revision, False, True)]


@lru_cache(maxsize=1)
def manifest(mirror: Path) -> dict[tuple[str, str, str], dict]:
    with open(mirror / "MANIFEST.csv", newline="") as f:
        return {(row["repo"], row["config"], row["split"]): row for row in csv.DictReader(f)}


@lru_cache(maxsize=8)
def from_mirror(repository: str, config: str, split: str, revision: str = "") -> list[tuple]:
    """Rows of one split of the mirror as [(rows, source, commit, is a stand-in, is complete)]; [] when it is not there.

    Raises: Bad when the file is not the one that the manifest describes.
    """
    import pyarrow.parquet as parquet

    mirror = mirror_dir()
    entry = manifest(mirror).get((repository, config, split))
    if entry is None:
        return []
    file = mirror / repository / config / f"{split}.parquet"
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"
    if found != entry["sha256"]:
        raise Bad(
            f"{file}: sha256 {found[:12]}, the manifest says {entry['sha256'][:12]}; the mirror is damaged: copy this file again"
        )
    stand_in = "STAND-IN" in entry["note"] or entry["complete"] == "derived"
    return [
        (
            parquet.read_table(file).to_pylist(),
            f"{repository}/{config}/{split}",
            entry["commit"][:40],
            stand_in,
            entry["complete"] == "yes",
        )
    ]


def pools(lang: str, scale: Scale, n: int = 0) -> tuple[list[dict], list[dict]]:
    """BUCC's candidate sentences to be mined, of the language and of the pivot: rows {id, sentence}; `n`: gold pairs (micro).

    Raises: Bad when there are gold pairs only, which cannot be mined.
    """
    if scale.world == "micro":
        from . import micro

        n = round(n / micro.BUCC_GOLD)  # the gold pairs among them are then the n that are asked for
        return micro.rows("bucc_pool", "source", lang, n), micro.rows("bucc_pool", "target", lang, n)
    if not mirror_dir():
        raise Bad("bucc: the hub's bucc18 holds gold pairs only; name a mirror with bucc2018/<lang>-en pools with XIT_MIRROR")
    found = [from_mirror("bucc2018", f"{lang}-en", side) for side in ("source", "target")]
    if not all(found):
        raise Bad(f"bucc/{lang}: the mirror holds no bucc2018/{lang}-en pools")
    return found[0][0][0], found[1][0][0]


@lru_cache
def tokenizer(scale_name: str) -> Tokenizer:
    """The encoder's own tokenizer: from the package, or from the hub at the pinned commit."""
    from .config import scale

    s = scale(scale_name)
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
    return Tokenizer.from_file(str(file))


@dataclass
class Mixture:
    """Batches of one stage as a function of the step, so that a resumed run sees what an unbroken one would.

    `features`: encoded features by task. `share`: the sampling probabilities, p ~ min(rows, cap) ** (1 / temperature).
    """

    features: dict[str, list[dict]]
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

    def deal(self, features: list[dict], epoch: int, salt: int) -> list[np.ndarray]:
        """A shuffled epoch cut into batches of neighbours in length (within pools of 16 batches), so that little is padding."""
        draw = np.random.default_rng([self.seed, 2, epoch, salt])
        order = draw.permutation(len(features))
        pool = 16 * self.batch
        lengths = np.array([f["length"] for f in features])
        pools = [p[np.argsort(lengths[p], kind="stable")] for p in (order[i : i + pool] for i in range(0, len(order), pool))]
        order = np.concatenate(pools)
        batches = [order[i : i + self.batch] for i in range(0, max(1, len(order) - self.batch + 1), self.batch)]
        return [batches[i] for i in draw.permutation(len(batches))]

    def tokens(self) -> float:
        """Tokens that all steps read, padding not counted."""
        mean = {t: np.mean([f["length"] * wide(f) for f in fs]) for t, fs in self.features.items()}
        return float(sum(mean[t] for t in self.order) * self.batch)


def wide(feature: dict) -> int:
    """Sequences of one feature: its choices, or 1."""
    return len(feature["ids"]) if isinstance(feature["ids"][0], list) else 1


def moved(batch: dict, device) -> dict:
    """The batch with its tensors on a device."""
    return {k: v.to(device) if hasattr(v, "to") else v for k, v in batch.items()}


def collate(features: list[dict], pad: int = 1) -> dict:
    """Pad a batch to its longest sequence: input_ids, attention_mask (rows * choices, T), "rows" = number of features."""
    import torch

    sequences = [ids for f in features for ids in (f["ids"] if isinstance(f["ids"][0], list) else [f["ids"]])]
    length = max(map(len, sequences))
    ids = torch.tensor([s + [pad] * (length - len(s)) for s in sequences])
    return {"input_ids": ids, "attention_mask": (ids != pad).long(), "rows": len(features)}
