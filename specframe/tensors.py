"""Number formats of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(values: Tensor) -> Tensor:
    """In float64 where they are already, else in float32."""
    return values if values.dtype == torch.float64 else values.float()
