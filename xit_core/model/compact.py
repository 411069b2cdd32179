"""Training only the rows of the embedding table that are used."""

import math

import numpy as np
import torch

from . import mixture
from .encoder import Model
from .features import piece_ids
from .schedule import DECAY, slope


class CompactEmbedding:
    """Trains only the rows in use of the embedding table; `restore()` applies the missed weight decay to the
    others.

    The others would get no gradient: AdamW only lets them decay, which is a product over the steps and done
    at the end. Masked LM, whose output weights are the table too, keeps it whole. `lookup` (V,): the row of
    each piece in the compact table, None for the whole table.
    """

    def __init__(self, net: Model, batches: mixture.Mixture, lr: float):
        self.net, self.whole, self.lookup = net, net.encoder.get_input_embeddings(), None
        self.rates = [lr * slope(step, batches.steps) for step in range(batches.steps)]
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
            kept = math.prod(1 - rate * DECAY for rate in self.rates[:step])
            self.whole.weight.data = (self.before * kept).index_copy_(0, self.rows, self.part.weight.detach())
            self.net.encoder.set_input_embeddings(self.whole)

    def compact(self) -> None:
        """Give the net the rows in use only."""
        if self.lookup is not None:
            self.net.encoder.set_input_embeddings(self.part)
