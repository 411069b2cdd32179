"""The encoders that scales start from: their folders, files and hashes."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from ..machine.errors import Bad
from ..machine.places import PACKAGE
from .scales import scale

INDEX = "model.safetensors.index.json"  # of weights in parts, as transformers names it


def encoder_dir(scale_name: str) -> Path:
    """The folder of the encoder that the package ships for a scale; `smoke` borrows the tokenizer of `micro`."""
    return PACKAGE / "encoders" / (scale(scale_name).encoder or "micro")


@lru_cache
def encoder_hash(scale_name: str) -> str:
    """sha256 of the shipped weights, all parts in order; the pinned commit of a hub model; "" while there is no encoder yet."""
    s = scale(scale_name)
    files = weights(encoder_dir(scale_name))
    if s.revision or not s.encoder or not all(file.is_file() for file in files):
        return s.revision
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def weights(folder: Path) -> list[Path]:
    """The files of an encoder's weights, in order, there or not: the parts that an index names, or the one that needs none.

    Raises: Bad for a damaged index.
    """
    index = folder / INDEX
    if not index.is_file():
        return [folder / "model.safetensors"]
    try:
        return [folder / name for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))]
    except (ValueError, KeyError, TypeError, AttributeError):
        advice = "restore it from git" if PACKAGE in folder.parents else "delete the folder, it is made again"
        raise Bad(f"{index}: damaged checkpoint; {advice}") from None
