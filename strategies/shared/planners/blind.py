"""Strategies whose skip set was chosen without looking at the model: yardsticks for the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.options import require_draft_length, require_in, require_known
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs
from specframe.strategies.shared.planners.candidates import (
    CandidatePlanner,
    CandidateRules,
)
from specframe.strategies.shared.planners.prospects import SetProspect
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["BlindConfig", "BlindSkips"]

ROWS = 4  # of the prompt, whose states say whether the set can pay


@dataclass(frozen=True)
class BlindConfig:
    """How much is skipped, and how drafts end.

    `stop`: `gain` continues a draft while one more token pays and drafts nothing where none does,
    `confidence` always drafts, and ends after a token less likely than `confidence`.
    """

    share: float = 0.3
    seed: int = 0  # of what is drawn, where anything is
    stop: str = "gain"
    longest: int = 8
    confidence: float = 0.6
    guess: float = 0.8  # acceptance before any was observed

    def __post_init__(self) -> None:
        require_known(self, stop=("gain", "confidence"))
        require_draft_length(self, "longest")
        require_in(self, "(0, 1)", "share", "guess")
        require_in(self, "[0, 1]", "confidence")


@dataclass(frozen=True)
class BlindSkips(LayerSelector):
    """A skip set that follows from the number of layers alone."""

    config: BlindConfig = field(default_factory=BlindConfig)

    presets: ClassVar[Mapping[str, BlindConfig]] = {
        "best": BlindConfig(),
        "faithful": BlindConfig(stop="confidence"),
    }

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices and states of the prompt's last rows, where drafts end by gain."""
        if self.config.stop == "confidence":
            return Needs(prices=False)
        return Needs(prompt=Needs.every, prompt_rows=ROWS)

    @abstractmethod
    def skips(self, layers: int) -> SkipSet:
        """The set for a model of so many layers."""

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of the set, which is not looked at before there is a prompt."""
        config, skips = self.config, self.skips(shape.layers)
        return SetProspect(skips, config.longest) if config.stop == "gain" else None

    def start(self, shape: ModelShape) -> Planner:
        """A planner with this set; it drafts nothing where the set is empty."""
        skips, config = self.skips(shape.layers), self.config
        if not skips:
            return ConstantPlanner(draft_nothing(shape.layers))
        if config.stop == "confidence":
            stop = StopRule(config.longest, confidence=config.confidence)
            return ConstantPlanner(DraftPlan(skips, stop, capture=False))
        return _BlindPlanner(skips, config)


class _BlindPlanner(Planner):
    """Drafts with the set while that pays."""

    def __init__(self, skips: SkipSet, config: BlindConfig) -> None:
        self._skips, self._guess = skips, config.guess
        self._candidates = CandidatePlanner(CandidateRules(longest=config.longest))

    def plan(self, context: Context) -> DraftPlan:
        """The set, or nothing while it does not pay."""
        if self._candidates.empty:
            self._candidates.consider([self._skips], [self._guess], context)
        return self._candidates.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the set."""
        self._candidates.observe(outcome)

    def rest(self) -> int:
        """While the set does not pay."""
        return self._candidates.rest()
