"""The two simplest strategies: one plan for everything, and none."""

from doubles.contexts import plain_context

from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

LAYERS = 4
SKIPS = SkipSet.of(LAYERS, attention=[1, 2], mlp=[2])
SHAPE = ModelShape(LAYERS, 16, 23, 2, 1, 8, 24, 64)


def test_the_given_plan_is_made_in_every_context():
    planner = FixedSkips(SKIPS, StopRule(3, confidence=0.4)).start(SHAPE)
    plans = {planner.plan(plain_context(SHAPE, round=n, sampled=n % 2 == 0)) for n in range(4)}
    assert plans == {DraftPlan(SKIPS, StopRule(3, confidence=0.4))}


def test_autoregressive_drafts_and_captures_nothing():
    plan = Autoregressive().start(SHAPE).plan(plain_context(SHAPE))
    assert (plan.stop.max_tokens, len(plan.skips), plan.capture) == (0, 0, False)
