"""A strategy in a package of its own, found by entry point."""

from __future__ import annotations

from dataclasses import dataclass, replace

from specframe import Context, DraftPlan, LayerSelector, Outcome, SkipSet, StopRule, Traits
from specframe.types import ModelShape


@dataclass
class EveryOther(LayerSelector):
    """Skips every other layer, and drafts shorter after a rejection."""

    longest: int = 6

    traits = Traits("every other layer", separable=False, adaptive=True)

    def __post_init__(self) -> None:
        self._length = self.longest

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> EveryOther:
        return cls(**{name: int(value) for name, value in options.items()})

    def select(self, context: Context) -> DraftPlan:
        layers = range(1, context.shape.layers - 1, 2)
        skips = SkipSet.of(context.shape.layers, attention=layers, mlp=layers)
        return DraftPlan(skips, StopRule(self._length, confidence=0.4))

    def observe(self, outcome: Outcome) -> None:
        rejected = outcome.accepted < outcome.drafted
        self._length = outcome.accepted + 1 if rejected else self.longest

    def spawn(self) -> EveryOther:
        return replace(self)
