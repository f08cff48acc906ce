"""Rounds weights to codes: to the nearest value, or so that a layer's outputs change least.

The second way is GPTQ (Frantar, Ashkboos, Hoefler, Alistarh 2022,
https://arxiv.org/abs/2210.17323): columns are rounded one after another, and later columns correct
the error of earlier ones, using the second moments of the layer's inputs. A group's values span
less than its weights if that gives a smaller error, weighted by the mean square of each input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "GROUP",
    "KERNEL",
    "Rounded",
    "Rounding",
    "join_rows",
    "pad_rows",
    "round_in_groups",
    "round_to_inputs",
]

GROUP = 64  # weights along a row that share a scale and a zero; 4.5 bits a weight in all
KERNEL = torch.bfloat16  # of scales and zeros
LEAST_SCALE = 1e-10
DAMPING = 0.01  # of the mean of the moments' diagonal, added to it
SPANS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # tried, as shares of the span of a group's weights
AT_ONCE = 4096  # rows that are rounded together, since rounding takes several times their memory


@dataclass(frozen=True, slots=True)
class Rounded:
    """Weights as `scale * (code - middle) + zero`, one scale and zero a group of a row."""

    codes: Tensor  # [out, in] uint8 from 0 to 2 ** bits - 1; `in` is a multiple of the group
    scales: Tensor  # [out, groups] float32 of values that bfloat16 can keep
    zeros: Tensor  # [out, groups] the same, the value of the middle code
    bits: int

    def dense(self) -> Tensor:
        """[out, in] float32."""
        grouped = self.codes.view(*self.scales.shape, -1).float() - (1 << self.bits - 1)
        return (grouped * self.scales[..., None] + self.zeros[..., None]).flatten(1)


Rounding = Callable[[Tensor, int], Rounded]  # of weights [out, in] to so many bits


def join_rows(parts: list[Rounded]) -> Rounded:
    """The rows of several layers over the same input, in order."""
    codes, scales, zeros = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("codes", "scales", "zeros")
    )
    return Rounded(codes, scales, zeros, parts[0].bits)


def pad_rows(rounded: Rounded, multiple: int) -> Rounded:
    """Append rows of zeros up to a multiple."""
    missing = (0, 0, 0, -rounded.codes.shape[0] % multiple)
    codes = F.pad(rounded.codes, missing, value=1 << rounded.bits - 1)
    return Rounded(
        codes, F.pad(rounded.scales, missing), F.pad(rounded.zeros, missing), rounded.bits
    )


def round_in_groups(weight: Tensor, bits: int) -> Rounded:
    """Round to the nearest of 2 ** bits evenly spaced values between a group's extremes.

    Rows are padded with zeros to a multiple of the group.
    """
    return join_rows([_nearest(rows, bits) for rows in weight.split(AT_ONCE)])


def _nearest(weight: Tensor, bits: int) -> Rounded:
    grouped = F.pad(weight, (0, -weight.shape[1] % GROUP)).float().unflatten(1, (-1, GROUP))
    scales, zeros = _grid(grouped.amin(-1), grouped.amax(-1), bits)
    codes = _codes(grouped, scales[..., None], zeros[..., None], bits)
    return Rounded(codes.flatten(1).to(torch.uint8), scales, zeros, bits)


def round_to_inputs(weight: Tensor, moments: Tensor, bits: int) -> Rounded:
    """Round weights [out, in] for inputs with these second moments [in, in], the sum of x x^T."""
    missing = -weight.shape[1] % GROUP
    moments = F.pad(moments.float(), (0, missing, 0, missing))
    damping = DAMPING * float(moments.diag().mean()) or 1.0
    moments = moments + damping * torch.eye(len(moments), device=moments.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    spread = torch.linalg.cholesky(inverse, upper=True)
    parts = F.pad(weight.detach(), (0, missing)).split(AT_ONCE)
    return join_rows([_spreading(rows, moments.diag(), spread, bits) for rows in parts])


def _spreading(weight: Tensor, importance: Tensor, spread: Tensor, bits: int) -> Rounded:
    """Round columns in order; `spread` [in, in] gives what the error of one adds to later ones."""
    work = torch.empty(weight.shape[::-1], device=weight.device)  # [in, out]: columns contiguous
    work.copy_(weight.t())
    codes = torch.empty_like(work, dtype=torch.uint8)
    grids = []
    for first in range(0, len(work), GROUP):
        group = slice(first, first + GROUP)
        scales, zeros = _narrowed_grid(work[group], importance[group], bits)
        grids.append((scales, zeros))
        errors = torch.empty_like(work[group])
        for i in range(first, first + GROUP):
            column = work[i]
            found = _codes(column, scales, zeros, bits)
            codes[i] = found.to(torch.uint8)
            error = (column - _values(found, scales, zeros, bits)) / spread[i, i]
            errors[i - first] = error
            work[i : first + GROUP] -= spread[i, i : first + GROUP, None] * error
        work[first + GROUP :] -= spread[group, first + GROUP :].t() @ errors
    scales, zeros = (torch.stack(each, 1) for each in zip(*grids, strict=True))
    return Rounded(codes.t().contiguous(), scales, zeros, bits)


def _narrowed_grid(group: Tensor, importance: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Scales and zeros [out] of the span that leaves the least error; `group` is [GROUP, out]."""
    low, high = group.amin(0), group.amax(0)
    best, least = _grid(low, high, bits), torch.full_like(low, torch.inf)
    for span in SPANS:
        grid = _grid(span * low, span * high, bits)
        rounded = _values(_codes(group, *grid, bits), *grid, bits)
        error = importance @ (rounded - group).square_()
        better = error < least
        least = torch.where(better, error, least)
        scales, zeros = (torch.where(better, new, old) for new, old in zip(grid, best, strict=True))
        best = scales, zeros
    return best


def _grid(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    scales = ((high - low) / ((1 << bits) - 1)).clamp_min(LEAST_SCALE).to(KERNEL).float()
    return scales, (low + (1 << bits - 1) * scales).to(KERNEL).float()


def _codes(values: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    codes = (values - zeros).div_(scales).round_().add_(1 << bits - 1)
    return codes.clamp_(0, (1 << bits) - 1)


def _values(codes: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    return (codes - (1 << bits - 1)) * scales + zeros
