"""Train every weight and save the whole encoder."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ...design.run import Run
from .. import checkpoints, origins
from ..encoder import Model


def add(net: Model) -> None:
    """Add nothing; train everything, but for an embedding table that is frozen."""
    net.encoder.requires_grad_(True)
    net.encoder.get_input_embeddings().weight.requires_grad_(not net.frozen_table)


def write(net: Model, folder: Path) -> None:
    """Save the encoder in transformers' layout."""
    checkpoints.write_model(net, folder)


def read(run: Run, start: Callable[[], Model] | None = None) -> Model:
    """Read the encoder that a run saved; what it started from is not needed.

    Raises: Bad for a missing or damaged file.
    """

    def table() -> Tensor:
        return origins.start(run.scale, run.model, run.seed).encoder.get_input_embeddings().weight.detach()

    return checkpoints.read_model(run.folder, origins.tokenizer(run.scale), run.scale, table)
