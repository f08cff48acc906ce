"""Strategies at work on a small model, as if each walk took what a cost model says.

Clocks are left out, so that the same strategy makes the same plans on every machine; what it
computes to make them is billed at the same prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from specframe.contract.planner import Context, Planner, Probe
from specframe.contract.selector import LayerSelector
from specframe.contract.wrapper import WrappedPlanner, WrappedSelector
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.executors.executor import Executor
from specframe.types import DraftPlan, ModelShape, Outcome, Pass, SkipSet, Step, TreeRule

__all__ = ["PlayedRound", "play"]


@dataclass(frozen=True, slots=True)
class PlayedRound:
    """What a strategy planned, what came of it, and what it costs at the prices."""

    plan: DraftPlan
    tokens: int
    select_seconds: float  # of the strategy's own computing
    seconds: float  # of drafting and verifying
    plain_seconds: float  # of the same tokens by autoregressive decoding


def play(
    executor: Executor,
    strategy: LayerSelector,
    costs: CostModel,
    prompt: Sequence[int],
    law: Law,
    limits: Limits,
) -> list[PlayedRound]:
    """Rounds of a generation after the prompt's."""
    watched = _Watched(strategy, costs, [])
    for _ in Engine(executor, watched, law, limits, costs).rounds(prompt):
        pass
    return watched.played


@dataclass(frozen=True)
class _Watched(WrappedSelector):
    """A strategy whose plans are written down and whose computing is priced."""

    costs: CostModel
    played: list[PlayedRound]

    def start(self, shape: ModelShape) -> Planner:
        """The inner planner, watched."""
        return _WatchedPlanner(self.inner.start(shape), self.costs, self.played)


class _WatchedPlanner(WrappedPlanner):
    def __init__(self, inner: Planner, costs: CostModel, played: list[PlayedRound]) -> None:
        super().__init__(inner)
        self._costs, self._played = costs, played

    def plan(self, context: Context) -> DraftPlan:
        """The inner plan, its walks priced."""
        self._probe = _PricedProbe(context.probe, self._costs)
        self._planned = self._inner.plan(replace(context, probe=self._probe))
        return self._planned

    def observe(self, outcome: Outcome) -> None:
        """Tell the inner planner, in priced seconds."""
        costs, n, plan = self._costs, self._probe.committed, _as_drafted(outcome)
        rows = 1 + len(outcome.draft.tokens)
        verifying = costs.verify(rows, n, start=plan.skips.prefix)
        selecting, whole = self._probe.seconds, costs.round(plan, n, drafted=outcome.drafted)
        tokens = len(outcome.emitted)
        self._played.append(
            PlayedRound(self._planned, tokens, selecting, whole, tokens * costs.autoregressive(n))
        )
        self._inner.observe(
            replace(
                outcome,
                select_seconds=selecting,
                draft_seconds=outcome.drafted * costs.draft_step(plan.skips, n),
                verify_seconds=verifying,
            )
        )


def _as_drafted(outcome: Outcome) -> DraftPlan:
    """The plan with a tree of as many nodes at each depth as were really drafted."""
    if outcome.plan.tree is None or not outcome.draft.tokens:
        return outcome.plan
    depths = Counter(len(outcome.draft.path(node)) for node in range(len(outcome.draft.tokens)))
    return replace(outcome.plan, tree=TreeRule(tuple(depths[d] for d in sorted(depths))))


class _PricedProbe:
    """A probe that adds up what its walks would take."""

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
