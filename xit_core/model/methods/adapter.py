"""Train a bottleneck in every layer, and leave the encoder's own weights as they are.

The adapter of Pfeiffer et al. (2021, AdapterFusion) and of MAD-X sits between the feed-forward network of a
layer and its last norm. With y the states before that norm, a layer gives norm(y + up(relu(down(norm(y))))).
An adapter of a later stage is stacked on those of earlier ones: y is then what they made of it.
"""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from ...design.methods import ADAPTER
from ...design.run import Run
from ...machine.errors import Bad
from .. import checkpoints
from ..encoder import Model

REDUCTION, LEAST = 16, 8  # of the width to the bottleneck, as in MAD-X; and its width, at least


class Adapter(nn.Module):
    """A bottleneck: (T, H) -> (T, H), to be added to the states."""

    def __init__(self, hidden: int):
        super().__init__()
        width = max(LEAST, hidden // REDUCTION)
        self.down, self.up = nn.Linear(hidden, width), nn.Linear(width, hidden)
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        return self.up(functional.relu(self.down(states)))


class AdaptedNorm(nn.LayerNorm):
    """The last norm of a layer, with modules that change the states before it: each (T, H) -> (T, H)."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__(norm.normalized_shape, norm.eps)
        self.weight, self.bias, self.added = norm.weight, norm.bias, nn.ModuleList()

    def forward(self, states: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        for module in self.added:
            states = states + module(super().forward(states))
        return super().forward(states)


def norms(net: Model) -> list[AdaptedNorm]:
    """The last norm of every layer, able to take adapters.

    Raises: Bad for a family of encoders whose layers do not end in a norm.
    """
    layers = getattr(getattr(net.encoder, "encoder", None), "layer", ())
    ends = [layer.output for layer in layers if hasattr(layer.output, "LayerNorm")]
    if not ends:
        name = net.encoder.config.model_type
        raise Bad(f"method={ADAPTER!r}: no layer of {name} ends in a norm; take 'full' or 'lora'")
    for end in ends:
        if not isinstance(end.LayerNorm, AdaptedNorm):
            end.LayerNorm = AdaptedNorm(end.LayerNorm)
    return [end.LayerNorm for end in ends]


def add(net: Model) -> None:
    """Add an adapter to every layer, and train nothing else of the encoder."""
    places = norms(net)
    net.encoder.requires_grad_(False)
    for norm in places:
        norm.added.append(Adapter(net.encoder.config.hidden_size).to(norm.weight.device))


def newest(net: Model) -> dict[str, nn.Parameter]:
    """The weights of the adapters that were added last, by name."""
    return dict(nn.ModuleList(norm.added[-1] for norm in norms(net)).named_parameters())


def write(net: Model, folder: Path) -> None:
    """Save the adapters that were added last. Raises: Bad when the files cannot be written."""
    checkpoints.write_part(newest(net), {"method": ADAPTER}, folder)


def read(run: Run, start: Callable[[], Model]) -> Model:
    """The model that a run started from, with the adapters that it saved.

    Raises: Bad for a missing or damaged file.
    """
    add(net := start())
    checkpoints.read_part(run.folder, newest(net))
    return net
