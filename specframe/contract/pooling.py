"""Pools the hidden states of a prompt into one vector."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from specframe.errors import InvalidConfig

__all__ = ["Pooling"]

FORM = re.compile(r"(normed-)?(mean|last|last-([1-9][0-9]*))")
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Pooling:
    """`mean` averages all positions, `last-8` the last 8; `last` takes the last one.

    The prefix `normed-` first scales each position to root-mean-square 1, like a final norm
    without its weight.
    """

    name: str

    def __post_init__(self) -> None:
        if FORM.fullmatch(self.name) is None:
            raise InvalidConfig.of(
                "Pooling",
                "pooling",
                "mean, last or last-K, with or without the prefix normed-",
                self.name,
            )

    @property
    def rows(self) -> int | None:
        """How many of the last positions are pooled; None means all."""
        found = FORM.fullmatch(self.name)
        assert found is not None
        if found[2] == "mean":
            return None
        return int(found[3] or 1)

    def of(self, states: Tensor) -> Tensor:
        """Pool [positions, H] into [H], in float32."""
        rows = self.rows
        kept = (states if rows is None else states[-rows:]).float()
        if self.name.startswith("normed-"):
            kept = F.rms_norm(kept, kept.shape[-1:], eps=EPSILON)
        return kept.mean(0)
