"""Train attention over the adapters of several stages, which stay as they are, on a target.

AdapterFusion of Pfeiffer et al. (2021). In every layer, let h be what the layer's last norm makes of the
states before it, and z_n what adapter n makes of h. The states then get the sum over n of s_n V z_n, where s
is the softmax over n of (Q h) (K z_n). V starts as the identity: one adapter alone stays what it was.
"""

import torch
from torch import Tensor, nn

from ...design.methods import FUSION
from ...machine.errors import Bad
from ..encoder import Model
from .adapter import Adapter, norms


class Fusion(nn.Module):
    """Attention over N adapters: (T, H) -> (T, H), to be added to the states."""

    def __init__(self, adapters: list[Adapter], hidden: int):
        super().__init__()
        self.adapters = nn.ModuleList(adapters)
        self.query, self.key = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden, bias=False)
        for layer in (self.query, self.key):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.eye_(self.value.weight)

    def forward(self, states: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        made = torch.stack([adapter(states) for adapter in self.adapters], dim=1)
        scores = torch.einsum("th,tnh->tn", self.query(states), self.key(made))
        return torch.einsum("tn,tnh->th", scores.softmax(1).to(made.dtype), self.value(made))


def add(net: Model) -> None:
    """Replace the adapters of every layer, one for each task, by their fusion, and train that alone."""
    places = norms(net)
    net.encoder.requires_grad_(False)
    for norm in places:
        fusion = Fusion(list(norm.added), net.encoder.config.hidden_size)
        norm.added = nn.ModuleList([fusion.to(norm.weight.device)])


def write(net: Model, folder) -> None:
    """A fusion is of a target, and nothing starts from a target. Raises: Bad."""
    raise Bad(f"method={FUSION!r} saves nothing: it is of a target alone")
