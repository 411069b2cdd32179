"""Train thin matrices whose product is added to the weights of queries and values (Hu et al. 2022).

The modules are peft's. The next stage starts from an encoder with the products merged into its weights.
"""

from collections.abc import Callable
from pathlib import Path

from peft import LoraConfig, LoraModel
from torch import nn

from ...design.methods import LORA
from ...design.run import Run
from .. import checkpoints
from ..encoder import Model

RANK, ALPHA = 8, 16
QUERY_VALUE = ["query", "value", "query_proj", "value_proj", "Wqkv"]  # their names in the families


def wrapped(net: Model) -> LoraModel:
    """Add the matrices to an encoder, in place; returns peft's handle of it."""
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=QUERY_VALUE)
    return LoraModel(net.encoder, config, "default")


def added(net: Model) -> dict[str, nn.Parameter]:
    """The matrices, by name."""
    return {name: weights for name, weights in net.encoder.named_parameters() if "lora_" in name}


def add(net: Model) -> None:
    """Add the matrices, and train nothing else of the encoder."""
    net.encoder.requires_grad_(False)
    wrapped(net)


def write(net: Model, folder: Path) -> None:
    """Save the matrices. Raises: Bad when the files cannot be written."""
    checkpoints.write_part(added(net), {"method": LORA, "rank": RANK, "alpha": ALPHA}, folder)


def read(run: Run, start: Callable[[], Model]) -> Model:
    """The model that a run started from, with the matrices that it saved merged into the weights.

    Raises: Bad for a missing or damaged file.
    """
    handle = wrapped(net := start())
    checkpoints.read_part(run.folder, added(net))
    net.encoder = handle.merge_and_unload()
    return net
