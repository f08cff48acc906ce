"""How much longer drafts through the adapter take than priced: the adapter itself is not profiled.

Verification of the same rounds, whose price was measured, shows the machine's present speed:

    overrun = (drafting measured / priced) / (verification measured / priced), over all rounds
"""

from __future__ import annotations

from dataclasses import dataclass

from specframe.costs.model import CostModel
from specframe.types import DraftPlan, Outcome

__all__ = ["ENOUGH", "Overrun"]

ENOUGH = 4  # rounds


@dataclass
class Overrun:
    """Sums over the rounds of one sequence, or of all."""

    rounds: int = 0
    drafting: float = 0.0  # seconds measured
    drafting_priced: float = 0.0
    verifying: float = 0.0
    verifying_priced: float = 0.0

    @property
    def factor(self) -> float:
        """1 until a few rounds are known, and where drafts take no longer than priced."""
        if self.rounds < ENOUGH or not min(self.verifying, self.drafting_priced) > 0.0:
            return 1.0
        priced = self.drafting_priced * self.verifying / self.verifying_priced
        return max(self.drafting / priced, 1.0)

    def round(self, costs: CostModel, plan: DraftPlan, n: int) -> float:
        """Seconds of a round whose drafting is as much slower than priced as so far."""
        verifying = _verifying(costs, plan, n, plan.stop.max_tokens)
        return verifying + self.factor * (costs.round(plan, n) - verifying)

    def add(self, outcome: Outcome, costs: CostModel, n: int) -> None:
        """A round that drafted with n cached columns."""
        verifying = _verifying(costs, outcome.plan, n, outcome.drafted)
        self.rounds += 1
        self.drafting += outcome.draft_seconds
        self.drafting_priced += costs.round(outcome.plan, n, outcome.drafted) - verifying
        self.verifying += outcome.verify_seconds
        self.verifying_priced += verifying


def _verifying(costs: CostModel, plan: DraftPlan, n: int, drafted: int) -> float:
    return costs.verify(1 + drafted, n, start=plan.skips.prefix if drafted else 0) + (
        costs.round_seconds
    )
