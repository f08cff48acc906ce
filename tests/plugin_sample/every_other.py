"""A strategy in a package of its own, found by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe import (
    Context,
    DraftPlan,
    LayerSelector,
    ModelShape,
    Outcome,
    Planner,
    SkipSet,
    StopRule,
    Traits,
)


@dataclass(frozen=True)
class EveryOtherConfig:
    longest: int = 6


@dataclass(frozen=True)
class EveryOther(LayerSelector):
    """Skips every other layer, and drafts shorter after a rejection."""

    config: EveryOtherConfig = field(default_factory=EveryOtherConfig)

    traits = Traits("every other layer", separable=False, adaptive=True)
    presets: ClassVar[Mapping[str, EveryOtherConfig]] = {"best": EveryOtherConfig()}

    def start(self, shape: ModelShape) -> Planner:
        layers = range(1, shape.layers - 1, 2)
        skips = SkipSet.of(shape.layers, attention=layers, mlp=layers)
        return EveryOtherPlanner(skips, self.config.longest)


class EveryOtherPlanner(Planner):
    def __init__(self, skips: SkipSet, longest: int) -> None:
        self._skips, self._longest, self._length = skips, longest, longest

    def plan(self, context: Context) -> DraftPlan:
        return DraftPlan(self._skips, StopRule(self._length, confidence=0.4))

    def observe(self, outcome: Outcome) -> None:
        rejected = outcome.accepted < outcome.drafted
        self._length = outcome.accepted + 1 if rejected else self._longest
