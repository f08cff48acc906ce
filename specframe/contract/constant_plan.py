"""A strategy with the same plan in every round, for measurements."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan, ModelShape

__all__ = ["ConstantPlan", "ConstantPlanner"]


class ConstantPlanner(Planner):
    """Returns the same plan in every round."""

    def __init__(self, plan: DraftPlan) -> None:
        self._plan = plan

    def plan(self, context: Context) -> DraftPlan:
        return self._plan


@dataclass(frozen=True)
class ConstantPlan(LayerSelector):
    """A strategy that uses the same plan in every round."""

    plan: DraftPlan

    needs = Needs(prices=False)
    traits = Traits("one plan")

    def start(self, shape: ModelShape) -> ConstantPlanner:
        return ConstantPlanner(self.plan)
