"""Sequences packed one after the other without padding, and attention that stays within each sequence."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from .features import sequences


class Sequences:
    """N sequences that lie one after the other in T tokens.

    `cu` (N + 1,), int32: the start of each sequence, and the end of the last.
    """

    def __init__(self, lengths: list[int], device: torch.device):
        self.lengths, self.longest, self.tokens = lengths, max(lengths), sum(lengths)
        self.even = self.longest * len(lengths) == self.tokens
        self.cu = placed(np.cumsum([0, *lengths], dtype=np.int32), device)

    @cached_property
    def member(self) -> Tensor:
        """(T,): the sequence of each token."""
        device = self.cu.device
        return torch.repeat_interleave(
            torch.arange(len(self.lengths), device=device), self.cu.diff(), output_size=self.tokens
        )

    @cached_property
    def at(self) -> Tensor:
        """(T,): the position of each token in its sequence, from 0."""
        return torch.arange(self.tokens, device=self.cu.device) - self.cu[self.member]

    @cached_property
    def place(self) -> Tensor:
        """(T,): the index of each token in the padded form (N * longest,)."""
        return self.member * self.longest + self.at

    @cached_property
    def grid(self) -> Tensor:
        """(N * longest,): the token at each place of the padded form; an arbitrary one at empty places."""
        steps = torch.arange(self.longest, device=self.cu.device)
        return (self.cu[:-1, None] + steps).clamp_(max=self.tokens - 1).flatten()

    @cached_property
    def real(self) -> Tensor:
        """(N, 1, 1, longest): whether a place of the padded form has a token."""
        return (torch.arange(self.longest, device=self.cu.device) < self.cu.diff()[:, None])[:, None, None]

    @cached_property
    def bias(self) -> Tensor:
        """(N, 1, 1, longest): what attention adds to a score, nothing or minus infinity at empty places."""
        return torch.zeros(self.real.shape, device=self.cu.device).masked_fill_(~self.real, -torch.inf)

    @cached_property
    def begins(self) -> Tensor:
        """(N,): the first token of each sequence."""
        return self.cu[:-1].long()

    @cached_property
    def firsts(self) -> "Sequences":
        """The first tokens alone, as N sequences of one token."""
        return Sequences([1] * len(self.lengths), self.cu.device)

    def means(self, states: Tensor) -> Tensor:
        """(T, H) -> (N, H), float32: the mean over each sequence."""
        return torch.segment_reduce(states.float(), "mean", offsets=self.cu.long(), axis=0, unsafe=True)

    def logsumexp(self, x: Tensor) -> Tensor:
        """(T, C) -> (N, C): the log-sum-exp over each sequence."""
        x = Spread.apply(x, self).view(len(self.lengths), self.longest, -1)
        return x.masked_fill(~self.real.view(*x.shape[:2], 1), -torch.inf).logsumexp(1)


def pack(features: list[dict], device: torch.device, lookup: np.ndarray | None = None) -> dict:
    """Pack features into one forward pass.

    Returns `input_ids` (T,), `sequences`, `rows` (the number of features), and where the features have them
    `gold` labels and the positions of `hidden` pieces. `lookup`: the row of every piece in an embedding table
    with fewer rows.
    """
    parts = [ids for f in features for ids in sequences(f)]
    ids = np.concatenate(parts)
    batch = {
        "input_ids": placed(ids.astype(np.int64) if lookup is None else lookup[ids], device),
        "sequences": Sequences([len(x) for x in parts], device),
        "rows": len(features),
    }
    if "gold" in features[0]:
        batch["gold"] = placed(np.concatenate([f["gold"] for f in features]).astype(np.int64), device)
    if "hidden" in features[0]:
        begins = np.cumsum([0, *map(len, parts[:-1])])
        batch["hidden"] = placed(
            np.concatenate([f["hidden"] + begin for f, begin in zip(features, begins, strict=True)]), device
        )
    return batch


def ends(batch: dict) -> Tensor:
    """(T,): whether a token of packed sequences ends a text; such tokens are like a sequence's last one."""
    s, ids = batch["sequences"], batch["input_ids"]
    return ids == ids[s.cu[1:].long() - 1][s.member]


def ended(batch: dict) -> Tensor:
    """(T,): how many texts of its sequence have ended before each token of packed sequences."""
    s, last = batch["sequences"], ends(batch).long()
    before = torch.cumsum(last, 0) - last
    return before - before[s.begins][s.member]


def placed(x: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to the device without waiting for the copy. Shapes: any shape, kept."""
    x = torch.from_numpy(x)
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x


class Spread(torch.autograd.Function):
    """Pad sequences: (T, H) -> (N * longest, H).

    Places without a token repeat an arbitrary one, so attention must mask them.
    """

    @staticmethod
    def forward(ctx, x: Tensor, s: Sequences) -> Tensor:
        """(T, H) -> (N * longest, H)."""
        ctx.s = s
        return x.index_select(0, s.grid)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        """(N * longest, H) -> (T, H): places without a token have no gradient."""
        return gradient.index_select(0, ctx.s.place), None


class Gathered(torch.autograd.Function):
    """Remove the padding: (N * longest, H) -> (T, H)."""

    @staticmethod
    def forward(ctx, x: Tensor, s: Sequences) -> Tensor:
        """(N * longest, H) -> (T, H)."""
        ctx.s, ctx.shape = s, x.shape
        return x.index_select(0, s.place)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        """(T, H) -> (N * longest, H), zeros where there is no token."""
        return gradient.new_zeros(ctx.shape).index_copy_(0, ctx.s.place, gradient), None


def attend(
    module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask,
    *,
    sequences: Sequences,
    scaling=None,
    dropout=0.0,
    **_,
):
    """Attention within each sequence, with the signature that transformers calls.

    Shapes: query, key and value (1, heads, T, D) -> ((1, T, heads, D), None).
    """
    ragged = query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)
    qkv = [x[0].transpose(0, 1) for x in (query, key, value)]
    return (varlen if ragged else padded)(*qkv, sequences, scaling, dropout)[None], None


def varlen(query: Tensor, key: Tensor, value: Tensor, s: Sequences, scaling: float, dropout: float) -> Tensor:
    """FlashAttention on sequences of any lengths, without a copy.

    torch's own function for it has no dropout, so dropout calls the kernel directly.
    Shapes: query, key and value (T, heads, D) -> (T, heads, D).
    """
    if not dropout:
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(query, key, value, s.cu, s.cu, s.longest, s.longest, scale=scaling)
    kernel = torch.ops.aten._flash_attention_forward
    return kernel(query, key, value, s.cu, s.cu, s.longest, s.longest, dropout, False, False, scale=scaling)[
        0
    ]


def padded(query: Tensor, key: Tensor, value: Tensor, s: Sequences, scaling: float, dropout: float) -> Tensor:
    """Attention in a padded form, where no kernel takes sequences of different lengths.

    Padding is added only within attention, and only where lengths differ. It computes in float32: on CPUs its
    backward pass takes half the time that it takes in bf16.
    Shapes: query, key and value (T, heads, D) -> (T, heads, D).
    """
    heads, size = query.shape[1:]
    qkv = (x.reshape(-1, heads * size).float() for x in (query, key, value))
    qkv = [
        (x if s.even else Spread.apply(x, s)).view(len(s.lengths), s.longest, heads, size).transpose(1, 2)
        for x in qkv
    ]
    with torch.autocast(query.device.type, enabled=False):
        mask = None if s.even else s.real
        out = functional.scaled_dot_product_attention(*qkv, attn_mask=mask, dropout_p=dropout, scale=scaling)
    out = out.transpose(1, 2).reshape(-1, heads * size)
    return (out if s.even else Gathered.apply(out, s)).view(-1, heads, size).to(query.dtype)


AttentionInterface.register("packed", attend)
AttentionMaskInterface.register("packed", lambda *_, **__: None)
