"""The planner of strategies that only copy: how much of a copy is worth its rows."""

from __future__ import annotations

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.costs.model import expected_tokens_by_depth
from specframe.strategies.shared.ngrams import Copy, CopyBeliefs, CopySource
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["CopyPlanner"]

NOTHING = Copy((), 1)


class CopyPlanner(Planner):
    """Drafts what its source finds, and learns which copies are accepted.

    A copy that is not `priced` is drafted whole. `prior` is that of the beliefs.
    """

    def __init__(self, source: CopySource, prior: float, priced: bool) -> None:
        self._source, self._priced = source, priced
        self._beliefs = CopyBeliefs(prior)
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
        costs, n = context.costs, context.length - 1
        if not self._priced:
            return len(copy.tokens)
        chances = self._beliefs.chances(copy)
        rates = [1.0 / costs.autoregressive(n)]
        for count in range(1, len(copy.tokens) + 1):
            seconds = costs.verify(1 + count, n) + costs.round_seconds
            rates.append(expected_tokens_by_depth(chances, count) / seconds)
        return max(range(len(rates)), key=rates.__getitem__)
