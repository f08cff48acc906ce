"""FallbackPlanner judged skip sets: draft length by price, stop by gain, and a check that falls back.

The check counts rounds whose first drafted token stood. That token is always drafted, so no stop
rule has chosen it, and it is what calibration estimated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from specframe.contract.judged_set import JudgedSet
from specframe.contract.planner import Context
from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain, FixedStop, StopPolicy
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.find_set import best_draft
from specframe.types import DraftPlan, Estimate, Outcome, SkipSet, StopRule

__all__ = ["REPRICE", "STOPS", "FallbackPlanner", "FallbackRules", "least_acceptance"]

STOPS = ("gain", "confidence", "adaptive", "fixed")
REPRICE = 1.25  # growth of the context at which prices are looked up again


@dataclass(frozen=True)
class FallbackRules:
    """How sets are played.

    `stop`: `gain` drafts on while one more token pays, `confidence` while the draft is sure,
    `adaptive` is Draft & Verify's steered threshold, `fixed` is a length. `check` 0 never falls
    back; otherwise so many of the last rounds must be seen, and `memory` of them count.
    """

    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    check: int = 12
    memory: int = 48
    rest: int = 96  # rounds without drafting, after all sets have failed
    may_decline: bool = True

    def __post_init__(self) -> None:
        if self.stop not in STOPS:
            raise InvalidConfig.of("FallbackRules", "stop", " or ".join(STOPS), self.stop)
        if self.longest < 1:
            raise InvalidConfig.of("FallbackRules", "longest", "at least 1", self.longest)
        if not 0 <= self.check <= self.memory:
            raise InvalidConfig.of("FallbackRules", "check", "from 0 to memory", self.check)


@dataclass(slots=True)
class _Current:
    """One set in play."""

    judged: JudgedSet
    policy: StopPolicy
    floor: float  # acceptance under which it is left
    drafts: bool
    stood: deque[bool]


@dataclass
class FallbackPlanner:
    """Plays the first of these sets, the next one when it fails, and rests when all have."""

    sets: Sequence[JudgedSet]
    rules: FallbackRules
    _current: int = field(default=0, init=False)
    _hand: _Current | None = field(default=None, init=False)
    _priced: int = field(default=0, init=False)
    _resting: int = field(default=0, init=False)

    def plan(self, context: Context) -> DraftPlan:
        """The plan of this round."""
        if self._resting:
            return _nothing(context.shape.layers)
        if self._hand is None or context.length > REPRICE * self._priced:
            self._hand = self._deal(self.sets[self._current], context, self._hand)
            self._priced = context.length
        if not self._hand.drafts:
            return _nothing(context.shape.layers)
        return DraftPlan(self._hand.judged.skips, self._hand.policy.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Learn from a round, and leave a set that does not keep what calibration found."""
        self._resting = max(self._resting - 1, 0)
        if self._hand is None or not outcome.drafted:
            return
        self._hand.policy.observe(outcome)
        self._hand.stood.append(outcome.accepted > 0)
        if self._failed(self._hand):
            self._next()

    def _failed(self, hand: _Current) -> bool:
        if not self.rules.check or len(hand.stood) < self.rules.check:
            return False
        return Estimate.of_share(sum(hand.stood), len(hand.stood)).high < hand.floor

    def _next(self) -> None:
        self._hand = None
        self._current += 1
        if self._current == len(self.sets):
            self._current = 0
            self._resting = self.rules.rest

    def _deal(self, judged: JudgedSet, context: Context, before: _Current | None) -> _Current:
        """Price a set at the context of the moment; a set that goes on keeps what it learnt."""
        costs, rules, n = context.costs, self.rules, context.length - 1
        draft, step, verify = judged.draft, judged.step_ratio, judged.verify_ratio
        if costs is not None:
            draft, speed = best_draft(costs, judged.skips, judged.acceptance.low, n, rules.longest)
            plain = costs.autoregressive(n)
            step = costs.draft_step(judged.skips, n) / plain
            verify = costs.verify(draft + 1, n, start=judged.skips.prefix) / plain
            draft = draft if speed > 1.0 else 0
        if before is not None:
            policy, stood = before.policy, before.stood
            policy.reprice(step, verify)
        else:
            policy, stood = _policy(rules, draft, step, verify), deque(maxlen=rules.memory)
        drafts = draft > 0 or not rules.may_decline
        return _Current(judged, policy, self._floor(judged, context, step, verify), drafts, stood)

    def _floor(self, judged: JudgedSet, context: Context, step: float, verify: float) -> float:
        """The lower end of the band in which a set is kept.

        The last set is kept while it pays at all. One that has another behind it must also do what
        unseen prompts did, short of one more half width; sampled tokens stand at other rates than
        the greedy ones that were judged.
        """
        pays = least_acceptance(step, verify, self.rules.longest)
        if self._current == len(self.sets) - 1 or context.sampled:
            return pays
        unseen = judged.acceptance
        return max(pays, 2 * unseen.low - unseen.value)


def least_acceptance(step_ratio: float, verify_ratio: float, longest: int) -> float:
    """Acceptance under which no draft length pays; ratios are in autoregressive steps."""
    return min(_break_even(d * step_ratio + verify_ratio, d) for d in range(1, longest + 1))


def _break_even(cost: float, drafted: int) -> float:
    """The acceptance at which a draft of this length yields as many tokens as steps it costs."""
    low, high = 0.0, 1.0
    if expected_tokens(high, drafted) < cost:
        return 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_tokens(middle, drafted) < cost else (low, middle)
    return high


def _policy(rules: FallbackRules, draft: int, step: float, verify: float) -> StopPolicy:
    if rules.stop == "gain":
        return ExpectedGain(step, verify, max_tokens=rules.longest)
    if rules.stop == "adaptive":
        return AdaptiveThreshold(rules.longest, rules.confidence)
    if rules.stop == "confidence":
        return FixedStop(StopRule(rules.longest, confidence=rules.confidence))
    return FixedStop(StopRule(max(draft, 1)))


def _nothing(layers: int) -> DraftPlan:
    return DraftPlan(SkipSet.none(layers), StopRule(0), capture=False)
