"""Phase 1 from scratch: a small XLM-R, pretrained by masked LM on the scale's own text.

It starts from random weights or from the public embedding table.
"""

import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, trainers
from transformers.models.xlm_roberta import XLMRobertaModel

from .. import micro
from ..data import corpus, reading
from ..data.corpus import Texts
from ..data.local import file_hash
from ..design.run import Run
from ..design.scales import Pretraining, Scale
from ..design.tasks import TEXT, languages
from ..ledger.outcomes import Training
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import mirror_dir, runs_dir
from . import checkpoints, embeddings, encoder, mixture
from .encoder import Model
from .features import Encoded
from .train import fit, spent

# files that a resumed pretraining reuses, beside its checkpoint
PREPARED = ("prepared.json", "vectors.npy", "sequences.npy")
FULL_CARD = checkpoints.CARD | {"dose": {"tokens": float, "*": float}, "seconds": float, "of": list}
MADE_AGAIN = "delete the folder, it is made again"
SAVE = 200  # steps between the checkpoints that an interrupted pretraining resumes from
TAKEN = 100_000  # sequences copied at once: their indices take several times the memory of their ids
VOCABULARY_LINES = 400_000  # lines that a new vocabulary is learned from


def remake(run: Run) -> tuple[Model, Training, float]:
    """Pretrain the scale's encoder as its `Pretraining` says, and save it in `_runs/<scale>/encoder`.

    Returns the model, the training's record, and its seconds including interrupted attempts. A finished
    pretraining in that folder is reused, because the evaluation after it may have been interrupted.
    Raises: Bad when the scale's encoder is not one that is made here.
    """
    s, p = run.scale, run.scale.pretraining
    if not p:
        raise Bad(
            f"scale {s.name!r} starts from a public model ({s.encoder.name}); only small encoders are made "
            "here"
        )
    folder = runs_dir() / s.name / "encoder"
    begin, recipe = time.time() - spent(folder), stamp(p, run)
    if card := finished_card(folder, recipe):
        training = Training(card["curve"], card["dose"], tokens=card["dose"]["tokens"])
        return checkpoints.read_model(folder, pieces_of(folder), s), training, card["seconds"]
    pieces, vectors, features, read = prepared(s, p, folder, recipe)
    net = unlearned(s, pieces, vectors, run.seed)
    net.heads[TEXT.name].bias.data.copy_(frequency(features, pieces.get_vocab_size()))
    batches = mixture.Mixture({TEXT.name: features}, p.batch, p.steps, run.seed)
    points = fit(net, batches, p.lr, run.seed, folder, save_every=SAVE, masking=p.masking, beta2=p.beta2)
    checkpoints.write_model(net, folder, torch.bfloat16)
    rows = sum(entry["rows"] for entry in read["data"])
    dose = {"steps": p.steps, "rate": p.lr, "rows": rows, "tokens": round(batches.tokens())}
    training, seconds = Training(points, dose, tokens=batches.tokens()), round(time.time() - begin)
    keep_card(folder, pieces, training.row() | {"seconds": seconds}, recipe, read)
    return checkpoints.read_model(folder, pieces, s), training, seconds


def unlearned(s: Scale, pieces: Tokenizer, vectors: np.ndarray | None, seed: int) -> Model:
    """The model before its first step.

    It has random weights; with `vectors`, its embeddings are the public table's vectors, frozen.
    Shapes: vectors (V, H).
    """
    torch.manual_seed(seed)
    config = encoder.shape(s.pretraining, pieces.get_vocab_size())
    net = Model(XLMRobertaModel(config, add_pooling_layer=False), pieces, s)
    if vectors is not None:
        weights = net.encoder.get_input_embeddings().weight
        weights.data.copy_(torch.from_numpy(vectors))
        weights.requires_grad_(False)
    net.add_head(TEXT, ())
    return net


def keep_card(folder: Path, pieces: Tokenizer, told: dict, of: list, read: dict) -> None:
    """Write the tokenizer and, last, the card; then delete the prepared files, which are no longer needed."""
    card = told | {"threads": torch.get_num_threads(), "of": of}
    card |= {"tokenizer": files.sha256(write_tokenizer(folder, pieces))} | read
    files.write_text(folder / "card.json", json.dumps(files.sealed(card), indent=1) + "\n")
    for name in PREPARED:
        (folder / name).unlink(missing_ok=True)


def finished_card(folder: Path, of: list) -> dict | None:
    """The card of a finished pretraining; None if it is missing, damaged or made from something else."""
    with suppress(Bad, OSError):
        card = files.load(folder / "card.json", FULL_CARD, MADE_AGAIN)
        same_tokenizer = card.get("tokenizer") in (None, files.sha256(folder / "tokenizer.json"))
        return card if card["of"] == of and same_tokenizer else None


def write_tokenizer(folder: Path, pieces: Tokenizer) -> Path:
    """Write the tokenizer to a folder; returns the file."""
    return files.write_whole(folder / "tokenizer.json", lambda part: pieces.save(str(part), pretty=False))


def pieces_of(folder: Path) -> Tokenizer:
    """Read the tokenizer saved in a folder.

    Raises: Bad for a damaged one.
    """
    return files.read_foreign(
        folder / "tokenizer.json", lambda file: Tokenizer.from_file(str(file)), MADE_AGAIN
    )


def stamp(p: Pretraining, run: Run) -> list:
    """What a pretraining depends on: its recipe, the seed, and the hash of the mirror's manifest."""
    return json.loads(
        json.dumps([asdict(p), run.seed, mirror_dir() and file_hash(mirror_dir() / "MANIFEST.csv")])
    )


def prepared(
    s: Scale, p: Pretraining, folder: Path, of: list
) -> tuple[Tokenizer, np.ndarray | None, Encoded, dict]:
    """Return the tokenizer, its starting vectors (if the start is a table), packed text, and what was read.

    They are made once: a resumed run finds them in `folder`. A checkpoint there that was trained on other
    text is deleted.
    Shapes: vectors (V, H).
    """
    with suppress(Bad, OSError, ValueError):  # not there yet, or damaged
        return prepared_before(folder, of)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resume.pt").unlink(missing_ok=True)
    texts, read = training_text(s, p)
    pieces, start = vocabulary(texts, s)
    parts = {lang: packed_lines(lines, pieces, p.length, p.packed) for lang, lines in texts.items()}
    shares = sampling([len(f.ids) for f in parts.values()], p.alpha)
    features = (
        drawn_sequences(list(parts.values()), shares, p.steps * p.batch)
        if p.alpha
        else concatenated(list(parts.values()))
    )
    for (lang, f), share in zip(parts.items(), shares, strict=True):
        if card := read.get("corpus", {}).get("languages", {}).get(lang):
            n = len(f.ids) - 2 * len(f)  # without <s> and </s>
            card |= {"pieces": n, "fertility": round(n / card["words"], 4), "share": round(share, 5)}
    pieces.no_truncation()
    keep_prepared(folder, of, pieces, start, features, read)
    return pieces, start, features, read


def keep_prepared(
    folder: Path, of: list, pieces: Tokenizer, start: np.ndarray | None, features: Encoded, read: dict
) -> None:
    """Leave what was prepared for a run that is killed; the file that tells of it, with the others' hashes,
    comes last. Shapes: start (V, H).
    """
    card, vectors, packed = (folder / name for name in PREPARED)
    card.unlink(missing_ok=True)
    features.write(packed)
    sums = {"tokenizer.json": write_tokenizer(folder, pieces)}
    if start is not None:
        sums[vectors.name] = files.write_whole(vectors, lambda part: np.save(part, start))
    content = {"of": of, "read": read, "sums": {name: files.sha256(file) for name, file in sums.items()}}
    files.write_text(card, json.dumps(files.sealed(content)))


def prepared_before(folder: Path, of: list) -> tuple[Tokenizer, np.ndarray | None, Encoded, dict]:
    """What an interrupted pretraining prepared.

    Raises: Bad, OSError or ValueError when there is nothing, or a file is damaged or was made from something
    else.
    Shapes: vectors (V, H).
    """
    card, vectors, packed = (folder / name for name in PREPARED)
    content = files.load(card, {"of": list, "read": dict, "sums": {"*": str}}, MADE_AGAIN)
    if content["of"] != of or content["sums"] != {
        name: files.sha256(folder / name) for name in content["sums"]
    }:
        raise Bad(f"{folder}: not what this pretraining prepared")
    start = np.load(vectors) if vectors.name in content["sums"] else None
    return pieces_of(folder), start, Encoded.read(packed), content["read"]


def training_text(s: Scale, p: Pretraining) -> tuple[Texts, dict]:
    """Training text by language, and what was read.

    The second has "data", and for real text also the card of the corpus, "corpus".
    """
    if not s.world.made:
        texts, entries, card = corpus.gather(s, p)
        return texts, {"data": entries, "corpus": {"alpha": p.alpha} | card}
    parts = {lang: reading.examples(TEXT, "train", lang, s, p.rows) for lang in languages(TEXT, s)}
    texts = {lang: [e["a"] for e in rows] for lang, (rows, _) in parts.items()}
    return texts, {"data": [entry for _, read in parts.values() for entry in read]}


def vocabulary(texts: Texts, s: Scale) -> tuple[Tokenizer, np.ndarray | None]:
    """A tokenizer with XLM-R's special tokens, and the table's vectors if the start is the table.

    Shapes: vectors (V, H).
    """
    p = s.pretraining
    if p.start == "table":
        return embeddings.table_start(texts, p.pieces, p.hidden)
    if s.world.made:
        return embeddings.unigram_tokenizer(micro.word_pieces(texts)), None
    return embeddings.unigram_tokenizer(learned_pieces(texts, p)), None


def learned_pieces(texts: Texts, p: Pretraining) -> list[tuple[str, float]]:
    """Learn Unigram pieces (SentencePiece's algorithm) from lines drawn as the languages are sampled.

    Every character that occurs at least `embeddings.RARE` times is one of them.
    """
    rules, draw = embeddings.unigram_tokenizer([]), np.random.default_rng(2)
    learner = Tokenizer(models.Unigram())
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    counts = sum((Counter("\n".join(lines)) for lines in texts.values()), Counter())
    letters = sorted(
        {
            x
            for c, n in counts.items()
            if n >= embeddings.RARE
            for x in rules.normalizer.normalize_str(c)
            if x.isprintable()
        }
    )
    shares = sampling([sum(map(len, lines)) for lines in texts.values()], p.alpha)
    chosen = [
        (x, draw.permutation(len(x))[: round(VOCABULARY_LINES * share)])
        for x, share in zip(texts.values(), shares, strict=True)
    ]
    lines = (x[i] for x, order in chosen for i in order)
    trainer = trainers.UnigramTrainer(
        vocab_size=p.pieces - 5,
        unk_token="<unk>",
        special_tokens=["<unk>"],
        initial_alphabet=letters,
        show_progress=False,
    )
    learner.train_from_iterator(lines, trainer)
    return [
        (piece, score) for piece, score in json.loads(learner.to_str())["model"]["vocab"] if piece != "<unk>"
    ]


def packed_lines(lines: list[str], pieces: Tokenizer, length: int, together: bool) -> Encoded:
    """Encode lines as sequences of at most `length` pieces; long lines are cut.

    `together`: neighbouring lines share a sequence.
    """
    pieces.no_truncation()
    start, end = pieces.token_to_id("<s>"), pieces.token_to_id("</s>")
    sequences: list[list[int]] = [[]]
    for ids in embeddings.segmented(pieces, lines):
        if not together or len(sequences[-1]) + len(ids) > length - 2:
            sequences.append([])
        sequences[-1] = [*sequences[-1], *ids][: length - 2]
    return Encoded.of([{"ids": [start, *ids, end]} for ids in sequences if ids])


def sampling(sizes: list[int], alpha: float) -> list[float]:
    """The share of each language, p ~ size ** alpha; alpha 0: in proportion to size.

    Source: Conneau et al. 2020, section 3.
    """
    weights = np.array(sizes, float) ** (alpha or 1.0)
    return (weights / weights.sum()).tolist()


def concatenated(parts: list[Encoded]) -> Encoded:
    """The features of all parts, one part after the other."""
    return Encoded(*(np.concatenate([getattr(f, x.name) for f in parts]) for x in fields(Encoded)))


def drawn_sequences(parts: list[Encoded], shares: list[float], n: int) -> Encoded:
    """Draw about `n` sequences, from each part its share.

    Each part is shuffled and read through, as often as its share needs.
    """
    draw, chosen, offset = np.random.default_rng(3), [], 0
    for f, share in zip(parts, shares, strict=True):
        wanted = round(n * share)
        shuffles = [draw.permutation(len(f)) for _ in range(-(-wanted // len(f)))]
        chosen.append(offset + np.concatenate([np.empty(0, int), *shuffles])[:wanted].astype(int))
        offset += len(f)
    features, order = concatenated(parts), np.concatenate(chosen)
    ids = np.concatenate(
        [ids_in_order(features, part) for part in np.array_split(order, -(-len(order) // TAKEN))]
    )
    lengths = features.lengths[order]
    return Encoded(np.ones_like(lengths), lengths, np.zeros_like(lengths), ids, np.empty(0, np.int32))


def ids_in_order(whole: Encoded, order: np.ndarray) -> np.ndarray:
    """The ids of sequences in the given order, one after the other. Shapes: order (N,) -> ids (T,)."""
    lengths = whole.lengths[order]
    offsets = np.repeat(whole.begin[:-1][order] - np.cumsum(lengths) + lengths, lengths)
    return whole.ids[np.arange(len(offsets)) + offsets]


def frequency(features: Encoded, vocabulary: int) -> torch.Tensor:
    """The log share of every piece, shape (V,).

    The output bias starts there, so that the first steps need not learn it.
    """
    counts = torch.from_numpy(np.bincount(features.ids, minlength=vocabulary)).float() + 0.5
    return (counts / counts.sum()).log()
