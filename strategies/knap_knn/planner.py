"""The planner of knap-knn: looks the domain up, solves its knapsack, learns from acceptance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import log

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.stopping import USUAL, ExpectedGain, FixedStop, StopPolicy
from specframe.costs.rates import RoundPrices
from specframe.strategies.knap_knn.config import KnapKnnConfig
from specframe.strategies.knap_knn.solver import Solver
from specframe.strategies.shared.domains.domain_models import DomainModel
from specframe.strategies.shared.domains.lookup import Lookup, Match
from specframe.strategies.shared.judging.prompt_split import MIXED
from specframe.strategies.shared.searching.resolve import Resolved
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["KnapsackPlanner"]

STEP = 0.2  # of acceptance in log-odds, between two solutions
PRIOR = 16.0  # observed rounds that the calibrated acceptance weighs as much as


class _Experience:
    """Observed acceptance of first drafted tokens against the calibrated one, in log-odds."""

    def __init__(self) -> None:
        self._shift = 0.0
        self._accepted = self._seen = self._promised = 0.0

    @property
    def shift(self) -> float:
        """Rounded to steps, so that solutions can be reused."""
        return STEP * round(self._shift / STEP)

    def add(self, accepted: bool, promised: float) -> None:
        """A round's first drafted token, which no stop rule has selected."""
        self._accepted += accepted
        self._seen += 1.0
        self._promised += promised

    def learn(self) -> None:
        """Move the shift by the rounds since the last time."""
        if not self._seen:
            return
        promised = min(max(self._promised / self._seen, 0.01), 0.99)
        found = (self._accepted + PRIOR * promised) / (self._seen + PRIOR)
        found = min(max(found, 0.01), 0.99)
        self._shift += log(found / (1 - found)) - log(promised / (1 - promised))
        self._accepted = self._seen = self._promised = 0.0

    def forget_half(self) -> None:
        """After a rest, since the text may have changed."""
        self._shift /= 2


class KnapsackPlanner(Planner):
    """Drafts with the knapsack solution of the prompt's domain at the current context."""

    def __init__(
        self,
        lookup: Lookup,
        models: Mapping[str, DomainModel],
        config: KnapKnnConfig,
        kept: Mapping[str, dict[Hashable, Resolved]],
    ) -> None:
        self._lookup, self._models, self._config = lookup, models, config
        self._kept = kept  # solutions by domain
        self.match: Match | None = None  # what the look-up found
        self.solver: Solver | None = None
        self._experience = _Experience()
        self._solved: Resolved | None = None  # the solution that is drafted with
        self._policy: StopPolicy | None = None  # and its stop rule
        self._rounds = self._resting = 0

    def plan(self, context: Context) -> DraftPlan:
        """Equation (3) once, equation (4) where a boundary was crossed."""
        if self.solver is None:
            self.match = self._lookup.of_prompt(context)
            label = self.match.label if self.match is not None and self.match.known else MIXED
            self.solver = Solver(self._models[label], self._config, self._kept[label])
        if self._resting:
            return draft_nothing(context.shape.layers)
        solved = self.solver.at(context, self._experience.shift)
        if solved.skips is None:
            self._solved = self._policy = None
            best = solved.choice.best_speedup
            return draft_nothing(context.shape.layers, declined=best)
        if solved is not self._solved or self._policy is None:
            self._policy = self._stop(solved, solved.skips, self.solver.prices)
            self._solved = solved
        return DraftPlan(solved.skips, self._policy.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Learn how acceptance compares with the calibration's; rest where nothing pays."""
        if self._resting:
            self._rest()
            return
        if self._policy is not None and outcome.drafted:
            self._policy.observe(outcome)
        if self.solver is None or self.solver.solved is None or not self._config.review:
            return
        if self.solver.solved.skips is None:
            self._resting = self._config.rest
        if not outcome.drafted:
            return
        self._experience.add(outcome.accepted > 0, self.solver.solved.alpha)
        self._rounds += 1
        if self._rounds % self._config.review == 0:
            self._experience.learn()

    def _rest(self) -> None:
        self._resting -= 1
        if not self._resting:
            self._experience.forget_half()

    def _stop(self, solved: Resolved, skips: SkipSet, prices: RoundPrices) -> StopPolicy:
        """The stop rule of a new solution; where the set is the same, what was learnt is kept."""
        config, before = self._config, self._policy
        if config.stop == "confidence":
            return FixedStop(StopRule(config.longest, confidence=config.confidence))
        if config.stop == "fixed":
            return FixedStop(StopRule(solved.choice.draft_length))
        step, rest = prices.of([skips]).in_steps(0)
        if before is not None and self._solved is not None and self._solved.skips == skips:
            before.reprice(step, rest)
            return before
        accepted = solved.alpha if skips.low_bits else USUAL
        return ExpectedGain(step, rest, max_tokens=config.longest, accepted=accepted)
