"""One plan for every round: what measuring asks of the engine."""

from __future__ import annotations

from typing import Self

from specframe.contract.selector import Context, LayerSelector, Traits
from specframe.types import DraftPlan

__all__ = ["OnePlan"]


class OnePlan(LayerSelector):
    """The same plan every round."""

    traits = Traits("one plan")

    def __init__(self, plan: DraftPlan) -> None:
        self.plan = plan

    def select(self, context: Context) -> DraftPlan:
        """The plan."""
        return self.plan

    def spawn(self) -> Self:
        """Itself: nothing is learnt."""
        return self
