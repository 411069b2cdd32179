"""Phase 1 from scratch: a small XLM-R with random weights, pretrained on the micro-world's text."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.models.xlm_roberta import XLMRobertaModel

from .. import micro
from ..data import reading
from ..design.run import Run
from ..design.scales import Pretraining, Scale
from ..design.tasks import TEXT, languages
from ..ledger.outcomes import Training
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import runs_dir
from . import checkpoints, encoder, mixture
from .device import by_main
from .encoder import Model
from .features import Encoded
from .pieces import segmented, unigram_tokenizer
from .train import fit, spent

FULL_CARD = checkpoints.CARD | {"dose": {"tokens": float, "*": float}, "seconds": float, "of": list}
MADE_AGAIN = "delete the folder, it is made again"
SAVE = 200  # steps between the checkpoints that an interrupted pretraining resumes from


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
    begin, recipe = time.time() - spent(run.folder), stamp(p, run)
    if card := finished_card(folder, recipe):
        training = Training(card["curve"], card["dose"], tokens=card["dose"]["tokens"])
        return checkpoints.read_model(folder, pieces_of(folder), s), training, card["seconds"]
    pieces, features, read = prepared(s, p)
    net = unlearned(s, pieces, run.seed)
    net.heads[TEXT.name].bias.data.copy_(frequency(features, pieces.get_vocab_size()))
    batches = mixture.Mixture({TEXT.name: features}, p.batch, p.steps, run.seed)
    points = fit(net, batches, p.lr, run.seed, run.folder, save_every=SAVE, masking=p.masking, beta2=p.beta2)
    by_main(lambda: checkpoints.write_model(net, folder, torch.bfloat16))
    rows = sum(entry["rows"] for entry in read)
    dose = {"steps": p.steps, "rate": p.lr, "rows": rows, "tokens": round(batches.tokens())}
    training, seconds = Training(points, dose, tokens=dose["tokens"]), round(time.time() - begin)
    by_main(lambda: keep_card(folder, pieces, training.row() | {"seconds": seconds}, recipe, read))
    return checkpoints.read_model(folder, pieces, s), training, seconds


def unlearned(s: Scale, pieces: Tokenizer, seed: int) -> Model:
    """The model before its first step, with random weights."""
    torch.manual_seed(seed)
    config = encoder.shape(s.pretraining, pieces.get_vocab_size())
    net = Model(XLMRobertaModel(config, add_pooling_layer=False), pieces, s)
    net.add_head(TEXT, ())
    return net


def keep_card(folder: Path, pieces: Tokenizer, told: dict, of: list, read: list[dict]) -> None:
    """Write the tokenizer and, last, the card, whose presence means that the encoder is whole."""
    tokenizer = files.write_whole(
        folder / "tokenizer.json", lambda part: pieces.save(str(part), pretty=False)
    )
    card = told | {"threads": torch.get_num_threads(), "of": of}
    card |= {"tokenizer": files.sha256(tokenizer), "data": read}
    files.write_text(folder / "card.json", json.dumps(files.sealed(card), indent=1) + "\n")


def finished_card(folder: Path, of: list) -> dict | None:
    """The card of a finished pretraining; None if it is missing, damaged or made from something else."""
    with suppress(Bad, OSError):
        card = files.load(folder / "card.json", FULL_CARD, MADE_AGAIN)
        same_tokenizer = card.get("tokenizer") in (None, files.sha256(folder / "tokenizer.json"))
        return card if card["of"] == of and same_tokenizer else None


def pieces_of(folder: Path) -> Tokenizer:
    """Read the tokenizer saved in a folder.

    Raises: Bad for a damaged one.
    """
    return files.read_foreign(
        folder / "tokenizer.json", lambda file: Tokenizer.from_file(str(file)), MADE_AGAIN
    )


def stamp(p: Pretraining, run: Run) -> list:
    """What a pretraining depends on: its recipe and the seed, as JSON data."""
    return json.loads(json.dumps([asdict(p), run.seed]))


def prepared(s: Scale, p: Pretraining) -> tuple[Tokenizer, Encoded, list[dict]]:
    """The tokenizer, the encoded text, language after language, and the record of what was read.

    All of it is a function of the micro-world: an interrupted pretraining makes the same again.
    """
    parts = {lang: reading.examples(TEXT, "train", lang, s, p.rows) for lang in languages(TEXT, s)}
    texts = {lang: [example["a"] for example in rows] for lang, (rows, _) in parts.items()}
    pieces = unigram_tokenizer(micro.word_pieces(texts))
    start, end = pieces.token_to_id("<s>"), pieces.token_to_id("</s>")
    sequences = chain.from_iterable(packed(lines, pieces, p.length - 2, p.packed) for lines in texts.values())
    features = Encoded.of([{"ids": [start, *ids, end]} for ids in sequences])
    return pieces, features, [entry for _, read in parts.values() for entry in read]


def packed(lines: list[str], pieces: Tokenizer, length: int, together: bool) -> list[list[int]]:
    """Encode lines as sequences of at most `length` pieces without the special ones; long lines are cut.

    `together`: neighbouring lines share a sequence.
    """
    sequences: list[list[int]] = [[]]
    for ids in segmented(pieces, lines):
        if not together or len(sequences[-1]) + len(ids) > length:
            sequences.append([])
        sequences[-1] = [*sequences[-1], *ids][:length]
    return [ids for ids in sequences if ids]


def frequency(features: Encoded, vocabulary: int) -> torch.Tensor:
    """The log share of every piece, shape (V,).

    The output bias starts there, so that the first steps need not learn it.
    """
    counts = torch.from_numpy(np.bincount(features.ids, minlength=vocabulary)).float() + 0.5
    return (counts / counts.sum()).log()
