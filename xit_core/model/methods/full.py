"""Train every weight and save the whole encoder."""

from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from ...design.scales import Scale
from .. import checkpoints
from ..encoder import Model


def add(net: Model) -> None:
    """Add nothing."""


def trained(net: Model) -> list[nn.Parameter]:
    """All parameters; an encoder that is being pretrained may have its embedding table frozen."""
    return [p for p in net.parameters() if p.requires_grad]


def write(net: Model, folder: Path) -> None:
    """Save the encoder in transformers' layout."""
    checkpoints.write_model(net, folder)


def read(folder: Path, pieces: Tokenizer, s: Scale) -> Model:
    """Read the encoder as it was saved.

    Raises: Bad for a missing or damaged file.
    """
    return checkpoints.read_model(folder, pieces, s)
