"""A strategy that drafts every prompt with one skip set, found by an offline search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.paying import Prospect
from specframe.contract.selector import Needs
from specframe.strategies.shared.judging.find_set import find_set
from specframe.strategies.shared.judging.prompt_split import split_prompts
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.strategies.shared.planners.fallback import FallbackPlanner
from specframe.strategies.shared.planners.prospects import JudgedProspect
from specframe.strategies.shared.searching.offline import OfflineConfig, enough, search_task
from specframe.strategies.shared.searching.search import Allowance
from specframe.types import ModelShape, Prompt, SkipSet

__all__ = ["EVERY_DOMAIN", "FoundSet", "OneSet"]

EVERY_DOMAIN = "every domain"  # names the one set there is


@dataclass(frozen=True, slots=True)
class FoundSet:
    """What calibration found, and how the search went."""

    judged: JudgedSet
    best_so_far: tuple[tuple[float, float], ...] = ()  # (seconds, objective)
    incumbents: tuple[tuple[float, int, int], ...] = ()  # (seconds, sets tried, bits of the set)
    ended: str = ""
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OneSet(CalibratedStrategy):
    """One skip set for every prompt; the search tries `starts` first."""

    config: OfflineConfig = field(default_factory=OfflineConfig)
    found: FoundSet | None = None
    starts: tuple[SkipSet, ...] = ()

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, unless no plan depends on them."""
        return Needs(prices=self.config.rules().priced)

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough to search on, to choose by and to judge by."""
        split_prompts(prompts)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Search a set; one that was found before is where the search starts."""
        config, allowance = self.config, Allowance(self.config.seconds)
        split = enough(split_prompts(prompts).searching(config.searched), lab, config.evaluations)
        starts = self.starts if self.found is None else (self.found.judged.skips, *self.starts)
        lab.answer(split.every)
        task = search_task("searching a skip set", lab, split, config, starts, allowance=allowance)
        judged, record = find_set(lab, split, task)
        found = FoundSet(
            judged, record.best_so_far(), record.incumbents(), record.ended, lab.shape, lab.facts
        )
        return replace(self, found=found)

    def start(self, shape: ModelShape) -> FallbackPlanner:
        """A planner that drafts with the set found, or drafts nothing while that does not pay."""
        return FallbackPlanner((self.required(shape).judged,), self.config.rules())

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of the set found, where it may be declined."""
        if not self.config.may_decline:
            return None
        return JudgedProspect((self.required(shape).judged,), self.config.longest)

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """The set found."""
        return {} if self.found is None else {EVERY_DOMAIN: self.found.judged}

    def figures(self) -> Mapping[str, Any]:
        """Of the search."""
        if self.found is None:
            return {}
        return {
            "best_so_far": {EVERY_DOMAIN: [list(point) for point in self.found.best_so_far]},
            "ended": self.found.ended,
            "incumbents": [list(point) for point in self.found.incumbents],
        }
