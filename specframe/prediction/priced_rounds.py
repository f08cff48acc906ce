"""Rounds of any strategy on a model, priced by a cost model; no time is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from specframe.contract.planner import Context, Planner, Probe
from specframe.contract.selector import LayerSelector
from specframe.contract.wrapper import WrappedPlanner, WrappedSelector
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.costs.sampled import sampled_prices
from specframe.rig import Rig
from specframe.types import DraftPlan, ModelShape, Outcome, Pass, Prompt, SkipSet, Step, TreeRule

__all__ = ["PricedRound", "priced_rounds"]


@dataclass(frozen=True, slots=True)
class PricedRound:
    """A round: the plan, what was drafted, accepted and emitted, and the priced seconds."""

    plan: DraftPlan  # as planned; the engine may have shortened it
    drafted: int
    accepted: int
    tokens: int  # emitted
    select_seconds: float  # of planning
    seconds: float  # of drafting and verifying
    plain_seconds: float  # of the same tokens by autoregressive decoding
    host_seconds: float = field(default=0.0, compare=False)  # measured, of planning


def priced_rounds(
    rig: Rig,
    strategy: LayerSelector,
    prompt: Prompt,
    new_tokens: int,
    law: Law = Law(),
    *,
    clock: bool = False,
) -> list[PricedRound]:
    """Generate after a prompt, at the rig's prices; the prompt's own round is left out.

    Planning costs the price of its probe's walks, and the planner observes priced seconds, so that
    plans are the same on every machine. With `clock`, planning costs the measured seconds, and the
    planner observes the seconds of this machine.
    """
    costs = sampled_prices(rig.costs) if law.sampled else rig.costs  # as in the engine
    watched = _Watched(strategy, costs, clock, [])
    engine = Engine(rig.executor, watched, law, Limits(new_tokens, rig.ends), rig.costs)
    outcomes = [done.outcome for done in engine.rounds(prompt.tokens) if done.outcome is not None]
    return [
        _priced(costs, planning, outcome, clock)
        for planning, outcome in zip(watched.plannings, outcomes, strict=True)
    ]


def _priced(costs: CostModel, planning: _Planning, outcome: Outcome, clock: bool) -> PricedRound:
    tokens, n = len(outcome.emitted), planning.committed
    return PricedRound(
        planning.plan,
        outcome.drafted,
        outcome.accepted,
        tokens,
        outcome.select_seconds if clock else planning.probe.seconds,
        costs.round(_as_drafted(outcome), n, drafted=outcome.drafted),
        tokens * costs.autoregressive(n),
        outcome.select_seconds,
    )


def _as_drafted(outcome: Outcome) -> DraftPlan:
    """The plan with the number of nodes at each depth that were drafted."""
    if outcome.plan.tree is None or not outcome.draft.tokens:
        return outcome.plan
    depths = Counter(len(outcome.draft.path(node)) for node in range(len(outcome.draft.tokens)))
    return replace(outcome.plan, tree=TreeRule(tuple(depths[d] for d in sorted(depths))))


@dataclass(frozen=True, slots=True)
class _Planning:
    """The planning of one round."""

    plan: DraftPlan
    committed: int  # tokens in the cache when the round began
    probe: _PricedProbe


@dataclass(frozen=True)
class _Watched(WrappedSelector):
    """A strategy whose plans are recorded, and whose planners observe priced seconds."""

    costs: CostModel
    clock: bool
    plannings: list[_Planning]

    def start(self, shape: ModelShape) -> Planner:
        """The inner planner, recorded."""
        return _WatchedPlanner(self.inner.planner_for(shape), self)

    def prospect(self, shape: ModelShape) -> None:
        """Nothing: plans that decline to draft are recorded, too."""
        return


class _WatchedPlanner(WrappedPlanner):
    def __init__(self, inner: Planner, watched: _Watched) -> None:
        super().__init__(inner)
        self._costs, self._clock = watched.costs, watched.clock
        self._plannings = watched.plannings

    def plan(self, context: Context) -> DraftPlan:
        probe = _PricedProbe(context.probe, self._costs)
        plan = self._inner.plan(context if self._clock else replace(context, probe=probe))
        self._plannings.append(_Planning(plan, context.probe.committed, probe))
        return plan

    def observe(self, outcome: Outcome) -> None:
        self._inner.observe(outcome if self._clock else self._in_prices(outcome))

    def _in_prices(self, outcome: Outcome) -> Outcome:
        costs, planning, plan = self._costs, self._plannings[-1], _as_drafted(outcome)
        n, rows = planning.committed, 1 + len(outcome.draft.tokens)
        return replace(
            outcome,
            select_seconds=planning.probe.seconds,
            draft_seconds=outcome.drafted * costs.draft_step(plan.skips, n),
            verify_seconds=costs.verify(rows, n, start=plan.skips.prefix),
        )


class _PricedProbe:
    """A probe that adds up the prices of its walks."""

    def __init__(self, probe: Probe, costs: CostModel) -> None:
        self._probe, self._costs = probe, costs
        self.seconds = 0.0

    @property
    def committed(self) -> int:
        """See `Probe.committed`."""
        return self._probe.committed

    def walk(
        self,
        step: Step,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        hidden: Tensor | None = None,
        taps: Sequence[int] = (),
        rows: slice | None = None,
    ) -> Pass:
        """See `Probe.walk`."""
        passed = self._probe.walk(
            step, skips, start=start, stop=stop, hidden=hidden, taps=taps, rows=rows
        )
        headed = 0 if passed.logits is None else passed.logits.shape[1]
        self.seconds += self._costs.walk(
            step.visible, step.rows, skips, start=start, stop=stop, logits=headed
        )
        return passed

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Probe.logits`."""
        self.seconds += self._costs.head.at(self.committed, hidden.shape[1])
        return self._probe.logits(hidden)
