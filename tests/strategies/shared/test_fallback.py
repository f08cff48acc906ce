"""Sets are drafted with while they pay, and left when their acceptance is below the judged one."""

import pytest
from doubles.strategies_worlds import outcome, prices
from doubles.written_lab import context_at, plain_costs, small_shape

from specframe.contract.judged_set import JudgedSet
from specframe.costs.model import expected_tokens
from specframe.errors import InvalidConfig
from specframe.strategies.shared.judging.find_set import best_draft
from specframe.strategies.shared.planners.fallback import (
    FallbackPlanner,
    FallbackRules,
    least_acceptance,
)
from specframe.types import DraftPlan, Estimate, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
GOOD = SkipSet.from_sublayers(LAYERS, [2, 3, 4, 5])
OTHER = SkipSet.from_sublayers(LAYERS, [1, 3])


def judged(skips=GOOD, hits=180, draft=4):
    unseen = Estimate.of_share(hits, 200)
    return JudgedSet(skips, unseen, draft, 1.3, 0.5, 1.1, 100, 0.9, 10)


def context(length=50, **given):
    return context_at(SHAPE, length, **given)


def run(planner, rounds, accepted, **given):
    """The skip sets drafted with, round by round; None where nothing was drafted."""
    seen = []
    for i in range(rounds):
        plan = planner.plan(context(50 + i, **given))
        seen.append(plan.skips if plan.stop.max_tokens else None)
        planner.observe(outcome(plan, accepted, 3) if plan.stop.max_tokens else outcome(plan, 0, 0))
    return seen


def test_a_set_that_does_well_is_used_to_the_end():
    assert set(run(FallbackPlanner((judged(), judged(OTHER)), FallbackRules()), 200, 3)) == {GOOD}


def test_a_set_that_fails_is_left_for_the_next_and_then_for_none():
    rules = FallbackRules(check=12, rest=20)
    seen = run(FallbackPlanner((judged(), judged(OTHER)), rules), 60, 0)
    assert seen == [GOOD] * 12 + [OTHER] * 12 + [None] * 20 + [GOOD] * 12 + [OTHER] * 4


def asked_at(planner, tokens, accepted, **given):
    """The context lengths at which it plans, if it is left alone while it rests."""
    lengths, length = [], 50
    while length < 50 + tokens:
        plan = planner.plan(context(length, **given))
        lengths.append(length)
        drafts = plan.stop.max_tokens > 0
        done = outcome(plan, accepted) if drafts else outcome(plan, 0, 0)
        planner.observe(done)
        length += len(done.emitted) + (0 if drafts else planner.rest())
    return lengths


def test_it_rests_after_the_last_set_has_failed():
    planner = FallbackPlanner((judged(),), FallbackRules(check=12, rest=20))
    assert asked_at(planner, 40, 0) == [*range(50, 63), *range(82, 90)]


def test_where_no_set_pays_it_rests_until_prices_are_looked_up_again():
    dear = prices(LAYERS, row=1.0)
    assert asked_at(FallbackPlanner((judged(),), FallbackRules()), 60, 3, costs=dear) == [
        50,
        63,  # more than a quarter longer
        79,
        99,
    ]


def test_no_set_is_left_before_enough_rounds_were_seen():
    assert run(FallbackPlanner((judged(),), FallbackRules(check=30)), 30, 0) == [GOOD] * 30


def test_new_prices_do_not_reset_the_stop_rule():
    planner = FallbackPlanner((judged(),), FallbackRules(check=0))
    costly = prices(LAYERS, attention=(1.0, 0.02), mlp=1.0)
    before = planner.plan(context(50, costs=costly))
    planner.observe(outcome(before, 1, 3))
    learnt = planner.plan(context(51, costs=costly)).stop.gain
    later = planner.plan(context(900, costs=costly)).stop.gain
    assert later.knots == learnt.knots != before.stop.gain.knots
    assert later.price != pytest.approx(learnt.price)


def test_without_a_check_a_failing_set_stays():
    assert set(run(FallbackPlanner((judged(),), FallbackRules(check=0)), 100, 0)) == {GOOD}


def test_the_band_ends_below_what_unseen_prompts_did():
    """Acceptance 0.6 still pays at these prices, but 0.9 was found; the last set is kept."""

    def mixed(planner):
        left = None
        for i in range(200):
            plan = planner.plan(context(50))
            planner.observe(outcome(plan, 3 if i % 5 < 3 else 0, 3))
            if plan.skips != GOOD and left is None:
                left = i
        return left

    assert (
        mixed(FallbackPlanner((judged(hits=196), judged(OTHER, hits=100)), FallbackRules()))
        is not None
    )
    assert mixed(FallbackPlanner((judged(hits=196),), FallbackRules())) is None


def test_sampled_tokens_are_only_held_to_paying():
    planner = FallbackPlanner((judged(hits=196), judged(OTHER)), FallbackRules())
    for i in range(200):
        plan = planner.plan(context(50, sampled=True))
        assert plan.skips == GOOD
        planner.observe(outcome(plan, 3 if i % 5 < 3 else 0, 3))


def test_nothing_is_drafted_with_a_set_that_does_not_pay():
    hopeless = (judged(hits=2, draft=0),)
    assert run(FallbackPlanner(hopeless, FallbackRules()), 3, 0) == [None] * 3
    always = FallbackRules(may_decline=False)
    assert run(FallbackPlanner(hopeless, always), 3, 3) == [GOOD] * 3


def test_the_machines_prices_overrule_those_of_calibration():
    costly = plain_costs(LAYERS, attention=1e-6, mlp=1e-6)  # nothing to save by skipping
    assert run(FallbackPlanner((judged(),), FallbackRules()), 3, 3, costs=costly) == [None] * 3
    declined = FallbackPlanner((judged(draft=0),), FallbackRules())
    assert run(declined, 3, 3, costs=plain_costs(LAYERS)) == [GOOD] * 3


PRICED_LENGTH = best_draft(plain_costs(LAYERS), GOOD, judged().acceptance.low, 49, 12)[0]


@pytest.mark.parametrize(
    ("stop", "rule"),
    [("confidence", StopRule(12, confidence=0.6)), ("fixed", StopRule(PRICED_LENGTH))],
)
def test_stop_rules_have_the_usual_names(stop, rule):
    plan = FallbackPlanner((judged(),), FallbackRules(stop=stop)).plan(context())
    assert plan == DraftPlan(GOOD, rule, capture=False)


def test_the_gain_rule_has_the_price_of_a_step():
    plan = FallbackPlanner((judged(),), FallbackRules(stop="gain")).plan(context())
    costs = plain_costs(LAYERS)
    step = costs.draft_step(GOOD, 49) / costs.autoregressive(49)
    assert plan.stop.gain.price == pytest.approx(step)


def test_the_adaptive_rule_moves():
    planner = FallbackPlanner((judged(),), FallbackRules(stop="adaptive", check=0))
    before = planner.plan(context())
    planner.observe(outcome(before, 0, 3))
    assert before.stop.confidence == 0.6
    assert planner.plan(context()).stop.confidence > 0.6


def test_at_the_least_acceptance_a_round_yields_exactly_what_it_costs():
    for step, verify in ((0.4, 1.0), (0.6, 1.2), (0.2, 1.5)):
        floor = least_acceptance(step, verify, 8)
        gains = [expected_tokens(floor, d) - (d * step + verify) for d in range(1, 9)]
        assert max(gains) == pytest.approx(0.0, abs=1e-4)
    assert least_acceptance(1.2, 1.0, 8) == 1.0


@pytest.mark.parametrize("given", [{"stop": "never"}, {"longest": 0}, {"check": 99}])
def test_rules_out_of_range_are_refused(given):
    with pytest.raises(InvalidConfig, match=next(iter(given))):
        FallbackRules(**given)
