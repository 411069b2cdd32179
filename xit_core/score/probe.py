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

PROBE_SENTENCES = 1000  # sentences that the part-of-speech classifier is trained on


def linear(net: Model, s: Scale) -> tuple[list[dict], list[dict]]:
    """How well a linear classifier predicts parts of speech from each layer's frozen states, by language.

    It learns from English sentences only. Returns {layer, lang, accuracy (0-100), n}, and what was read. n:
    tokens that have a piece and a tag.
    """
    task = TAGGED

    def tagged_states(split: str, lang: str, n: int) -> tuple[Tensor, Tensor, list[dict]]:
        rows, read = reading.examples(task, split, lang, s, n)
        return *firsts(net, encode(task, rows, net.tokenizer, s)), read

    states, tags, seen = tagged_states("train", task.train_lang, PROBE_SENTENCES)
    classifiers, scores = [logistic(x, tags, len(task.labels)) for x in states], []
    for lang in languages(task, s):
        states, tags, read = tagged_states("validation", lang, s.eval_rows)
        for k, (classifier, x) in enumerate(zip(classifiers, states, strict=True)):
            correct = functional.linear(x.double(), *classifier).argmax(-1) == tags
            scores.append(
                {
                    "layer": k,
                    "lang": lang,
                    "accuracy": round(100 * correct.double().mean().item(), 6),
                    "n": len(tags),
                }
            )
        seen = seen + read
    return scores, seen


@torch.no_grad()
def firsts(net: Model, features: list[dict]) -> tuple[Tensor, Tensor]:
    """States of the first pieces of tagged tokens, (L + 1, N, H), and their tags (N,).

    The L + 1 states are those after the embeddings and after each layer.
    """
    states, tags = [], []
    for _, batch in net.passes([f | {"gold": kind(TAGGED).gold(f)} for f in features]):
        first = batch["gold"] != IGNORED
        with net.autocast():
            states.append(torch.stack([x[first].float() for x in net.states(batch)]).cpu())
        tags.append(batch["gold"][first].cpu())
    return torch.cat(states, 1), torch.cat(tags)


def logistic(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Fit a multinomial logistic regression of classes (N,) on states (N, H), in float64.

    Returns weights (C, H) and biases (C,). States are standardised. Half the squared norm of the weights on
    them is added to the sum of the losses, scikit-learn's default. The problem is convex and starts at 0, so
    it needs no seed.
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
