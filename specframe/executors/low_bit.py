"""Linear layers on weights of 4 or 8 bits, for drafting.

The products are private operators of torch, which compute in bfloat16. If one is missing, the
rounded weights are kept in full width: the same values, without a gain in speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.compiling import compiled
from specframe.executors.rounding import GROUP, KERNEL, Rounded, Rounding, pad_rows, round_in_groups
from specframe.types import LOW_BITS

__all__ = ["LowBitLinear", "lower", "round_rows"]

CPU_TILE = 16  # the 4-bit product takes rows in multiples of this
INNER_TILES = 4  # of the layout for CUDA
LARGEST_FLOAT8 = 448.0  # of e4m3
MULTIPLE = GROUP  # columns, which also suits the 8-bit product (16) and CUDA's tiles


def round_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """8 bits: codes [out, in] int8 and scales [out] float32, symmetric around 0."""
    scales = (weight.float().abs().amax(1) / 127).clamp_min(1e-10)
    return (weight.float() / scales[:, None]).round_().to(torch.int8), scales


@dataclass(frozen=True, slots=True)
class LowBitLinear:
    """A linear layer on rounded weights."""

    product: Callable[[Tensor], Tensor]  # [S, in + padding] -> [S, out + padding]
    padding: int  # columns of zeros that the rows get
    outputs: int
    bias: Tensor | None
    bytes: int  # memory of the weights

    def __call__(self, rows: Tensor) -> Tensor:
        """[S, in] -> [S, out] in the rows' dtype."""
        inner = F.pad(rows, (0, self.padding)) if self.padding else rows
        out = self.product(inner)[:, : self.outputs].to(rows.dtype)
        return out if self.bias is None else out + self.bias


def lower(
    weight: Tensor, bias: Tensor | None, bits: int, rounding: Rounding = round_in_groups
) -> LowBitLinear:
    """Round a layer's weights [out, in] to 4 or 8 bits; the layer itself is not changed.

    8-bit weights are rounded to the nearest, which loses little.
    """
    assert bits in LOW_BITS
    outputs, inputs = weight.shape
    padding, weight = -inputs % MULTIPLE, weight.detach()
    if bits == 4:
        product, size = _four(pad_rows(rounding(weight, bits), CPU_TILE))
    else:
        product, size = _eight(F.pad(weight, (0, padding, 0, -outputs % CPU_TILE)))
    return LowBitLinear(product, padding, outputs, bias, size)


def _four(rounded: Rounded) -> tuple[Callable[[Tensor], Tensor], int]:
    codes = rounded.codes
    # [groups, out, 2]
    pairs = torch.stack([rounded.scales.t(), rounded.zeros.t()], -1).to(KERNEL).contiguous()
    pack = _pack_on_cuda if codes.is_cuda else _pack_on_cpu
    packed = pack(codes) if codes.device.type in ("cpu", "cuda") else None
    if packed is None:
        return _dense(rounded.dense())
    multiply = (
        torch.ops.aten._weight_int4pack_mm
        if codes.is_cuda
        else torch.ops.aten._weight_int4pack_mm_for_cpu
    )
    product = partial(_four_bit_product, multiply, packed, pairs)
    return product, _size(packed) + _size(pairs)


def _four_bit_product(
    multiply: Callable[..., Tensor], packed: Tensor, pairs: Tensor, rows: Tensor
) -> Tensor:
    return multiply(rows.to(KERNEL), packed, GROUP, pairs)


def _pack_on_cpu(codes: Tensor) -> Tensor | None:
    pack = getattr(torch.ops.aten, "_convert_weight_to_int4pack_for_cpu", None)
    packed: Tensor | None = None if pack is None else pack(codes.int(), 1)
    return packed


def _pack_on_cuda(codes: Tensor) -> Tensor | None:
    if torch.cuda.get_device_capability(codes.device) < (8, 0):
        return None
    pairs = codes[:, ::2] << 4 | codes[:, 1::2]  # [out, in / 2]
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack(pairs, INNER_TILES)
    return packed


def _eight(weight: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
    if weight.is_cuda:
        return _floating_eight(weight)
    codes, scales = round_rows(weight)
    multiply = getattr(torch.ops.aten, "_weight_int8pack_mm", None)
    if multiply is None or not _multiplies(multiply, codes, scales):
        return _dense(codes * scales[:, None])
    scales = scales.to(KERNEL)
    return (lambda rows: multiply(rows.to(KERNEL), codes, scales)), _size(codes) + _size(scales)


def _floating_eight(weight: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
    """On a GPU: 8-bit floats, where its product of int8 weights is slow."""
    codes, scales = round_floats(weight)
    one = weight.new_ones((), dtype=torch.float32)
    rounded = compiled(round_floats, weight.device, any_shape=True)
    scaled = compiled(_scaled, weight.device, any_shape=True)
    product = partial(_float8_product, codes, scales.t(), one, rounded, scaled)
    try:
        with torch.inference_mode():  # as in walks, so that it is compiled once
            product(weight.new_zeros(16, weight.shape[1]))
    except (NotImplementedError, RuntimeError, ValueError):  # the device has none
        return _dense(codes.float() * scales)
    return product, _size(codes) + _size(scales)


def round_floats(values: Tensor) -> tuple[Tensor, Tensor]:
    """Codes [rows, in] in 8-bit floats and their scales [rows, 1] in float32."""
    scales = (values.abs().amax(1, keepdim=True).float() / LARGEST_FLOAT8).clamp_min(1e-12)
    return (values.float() / scales).to(torch.float8_e4m3fn), scales


def _float8_product(
    codes: Tensor,
    scales: Tensor,
    one: Tensor,
    rounded: Callable[[Tensor], tuple[Tensor, Tensor]],
    scaled: Callable[[Tensor, Tensor, Tensor], Tensor],
    rows: Tensor,
) -> Tensor:
    """The rows are rounded as well. Scales are applied after the product, which is faster."""
    own, sizes = rounded(rows)
    multiply: Callable[..., Tensor] = torch._scaled_mm
    out = multiply(own, codes.t(), scale_a=one, scale_b=one, out_dtype=KERNEL, use_fast_accum=True)
    return scaled(out, sizes, scales)


def _scaled(products: Tensor, sizes: Tensor, scales: Tensor) -> Tensor:
    return (products.float() * sizes * scales).to(products.dtype)


def _multiplies(multiply: Callable[..., Tensor], codes: Tensor, scales: Tensor) -> bool:
    """Whether the device has this product."""
    rows = torch.zeros(1, codes.shape[1], dtype=KERNEL, device=codes.device)
    try:
        multiply(rows, codes, scales.to(KERNEL))
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _dense(weight: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
    weight = weight.to(KERNEL)
    return (lambda rows: F.linear(rows.to(KERNEL), weight)), _size(weight)


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
