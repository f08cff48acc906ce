"""How the time of calibrations is spent: answers first, then as many sets as fit.

Everything is predicted from the machine's prices, so the same call always gives the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from specframe.costs.model import CostModel
from specframe.types import Prompt

__all__ = [
    "ANSWERS_SHARE",
    "Answering",
    "Effort",
    "Shared",
    "answers_within",
    "equal_effort",
    "shared_between",
]

ANSWERS_SHARE = 0.4  # of all seconds: limit for generating the target's answers
FEWEST_PROMPTS = 3  # of a domain: to search on, to choose by, to judge by
LENGTHS = (64, 48, 32, 24, 16)  # tokens that answers are shortened to
SEARCHED_SHARE = 0.5  # of the prompts
RACING = 0.5  # mean share of the prompts that a set runs on, since a search drops slow sets early
JUDGING = 0.25  # share of the searching time that choosing and judging take
ENOUGH = 6  # sets for each sublayer: enough to rank all, to nest them and to climb


@dataclass(frozen=True, slots=True)
class Answering:
    """The answered prompts, tokens per answer, and the predicted seconds."""

    prompts: tuple[Prompt, ...]
    new_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Effort:
    """Sets that a strategy runs on each prompt, and prompts of each domain that it searches on."""

    evaluations: int
    searched: int


@dataclass(frozen=True, slots=True)
class Shared:
    """How strategies that are calibrated on the same prompts share the total time."""

    strategies: int
    total: float  # seconds, answers included
    answers: Answering
    effort: Effort

    @property
    def each(self) -> float:
        """Seconds of each strategy, without the answers."""
        return max(self.total - self.answers.seconds, 0.0) / self.strategies

    @property
    def sentence(self) -> str:
        """For progress output and reports."""
        found, effort = self.answers, self.effort
        named = "1 strategy" if self.strategies == 1 else f"{self.strategies} strategies"
        searched = "1 prompt" if effort.searched == 1 else f"{effort.searched} prompts"
        return (
            f"calibrating {named} takes about "
            f"{max(self.total, found.seconds):.0f} s: {found.seconds:.0f} s to generate "
            f"{found.new_tokens} tokens for each of {len(found.prompts)} prompts, shared by all, "
            f"then up to {self.each:.0f} s per strategy; a search tries {effort.evaluations} "
            f"sets on {searched} of each domain"
        )


def shared_between(
    strategies: int, costs: CostModel, prompts: Sequence[Prompt], new_tokens: int, each: float
) -> Shared:
    """The plan for `strategies * each` seconds in all."""
    total = strategies * each
    answers = answers_within(costs, prompts, new_tokens, ANSWERS_SHARE * total)
    left = max(total - answers.seconds, 0.0) / strategies
    effort = equal_effort(costs, answers.prompts, answers.new_tokens, left)
    return Shared(strategies, total, answers, effort)


def answers_within(
    costs: CostModel, prompts: Sequence[Prompt], new_tokens: int, seconds: float
) -> Answering:
    """As many answered tokens as fit into the seconds; among equals, the most prompts.

    Never fewer than three prompts of each domain and 16 tokens each, even if that takes longer.
    """
    most = max(Counter(prompt.domain for prompt in prompts).values(), default=0)
    lengths = [new_tokens, *(length for length in LENGTHS if length < new_tokens)]
    counts = range(min(FEWEST_PROMPTS, most), most + 1)
    options = [(each * length, each, length) for each in counts for length in lengths]
    for _, each, length in sorted(options, reverse=True):
        found = _answering(costs, prompts, each, length)
        if found.seconds <= seconds:
            return found
    return _answering(costs, prompts, counts[0], lengths[-1])


def _answering(costs: CostModel, prompts: Sequence[Prompt], each: int, length: int) -> Answering:
    taken: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        taken[prompt.domain] += 1
        if taken[prompt.domain] <= each:
            kept.append(prompt)
    seconds = 0.0
    for prompt in kept:
        n = len(prompt.tokens)
        seconds += costs.walk(0, n, logits=1) + length * costs.autoregressive(n + length / 2)
    return Answering(tuple(kept), length, seconds)


def equal_effort(
    costs: CostModel, prompts: Sequence[Prompt], new_tokens: int, seconds: float
) -> Effort:
    """The search that fits into the seconds, the same for every strategy that searches.

    First come enough sets for the number of sublayers, on one prompt of each domain, then more
    prompts. If even that does not fit, there are fewer sets.
    """
    domains = Counter(prompt.domain for prompt in prompts)
    each = sum(costs.walk(len(p.tokens), new_tokens, logits=new_tokens) for p in prompts)
    once = RACING * each / max(len(prompts), 1) * len(domains)  # a set on one prompt of each
    left = (1.0 - JUDGING) * seconds
    enough = ENOUGH * 2 * costs.layers
    most = max(int(SEARCHED_SHARE * min(domains.values(), default=1)), 1)
    searched = min(max(int(left / (enough * once)), 1), most)
    return Effort(min(max(int(left / (searched * once)), 1), enough), searched)
