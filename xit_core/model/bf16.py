"""Matrix products in bf16 on processors that have no instructions for them.

There torch computes them number by number, many times slower than in float32. Here they are products in
float32 of the same rounded numbers, rounded once: what such instructions do, but for the order of the sums.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# of the functions that autocast computes in bf16, those that modules call for products
PRODUCTS = {
    functional.linear, functional.scaled_dot_product_attention,
    torch.matmul, torch.bmm, Tensor.matmul, Tensor.__matmul__,
}  # fmt: skip


@cache
def native() -> bool:
    """Whether the processor multiplies in bf16 no slower than in float32: on x86 that takes AVX-512."""
    if platform.machine() in ("x86_64", "AMD64"):
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """x @ weight, plus the bias, in the type of x. Shapes: (R, I), (I, O), (O) -> (R, O), or into `out`."""
    if x.dtype is torch.bfloat16 and not native():
        with torch.autocast("cpu", enabled=False):
            made = product(x.float(), weight.float(), None if bias is None else bias.float())
        return made.bfloat16() if out is None else out.copy_(made)
    return torch.mm(x, weight, out=out) if bias is None else torch.addmm(bias, x, weight, out=out)


class Rounded(TorchFunctionMode):
    """Within it and autocast, the products that modules ask for, and their gradients, are made so."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """What torch calls in place of one of its functions."""
        kwargs = kwargs or {}
        lowered = func in PRODUCTS and torch.is_autocast_enabled("cpu")
        if not lowered or not all(map(of_lower_precision, args[:1])):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            given = {name: rounded(x) for name, x in kwargs.items()}
            return func(*(rounded(x) for x in args), **given).bfloat16()


def of_lower_precision(x) -> bool:
    """Whether autocast computes in bf16 with it: a tensor in float32 or bf16."""
    return isinstance(x, Tensor) and x.dtype in (torch.float32, torch.bfloat16)


def rounded(x):
    """A tensor's numbers as bf16 has them, in float32; anything else as it is."""
    return x.bfloat16().float() if of_lower_precision(x) else x


@contextmanager
def autocast(device: str, enabled: bool = True) -> Iterator[None]:
    """torch's autocast to bf16 on a type of device, with products that are fast on every processor."""
    emulated = enabled and device == "cpu" and not native()
    with torch.autocast(device, torch.bfloat16, enabled=enabled), Rounded() if emulated else nullcontext():
        yield
