"""The plain padded path, as transformers and any script have it: what the packed one must equal."""

import copy

import numpy as np
import torch
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # noqa: F401  names "sdpa"

from xit_core.design.tasks import TASKS
from xit_core.model import schedule
from xit_core.model.features import sequences
from xit_core.model.kinds import mlm


def twin(net):
    """The same weights on transformers' own attention."""
    other = copy.deepcopy(net, {id(net.tokenizer): net.tokenizer})
    other.encoder.set_attn_implementation("sdpa")
    return other


def pad(features):
    """(ids, mask) of all sequences of a batch, padded to the longest."""
    parts = [torch.tensor(np.array(x, np.int64)) for f in features for x in sequences(f)]
    ids = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=1)
    return ids, (torch.arange(ids.shape[1]) < torch.tensor([len(x) for x in parts])[:, None]).long()


def logits(net, name, features):
    """(B, C) of a batch, or (B, T, C) where they are by token."""
    head, kind, (ids, mask) = net.heads[name], TASKS[name].kind, pad(features)
    states = net.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    if kind in ("classify", "choose"):
        vector = (
            (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            if net.pooling != "first"
            else states[:, 0]
        )
        found = head.out(torch.tanh(head.dense(vector)))
        if kind == "choose" and net.pooling == "match":
            cosines = [alike(*both) for both in zip(ids, states, strict=True)]
            found = found + head.likeness * torch.stack(cosines)[:, None]
        return found.view(len(features), -1) if kind == "choose" else found
    if kind == "mlm":
        table = net.encoder.get_input_embeddings().weight
        return functional.linear(head.norm(functional.gelu(head.dense(states))), table, head.bias)
    return (
        head.out(states) if kind == "tag" else head.out(states).masked_fill(mask[..., None] == 0, -torch.inf)
    )


def alike(ids, states):
    """The cosine of the mean states before and after the first </s>. Shapes: (T,), (T, H) -> scalar."""
    first, *_, last = (ids == 2).nonzero().flatten().tolist()
    return functional.cosine_similarity(states[1:first].mean(0), states[first + 2 : last].mean(0), dim=0)


def loss(net, name, features):
    """The mean that the recipe declares."""
    found, kind = logits(net, name, features), TASKS[name].kind
    gold = [torch.tensor(np.array(f["gold"], np.int64)) for f in features]
    if kind in ("classify", "choose"):
        return functional.cross_entropy(found, torch.cat(gold))
    if kind == "span":
        start, end = torch.stack(gold).T
        return (
            functional.cross_entropy(found[..., 0], start) + functional.cross_entropy(found[..., 1], end)
        ) / 2
    if kind == "mlm":
        gold = [
            torch.full((f["length"],), -100).index_put_((torch.tensor(f["hidden"]),), g)
            for f, g in zip(features, gold, strict=True)
        ]
    gold = torch.nn.utils.rnn.pad_sequence(gold, batch_first=True, padding_value=-100)
    return functional.cross_entropy(found.flatten(0, 1), gold.flatten(), ignore_index=-100)


def hidden(net, name, features, at):
    """What masked LM hides in the step `at` (seed, step); other tasks as they are."""
    if TASKS[name].kind != "mlm":
        return features
    return mlm.hide(features, 0.15, net.vocabulary, np.random.default_rng(at))


def fit(net, mixture, lr, seed, gradient=loss):
    """Every step's loss of a plain loop over the whole embedding table."""
    learned = net.trained
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": schedule.DECAY},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=schedule.EPSILON, fused=True)
    rates, losses = (
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.slope(step, mixture.steps)),
        [],
    )
    net.train()
    for step in range(mixture.steps):
        name, features = mixture.at(step)
        value = gradient(net, name, hidden(net, name, features, (seed, step)))
        if value.requires_grad:
            value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), schedule.CLIP)
        optimiser.step()
        rates.step()
        optimiser.zero_grad()
        losses.append(value.item())
    return losses


def row_of(found):
    """An evaluation as the ledger would have it, with its predictions and what it read."""
    return found.row() | {"predictions": found.predictions, "seen": found.seen}
