"""A copy before the draft of another planner, verified together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, prod

from specframe.contract.planner import Context, Planner
from specframe.contract.wrapper import WrappedPlanner
from specframe.costs.expected import expected_tokens_of_plan
from specframe.costs.model import CostModel, expected_tokens
from specframe.costs.rates import round_seconds, step_seconds
from specframe.strategies.shared.ngrams import Copy, CopyBeliefs, CopyCounts, CopySource
from specframe.strategies.shared.planners.copying import copying_rates
from specframe.strategies.shared.planners.evidence import CopyTrial
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["CopyFirst", "after_copy", "own_part"]

PRIOR = 4.0  # drafted tokens that the starting acceptance is worth
LIKELY = 0.9  # where it starts: the inner strategy drafts because it expects to be right
LENGTH = 6.0  # how long drafts are taken to be until some have been seen
MEMORY = 0.95
BLOCK = 8  # rounds with or without copies


@dataclass
class _Drafts:
    """Acceptance and length of the inner strategy's drafts."""

    seen: float = PRIOR
    accepted: float = PRIOR * LIKELY
    rounds: float = 1.0
    drafted: float = LENGTH

    @property
    def acceptance(self) -> float:
        return self.accepted / self.seen

    @property
    def length(self) -> float:
        return self.drafted / self.rounds

    def observe(self, drafted: int, accepted: int, alone: bool) -> None:
        """A draft; one after a copy ends early, so it does not say how long others are."""
        self.seen = MEMORY * self.seen + min(drafted, accepted + 1)
        self.accepted = MEMORY * self.accepted + accepted
        if alone:
            self.rounds = MEMORY * self.rounds + 1.0
            self.drafted = MEMORY * self.drafted + drafted


class CopyFirst(WrappedPlanner):
    """Copies, drafts of the inner planner, or both; see `cascade`, whose equations these are."""

    def __init__(
        self,
        inner: Planner,
        source: CopySource,
        prior: float,
        priced: bool,
        counts: CopyCounts | None = None,
        trial: CopyTrial | None = None,
    ) -> None:
        """A copy that is not `priced` is always made; see `CopyBeliefs` for `prior` and `counts`.

        With a `trial`, copies are looked for only where that was faster, also in earlier sequences.
        Sampled tokens depend on what is drafted, so there the clock decides nothing: the same seed
        gives the same tokens.
        """
        super().__init__(inner)
        self._source, self._priced = source, priced
        self._beliefs = CopyBeliefs(prior, counts)
        self._kept, self._trial = trial, None if trial is None else trial.copy()
        self._looking, self._left = True, 0  # for so many rounds more
        self._drafts = _Drafts()
        self._inner_plan: DraftPlan | None = None
        self._copy: Copy | None = None  # of the round that was planned last

    def plan(self, context: Context) -> DraftPlan:
        """Equation (4)."""
        plan = self._inner_plan = self._inner.plan(context)
        self._copy = None
        if self._trial is not None and self._left == 0 and not context.sampled:
            self._looking, self._left = self._trial.pays, BLOCK
        if not self._looking:
            self._source.follow(context.tokens)
            return plan
        copy = self._source.find(context.tokens, context.budget - 1)
        if copy is None:
            return plan
        if not self._priced:
            planned = after_copy(plan, copy, len(copy.tokens), plan.stop.max_tokens)
        else:
            planned = self._fastest(plan, copy, context.costs, context.length - 1)
        if planned is not plan:
            self._copy = copy
        return planned

    def observe(self, outcome: Outcome) -> None:
        """Both learn, each from its own part of the draft."""
        self._judge(outcome)
        inner = outcome
        if self._copy is not None:  # else what was copied is the inner planner's
            self._beliefs.observe(self._copy, outcome.draft.copied, outcome.accepted)
            inner = own_part(outcome, self._inner_plan)
        if inner.drafted:
            alone = not outcome.draft.copied
            self._drafts.observe(inner.drafted, inner.accepted, alone)
        self._inner.observe(inner)

    def follow(self, context: Context) -> None:
        """What others drafted is copied from as well."""
        self._source.follow(context.tokens)
        self._inner.follow(context)

    def _judge(self, outcome: Outcome) -> None:
        """Whether looking for copies pays, by the clock: prices may be those of another day."""
        if self._trial is None or self._kept is None or not outcome.emitted:
            return
        seconds = outcome.select_seconds + outcome.draft_seconds + outcome.verify_seconds
        for trial in (self._trial, self._kept):
            trial.add(self._looking, len(outcome.emitted), seconds, outcome.select_seconds)
        self._left -= 1

    def _fastest(self, plan: DraftPlan, copy: Copy, costs: CostModel, n: int) -> DraftPlan:
        """Equation (3) for every option; copies double in length."""
        alpha = self._drafts.acceptance
        more = min(plan.stop.max_tokens, max(1, round(self._drafts.length)))
        chances = self._beliefs.chances(copy)

        def rate(copied: int, drafted: int) -> float:
            alphas = (*chances[:copied], *(alpha,) * drafted)
            planned = after_copy(plan, copy, copied, drafted)
            return expected_tokens_of_plan(alphas, planned) / round_seconds(costs, planned, n)

        lengths = [2**i for i in range(len(copy.tokens).bit_length())]
        rates = {(0, more): rate(0, more)}
        copying = copying_rates(chances, costs, n)
        rates |= {(c, 0): copying[c] for c in lengths if c < len(copying)}
        hoped = _most_after_copy(plan, alpha, more, costs, n)
        for c in lengths:
            if more and prod(chances[:c]) * hoped > max(rates.values()):
                rates[c, more] = rate(c, more)
        copied, drafted = max(rates, key=rates.__getitem__)
        if copied == 0:
            return plan
        reach = prod(chances[:copied])
        longest = plan.stop.max_tokens if drafted else 0
        return after_copy(plan, copy, copied, longest, reach)


def _most_after_copy(
    plan: DraftPlan, alpha: float, drafted: int, costs: CostModel, n: int
) -> float:
    """Most tokens a second that a draft after an accepted copy may add: if its rows were free.

    With less than that of the whole round it makes no round faster, and need not be priced.
    """
    if not drafted or plan.skips.prefix or plan.headed or plan.second or plan.tree:
        return inf  # the draft does part of what verifies the copy, or has prices of its own
    tokens = expected_tokens(alpha, drafted) - 1.0
    return tokens / (drafted * step_seconds(costs, plan.skips, n))


def after_copy(
    plan: DraftPlan, copy: Copy, copied: int, drafted: int, reach: float = 1.0
) -> DraftPlan:
    """The plan after a copy whose tokens are all accepted with chance `reach`.

    A gain must repay that chance. Nothing is skipped where nothing is drafted after the copy.
    """
    if not drafted:
        nothing = SkipSet.none(plan.skips.layers)
        return DraftPlan(
            nothing, StopRule(copied), capture=plan.capture, copied=copy.tokens[:copied]
        )
    gain = plan.stop.gain
    if gain is not None and reach > 0.0:
        gain = replace(gain, price=gain.price / reach)
    stop = replace(plan.stop, max_tokens=copied + drafted, gain=gain)
    return replace(plan, stop=stop, copied=copy.tokens[:copied])


def own_part(outcome: Outcome, plan: DraftPlan | None) -> Outcome:
    """What the inner planner observes: its own draft, or none where the copy was rejected."""
    if plan is None or not outcome.draft.copied:
        return outcome
    copied = outcome.draft.copied
    reached = outcome.accepted >= copied
    return replace(
        outcome,
        plan=plan,
        draft=outcome.draft.after(copied) if reached else Draft((), (), ()),
        accepted=max(outcome.accepted - copied, 0),
    )
