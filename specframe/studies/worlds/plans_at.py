"""The first plan of a strategy after a prompt, as if the context had other lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector
from specframe.contract.wrapper import WrappedSelector
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.rig import Rig
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["plans_at"]


def plans_at(
    rig: Rig,
    strategy: LayerSelector,
    prompt: Sequence[int],
    contexts: Sequence[int],
    budget: int,
) -> dict[int, DraftPlan]:
    """The plan at each context, with `budget` tokens still to come; states are the prompt's own."""
    selector = _AtContexts(strategy, tuple(contexts), budget, {})
    for _ in Engine(rig.executor, selector, Law(), Limits(2), rig.costs).rounds(prompt):
        pass
    return selector.plans


@dataclass(frozen=True)
class _AtContexts(WrappedSelector):
    """Records a strategy's first plan, as if the prompt had each of these lengths."""

    contexts: tuple[int, ...]
    budget: int
    plans: dict[int, DraftPlan]

    def prospect(self, shape: ModelShape) -> None:
        """Nothing: plans are wanted even if drafting cannot pay."""

    def start(self, shape: ModelShape) -> Planner:
        """A planner that records the plans and drafts nothing."""
        return _RecordingPlanner(self, shape)


class _RecordingPlanner(Planner):
    def __init__(self, selector: _AtContexts, shape: ModelShape) -> None:
        self._selector, self._shape = selector, shape

    def plan(self, context: Context) -> DraftPlan:
        """A plan that drafts nothing."""
        chosen = self._selector
        for n in chosen.contexts:
            # planners read only the number of tokens
            longer = replace(context, tokens=range(n + 1), prompt_length=n, budget=chosen.budget)
            chosen.plans[n] = chosen.inner.start(self._shape).plan(longer)
        return DraftPlan(SkipSet.none(self._shape.layers), StopRule(0), capture=False)
