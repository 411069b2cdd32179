"""Train every weight and save the whole encoder."""

from pathlib import Path

from torch import Tensor, nn

from ...design.run import Run
from .. import checkpoints, origins
from ..encoder import Model


def add(net: Model) -> None:
    """Add nothing."""


def trained(net: Model) -> list[nn.Parameter]:
    """All parameters, but for an embedding table that is frozen."""
    return [p for p in net.parameters() if p.requires_grad]


def write(net: Model, folder: Path) -> None:
    """Save the encoder in transformers' layout."""
    checkpoints.write_model(net, folder)


def read(run: Run) -> Model:
    """Read the encoder that a run saved.

    Raises: Bad for a missing or damaged file.
    """

    def table() -> Tensor:
        return origins.start(run.scale, run.model, run.seed).encoder.get_input_embeddings().weight.detach()

    return checkpoints.read_model(run.folder, origins.tokenizer(run.scale), run.scale, table)
