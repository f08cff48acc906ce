"""No drafting: the baseline every speed-up is measured against, on the same executor."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan, ModelShape

__all__ = ["Autoregressive"]

NEVER = 1 << 62  # tokens


@dataclass(frozen=True)
class Autoregressive(LayerSelector):
    """One token a round, by the full model."""

    needs = Needs(prices=False)
    traits = Traits("no drafting: the baseline")

    def start(self, shape: ModelShape) -> Planner:
        """A planner that never drafts."""
        return _NeverDrafts()


class _NeverDrafts(Planner):
    def plan(self, context: Context) -> DraftPlan:
        """Nothing to draft."""
        return draft_nothing(context.shape.layers)

    def rest(self) -> int:
        """To the end."""
        return NEVER
