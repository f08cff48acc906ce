"""A second model that drafts: how much it drafts, what that costs, and its distribution."""

from dataclasses import replace

import pytest
from doubles.contexts import plain_context
from doubles.laws import THREE_TOKENS, Case, law_error
from doubles.strategies_worlds import outcome
from doubles.tiny import tiny_executor
from doubles.written_lab import flat, small_shape

from specframe.contract.naming import strategy_from
from specframe.contract.second_model import SecondModel
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.draft_model import DraftModel, DraftModelConfig
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)


def costs(seconds, layers=LAYERS):
    """Each sublayer and the head take these seconds; further rows are free."""
    one = (flat(seconds),)
    return CostModel((0,) * layers, one, one, base=flat(0.0), head=flat(seconds))


class Executor:
    """The part of an executor that planners use."""

    shape = replace(SHAPE, positions=128)


def drafter(seconds=0.1, **config):
    second = SecondModel(Executor(), costs(seconds))
    return DraftModel(DraftModelConfig("small", **config), second)


def planned(planner, second, length=20):
    whole = replace(costs(1.0), second=second.costs)
    context = plain_context(SHAPE, [1] * length, prompt_length=2, budget=100, costs=whole)
    return planner.plan(context)


@pytest.mark.parametrize("count", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_sampling_has_the_distribution_of_the_first_model(count):
    other = tiny_executor(replace(THREE_TOKENS, seed=5, layers=1))
    second = SecondModel(other, CostModel.even(1))
    strategy = DraftModel(DraftModelConfig("other", 2, priced=False), second)
    assert law_error(Case(strategy, new_tokens=count)) < 1e-12


def test_a_round_costs_the_second_models_steps_and_one_verification():
    whole = replace(costs(1.0), second=costs(0.1))
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(5), second=True)
    step, verify = 0.1 * (2 * LAYERS + 1), 2 * LAYERS + 1
    assert whole.round(plan, 10) == pytest.approx(5 * step + verify)
    copied = replace(plan, copied=(1, 2))
    assert whole.round(copied, 10) == pytest.approx(3 * step + verify)


def test_the_price_decides_how_much_is_drafted():
    cheap, costly = drafter(0.1), drafter(1.2)
    assert planned(cheap.start(SHAPE), cheap.second()).stop.max_tokens > 4
    assert planned(costly.start(SHAPE), costly.second()).stop.max_tokens == 0
    fixed = drafter(1.2, priced=False, longest=4)
    assert planned(fixed.start(SHAPE), fixed.second()).stop == StopRule(4)


def test_a_model_whose_drafts_are_rejected_is_given_up():
    strategy = drafter(0.4)
    planner = strategy.start(SHAPE)
    for _ in range(60):
        plan = planned(planner, strategy.second())
        planner.observe(outcome(plan, 0, plan.stop.max_tokens))
    assert planned(planner, strategy.second()).stop.max_tokens == 0


def test_nothing_is_drafted_past_the_second_models_positions():
    strategy = drafter(0.1)
    assert planned(strategy.start(SHAPE), strategy.second(), 112).stop.max_tokens > 0
    assert planned(strategy.start(SHAPE), strategy.second(), 113).stop.max_tokens == 0


def test_without_a_model_the_error_names_the_setting():
    strategy = strategy_from("draft-model", SHAPE)
    with pytest.raises(InvalidConfig, match="model=testbed-core"):
        strategy.with_models(lambda name: pytest.fail(name))
    named = strategy_from("draft-model", SHAPE, options={"model": "small"})
    with pytest.raises(InvalidRequest, match="'small' is not loaded"):
        named.start(SHAPE)
