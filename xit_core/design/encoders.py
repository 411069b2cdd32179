"""The encoders that paths start from: what each is, where its weights are, and what identifies them."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..machine.errors import Bad
from ..machine.places import PACKAGE

# relative depth of the layer whose sentence vectors are compared: jiant scores hidden_states[14] of 24 layers
DEPTH = 14 / 24
# an encoder's weights, and the index of weights in parts, as transformers names them
WHOLE = "model.safetensors"
INDEX = f"{WHOLE}.index.json"
SHIPPED, HUB, FOLDER, QUANTISED, RANDOM = "shipped", "hub", "folder", "quantised", "random"


@dataclass(frozen=True)
class Encoder:
    """An encoder and where it comes from.

    `origin`: "shipped", a folder of xit_core/encoders; "hub", a repository of the hub at a commit; "folder",
    a folder of the user's in transformers' layout; "quantised", a file in another Python package, in four
    bits (`model.quantised`); "random", no files: weights are drawn at random in the shape of the scale's
    pretraining.
    """

    name: str = ""  # the shipped folder, the hub's repository, the name of a folder, or "package/file"
    origin: str = RANDOM
    revision: str = ""  # the commit on the hub, or the sha256 of a folder's weights or of a package's file
    layers: int = 0  # 0 where the scale's pretraining says it
    hidden: int = 0
    borrowed: str = ""  # the shipped folder whose tokenizer random weights use
    place: str = ""  # where a folder of the user's is, on this machine

    @property
    def folder(self) -> Path:
        """The folder of its files, whether or not it exists; for a hub model it does not."""
        return (
            Path(self.place) if self.origin == FOLDER else PACKAGE / "encoders" / (self.name or self.borrowed)
        )

    @property
    def file(self) -> Path:
        """The file in another Python package that has all of a quantised encoder.

        Raises: Bad when that package is not installed.
        """
        package, _, name = self.name.partition("/")
        spec = importlib.util.find_spec(package)
        if not spec or not spec.submodule_search_locations:
            raise Bad(f"encoder {self.name}: no package {package} is installed; `make encoder SCALE=small`")
        return Path(spec.submodule_search_locations[0]) / name


def lacking(encoder: Encoder) -> str:
    """What to do where an encoder's file in another package is not at hand; "" where nothing is."""
    if encoder.origin == QUANTISED:
        try:
            encoder.file  # noqa: B018
        except Bad as absent:
            return str(absent)
    return ""


def shipped(name: str) -> Encoder:
    """An encoder that this package ships."""
    return Encoder(name, SHIPPED)


def hub(name: str, commit: str, layers: int, hidden: int) -> Encoder:
    """An encoder of the hub, pinned to a commit."""
    return Encoder(name, HUB, commit, layers, hidden)


def quantised(name: str, sha256: str, layers: int, hidden: int) -> Encoder:
    """An encoder in a file "package/file" of another Python package, pinned by its hash."""
    return Encoder(name, QUANTISED, sha256, layers, hidden)


def fingerprint(encoder: Encoder) -> str:
    """The identity of an encoder's weights: their declared revision, or the sha256 of all shipped parts.

    "" when the weights do not exist yet.
    """
    if encoder.revision or encoder.origin != SHIPPED:
        return encoder.revision
    return weights_hash(encoder.folder)


@lru_cache
def weights_hash(folder: Path) -> str:
    """The sha256 of a folder's weights, all parts in order; "" when a part is missing."""
    files = weight_files(folder)
    if not all(file.is_file() for file in files):
        return ""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The files of an encoder's weights in order, whether or not they exist.

    They are the parts that the index names, or a single file where there is no index.

    Raises: Bad for a damaged index.
    """
    index = folder / INDEX
    if not index.is_file():
        return [folder / WHOLE]
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(named))]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Bad(f"{index}: damaged; restore it") from None
