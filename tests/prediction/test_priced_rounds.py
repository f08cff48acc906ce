"""Rounds at prices: the plans are the strategy's, planning is charged, no time is measured."""

from dataclasses import dataclass, replace

import pytest
from doubles.planted_labs import PLANTED, planted_prompts
from doubles.priced_worlds import planted_rig

from specframe.contract.planner import Planner
from specframe.contract.wrapper import WrappedPlanner, WrappedSelector
from specframe.core.sampling import Law
from specframe.prediction.priced_rounds import priced_rounds
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.kangaroo.adapter import Adapter
from specframe.strategies.kangaroo.strategy import Kangaroo, Trained
from specframe.strategies.knapspec.strategy import KnapSpec
from specframe.types import Estimate, StopRule

RIG = planted_rig(attention=(1.0, 0.01)).without_ends()
COSTS = RIG.costs
PROMPT = planted_prompts(each=1)[0]
FIXED = FixedSkips(PLANTED, StopRule(3))


def rounds_of(strategy, tokens=30, **given):
    return priced_rounds(RIG, strategy, PROMPT, tokens, **given)


@dataclass(frozen=True)
class Recording(WrappedSelector):
    """Keeps the outcomes that its planners observe."""

    outcomes: list

    def start(self, shape):
        return RecordingPlanner(self.inner.start(shape), self.outcomes)


class RecordingPlanner(WrappedPlanner):
    def __init__(self, inner: Planner, outcomes: list) -> None:
        super().__init__(inner)
        self._outcomes = outcomes

    def observe(self, outcome):
        self._outcomes.append(outcome)


def test_plans_of_a_fixed_set_are_kept_and_cost_nothing():
    rounds = rounds_of(FIXED)
    assert {(done.plan.skips, done.plan.stop.max_tokens) for done in rounds} == {(PLANTED, 3)}
    assert sum(done.tokens for done in rounds) == 29  # the prompt's round emits the first
    assert {done.select_seconds for done in rounds} == {0.0}


def test_rounds_are_priced_at_the_context_in_which_they_begin():
    n = len(PROMPT.tokens)
    for done in rounds_of(FIXED)[:3]:
        assert done.drafted == done.accepted == 3
        assert done.seconds == pytest.approx(COSTS.round(done.plan, n, drafted=3))
        assert done.plain_seconds == pytest.approx(done.tokens * COSTS.autoregressive(n))
        n += done.tokens


def test_sampled_rounds_have_the_prices_of_sampling():
    costs = replace(COSTS, sampled_row_seconds=0.5, sampled_step_seconds=0.25)
    law, n = Law(choose=lambda law: int(law.argmax())), len(PROMPT.tokens)
    done = priced_rounds(replace(RIG, given_costs=costs), FIXED, PROMPT, 30, law)[0]
    more = (1 + done.drafted) * 0.5 + done.drafted * 0.25
    assert done.seconds == pytest.approx(COSTS.round(done.plan, n, drafted=done.drafted) + more)
    assert done.plain_seconds == pytest.approx(done.tokens * (COSTS.autoregressive(n) + 0.5))


def test_planners_observe_prices_or_with_clock_the_measured_seconds():
    priced, timed = [], []
    rounds_of(Recording(FIXED, priced))
    rounds = rounds_of(Recording(FIXED, timed), clock=True)
    first = priced[0]
    n = len(PROMPT.tokens)
    assert first.select_seconds == 0.0
    assert first.draft_seconds == pytest.approx(3 * COSTS.draft_step(PLANTED, n))
    assert first.verify_seconds == pytest.approx(COSTS.verify(4, n, start=PLANTED.prefix))
    assert 0.0 < timed[0].draft_seconds < 0.5 * first.draft_seconds  # prices are whole seconds
    assert all(done.select_seconds > 0.0 for done in rounds)


def test_what_a_strategy_computes_is_charged_at_the_prices():
    knapspec = KnapSpec.from_config(KnapSpec.presets["best"], RIG.shape)
    first = rounds_of(knapspec, 80)
    assert first[0].select_seconds > COSTS.sublayer(0, len(PROMPT.tokens), 1)
    assert first[-1].plan.skips.bits
    assert rounds_of(knapspec, 80) == first


def test_a_trained_head_drafts():
    sure = Estimate(0.9, 0.85, 0.95, 400)
    kangaroo = Kangaroo(found=Trained(Adapter.new(RIG.shape, 2, 0), sure, sure, RIG.shape))
    assert rounds_of(kangaroo)[0].plan.headed
