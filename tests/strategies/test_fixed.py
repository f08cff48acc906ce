"""The two strategies of the core: one plan for everything, and none."""

import pytest

import specframe
from specframe.contract.planner import Context
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing import selector_checks
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

LAYERS = 4
SKIPS = SkipSet.of(LAYERS, attention=[1, 2], mlp=[2])
SHAPE = ModelShape(LAYERS, 16, 23, 2, 1, 8, 24, 64)


def context(**changes):
    return Context(
        SHAPE, **{"tokens": [1, 2, 3], "prompt_length": 2, "budget": 9, "round": 0} | changes
    )


@pytest.mark.parametrize(("name", "check"), list(selector_checks(FixedSkips(SKIPS), LAYERS)))
def test_fixed_skips_keeps_the_contract(name, check):
    check()


@pytest.mark.parametrize(("name", "check"), list(selector_checks(Autoregressive(), LAYERS)))
def test_autoregressive_keeps_the_contract(name, check):
    check()


def test_the_plan_given_is_the_plan_made_whatever_the_context():
    strategy = FixedSkips(SKIPS, StopRule(3, confidence=0.4))
    plans = {strategy.select(context(round=n, sampled=n % 2 == 0)) for n in range(4)}
    assert plans == {DraftPlan(SKIPS, StopRule(3, confidence=0.4))}


def test_autoregressive_drafts_and_captures_nothing():
    plan = Autoregressive().select(context())
    assert (plan.stop.max_tokens, len(plan.skips), plan.capture) == (0, 0, False)


def test_both_are_reached_by_name():
    assert specframe.strategy_class("fixed") is FixedSkips
    assert specframe.strategy_class("autoregressive") is Autoregressive
