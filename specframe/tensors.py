"""Number formats of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_least_float32", "top_probability"]


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float64 if they are float64, otherwise in float32."""
    return values if values.dtype == torch.float64 else values.float()


def top_probability(scores: Tensor, temperature: float = 1.0) -> Tensor:
    """The largest probability of softmax(scores / temperature), over the last dimension."""
    flat = at_least_float32(scores) / temperature
    return torch.exp(flat.amax(-1) - flat.logsumexp(-1))
