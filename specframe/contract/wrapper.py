"""Base classes for a strategy and a planner that wrap another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.paying import Prospect
from specframe.contract.planner import Context, DraftHead, Planner
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt

__all__ = ["WrappedPlanner", "WrappedSelector"]


@dataclass(frozen=True)
class WrappedSelector(LayerSelector):
    """Forwards to `inner`; a subclass overrides what it changes."""

    inner: LayerSelector

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        return self.inner.needs

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        return self.inner.traits

    def start(self, shape: ModelShape) -> Planner:
        return self.inner.start(shape)

    def fresh(self) -> Self:
        return replace(self, inner=self.inner.fresh())

    def prospect(self, shape: ModelShape) -> Prospect | None:
        return self.inner.prospect(shape)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        return replace(self, inner=self.inner.calibrate(lab, prompts))

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        return self.inner.skip_sets()

    def warnings(self) -> tuple[str, ...]:
        return self.inner.warnings()

    def notes(self) -> tuple[str, ...]:
        return self.inner.notes()

    def figures(self) -> Mapping[str, Any]:
        return self.inner.figures()

    def save(self, folder: str | Path) -> None:
        self.inner.save(folder)

    def head(self, shape: ModelShape) -> DraftHead | None:
        return self.inner.head(shape)

    def with_models(self, load: LoadSecond) -> Self:
        return replace(self, inner=self.inner.with_models(load))

    def second(self) -> SecondModel | None:
        return self.inner.second()


class WrappedPlanner(Planner):
    """Forwards to another planner; a subclass overrides what it changes."""

    def __init__(self, inner: Planner) -> None:
        self._inner = inner

    def plan(self, context: Context) -> DraftPlan:
        return self._inner.plan(context)

    def observe(self, outcome: Outcome) -> None:
        self._inner.observe(outcome)

    def follow(self, context: Context) -> None:
        self._inner.follow(context)
