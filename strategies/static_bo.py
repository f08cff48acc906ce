"""Draft & Verify: one skip set for everything, found offline by Bayesian optimisation.

Zhang, Wang, Li, Shou, Chen, Chen, Mehrotra 2024, https://arxiv.org/abs/2309.08168. Numbers in the
code:

    (1) z in {0, 1}^2L, attention and MLP apart; none is protected
    (2) z* = argmax of tokens a second of self-speculative generations with z skipped
    (3) z is proposed by a Gaussian process over [0, 1]^2L, rounded at 0.5
    (4) drafts end after a token less likely than a threshold that steers acceptance to a target

Differs from the paper, preset `faithful`: the corner that was measured is registered, not the
suggestion that was rounded to it; seconds are divided by the tokens that were really emitted, not
by those asked for; the two probe points of the official code name layers of one model, so probe
points are the sets given as `starts`; 1,000 evaluations are capped by `seconds`, and the record
then says that it was cut short; sampled drafts are verified by rejection against the law they were
drawn from; the timed search ends drafts at a fixed probability, the threshold that (4) starts from;
the running acceptance of (4) starts at the target instead of 0 (`AdaptiveThreshold`).

Differs from the paper, preset `best`: (2) is predicted instead of timed, as acceptance on the
target's own cached continuations times what the machine's prices say of rounds with the best draft
length, prefix reuse included: the same set always gets the same value, in a hundredth of the time.
(3) starts from a local search's sets. Search, choice and the figure that is kept use different
prompts (`judged`). (4) becomes the expected gain of one more token, and a set is left while it does
not pay (`playing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.planner import Context
from specframe.contract.selector import Traits
from specframe.strategies.shared.judging.find_set import find_set, split_prompts
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.strategies.shared.planners.fallback import FallbackPlanner
from specframe.strategies.shared.published import PublishedSet
from specframe.strategies.shared.searching.offline import (
    OfflineConfig,
    enough,
    search_task,
    unjudged,
)
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt, SkipSet

__all__ = ["FAITHFUL", "Found", "StaticBO"]

FAITHFUL = OfflineConfig(
    search="bayes",
    objective="clock",
    evaluations=1_000,
    seconds=3_600.0,
    prompts=8,
    stop="adaptive",
    check=0,
    may_decline=False,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What calibration found, and how the search went."""

    judged: JudgedSet
    best_so_far: tuple[tuple[float, float], ...] = ()  # (seconds, objective)
    incumbents: tuple[tuple[float, int, int], ...] = ()  # (seconds, sets tried, bits of the set)
    ended: str = ""
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What an artefact holds."""

    config: OfflineConfig
    found: Found


@dataclass
class StaticBO(CalibratedStrategy):
    """One skip set for everything, found offline; `starts` are sets that the search tries first."""

    config: OfflineConfig = field(default_factory=OfflineConfig)
    found: Found | None = None
    starts: tuple[SkipSet, ...] = ()

    name = "static-bo"
    record = _Saved
    presets: ClassVar[Mapping[str, OfflineConfig]] = {
        "best": OfflineConfig(),
        "faithful": FAITHFUL,
    }
    traits = Traits(
        "one skip set for everything, found offline",
        search="Bayesian optimisation",
        calibrated=True,
    )

    def __post_init__(self) -> None:
        self._playing: FallbackPlanner | None = None

    @classmethod
    def from_published(cls, published: PublishedSet, layers: int) -> Self:
        """The authors' own set, played as the paper plays it."""
        judged = unjudged(published.skips(layers), FAITHFUL.longest)
        return cls(FAITHFUL, Found(judged))

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) to (3); a set found before is where the search starts."""
        parts = enough(split_prompts(prompts), lab, self.config.evaluations)
        starts = self.starts if self.found is None else (self.found.judged.skips, *self.starts)
        lab.answer(parts.every)
        hunt = search_task("searching a skip set", lab, parts, self.config, starts)
        judged, record = find_set(lab, parts, hunt)
        found = Found(
            judged,
            record.best_so_far(),
            record.incumbents(),
            record.ended,
            lab.shape,
            lab.facts,
        )
        return replace(self, found=found)

    def select(self, context: Context) -> DraftPlan:
        """The set found, or nothing while it does not pay."""
        if self._playing is None:
            found = self.required(context.shape)
            self._playing = FallbackPlanner((found.judged,), self.config.rules())
        return self._playing.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Equation (4), or what stands in for it."""
        if self._playing is not None:
            self._playing.observe(outcome)

    def figures(self) -> dict[str, Any]:
        """Of the set and its search."""
        if self.found is None:
            return {}
        every = "every domain"
        return all_figures({every: self.found.judged}, {every: self.found.best_so_far}) | {
            "ended": self.found.ended,
            "incumbents": [list(point) for point in self.found.incumbents],
        }
