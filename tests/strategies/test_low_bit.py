"""Low-bit self-drafting: which width drafts."""

import pytest
from doubles.contexts import plain_context
from doubles.strategies_worlds import outcome
from doubles.written_lab import flat, plain_costs, small_shape, with_low_bits

from specframe.contract.naming import strategy_from
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel, LowPrices
from specframe.errors import InvalidConfig
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.testing.architectures import tiny_model
from specframe.types import SkipSet

LAYERS = 4
SHAPE = small_shape(LAYERS)


def priced(**seconds):
    """Prices with weights of these widths, as `b4=0.3`: seconds of a sublayer."""
    low = tuple(
        LowPrices(int(bits[1:]), (flat(s),), (flat(s),), flat(s), (0,), (0,), 0)
        for bits, s in seconds.items()
    )
    return CostModel((0,) * LAYERS, (flat(1.0),), (flat(1.0),), flat(0.0), flat(1.0), low=low)


def planned(planner, costs):
    context = plain_context(SHAPE, [1, 2, 3], prompt_length=2, budget=100, costs=costs)
    return planner.plan(context)


def after_rejections(options, costs, rounds=40):
    planner = strategy_from("low-bit", SHAPE, options=options).start(SHAPE)
    for _ in range(rounds):
        plan = planned(planner, costs)
        planner.observe(outcome(plan, 0, plan.stop.max_tokens))
    return planned(planner, costs)


def test_the_cheapest_weights_draft_first():
    costs = priced(b4=0.3, b8=0.5)
    for options, bits in (({}, 4), ({"bits": "8"}, 8)):
        plan = planned(strategy_from("low-bit", SHAPE, options=options).start(SHAPE), costs)
        assert plan.skips == SkipSet.none(LAYERS).lower(bits)
        assert plan.stop.max_tokens > 1


@pytest.mark.parametrize("costs", [plain_costs(LAYERS), priced(b8=1.5)])
def test_weights_that_are_not_quicker_do_not_draft(costs):
    assert planned(strategy_from("low-bit", SHAPE).start(SHAPE), costs).stop.max_tokens == 0


def test_weights_whose_drafts_are_rejected_are_given_up():
    assert after_rejections({}, priced(b4=0.6, b8=0.8)).stop.max_tokens == 0


def test_no_other_widths_exist():
    with pytest.raises(InvalidConfig, match="some of 4, 8"):
        strategy_from("low-bit", SHAPE, options={"bits": "4,5"})


def test_it_drafts_and_changes_no_token():
    executor = load_executor(tiny_model("llama"))
    costs = with_low_bits(plain_costs(executor.shape.layers), 0.4)
    engine = Engine(executor, strategy_from("low-bit", executor.shape), Law(), Limits(40), costs)
    rounds = list(engine.rounds([3, 1, 4, 1, 5]))
    own = Engine(executor, Autoregressive(), Law(), Limits(40)).rounds([3, 1, 4, 1, 5])
    assert [t for done in rounds for t in done.tokens] == [t for done in own for t in done.tokens]
    low = [done.outcome for done in rounds[1:] if done.outcome.plan.skips.low_bits]
    assert sum(done.drafted for done in low) > 10
