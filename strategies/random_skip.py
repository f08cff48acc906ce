"""Sublayers drawn at random: what knowing nothing of the model is worth.

No paper: a yardstick. A share of the sublayers between the first and the last layer is drawn once,
by a seed, and skipped throughout.

Differs from the paper: there is none. Preset `faithful` always drafts, up to 8 tokens, and ends a
draft after one of probability under 0.6; preset `best` drafts while one more token pays at the
acceptance observed, and not at all where none does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from specframe.contract.selector import Traits
from specframe.strategies.shared.planners.blind import BlindSkips
from specframe.types import SkipSet

__all__ = ["RandomSkip"]


@dataclass(frozen=True)
class RandomSkip(BlindSkips):
    """Sublayers drawn at random between the first and the last layer: a yardstick."""

    traits = Traits("sublayers drawn at random: a yardstick", search="random, once")

    def skips(self, layers: int) -> SkipSet:
        """The same sublayers for the same seed and number of layers."""
        inner = range(2, 2 * layers - 2)
        count = round(self.config.share * len(inner))
        drawn = random.Random(self.config.seed).sample(inner, count)
        return SkipSet.from_sublayers(layers, drawn)
