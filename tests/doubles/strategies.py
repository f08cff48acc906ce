"""Strategies that plan what they are given and note what they observe."""

from collections.abc import Callable
from dataclasses import dataclass, field

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.contract.wrapper import WrappedSelector
from specframe.types import DraftPlan


class Answering(Planner):
    """Plans by a function of the context."""

    def __init__(self, answer: Callable[[Context], DraftPlan]) -> None:
        self._answer = answer

    def plan(self, context):
        return self._answer(context)


@dataclass(frozen=True)
class InTurn(LayerSelector):
    """Another plan each round."""

    plans: tuple[DraftPlan, ...]

    def start(self, shape):
        return Answering(lambda context: self.plans[context.round % len(self.plans)])


@dataclass(frozen=True)
class Listening(LayerSelector):
    """One plan; notes what its planners observe."""

    plan: DraftPlan
    needs: Needs = field(default_factory=Needs)
    heard: list = field(default_factory=list)
    traits = Traits("listens")

    def start(self, shape):
        return _Noting(self.plan, self.heard)


class _Noting(Planner):
    def __init__(self, plan, heard):
        self._plan, self._heard = plan, heard

    def plan(self, context):
        return self._plan

    def observe(self, outcome):
        self._heard.append(outcome)


@dataclass(frozen=True)
class Started(WrappedSelector):
    """The inner strategy; keeps the planners that it started."""

    planners: list = field(default_factory=list)

    def start(self, shape):
        self.planners.append(self.inner.start(shape))
        return self.planners[-1]
