"""One skip set for everything: the baseline of all layer selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from specframe.contract.options import with_options
from specframe.contract.selector import Context, LayerSelector, Traits
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["FixedOptions", "FixedSkips"]


@dataclass(frozen=True)
class FixedOptions:
    """A fixed plan in text: layers whose attention and MLP are skipped, and the stop rule."""

    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
    draft: int = 8
    confidence: float = 0.6


@dataclass(frozen=True)
class FixedSkips(LayerSelector):
    """Always the same skip set and stop rule."""

    skips: SkipSet
    stop: StopRule = StopRule(8, confidence=0.6)

    traits = Traits("one skip set for everything")

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> Self:
        """See `FixedOptions`."""
        given = with_options(FixedOptions(), options)
        skips = SkipSet.of(shape.layers, attention=given.attention, mlp=given.mlp)
        return cls(skips, StopRule(given.draft, confidence=given.confidence))

    def select(self, context: Context) -> DraftPlan:
        """The plan given."""
        return DraftPlan(self.skips, self.stop)

    def spawn(self) -> Self:
        """Itself: nothing is learnt."""
        return self
