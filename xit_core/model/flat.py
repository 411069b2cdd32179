"""Parameters that lie one after the other in one tensor, so that an optimiser moves them in one operation."""

import torch
from torch import nn

from .encoder import Model
from .schedule import DECAY


class Flat:
    """Parameters as views of one tensor, and their gradients as views of another.

    `whole` (P,): what the optimiser gets. `owner`: the task whose head they are; "" for the encoder's.
    """

    def __init__(self, parameters: list[nn.Parameter], owner: str):
        self.parameters, self.owner = parameters, owner
        self.decay = DECAY if parameters[0].ndim > 1 else 0.0
        self.whole = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.gradient = torch.zeros_like(self.whole)
        sizes = [p.numel() for p in parameters]
        views = zip(parameters, self.whole.detach().split(sizes), self.gradient.split(sizes), strict=True)
        for parameter, values, gradient in views:
            parameter.data, parameter.grad = values.view_as(parameter), gradient.view_as(parameter)

    @property
    def group(self) -> dict:
        """The optimiser's parameter group: biases and norms do not decay."""
        return {"params": [self.whole], "weight_decay": self.decay}

    def use(self, used: bool) -> None:
        """Let the next step move these parameters, or leave them and their moments as they are."""
        self.whole.grad = self.gradient if used else None

    def clear(self) -> None:
        """Set the gradients to zero."""
        self.gradient.zero_()

    def release(self) -> None:
        """Give every parameter memory of its own again."""
        for parameter in self.parameters:
            parameter.data, parameter.grad = parameter.data.clone(), None


def flattened(net: Model, learned: list[nn.Parameter]) -> list[Flat]:
    """The learned parameters of a model by owner, those that decay apart from biases and norms."""
    owners = {id(p): name for name, head in net.heads.items() for p in head.parameters()}
    parts: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for parameter in learned:
        parts.setdefault((owners.get(id(parameter), ""), parameter.ndim > 1), []).append(parameter)
    return [Flat(parameters, owner) for (owner, _), parameters in parts.items()]
