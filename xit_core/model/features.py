"""Encoded examples as flat arrays, memory-mapped from a file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from dataclasses import field as made
from functools import cached_property
from itertools import chain
from operator import index
from pathlib import Path

import numpy as np

from ..machine import files


@dataclass(frozen=True)
class Encoded(Sequence):
    """Features as flat arrays. Item i is a feature as a dictionary: ids, length, gold.

    `widths` (N,): sequences of each feature. `lengths`: tokens of each sequence. `sizes` (N,): gold labels of
    each feature. `ids` and `gold`: those of all features. `lost`: the numbers of the examples whose answer is
    in none of their features.
    """

    widths: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray
    ids: np.ndarray
    gold: np.ndarray
    lost: np.ndarray = made(default_factory=lambda: np.empty(0, np.int32))

    HASH = 8  # numbers at the beginning of a file: the hash of the rest

    @classmethod
    def of(cls, features: list[dict], lost: Sequence[int] = ()) -> "Encoded":
        """Make flat arrays from features given as dictionaries.

        Raises: TypeError for gold that is no whole number: it would be cut to one.
        """
        parts = [sequences(f) for f in features]
        gold = [f.get("gold", ()) for f in features]
        counts = [len(x) for x in parts], [len(x) for part in parts for x in part], [len(x) for x in gold]
        flat = chain.from_iterable(chain.from_iterable(parts)), map(index, chain.from_iterable(gold))
        arrays = (np.array(x, np.int32) for x in counts), (np.fromiter(x, np.int32) for x in flat)
        return cls(*arrays[0], *arrays[1], np.array(lost, np.int32))

    @classmethod
    def read(cls, file: Path) -> "Encoded":
        """Map the arrays from a file, and check its hash.

        Raises: OSError or ValueError when the file is missing, damaged or incomplete.
        """
        try:
            flat = np.load(file, mmap_mode="r")
            digest, content = flat[: cls.HASH], flat[cls.HASH :]
            intact = flat.dtype == np.int32 and digest.tobytes() == hashlib.sha256(content).digest()
        except OSError:
            raise
        except Exception as error:  # numpy raises a dozen types for a file of another kind
            raise ValueError(f"{file}: no array ({type(error).__name__})") from None
        if not intact:
            raise ValueError(f"{file}: not as it was written")
        n = len(fields(cls))
        return cls(*np.split(content[n:], np.cumsum(content[: n - 1], dtype=np.int64)))

    def write(self, file: Path) -> None:
        """Write the arrays to a file, after their hash.

        Raises: Bad when it cannot be written.
        """
        parts = [getattr(self, f.name) for f in fields(self)]
        flat = np.concatenate(
            [np.zeros(self.HASH, np.int32), np.array([len(x) for x in parts], np.int32), *parts]
        )
        flat[: self.HASH] = np.frombuffer(hashlib.sha256(flat[self.HASH :]).digest(), np.int32)

        def make(part: Path) -> None:
            with part.open("wb") as out:
                np.save(out, flat)

        files.write_whole(file, make)

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
        start, end = self.first[i : i + 2]
        ids = [self.ids[self.begin[k] : self.begin[k + 1]] for k in range(start, end)]
        gold = self.gold[self.label[i] : self.label[i + 1]]
        return {"ids": ids if len(ids) > 1 else ids[0], "length": max(map(len, ids)), "gold": gold}

    @cached_property
    def longest(self) -> np.ndarray:
        """(N,): tokens of the longest sequence of each feature."""
        return np.maximum.reduceat(self.lengths, self.first[:-1])


def sequences(feature: dict) -> list:
    """The sequences of one feature: one for each of its choices, or the only one."""
    return feature["ids"] if hasattr(feature["ids"][0], "__len__") else [feature["ids"]]


def size(feature: dict) -> int:
    """Number of tokens of one feature."""
    return sum(map(len, sequences(feature)))


def piece_ids(features: Sequence[dict]) -> np.ndarray:
    """The ids of all features, one after the other. Shapes: (T,), T the tokens of all features."""
    return (
        features.ids
        if isinstance(features, Encoded)
        else np.concatenate([x for f in features for x in sequences(f)])
    )


def longest(features: Sequence[dict]) -> np.ndarray:
    """(N,): tokens of the longest sequence of each feature."""
    return features.longest if isinstance(features, Encoded) else np.array([f["length"] for f in features])
