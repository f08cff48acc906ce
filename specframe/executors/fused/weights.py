"""Several linear layers fused into one matrix that shares storage with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FusedLinear", "fuse_rows"]

FEW_ROWS = 32


@dataclass(frozen=True, slots=True)
class FusedLinear:
    """Rows of several linear layers over the same input, in order."""

    weight: Tensor  # [sum of out, in]
    bias: Tensor | None
    parts: tuple[int, ...]  # rows of each layer

    @property
    def outputs(self) -> int:
        """The number of rows of all layers."""
        return self.weight.shape[0]

    def __call__(self, rows: Tensor) -> Tensor:
        """[S, in] -> [S, out]; the result for few rows may be stored column by column."""
        if not self._is_better_on_the_left(rows):
            return F.linear(rows, self.weight, self.bias)
        if self.bias is None:
            return torch.mm(self.weight, rows.t()).t()
        return torch.addmm(self.bias[:, None], self.weight, rows.t()).t()

    @staticmethod
    def _is_better_on_the_left(rows: Tensor) -> bool:
        """True for few rows in half precision on a CPU: the same bits, a third faster."""
        half = rows.dtype in (torch.bfloat16, torch.float16)
        return half and rows.device.type == "cpu" and rows.shape[0] <= FEW_ROWS


def fuse_rows(linears: Sequence[nn.Linear]) -> FusedLinear:
    """Stack linear layers; their parameters become views, so memory use does not double.

    Either all of them have a bias or none.
    """
    weight = _stack([linear.weight for linear in linears])
    bias = None if linears[0].bias is None else _stack([linear.bias for linear in linears])
    return FusedLinear(weight, bias, tuple(linear.weight.shape[0] for linear in linears))


def _stack(parts: Sequence[Tensor]) -> Tensor:
    joined = _already_joined(parts)
    if joined is not None:
        return joined
    joined = torch.cat([part.data for part in parts])
    start = 0
    for part in parts:
        part.data = joined[start : start + part.shape[0]]
        start += part.shape[0]
    return joined


def _already_joined(parts: Sequence[Tensor]) -> Tensor | None:
    """One view of all parts, if they are already adjacent in one storage; otherwise None."""
    first = parts[0].data
    if len(parts) == 1:
        return first
    expected = first.data_ptr()
    storage = first.untyped_storage().data_ptr()
    for part in parts:
        if not part.data.is_contiguous() or part.data.data_ptr() != expected:
            return None
        if part.untyped_storage().data_ptr() != storage:
            return None
        expected += part.numel() * part.element_size()
    rows = sum(part.shape[0] for part in parts)
    return first.as_strided((rows, *first.shape[1:]), first.stride(), first.storage_offset())
