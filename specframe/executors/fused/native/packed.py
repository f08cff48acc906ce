"""Low-bit weights as the compiled products read them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.fused.weights import FusedLinear
from specframe.executors.low_bit import LowBitLinear
from specframe.executors.rounding import GROUP, Rounded, Rounding, pad_rows

__all__ = ["PackedWeight", "pack"]

BLOCK = 16  # outputs that are computed together
AT_ONCE = 4096  # outputs whose codes are put in order together


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """Codes in blocks of 16 outputs, in the order that `products.c` describes."""

    codes: Tensor  # [blocks, groups, bytes]
    scales: Tensor  # [blocks, groups, 16] bfloat16
    zeros: Tensor
    bits: int

    def __call__(self, rows: Tensor) -> Tensor:
        """The product with many rows [S, inputs], for which the weights are widened once."""
        weight = self._rounded().dense()[:, : rows.shape[-1]]
        return F.linear(_rounded_rows(rows), weight.to(rows.dtype))

    def _rounded(self) -> Rounded:
        steps = self.codes.unflatten(2, (-1, BLOCK, 4))
        parts = [steps & 15, steps >> 4] if self.bits == 4 else [steps]
        codes = torch.stack(parts, -2)
        # [blocks, groups, steps, 16, halves, 4] -> [outputs, inputs]
        codes = codes.permute(0, 3, 1, 2, 4, 5).reshape(codes.shape[0] * BLOCK, -1)
        scales, zeros = (
            part.float().transpose(1, 2).flatten(0, 1) for part in (self.scales, self.zeros)
        )
        return Rounded(codes, scales, zeros, self.bits)


def pack(linear: FusedLinear, bits: int, rounding: Rounding) -> LowBitLinear:
    """Round the weights of a layer, which is not changed."""
    rounded = pad_rows(rounding(linear.weight.detach(), bits), BLOCK)
    codes = torch.cat([_in_order(rows, bits) for rows in rounded.codes.split(AT_ONCE)])
    scales, zeros = (
        part.view(-1, BLOCK, part.shape[1]).transpose(1, 2).to(torch.bfloat16).contiguous()
        for part in (rounded.scales, rounded.zeros)
    )
    size = sum(part.nbytes for part in (codes, scales, zeros))
    weight = PackedWeight(codes, scales, zeros, bits)
    return LowBitLinear(weight, 0, linear.outputs, linear.bias, size)


def _in_order(codes: Tensor, bits: int) -> Tensor:
    """[blocks, groups, bytes] of codes [outputs, inputs]."""
    # [blocks, groups, steps, 16, halves, 4]
    groups = codes.shape[1] // GROUP
    codes = codes.view(-1, BLOCK, groups, GROUP * bits // 32, 8 // bits, 4)
    codes = codes.permute(0, 2, 3, 1, 4, 5)
    packed = codes[..., 0, :] | codes[..., 1, :] << 4 if bits == 4 else codes[..., 0, :]
    return packed.flatten(2).contiguous()


def _rounded_rows(rows: Tensor) -> Tensor:
    """Rows as the compiled products round them: to 8 bits, one scale for each group."""
    grouped = F.pad(rows, (0, -rows.shape[-1] % GROUP)).float().unflatten(-1, (-1, GROUP))
    scales = (grouped.abs().amax(-1, keepdim=True) / 127).clamp_min(1e-30)
    rounded: Tensor = (grouped / scales).round_() * scales
    return rounded.flatten(-2)[..., : rows.shape[-1]].to(rows.dtype)
