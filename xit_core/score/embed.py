"""Sentence vectors of every layer from one forward pass."""

import torch
from torch import Tensor

from ..design.encoders import DEPTH
from ..design.scales import Scale
from ..design.tasks import PARALLEL
from ..model.device import in_turns, processes
from ..model.encoder import Model
from ..model.families import positions
from ..model.kinds.kind import pieces


def at_depth(net: Model, share: float) -> int:
    """The layer at a relative depth; 0 = embeddings."""
    return round(share * net.encoder.config.num_hidden_layers)


def headline_layer(net: Model) -> int:
    """The layer whose vectors are compared, at the same relative depth as jiant's in any encoder."""
    return at_depth(net, DEPTH)


@torch.inference_mode()
def embed(
    net: Model,
    sentences: list[str],
    s: Scale,
    max_len: int = 0,
    layers: tuple[int, ...] = (),
    first: int | None = None,
) -> Tensor:
    """Mean over a sentence's pieces, special ones included, at every layer: (layers + 1, N, H), float32.

    Layer 0 is the embeddings. Equal sentences are embedded once, so that they tie exactly. `max_len`: tokens
    of a sentence, 0 for the scale's. `layers`: only these layers. `first`: a layer whose first token's vector
    follows the means.
    """
    config = net.encoder.config
    index_of = {text: i for i, text in enumerate(dict.fromkeys(sentences))}
    limit = min(max_len or s.longest(PARALLEL.kind), positions(config))
    features = pieces(list(index_of), net.tokenizer, limit)
    layers = layers or tuple(range(config.num_hidden_layers + 1))
    out, own = torch.empty(len(layers) + (first is not None), len(index_of), config.hidden_size), []
    for indices, batch in net.passes(features):
        own += indices
        with net.autocast():
            for layer, states in enumerate(net.states(batch, max(layers))):
                for row in (k for k, wanted in enumerate(layers) if wanted == layer):
                    out[row, indices] = batch["sequences"].means(states).cpu()
                if layer == first:
                    out[-1, indices] = states[batch["sequences"].cu[:-1]].float().cpu()
    if processes() > 1:
        for indices, part in in_turns([(own, out[:, own])]):
            out[:, indices] = part
    return out if len(index_of) == len(sentences) else out[:, [index_of[text] for text in sentences]]


def centred(x: Tensor) -> Tensor:
    """Vectors minus the mean vector of their language. Shapes: (..., N, H) -> (..., N, H)."""
    return x - x.mean(-2, keepdim=True)


def language_share(groups: list[Tensor]) -> list[float]:
    """Share of the variance of sentence vectors that their language explains, by layer.

    Shapes: groups (L, N, H), one per language.
    """
    vectors = torch.cat(groups, dim=1)
    centre = vectors.mean(1, keepdim=True)
    total = (vectors - centre).square().sum((1, 2))
    between = sum(g.shape[1] * (g.mean(1, keepdim=True) - centre).square().sum((1, 2)) for g in groups)
    return (between / total.clamp_min(1e-12)).tolist()
