"""A transformer layer as one operation whose gradient is written out, for CPUs.

transformers computes a layer in some thirty small operations, and autograd its gradient in as many again. In
a small encoder, calling them takes as long as computing them. Here a layer is a dozen, with the same result.
What is not trained gets no gradient.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

from .bf16 import product
from .packed import Sequences

aten = torch.ops.aten
LORA = "get_delta_weight"  # what peft's layers have; peft is imported only where it is used


def fits(layer: nn.Module, device: torch.device) -> bool:
    """Whether `run` computes what a layer does: one of XLM-R's on a CPU that nothing was added to, without
    dropout.
    """
    if type(layer) is not XLMRobertaLayer or device.type != "cpu":
        return False
    own, after, within, last = layer.attention.self, layer.attention.output, layer.intermediate, layer.output
    drops = layer.training and any(part.dropout.p for part in (own, after, last))
    known = all(type(part) is nn.Linear or hasattr(part, LORA) for part in linear(layer))
    return known and not drops and type(within.intermediate_act_fn) is GELUActivation


def linear(layer: XLMRobertaLayer) -> tuple[nn.Module, ...]:
    """The linear parts of a layer, in the order of `Layer`."""
    own, after = layer.attention.self, layer.attention.output
    return own.query, own.key, own.value, after.dense, layer.intermediate.dense, layer.output.dense


def weight(part: nn.Module) -> Tensor:
    """(out, in): the weight of a linear part, with what LoRA adds to it."""
    return part.weight + getattr(part, LORA)("default") if hasattr(part, LORA) else part.weight


def run(layer: XLMRobertaLayer, x: Tensor, s: Sequences, wanted: Sequences, half: bool) -> Tensor:
    """The states after a layer: (T, H) -> (T, H), or (N, H) where only the first tokens are wanted.

    `wanted`: `s`, or its `firsts`. `half`: whether matrix products are in bf16, as with autocast.
    """
    weights = [w for part in linear(layer) for w in (weight(part), part.bias)]
    weights = [w.bfloat16() for w in weights] if half else weights
    norm = layer.attention.output.LayerNorm
    shape = layer.attention.self.num_attention_heads, norm.eps
    # the last norm stays a module of its own: it may have adapters
    return layer.output.LayerNorm(Layer.apply(x.float(), s, wanted, shape, *weights, norm.weight, norm.bias))


class Layer(torch.autograd.Function):
    """Attention within each sequence, added to its input and normalised, and the feed-forward network, added
    to its own.

    With T tokens read in `s`, and R states wanted: x (T, H) -> (R, H), float32.
    """

    @staticmethod
    def forward(
        ctx, x: Tensor, s: Sequences, wanted: Sequences, shape: tuple[int, float],
        wq: Tensor, bq: Tensor, wk: Tensor, bk: Tensor, wv: Tensor, bv: Tensor, wo: Tensor, bo: Tensor,
        w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, n1: Tensor, c1: Tensor,
    ) -> Tensor:  # fmt: skip
        """The layer. Shapes: `w` are weights (out, in), `b` and `c` biases, `n` the norms' weights."""
        (heads, eps), dtype, size = shape, wq.dtype, x.shape[-1:]
        rows = x if wanted is s else x.index_select(0, s.begins)
        read, asked = x.to(dtype), rows.to(dtype)
        if wanted is s:
            q, k, v = spread(projected(read, (wq, bq), (wk, bk), (wv, bv)), s, 3, heads)
        else:
            (q,) = spread(projected(asked, (wq, bq)), wanted, 1, heads)
            k, v = spread(projected(read, (wk, bk), (wv, bv)), s, 2, heads)
        options = {"attn_mask": None if s.even else s.bias, "scale": q.shape[-1] ** -0.5}
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, False, **options)
        o = joined(out[None], wanted).to(dtype)
        a0 = product(o, wo.t(), bo).float().add_(rows)
        a, *m1 = aten.native_layer_norm(a0, size, n1, c1, eps)
        half = a.to(dtype)
        u = product(half, w1.t(), b1)
        h = functional.gelu(u)
        ctx.save_for_backward(
            read, asked, q, k, v, out, lse, o, a0, *m1, half, u, h, wq, wk, wv, wo, w1, w2, n1, c1
        )
        ctx.s, ctx.wanted, ctx.heads, ctx.options = s, wanted, heads, options
        return product(h, w2.t(), b2).float().add_(a)

    @staticmethod
    def backward(ctx, gy: Tensor):
        """The gradients of x and of the weights that are trained. Shapes: gy (R, H)."""
        read, asked, q, k, v, out, lse, o, a0, m1, r1, half, u, h = ctx.saved_tensors[:14]
        wq, wk, wv, wo, w1, w2, n1, c1 = ctx.saved_tensors[14:]
        s, wanted, dtype, size = ctx.s, ctx.wanted, wq.dtype, gy.shape[-1:]
        learned = ctx.needs_input_grad[4:]
        gf = gy.to(dtype)
        gu = aten.gelu_backward(product(gf, w2), u)
        of_norm = [True, *learned[12:]]
        g1, *gn = aten.native_layer_norm_backward(added(gy, gu, w1), a0, size, m1, r1, n1, c1, of_norm)
        go = g1.to(dtype)
        (gout,) = spread(product(go, wo), wanted, 1, ctx.heads, zeros=True)
        parts = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gout, q, k, v, out, lse, 0.0, False, **ctx.options
        )
        gq, gk, gv = (
            joined(part[None], of).to(dtype) for part, of in zip(parts, (wanted, s, s), strict=True)
        )
        gx = added(g1, gq, wq)
        if wanted is not s:
            gx = torch.zeros_like(read, dtype=gx.dtype).index_copy_(0, s.begins, gx)
        gx = added(added(gx, gk, wk), gv, wv)
        weights = []
        for g, seen in ((gq, asked), (gk, read), (gv, read), (go, o), (gu, half), (gf, h)):
            of_weight, of_bias = learned[len(weights) : len(weights) + 2]
            weights += [product(g.t(), seen) if of_weight else None, g.sum(0) if of_bias else None]
        return gx, None, None, None, *weights, *gn


def projected(x: Tensor, *parts: tuple[Tensor, Tensor]) -> Tensor:
    """x times each weight plus its bias, side by side: (T, H) -> (T, parts * H)."""
    out, size = x.new_empty(len(x), len(parts) * x.shape[1]), x.shape[1]
    for k, (weight, bias) in enumerate(parts):
        product(x, weight.t(), bias, out=out[:, k * size : (k + 1) * size])
    return out


def added(x: Tensor, g: Tensor, w: Tensor) -> Tensor:
    """x + g @ w in float32, in one operation where they are. Shapes: (R, H), (R, O), (O, H) -> (R, H)."""
    return torch.addmm(x, g, w) if g.dtype == x.dtype else x + product(g, w)


def spread(x: Tensor, s: Sequences, parts: int, heads: int, zeros: bool = False) -> Tensor:
    """(T, parts * H) -> (parts, N, heads, longest, D), float32: each sequence padded to the longest.

    Places without a token repeat an arbitrary one, or are `zeros`.
    """
    x = x.float()
    if not s.even:
        empty = x.new_zeros(len(s.grid), x.shape[1]) if zeros else None
        x = empty.index_copy_(0, s.place, x) if zeros else x.index_select(0, s.grid)
    return x.view(len(s.lengths), s.longest, parts, heads, -1).permute(2, 0, 3, 1, 4)


def joined(x: Tensor, s: Sequences) -> Tensor:
    """(parts, N, heads, longest, D) -> (T, parts * H): the inverse of `spread`."""
    x = x.permute(1, 3, 0, 2, 4).reshape(len(s.lengths) * s.longest, -1)
    return x if s.even else x.index_select(0, s.place)
