"""How much longer drafts through the adapter take than priced: the adapter itself is not profiled.

Verification of the same rounds, whose price was measured, shows the machine's present speed:

    overrun = (drafting measured / priced) / (verification measured / priced), over all rounds
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from specframe.costs.model import CostModel
from specframe.costs.rates import nearest
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["ENOUGH", "Overrun"]

ENOUGH = 4  # rounds


@dataclass
class Overrun:
    """Sums over the rounds of one sequence, or of all."""

    known: int = 0  # rounds
    drafting: float = 0.0  # seconds measured
    drafting_priced: float = 0.0
    verifying: float = 0.0
    verifying_priced: float = 0.0

    @property
    def factor(self) -> float:
        """1 until a few rounds are known, and where drafts take no longer than priced."""
        if self.known < ENOUGH or not min(self.verifying, self.drafting_priced) > 0.0:
            return 1.0
        priced = self.drafting_priced * self.verifying / self.verifying_priced
        return max(self.drafting / priced, 1.0)

    def round(self, costs: CostModel, skips: SkipSet, drafted: int, n: int) -> float:
        """Seconds of a round whose drafting is as much slower than priced as so far."""
        return self.rounds(costs, skips, drafted, n)[drafted]

    def rounds(self, costs: CostModel, skips: SkipSet, longest: int, n: int) -> list[float]:
        """The same by the number of drafted tokens, from 0 to `longest`."""
        factor = self.factor
        known = _priced(costs, nearest(n), skips, longest)
        return [verifying + factor * drafting for drafting, verifying in known]

    def add(self, outcome: Outcome, costs: CostModel, n: int) -> None:
        """A round that drafted with n cached columns."""
        known = _priced(costs, nearest(n), outcome.plan.skips, outcome.drafted)
        drafting, verifying = known[outcome.drafted]
        self.known += 1
        self.drafting += outcome.draft_seconds
        self.drafting_priced += drafting
        self.verifying += outcome.verify_seconds
        self.verifying_priced += verifying


@lru_cache(maxsize=256)
def _priced(
    costs: CostModel, n: int, skips: SkipSet, longest: int
) -> tuple[tuple[float, float], ...]:
    """Seconds of drafting 0 to `longest` tokens and of verifying them."""
    found = []
    for drafted in range(longest + 1):
        start = skips.prefix if drafted else 0
        verifying = costs.verify(1 + drafted, n, start=start) + costs.round_seconds
        whole = costs.round(DraftPlan(skips, StopRule(drafted), headed=True), n)
        found.append((whole - verifying, verifying))
    return tuple(found)
