"""A linear probe for parts of speech on frozen states."""

import torch
from torch import Tensor
from torch.nn import functional

from ..data import reading
from ..design.scales import Scale
from ..design.tasks import TAGGED, languages
from ..model.encoder import Model
from ..model.kinds import encode, kind
from ..model.kinds.kind import IGNORED

PROBE_SENTENCES = 1000  # sentences that the linear classifier of parts of speech learns from


def linear(net: Model, s: Scale) -> tuple[list[dict], list[dict]]:
    """How well a linear classifier tells parts of speech from each layer's frozen states, in every language;
    what was read.

    It learns from English sentences only. Gives {layer, lang, accuracy (0-100), n}; n: tokens that have a
    piece and a tag.
    """
    task = TAGGED

    def told(split: str, lang: str, n: int) -> tuple[Tensor, Tensor, list[dict]]:
        rows, read = reading.examples(task, split, lang, s, n)
        return *firsts(net, encode(task, rows, net.tokenizer, s)), read

    states, tags, seen = told("train", task.train_lang, PROBE_SENTENCES)
    classifiers, found = [logistic(x, tags, len(task.labels)) for x in states], []
    for lang in languages(task, s):
        states, tags, read = told("validation", lang, s.eval_rows)
        for k, (classifier, x) in enumerate(zip(classifiers, states, strict=True)):
            right = functional.linear(x.double(), *classifier).argmax(-1) == tags
            found.append(
                {
                    "layer": k,
                    "lang": lang,
                    "accuracy": round(100 * right.double().mean().item(), 6),
                    "n": len(tags),
                }
            )
        seen = seen + read
    return found, seen


@torch.no_grad()
def firsts(net: Model, features: list[dict]) -> tuple[Tensor, Tensor]:
    """States of the first pieces of tagged tokens, after the embeddings and each layer, (L + 1, N, H), and
    their tags (N,).
    """
    states, tags = [], []
    for _, batch in net.passes([f | {"gold": kind(TAGGED).gold(f)} for f in features]):
        first = batch["gold"] != IGNORED
        with net.autocast():
            states.append(torch.stack([x[first].float() for x in net.states(batch)]).cpu())
        tags.append(batch["gold"][first].cpu())
    return torch.cat(states, 1), torch.cat(tags)


def logistic(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (C, H) and biases (C,) of a multinomial logistic regression of classes (N,) on states (N, H),
    in float64.

    States are standardised, and half the square of the weights on them is added to the sum of the losses,
    scikit-learn's default. The problem is convex and starts at 0: no seed.
    """
    mean, deviation = x.double().mean(0), x.double().std(0).clamp_min(1e-6)
    weight, bias = (
        torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in ((classes, x.shape[1]), classes)
    )
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")
    z = (x.double() - mean) / deviation

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(functional.linear(z, weight, bias), y) + weight.square().sum() / (
            2 * len(y)
        )
        value.backward()
        return value

    optimiser.step(loss)
    weight = weight.detach() / deviation
    return weight, bias.detach() - weight @ mean
