"""The two simplest strategies: one plan for every context, and none."""

import pytest
from doubles.contexts import plain_context

from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

SKIPS = SkipSet.of(4, attention=[1, 2], mlp=[2])
SHAPE = ModelShape(4, 16, 23, 2, 1, 8, 24, 64)


@pytest.mark.parametrize(
    ("strategy", "plan"),
    [
        (FixedSkips(SKIPS, StopRule(3, confidence=0.4)), DraftPlan(SKIPS, StopRule(3, 0.4))),
        (Autoregressive(), DraftPlan(SkipSet.none(4), StopRule(0), capture=False)),
    ],
)
def test_the_plan_is_the_same_whatever_the_context(strategy, plan):
    planner = strategy.start(SHAPE)
    contexts = [plain_context(SHAPE, round=n, sampled=n % 2 == 0) for n in range(4)]
    assert [planner.plan(context) for context in contexts] == [plan] * 4
