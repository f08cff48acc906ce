"""Strategies at work under prices: plans as made, computing billed, no clock looked at."""

from doubles.planted_labs import LAYERS, PLANTED, planted_executor, planted_prompts
from doubles.strategies_worlds import prices

from specframe.core.engine import Limits
from specframe.core.sampling import Law
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.kangaroo.adapter import Adapter
from specframe.strategies.kangaroo.strategy import Kangaroo, Trained
from specframe.strategies.knapspec.strategy import KnapSpec
from specframe.studies.worlds.plans_at import plans_at
from specframe.studies.worlds.priced_play import play
from specframe.types import Estimate, StopRule

COSTS = prices(LAYERS)
PROMPT = planted_prompts(each=1)[0].tokens


def played(selector, tokens=30):
    return play(planted_executor("llama"), selector, COSTS, PROMPT, Law(), Limits(tokens))


def test_plans_are_those_of_the_selector_and_cost_it_nothing():
    rounds = played(FixedSkips(PLANTED, StopRule(3)))
    assert {(done.plan.skips, done.plan.stop.max_tokens) for done in rounds} == {(PLANTED, 3)}
    assert sum(done.tokens for done in rounds) == 29  # the prompt's round emits the first
    assert {done.select_seconds for done in rounds} == {0.0}


def test_what_a_selector_computes_is_billed_at_the_prices():
    first = played(KnapSpec.configured(planted_executor("llama").shape), 200)
    assert first[0].select_seconds > COSTS.sublayer(0, len(PROMPT), 1)
    assert first[-1].plan.skips.bits
    again = played(KnapSpec.configured(planted_executor("llama").shape), 200)
    assert again == first


def test_a_trained_head_goes_along():
    executor = planted_executor("llama")
    adapter = Adapter.new(executor.shape, 2, 0)
    sure = Estimate(0.9, 0.85, 0.95, 400)
    kangaroo = Kangaroo(found=Trained(adapter, sure, sure, executor.shape))
    assert played(kangaroo)[0].plan.headed
    plans = plans_at(executor, kangaroo, COSTS, PROMPT, [20, 200], 100)
    assert all(plan.headed for plan in plans.values())
