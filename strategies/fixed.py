"""One skip set for everything: the simplest choice of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.options import require_in
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import LONGEST_DRAFT, DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["FixedOptions", "FixedSkips"]


@dataclass(frozen=True)
class FixedOptions:
    """A fixed plan in text: layers whose attention and MLP are skipped, and the stop rule."""

    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
    draft: int = 8
    confidence: float = 0.6

    def __post_init__(self) -> None:
        require_in(self, f"[0, {LONGEST_DRAFT}]", "draft")
        require_in(self, "[0, 1]", "confidence")


@dataclass(frozen=True)
class FixedSkips(LayerSelector):
    """Always the same skip set and stop rule."""

    skips: SkipSet
    stop: StopRule = StopRule(8, confidence=0.6)

    needs = Needs(prices=False)
    traits = Traits("one skip set for everything")
    presets: ClassVar[Mapping[str, FixedOptions]] = {
        "best": FixedOptions(),
        "faithful": FixedOptions(),  # the same: no paper says which layers
    }

    @classmethod
    def from_config(cls, config: FixedOptions, shape: ModelShape) -> Self:
        skips = SkipSet.of(shape.layers, attention=config.attention, mlp=config.mlp)
        return cls(skips, StopRule(config.draft, confidence=config.confidence))

    def start(self, shape: ModelShape) -> ConstantPlanner:
        """A planner that always plans this skip set and stop rule."""
        return ConstantPlanner(DraftPlan(self.skips, self.stop))
