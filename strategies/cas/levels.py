"""CAS-Spec as it pays: preset `best` of `cas`, whose equations (`paper`) it refers to.

Differs from the paper:
- levels are skip sets of (1)'s shares and smaller ones, of the sublayers that turn the stream least
  for what they cost, and everything on low-bit weights, with and without those skips;
- each is judged on a few rows of the target's own states, its acceptance moves to what is observed,
  and (4) becomes the expected tokens a second of a whole round, verification and head included;
- the bottom copies where that is expected to pay, before the level that drafts or alone, as
  `cascade` does (`shared.planners.copy_first`);
- drafts are chains that end where one more token does not pay, and nothing is drafted where no
  level pays (`shared.planners.replanning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.planner import Context
from specframe.costs.rates import RoundPrices
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.expected import (
    in_each_precision,
    judge_of,
    quicker_low_bits,
)
from specframe.strategies.shared.planners.replanning import ReplanRules
from specframe.strategies.shared.streams.stream_change import (
    least_loss_first,
    nested_sets,
    stream_change,
)
from specframe.types import SkipSet

__all__ = ["LevelConfig", "LevelSearch"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LevelConfig(ReplanRules):
    """Which shares of the sublayers the levels skip; `shortest` is that of a match."""

    shares: tuple[float, ...] = (0.2, 0.4, 0.6)
    shortest: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shares or not all(0.0 < share < 1.0 for share in self.shares):
            raise InvalidConfig.of("LevelConfig", "shares", "one or more in (0, 1)", self.shares)
        if not 1 <= self.shortest <= 4:
            raise InvalidConfig.of("LevelConfig", "shortest", "from 1 to 4", self.shortest)


@dataclass(frozen=True)
class LevelSearch:
    """The levels, each judged by a walk of the reference rows."""

    config: LevelConfig

    def seconds(self, context: Context, rows: int) -> float:
        """A walk of the rows for each level."""
        costs, n = context.costs, context.length - 1
        judged = len(self.config.shares) * costs.walk(n, rows, logits=2 * rows)
        lowered = [costs.walk(n, rows, s, logits=2 * rows) for s in self.unplanned(context)[0]]
        return judged + sum(lowered)

    def run(
        self, context: Context, references: Mapping[int, Tensor], prices: RoundPrices
    ) -> tuple[list[SkipSet], Floats]:
        """All levels, and estimates of their acceptance."""
        size, last = context.shape.sublayers, references[context.shape.sublayers]
        changes = stream_change(references, size)
        inner = range(2, size - 2) if size > 4 else range(size)
        order = least_loss_first(changes, prices.sublayer_seconds.tolist(), inner)
        sets = nested_sets(order, size, self.config.shares)
        judge = judge_of(context, last)
        alphas = np.array([judge.agreement(skips).overlap[0] for skips in sets])
        return in_each_precision(context, sets, alphas, last, self.unplanned(context)[0])

    def unplanned(self, context: Context) -> tuple[list[SkipSet], list[float]]:
        """Everything on low-bit weights."""
        return quicker_low_bits(context)
