"""FallbackPlanner a skip set that was chosen without looking at the model: what yardsticks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.planner import Context
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import CandidatePlanner, PriceBook
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["BlindConfig", "BlindSkips"]

STOPS = ("gain", "confidence")
REVIEW = 4  # rounds between two looks at whether it pays


@dataclass(frozen=True)
class BlindConfig:
    """How much is skipped, and how drafts end.

    `stop`: `gain` drafts on while one more token pays and leaves drafting where none does,
    `confidence` always drafts, and ends after a token less likely than `confidence`.
    """

    share: float = 0.3
    seed: int = 0  # of what is drawn, where anything is
    stop: str = "gain"
    longest: int = 8
    confidence: float = 0.6
    guess: float = 0.8  # acceptance before any was observed

    def __post_init__(self) -> None:
        if self.stop not in STOPS:
            raise InvalidConfig.of("BlindConfig", "stop", " or ".join(STOPS), self.stop)
        if self.longest < 1:
            raise InvalidConfig.of("BlindConfig", "longest", "at least 1", self.longest)
        for name in ("share", "guess"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InvalidConfig.of("BlindConfig", name, "in (0, 1)", getattr(self, name))


@dataclass
class BlindSkips(LayerSelector):
    """A skip set that follows from the number of layers alone."""

    config: BlindConfig = field(default_factory=BlindConfig)

    presets: ClassVar[Mapping[str, BlindConfig]] = {
        "best": BlindConfig(),
        "faithful": BlindConfig(stop="confidence"),
    }

    def __post_init__(self) -> None:
        self._contest: CandidatePlanner | None = None
        self._prices = PriceBook(self.config.longest)
        self._since = 0  # rounds since the last review

    @abstractmethod
    def skips(self, layers: int) -> SkipSet:
        """The set for a model of so many layers."""

    def select(self, context: Context) -> DraftPlan:
        """The set, or nothing while it does not pay."""
        skips = self.skips(context.shape.layers)
        if not skips:
            return DraftPlan(skips, StopRule(0), capture=False)
        if self.config.stop == "confidence":
            stop = StopRule(self.config.longest, confidence=self.config.confidence)
            return DraftPlan(skips, stop, capture=False)
        if self._contest is None or self._since >= REVIEW:
            self._since = 0
            longest = self.config.longest
            self._contest = self._contest or CandidatePlanner(
                [skips], [self.config.guess], longest=longest
            )
            self._contest.review(self._prices.at(context))
        return self._contest.plan(context.shape.layers)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the set."""
        self._since += 1
        if self._contest is not None:
            self._contest.observe(outcome)

    def spawn(self) -> Self:
        """The same configuration, nothing learnt."""
        return replace(self)
