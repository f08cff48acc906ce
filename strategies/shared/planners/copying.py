"""The planner of strategies that only copy: how much of a copy is worth its rows."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.costs.model import CostModel
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.ngrams import Copy, CopyBeliefs, CopyCounts, CopySource
from specframe.types import LONGEST_CHAIN, DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["CopyPlanner", "copying_rates"]

NOTHING = Copy((), 1)
LENGTHS = range(1, LONGEST_CHAIN + 1)


class CopyPlanner(Planner):
    """Drafts what its source finds, and learns which copies are accepted.

    A copy that is not `priced` is drafted whole. `prior` and `counts` are those of the
    beliefs.
    """

    def __init__(
        self, source: CopySource, prior: float, priced: bool, counts: CopyCounts | None = None
    ) -> None:
        self._source, self._priced = source, priced
        self._beliefs = CopyBeliefs(prior, counts)
        self._copy = NOTHING  # of the round that was planned last

    def plan(self, context: Context) -> DraftPlan:
        """As much of the copy as pays."""
        layers = context.shape.layers
        self._copy = self._source.find(context.tokens, context.budget - 1) or NOTHING
        if not self._copy.tokens:
            return draft_nothing(layers)
        tokens = self._copy.tokens[: self._worth(self._copy, context)]
        stop = StopRule(len(tokens))
        return DraftPlan(SkipSet.none(layers), stop, capture=False, copied=tokens)

    def observe(self, outcome: Outcome) -> None:
        """Which copies were accepted."""
        self._beliefs.observe(self._copy, outcome.draft.copied, outcome.accepted)

    def follow(self, context: Context) -> None:
        """What others drafted is copied from as well."""
        self._source.follow(context.tokens)

    def _worth(self, copy: Copy, context: Context) -> int:
        """How many tokens to copy for most tokens a second."""
        if not self._priced:
            return len(copy.tokens)
        rates = copying_rates(self._beliefs.chances(copy), context.costs, context.length - 1)
        return max(range(len(rates)), key=rates.__getitem__)


def copying_rates(chances: Sequence[float], costs: CostModel, n: float) -> list[float]:
    """Tokens a second of rounds that verify 0, 1, ... copied tokens and draft none.

    `chances` are of each token, given that those before it were accepted.
    """
    prices = RoundPrices.near(costs, n, LENGTHS)
    rates, reach, accepted = [1.0 / prices.autoregressive], 1.0, 0.0
    for chance, seconds in zip(chances, prices.copying, strict=False):
        reach *= chance
        accepted += reach
        rates.append((1.0 + accepted) / seconds)
    return rates
