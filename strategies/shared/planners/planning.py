"""A strategy whose presets plan in different ways: what they share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from specframe.contract.planner import Context
from specframe.contract.selector import LayerSelector
from specframe.types import DraftPlan, Outcome

__all__ = ["Planner", "PlanningStrategy"]


class Planner(Protocol):
    """A way to plan; one live instance a sequence."""

    def select(self, context: Context) -> DraftPlan:
        """The plan of this round."""
        ...

    def observe(self, outcome: Outcome) -> None:
        """What became of it."""
        ...


@dataclass
class PlanningStrategy(LayerSelector):
    """Leaves each sequence to a planner of its own; the kind of `config` says which."""

    config: Any

    def __post_init__(self) -> None:
        self._planner = self.planner()

    @abstractmethod
    def planner(self) -> Planner:
        """A planner that has seen nothing."""

    def select(self, context: Context) -> DraftPlan:
        """The plan of this round."""
        return self._planner.select(context)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance and seconds of the plan."""
        self._planner.observe(outcome)

    def spawn(self) -> Self:
        """The same configuration, nothing learnt."""
        return replace(self)
