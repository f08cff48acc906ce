"""ConfLayers as it pays: preset `best` of `conflayers`, whose equations (`paper`) it refers to.

Differs from the paper:
- by (5) a layer is skipped at every threshold below its margin, so all thresholds give one order of
  the layers: the sets along it are judged together, while the paper moves one threshold by a small
  step with each plan;
- states are those that verification, or the prompt's pass, already computed, a few rows of them;
- a set is judged by how often its own draft would be accepted on those rows, and chosen by expected
  tokens a second, in full and on low-bit weights; the best set stays until another is better;
- the search runs where it is expected to pay, and again when what it promised has drifted; drafts
  are chains that end where one more token does not pay, and nothing is drafted where none does
  (`shared.planners.replanning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least, require_in
from specframe.contract.planner import Context
from specframe.costs.rates import RoundPrices
from specframe.strategies.conflayers.paper import confidences, margins
from specframe.strategies.shared.planners.expected import (
    in_each_precision,
    judge_of,
    quicker_low_bits,
)
from specframe.strategies.shared.planners.replanning import ReplanRules
from specframe.types import SkipSet

__all__ = ["ConfidenceSearch", "OrderConfig"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OrderConfig(ReplanRules):
    """Which sets along the order of margins are judged."""

    most_skipped: float = 0.6  # share of the layers between the first and the last
    finalists: int = 6  # sets

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, finalists=1)
        require_in(self, "(0, 1]", "most_skipped")


@dataclass(frozen=True)
class ConfidenceSearch:
    """Sets of the layers that lie furthest below their neighbours, judged on reference rows."""

    config: OrderConfig

    def seconds(self, context: Context, rows: int) -> float:
        """The head over every layer's rows, and a walk of the rows for each set."""
        costs, n, layers = context.costs, context.length - 1, context.shape.layers
        judged = len(self._counts(layers)) * costs.walk(n, rows, logits=2 * rows)
        lowered = [costs.walk(n, rows, s, logits=2 * rows) for s in self.unplanned(context)[0]]
        return layers * costs.head.at(n, rows) + judged + sum(lowered)

    def run(
        self, context: Context, references: Mapping[int, Tensor], prices: RoundPrices
    ) -> tuple[list[SkipSet], Floats]:
        """Nested sets along the order, and estimates of their acceptance."""
        layers, last = context.shape.layers, references[context.shape.sublayers]
        counts = self._counts(layers)
        if not counts:
            lowered, expected = self.unplanned(context)
            return lowered, np.array(expected)
        below = margins(confidences(context.probe, references, layers))
        order = sorted(range(1, layers - 1), key=lambda i: -below[i])
        sets = [SkipSet.of(layers, order[:count], order[:count]) for count in counts]
        judge = judge_of(context, last)
        alphas = np.array([judge.agreement(skips).overlap[0] for skips in sets])
        return in_each_precision(context, sets, alphas, last, self.unplanned(context)[0])

    def unplanned(self, context: Context) -> tuple[list[SkipSet], list[float]]:
        """All layers on low-bit weights."""
        return quicker_low_bits(context)

    def _counts(self, layers: int) -> list[int]:
        """How many layers the sets skip, evenly spread."""
        most = round(self.config.most_skipped * max(layers - 2, 0))
        finalists = min(self.config.finalists, most)
        return [round(most * (i + 1) / finalists) for i in range(finalists)]
