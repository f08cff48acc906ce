"""Low-bit weights as the compiled products read them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.fused.weights import FusedLinear
from specframe.executors.low_bit import GROUP, LowBitLinear, Rounded, round_in_groups

__all__ = ["PackedWeight", "pack"]

HALF = GROUP // 2


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """Codes [outputs, groups, bytes], with the scale and the zero [outputs, groups] of a group.

    4 bits: byte b of a group holds the codes b and b + 32; 8 bits: codes less 128, as int8.
    """

    codes: Tensor
    scales: Tensor  # bfloat16
    zeros: Tensor
    bits: int

    def __call__(self, rows: Tensor) -> Tensor:
        """The product with many rows [S, inputs], for which the weights are widened once."""
        weight = self._rounded().dense()[:, : rows.shape[-1]]
        return F.linear(rows, weight.to(rows.dtype))

    def _rounded(self) -> Rounded:
        if self.bits == 4:
            codes = torch.cat([self.codes & 15, self.codes >> 4], -1).int()
        else:
            codes = self.codes.int() + 128
        return Rounded(codes.flatten(1), self.scales.float(), self.zeros.float(), self.bits)


def pack(linear: FusedLinear, bits: int) -> LowBitLinear:
    """Round the weights of a layer, which keeps its own."""
    weight = linear.weight.detach()
    rounded = round_in_groups(F.pad(weight, (0, -weight.shape[1] % GROUP)), bits)
    codes = rounded.codes.unflatten(1, (-1, GROUP))
    if bits == 4:
        packed = (codes[..., :HALF] | codes[..., HALF:] << 4).to(torch.uint8)
    else:
        packed = (codes - 128).to(torch.int8)
    scales, zeros = (part.to(torch.bfloat16) for part in (rounded.scales, rounded.zeros))
    size = sum(part.nbytes for part in (packed, scales, zeros))
    product = PackedWeight(packed.contiguous(), scales, zeros, bits)
    return LowBitLinear(product, 0, weight.shape[0], linear.bias, size)
