"""Stop policies: when to end a draft, by a fixed rule or one learnt from outcomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import isnan, log
from typing import Self

from specframe.contract.planner import Context
from specframe.errors import InvalidConfig
from specframe.types import DraftPlan, GainRule, Outcome, SkipSet, StopRule

__all__ = [
    "FREE",
    "USUAL",
    "AdaptiveThreshold",
    "DepthAnnealed",
    "ExpectedGain",
    "FixedStop",
    "PricedGain",
    "StopPolicy",
    "annealed",
]

USUAL, MOST = 0.75, 0.995  # acceptance: usual for skipped sublayers, and the highest assumed
FREE = 1e-6  # lowest cost of a draft step, in autoregressive steps


class StopPolicy(ABC):
    """Gives the stop rule of each round and learns from outcomes; one per sequence."""

    @abstractmethod
    def rule(self) -> StopRule:
        """The rule of this round."""

    def price(self, plan: DraftPlan, context: Context) -> None:  # noqa: B027 - most need no prices
        """Take the costs of the round's plan into account; called before `rule`."""

    def observe(self, outcome: Outcome) -> None:  # noqa: B027 - fixed rules learn nothing
        """Learn from the outcome of a round."""

    def reprice(  # noqa: B027 - most need no prices
        self, step_ratio: float, verify_ratio: float, max_tokens: int | None = None
    ) -> None:
        """Set new costs, in autoregressive steps; what was learnt is kept."""

    def fresh(self) -> Self:
        """A policy with the same configuration that has learnt nothing yet."""
        return replace(self)  # type: ignore[type-var]


@dataclass(frozen=True)
class FixedStop(StopPolicy):
    """The same rule in every round: a length, a confidence, or both."""

    fixed: StopRule

    def rule(self) -> StopRule:
        return self.fixed


@dataclass
class AdaptiveThreshold(StopPolicy):
    """Draft & Verify's confidence threshold, adapted so that acceptance reaches a target.

    Zhang et al. 2024, https://arxiv.org/abs/2309.08168. Differs from the paper: the running
    acceptance starts at the target instead of 0, which would first push the threshold up.
    """

    max_tokens: int = 12
    start: float = 0.6
    target: float = 0.9
    step: float = 0.01
    acceptance_memory: float = 0.5
    threshold_memory: float = 0.9

    def __post_init__(self) -> None:
        if self.max_tokens < 0:
            raise InvalidConfig.of("AdaptiveThreshold", "max_tokens", "at least 0", self.max_tokens)
        for name in ("start", "target", "acceptance_memory", "threshold_memory"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidConfig.of("AdaptiveThreshold", name, "in [0, 1]", getattr(self, name))
        self._threshold = self.start
        self._acceptance = self.target

    def rule(self) -> StopRule:
        """The length limit with the current threshold."""
        return StopRule(self.max_tokens, confidence=self._threshold)

    def observe(self, outcome: Outcome) -> None:
        """Raise the threshold if acceptance is below the target.

        Otherwise lower it, but only if the draft ended before its length limit.
        """
        if not outcome.drafted:
            return
        keep, share = self.acceptance_memory, outcome.accepted / outcome.drafted
        self._acceptance = keep * self._acceptance + (1 - keep) * share
        wanted = self._threshold
        if self._acceptance < self.target:
            wanted += self.step
        elif outcome.drafted < self.max_tokens:
            wanted -= self.step
        keep = self.threshold_memory
        moved = keep * self._threshold + (1 - keep) * wanted
        self._threshold = min(max(moved, 0.0), 1.0)


@dataclass
class DepthAnnealed(StopPolicy):
    """SpecBound's stop rule: the fewer sublayers run, the more the confidence is flattened.

    2026, https://arxiv.org/abs/2604.12247. A draft with the share l/L of the sublayers ends after a
    token with max softmax(z / T) below `confidence`, T = 1 + `annealing` (1 - l/L), or after
    `max_tokens`. The paper's other bound, a deepest exit, is part of the plan. Its constants are
    not published; the defaults here were measured.
    """

    max_tokens: int = 8
    confidence: float = 0.2
    annealing: float = 0.5

    def __post_init__(self) -> None:
        if self.annealing < 0.0:
            raise InvalidConfig.of("DepthAnnealed", "annealing", "at least 0", self.annealing)
        self._rule = StopRule(self.max_tokens, self.confidence)

    def price(self, plan: DraftPlan, context: Context) -> None:
        """Set the temperature for the share of sublayers that the plan runs."""
        self._rule = replace(self._rule, temperature=annealed(plan.skips, self.annealing))

    def rule(self) -> StopRule:
        return self._rule


def annealed(skips: SkipSet, annealing: float) -> float:
    """The temperature of confidence in drafts with this skip set."""
    return 1.0 + annealing * len(skips) / skips.size


@dataclass
class ExpectedGain(StopPolicy):
    """Continue drafting only while the probability of acceptance pays for one more step.

    `step_ratio` is the measured cost of a draft step, `verify_ratio` that of a verification, both
    in autoregressive steps. Two things are learnt from the rounds: tokens per autoregressive step,
    and the probability of acceptance by confidence. The latter is the mean of a Beta distribution
    for each bin, with the confidence itself as a prior that counts as `prior` observations. If the
    acceptance rate is known to be higher than usual with skipped sublayers, give it as `accepted`:
    the prior is then a power of the confidence that matches this rate.
    """

    step_ratio: float
    verify_ratio: float = 1.1
    max_tokens: int = 16
    bins: int = 8
    prior: float = 4.0
    memory: float = 0.95
    accepted: float = USUAL

    def __post_init__(self) -> None:
        if self.step_ratio <= 0.0:
            raise InvalidConfig.of("ExpectedGain", "step_ratio", "above 0", self.step_ratio)
        if self.bins < 1:
            raise InvalidConfig.of("ExpectedGain", "bins", "at least 1", self.bins)
        known = min(max(self.accepted, USUAL), MOST)
        power = log(known) / log(USUAL)
        centres = [((i + 0.5) / self.bins) ** power for i in range(self.bins)]
        self._accepted = [self.prior * centre for centre in centres]
        self._seen = [self.prior] * self.bins
        self._tokens = self._cost = 1.0  # before the first round: one token per autoregressive step

    def rule(self) -> StopRule:
        """The length limit with the current price and probabilities of acceptance."""
        chances = [hits / seen for hits, seen in zip(self._accepted, self._seen, strict=True)]
        knots = tuple(((i + 0.5) / self.bins, chance) for i, chance in enumerate(chances))
        price = self.step_ratio * self._tokens / self._cost
        return StopRule(self.max_tokens, gain=GainRule(price, knots))

    def observe(self, outcome: Outcome) -> None:
        """Learn the rate and acceptance by confidence; tokens after a rejection are ignored."""
        draft, emitted = outcome.draft, outcome.emitted
        cost = (outcome.drafted - draft.copied) * self.step_ratio + self.verify_ratio
        self._tokens = self.memory * self._tokens + len(emitted)
        self._cost = self.memory * self._cost + cost
        for depth in range(min(len(draft.confidences), len(emitted)))[draft.copied :]:
            if isnan(draft.confidences[depth]):
                return  # not computed, since another stop rule replaced this one
            accepted = draft.tokens[depth] == emitted[depth]  # else a leaf may be accepted
            place = min(int(draft.confidences[depth] * self.bins), self.bins - 1)
            self._seen[place] += 1.0
            self._accepted[place] += float(accepted)
            if not accepted:
                break

    def reprice(
        self, step_ratio: float, verify_ratio: float, max_tokens: int | None = None
    ) -> None:
        """Set new costs, and a length limit if given; what was learnt is kept."""
        self.step_ratio, self.verify_ratio = step_ratio, verify_ratio
        if max_tokens is not None:
            self.max_tokens = max_tokens


@dataclass
class PricedGain(StopPolicy):
    """`ExpectedGain` with the costs of each round's plan."""

    max_tokens: int = 16

    def __post_init__(self) -> None:
        if self.max_tokens < 0:
            raise InvalidConfig.of("PricedGain", "max_tokens", "at least 0", self.max_tokens)
        self._gain = ExpectedGain(1.0, max_tokens=self.max_tokens)

    def price(self, plan: DraftPlan, context: Context) -> None:
        """Set the costs of a draft step and of verification, in autoregressive steps."""
        costs, n = context.costs, context.length - 1
        plain = costs.autoregressive(n)
        step = costs.draft_step(plan.skips, n) / plain
        verify = costs.verify(1 + self.max_tokens / 2, n, start=plan.skips.prefix) / plain
        self._gain.reprice(max(step, FREE), verify)

    def rule(self) -> StopRule:
        return self._gain.rule()

    def observe(self, outcome: Outcome) -> None:
        self._gain.observe(outcome)
