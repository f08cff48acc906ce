"""What a selector plans first after a prompt, as if the context had this length or that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from specframe.contract.selector import Context, DraftHead, LayerSelector, Needs, Traits
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.executors.executor import Executor
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

__all__ = ["plans_at"]


def plans_at(
    executor: Executor,
    selector: LayerSelector,
    costs: CostModel,
    prompt: Sequence[int],
    contexts: Sequence[int],
    budget: int,
) -> dict[int, DraftPlan]:
    """The plan at each context, with so many tokens still to come; states are the prompt's own."""
    watched = _AtContexts(selector, contexts, budget, costs)
    for _ in Engine(executor, watched, Law(), Limits(2)).rounds(prompt):
        pass
    return watched.plans


class _AtContexts(LayerSelector):
    """Asks a selector for its first plan, as if the prompt had each of these lengths."""

    traits = Traits("a selector asked at several contexts")

    def __init__(
        self, selector: LayerSelector, contexts: Sequence[int], budget: int, costs: CostModel
    ) -> None:
        self._selector, self._contexts = selector, contexts
        self._budget, self._costs = budget, costs
        self.plans: dict[int, DraftPlan] = {}

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Those of the selector."""
        return self._selector.needs

    def head(self, shape: ModelShape) -> DraftHead | None:
        """That of the selector."""
        return self._selector.head(shape)

    def select(self, context: Context) -> DraftPlan:
        """Nothing, after having asked."""
        for n in self._contexts:
            asked = replace(
                context,
                tokens=range(n + 1),  # only their number is looked at
                prompt_length=n,
                budget=self._budget,
                costs=self._costs,
            )
            self.plans[n] = self._selector.spawn().select(asked)
        return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)

    def spawn(self) -> Self:
        """Itself: it serves one sequence."""
        return self
