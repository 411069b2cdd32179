"""Training only the rows of the embedding table that are used."""

import math

import numpy as np
import torch

from . import mixture
from .encoder import Model
from .features import piece_ids
from .schedule import DECAY


class CompactEmbedding:
    """Trains only the rows of the embedding table that are in use.

    The other rows get no gradient, so AdamW would only decay them. That decay is a product over the steps,
    and `restore()` applies it at once. Masked LM keeps the whole table, because its output weights are the
    table too. `lookup` (V,): the row of each piece in the compact table; None when the whole table is
    trained.
    """

    def __init__(self, net: Model, batches: mixture.Mixture, rates: list[float]):
        self.net, self.whole, self.lookup = net, net.encoder.get_input_embeddings(), None
        self.rates = rates
        self.before = self.whole.weight.detach()
        if any(net.kinds[name].tied for name in batches.features) or not self.whole.weight.requires_grad:
            return
        used = np.flatnonzero(np.bincount(np.concatenate([piece_ids(f) for f in batches.features.values()])))
        self.lookup = np.zeros(len(self.before), np.int64)
        self.lookup[used] = np.arange(len(used))
        self.rows = torch.from_numpy(used).to(self.before.device)
        self.part = torch.nn.Embedding.from_pretrained(self.before[self.rows], freeze=False)
        self.compact()

    def restore(self, step: int) -> None:
        """Give the net the whole table as it is before a step."""
        if self.lookup is not None:
            decay = math.prod(1 - rate * DECAY for rate in self.rates[:step])
            self.whole.weight.data = (self.before * decay).index_copy_(
                0, self.rows, self.part.weight.detach()
            )
            self.net.encoder.set_input_embeddings(self.whole)

    def compact(self) -> None:
        """Give the net only the rows in use."""
        if self.lookup is not None:
            self.net.encoder.set_input_embeddings(self.part)
