"""Drafting with judged skip sets: priced at the context, and left when they do worse than judged.

Acceptance is checked on the first drafted token of each round. That token is always drafted, so no
stop rule has selected it, and it is the one that calibration estimated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from specframe.contract.judged_set import JudgedSet
from specframe.contract.options import require_draft_length, require_in, require_known
from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.stopping import (
    FREE,
    USUAL,
    AdaptiveThreshold,
    ExpectedGain,
    FixedStop,
    StopPolicy,
)
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.find_set import best_draft
from specframe.strategies.shared.planners.candidates import Repricing
from specframe.types import DraftPlan, Estimate, Outcome, StopRule

__all__ = ["FallbackPlanner", "FallbackRules", "least_acceptance"]


@dataclass(frozen=True)
class FallbackRules:
    """How drafts end, and when a skip set is left.

    `stop`: `gain` drafts while one more token pays, `confidence` while tokens are likely,
    `adaptive` is Draft & Verify's steered threshold, `fixed` is a length. A set is checked on the
    last `memory` rounds once there are `check` of them; with `check` 0 it is never left.
    """

    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    check: int = 12
    memory: int = 48
    rest: int = 96  # tokens without drafting after the last set has failed
    may_decline: bool = True  # draft nothing where no draft length pays

    def __post_init__(self) -> None:
        require_known(self, stop=("gain", "confidence", "adaptive", "fixed"))
        require_draft_length(self, "longest")
        require_in(self, "[0, 1]", "confidence")
        if not 0 <= self.check <= self.memory:
            raise InvalidConfig.of("FallbackRules", "check", "from 0 to memory", self.check)

    @property
    def priced(self) -> bool:
        """Whether plans depend on what sublayers cost."""
        return self.stop in ("gain", "fixed") or self.check > 0 or self.may_decline


@dataclass(slots=True)
class _Current:
    """The skip set in use."""

    judged: JudgedSet
    policy: StopPolicy
    floor: float  # acceptance under which it is left
    speed: float  # predicted over autoregressive decoding, at the lower end of its acceptance
    drafts: bool
    accepted: deque[bool]  # whether the first drafted token was, by round


class FallbackPlanner(Planner):
    """Drafts with the first of these skip sets, with the next one when it fails, and so on.

    When the last one has failed, it drafts nothing for `rest` tokens and starts again.
    """

    def __init__(self, sets: Sequence[JudgedSet], rules: FallbackRules) -> None:
        self._sets, self._rules = tuple(sets), rules
        self._number = 0  # of the set in use
        self._current: _Current | None = None
        self._repricing = Repricing()
        self._length = 0  # of the text at the last plan
        self._until = 0  # length of the text where drafting starts again

    def plan(self, context: Context) -> DraftPlan:
        """The set in use, while it pays at this context."""
        self._length = context.length
        if context.length < self._until:
            return draft_nothing(context.shape.layers)
        if self._repricing.due(context) or self._current is None:
            self._current = self._priced(self._sets[self._number], context, self._current)
        if not self._current.drafts:
            return draft_nothing(context.shape.layers, declined=self._current.speed)
        return DraftPlan(self._current.judged.skips, self._current.policy.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Learn from a round, and leave a set that is accepted too rarely."""
        if self._current is None or not outcome.drafted:
            return
        self._current.policy.observe(outcome)
        self._current.accepted.append(outcome.accepted > 0)
        if self._failed(self._current):
            self._leave(self._length + len(outcome.emitted))

    def rest(self) -> int:
        """After the last set has failed, or until prices have changed where none pays."""
        if self._length < self._until:
            return self._until - self._length - 1  # a token has been emitted since
        if self._current is None or self._current.drafts:
            return 0
        return self._repricing.rest(self._length) - 1

    def _failed(self, current: _Current) -> bool:
        seen = current.accepted
        if not self._rules.check or len(seen) < self._rules.check:
            return False
        return Estimate.of_share(sum(seen), len(seen)).high < current.floor

    def _leave(self, length: int) -> None:
        self._current, self._repricing = None, Repricing()
        self._number += 1
        if self._number == len(self._sets):
            self._number = 0
            self._until = length + self._rules.rest

    def _priced(self, judged: JudgedSet, context: Context, before: _Current | None) -> _Current:
        """The set at the prices of this context; if it was in use, what it learnt is kept."""
        costs, rules, n = context.costs, self._rules, context.length - 1
        draft, speed = best_draft(costs, judged.skips, judged.acceptance.low, n, rules.longest)
        plain = costs.autoregressive(n)
        step = max(costs.draft_step(judged.skips, n) / plain, FREE)
        verify = costs.verify(draft + 1, n, start=judged.skips.prefix) / plain
        if before is not None:
            policy, accepted = before.policy, before.accepted
            policy.reprice(step, verify)
        else:
            fixed = draft if speed > 1.0 else 1
            policy = _policy(rules, fixed, step, verify, known_acceptance(judged))
            accepted = deque(maxlen=rules.memory)
        drafts = speed > 1.0 or not rules.may_decline
        return _Current(
            judged, policy, self._floor(judged, context, step, verify), speed, drafts, accepted
        )

    def _floor(self, judged: JudgedSet, context: Context, step: float, verify: float) -> float:
        """The acceptance under which the set is left.

        The last set is kept while it pays at all. An earlier one must also reach what unseen
        prompts gave, less the width of their interval. Sampled tokens only have to pay: they are
        accepted at other rates than the greedy ones that were judged.
        """
        pays = least_acceptance(step, verify, self._rules.longest)
        if self._number == len(self._sets) - 1 or context.sampled:
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


def known_acceptance(judged: JudgedSet) -> float:
    """What a stop rule may believe: low-bit drafts are accepted whatever their confidence."""
    return judged.acceptance.low if judged.skips.low_bits else USUAL


def _policy(
    rules: FallbackRules, draft: int, step: float, verify: float, accepted: float
) -> StopPolicy:
    if rules.stop == "gain":
        return ExpectedGain(step, verify, max_tokens=rules.longest, accepted=accepted)
    if rules.stop == "adaptive":
        return AdaptiveThreshold(rules.longest, rules.confidence)
    if rules.stop == "confidence":
        return FixedStop(StopRule(rules.longest, confidence=rules.confidence))
    return FixedStop(StopRule(draft))
