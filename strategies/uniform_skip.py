"""Layers at even distances: what knowing only the depth of the model is worth.

No paper: a yardstick, and the set that SWIFT starts from at a share of one half. A share of the
layers between the first and the last is skipped whole, evenly spread, throughout.

Differs from the paper: there is none. The presets are those of `random_skip`.
"""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.selector import Traits
from specframe.strategies.shared.planners.blind import BlindSkips
from specframe.types import SkipSet

__all__ = ["UniformSkip"]


@dataclass(frozen=True)
class UniformSkip(BlindSkips):
    """Whole layers at even distances between the first and the last: a yardstick."""

    traits = Traits("whole layers at even distances: a yardstick", separable=False)

    def skips(self, layers: int) -> SkipSet:
        """As near as can be to the middles of equal parts of the inner layers."""
        inner = max(layers - 2, 0)
        count = round(self.config.share * inner)
        chosen = [1 + (2 * i + 1) * inner // (2 * count) for i in range(count)]
        return SkipSet.of(layers, attention=chosen, mlp=chosen)
