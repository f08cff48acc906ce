"""One plan for every round: what measuring asks of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan, ModelShape

__all__ = ["ConstantPlan", "ConstantPlanner"]


class ConstantPlanner(Planner):
    """The same plan every round."""

    def __init__(self, plan: DraftPlan) -> None:
        self._plan = plan

    def plan(self, context: Context) -> DraftPlan:
        """The plan."""
        return self._plan


@dataclass(frozen=True)
class ConstantPlan(LayerSelector):
    """A strategy that drafts every round by the same plan."""

    plan: DraftPlan

    needs = Needs(prices=False)
    traits = Traits("one plan")

    def start(self, shape: ModelShape) -> ConstantPlanner:
        """A planner that always answers the plan."""
        return ConstantPlanner(self.plan)
