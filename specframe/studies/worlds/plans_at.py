"""What a strategy plans first after a prompt, as if the context had this length or that."""

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
    """The plan at each context, with so many tokens still to come; states are the prompt's own."""
    asked = _AtContexts(strategy, tuple(contexts), budget, {})
    for _ in Engine(rig.executor, asked, Law(), Limits(2), rig.costs).rounds(prompt):
        pass
    return asked.plans


@dataclass(frozen=True)
class _AtContexts(WrappedSelector):
    """Asks a strategy for its first plan, as if the prompt had each of these lengths."""

    contexts: tuple[int, ...]
    budget: int
    plans: dict[int, DraftPlan]

    def prospect(self, shape: ModelShape) -> None:
        """It is asked whether drafting may pay or not."""

    def start(self, shape: ModelShape) -> Planner:
        """A planner that asks, and drafts nothing itself."""
        return _AskingPlanner(self, shape)


class _AskingPlanner(Planner):
    def __init__(self, asked: _AtContexts, shape: ModelShape) -> None:
        self._asked, self._shape = asked, shape

    def plan(self, context: Context) -> DraftPlan:
        """A plan that drafts nothing, after having asked."""
        for n in self._asked.contexts:
            # only the number of tokens is looked at
            longer = replace(
                context, tokens=range(n + 1), prompt_length=n, budget=self._asked.budget
            )
            self._asked.plans[n] = self._asked.inner.start(self._shape).plan(longer)
        return DraftPlan(SkipSet.none(self._shape.layers), StopRule(0), capture=False)
