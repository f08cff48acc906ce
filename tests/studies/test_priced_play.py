"""Selectors at work under prices: plans as made, computing billed, no clock looked at."""

from planted_labs import LAYERS, PLANTED, planted_executor, planted_prompts
from strategies_worlds import prices

from specframe.engine import Limits
from specframe.sampling import Law
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.knapspec import KnapSpec
from specframe.studies.priced_play import play
from specframe.types import StopRule

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
