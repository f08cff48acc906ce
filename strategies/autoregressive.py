"""No drafting: the baseline every speed-up is measured against, on the same executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from specframe.contract.options import with_options
from specframe.contract.selector import Context, LayerSelector, Traits
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["Autoregressive"]


@dataclass(frozen=True)
class Autoregressive(LayerSelector):
    """One token a round, by the full model."""

    traits = Traits("no drafting: the baseline")

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> Self:
        """There is nothing to configure."""
        return with_options(cls(), options)

    def select(self, context: Context) -> DraftPlan:
        """Draft nothing."""
        return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)

    def spawn(self) -> Self:
        """Itself: nothing is learnt."""
        return self
