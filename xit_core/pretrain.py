"""Phase 1 made anew: a small XLM-R pretrained by masked LM on the scale's own text, from scratch or from the public table."""

import json
import time

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers.models.xlm_roberta import XLMRobertaModel

from . import data, model, sources
from .config import Bad, Pretraining, Run, Scale, mirror_dir, runs_dir, scale
from .model import Model
from .tasks import languages
from .train import fit

Texts = dict[str, list[str]]


def remake(run: Run) -> tuple[Model, dict, float]:
    """Pretrain the scale's encoder as its `Pretraining` says and leave it in `_runs/<scale>/encoder`.

    Gives the model, {"curve", "dose", ...} for the ledger and the card, and the tokens read.
    Raises: Bad when the scale's encoder is not one that is made here.
    """
    s, p = scale(run.scale), scale(run.scale).pretraining
    if not p:
        raise Bad(
            f"scale {run.scale!r} starts from a public model ({s.encoder}); only micro, smoke and pocket encoders are made here"
        )
    begin = time.time()
    texts, seen = corpus(s, p)
    pieces, vectors = vocabulary(texts, s)
    torch.manual_seed(run.seed)
    net = Model(XLMRobertaModel(model.shape(p, pieces.get_vocab_size()), add_pooling_layer=False), pieces, s)
    if vectors is not None:
        table = net.encoder.get_input_embeddings().weight
        table.data.copy_(torch.from_numpy(vectors))
        table.requires_grad_(False)
    net.add_head("mlm", ())
    features = pack(texts, pieces, p.length, p.packed)
    net.heads["mlm"].bias.data.copy_(frequency(features, pieces.get_vocab_size()))
    batches = data.Mixture({"mlm": features}, p.batch, p.steps, run.seed)
    folder = runs_dir() / run.scale / "encoder"
    points = fit(net, batches, p.lr, run.seed, folder, save_every=1000, masking=p.masking, beta2=p.beta2)
    model.write(net, folder, torch.bfloat16)
    pieces.no_truncation()
    pieces.save(str(folder / "tokenizer.json"), pretty=False)
    dose = {"steps": p.steps, "rate": p.lr, "rows": sum(map(len, texts.values())), "tokens": round(batches.tokens())}
    told = {"curve": points, "dose": dose}
    card = told | {"seconds": round(time.time() - begin), "threads": torch.get_num_threads(), "data": seen}
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    return model.read(folder, pieces, s), told, batches.tokens()


def corpus(s: Scale, p: Pretraining) -> tuple[Texts, list[dict]]:
    """Training text by language, and what was read. Real text leaves out every line that an evaluation split holds too."""
    langs = languages("mlm", s)
    if p.start == "table" and mirror_dir():
        from .table import mirror_text

        texts = mirror_text(mirror_dir(), langs, p.rows)
        found = {lang: sources.from_mirror("pretrain_text", lang, "train")[0] for lang in langs}
        told = {lang: {"source": part.source, "revision": part.revision, "stand_in": True} for lang, part in found.items()}
        return texts, [{"lang": lang, "rows": len(texts[lang])} | told[lang] for lang in langs]
    parts = {lang: data.examples("mlm", "train", lang, s, p.rows) for lang in langs}
    return {x: [e["a"] for e in rows] for x, (rows, _) in parts.items()}, [
        entry for _, (_, read) in parts.items() for entry in read
    ]


def vocabulary(texts: Texts, s: Scale) -> tuple[Tokenizer, object | None]:
    """A tokenizer with XLM-R's special tokens, and the table's vectors where the start is the table."""
    from . import table

    p = s.pretraining
    if p.start == "table":
        return table.start(texts, p.pieces, p.hidden)
    if s.world == "micro":
        from .micro import pieces

        return table.tokenizer(pieces(texts)), None
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=p.pieces - 5, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    learner.train_from_iterator((line for lines in texts.values() for line in lines), trainer)
    learned = json.loads(learner.to_str())["model"]["vocab"]
    return table.tokenizer([(piece, score) for piece, score in learned if piece != "<unk>"]), None


def pack(texts: Texts, pieces: Tokenizer, length: int, joined: bool) -> data.Encoded:
    """Sequences of at most `length` pieces, long lines cut; `joined`: neighbouring lines of a language share a sequence."""
    pieces.no_truncation()
    start, end = pieces.token_to_id("<s>"), pieces.token_to_id("</s>")
    sequences: list[list[int]] = []
    for lines in texts.values():
        sequences.append([])
        for line in pieces.encode_batch_fast(lines, add_special_tokens=False):
            if not joined or len(sequences[-1]) + len(line.ids) > length - 2:
                sequences.append([])
            sequences[-1] = [*sequences[-1], *line.ids][: length - 2]
    return data.Encoded.of([{"ids": [start, *ids, end]} for ids in sequences if ids])


def frequency(features: data.Encoded, vocabulary: int) -> torch.Tensor:
    """Log share of every piece: the output bias starts there, so that the first steps need not learn it. Shape (V,)."""
    counts = torch.from_numpy(np.bincount(features.ids, minlength=vocabulary)).float() + 0.5
    return (counts / counts.sum()).log()
