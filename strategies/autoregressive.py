"""No drafting: the baseline every speed-up is measured against, on the same executor."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["Autoregressive"]


@dataclass(frozen=True)
class Autoregressive(LayerSelector):
    """One token a round, by the full model."""

    needs = Needs(prices=False)
    traits = Traits("no drafting: the baseline")

    def start(self, shape: ModelShape) -> ConstantPlanner:
        """A planner that never drafts."""
        return ConstantPlanner(DraftPlan(SkipSet.none(shape.layers), StopRule(0), capture=False))
