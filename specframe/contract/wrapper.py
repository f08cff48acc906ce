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
        """Those of the inner strategy."""
        return self.inner.needs

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """Those of the inner strategy."""
        return self.inner.traits

    def start(self, shape: ModelShape) -> Planner:
        """The inner strategy's planner."""
        return self.inner.start(shape)

    def fresh(self) -> Self:
        """With the inner strategy as it was made."""
        return replace(self, inner=self.inner.fresh())

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """That of the inner strategy."""
        return self.inner.prospect(shape)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """A strategy whose inner strategy is calibrated."""
        return replace(self, inner=self.inner.calibrate(lab, prompts))

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """Those of the inner strategy."""
        return self.inner.skip_sets()

    def warnings(self) -> tuple[str, ...]:
        """Those of the inner strategy."""
        return self.inner.warnings()

    def notes(self) -> tuple[str, ...]:
        """Those of the inner strategy."""
        return self.inner.notes()

    def figures(self) -> Mapping[str, Any]:
        """Those of the inner strategy."""
        return self.inner.figures()

    def save(self, folder: str | Path) -> None:
        """Write only the inner strategy."""
        self.inner.save(folder)

    def head(self, shape: ModelShape) -> DraftHead | None:
        """That of the inner strategy."""
        return self.inner.head(shape)

    def with_models(self, load: LoadSecond) -> Self:
        """With those of the inner strategy."""
        return replace(self, inner=self.inner.with_models(load))

    def second(self) -> SecondModel | None:
        """That of the inner strategy."""
        return self.inner.second()


class WrappedPlanner(Planner):
    """Forwards to another planner; a subclass overrides what it changes."""

    def __init__(self, inner: Planner) -> None:
        self._inner = inner

    def plan(self, context: Context) -> DraftPlan:
        """The inner plan."""
        return self._inner.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Pass the outcome to the inner planner."""
        self._inner.observe(outcome)

    def follow(self, context: Context) -> None:
        """Pass the context to the inner planner."""
        self._inner.follow(context)
