"""Drafting only where it may pay, round by round at made prices."""

from dataclasses import replace

import pytest

from specframe.contract.paying import PAUSE, RISK, PayingPlanner, Prospect
from specframe.contract.planner import Context, Planner
from specframe.costs.model import CostModel
from specframe.types import Draft, DraftPlan, ModelShape, Outcome, SkipSet, StopRule

SHAPE = ModelShape(4, 32, 41, 4, 2, 8, 48, 4096)
COSTS = CostModel.even(4)  # eight seconds a token
HALF = DraftPlan(SkipSet.of(4, attention=range(4)), StopRule(2))


class Hoped(Prospect):
    """Says what it is told, and counts how often it is asked."""

    def __init__(self, speedup, trial=0.0):
        self.value, self.seconds, self.asked = speedup, trial, 0

    def speedup(self, context):
        self.asked += 1
        return self.value

    def trial(self, context):
        return self.seconds


class Inner(Planner):
    """Always drafts with half of the sublayers, and counts rounds."""

    def __init__(self):
        self.planned = self.observed = 0

    def plan(self, context):
        self.planned += 1
        return HALF

    def observe(self, outcome):
        self.observed += 1


def context(number, length=100, budget=1000):
    return Context(SHAPE, [0] * length, 50, budget, number, COSTS, None)


def played(planner, rounds, accepted, select=0.0, first=0):
    """Plans of some rounds in which so many of two drafted tokens are accepted.

    The text is as long as if no earlier round had drafted anything.
    """
    plans = []
    for number in range(first, first + rounds):
        plan = planner.plan(context(number, 100 + number))
        drafted = plan.stop.max_tokens
        draft = Draft((1,) * drafted, tuple(range(-1, drafted - 1)), (0.9,) * drafted)
        kept = min(accepted, drafted)
        planner.observe(Outcome(plan, draft, kept, (1,) * (kept + 1), select))
        plans.append(plan)
    return plans


def test_what_cannot_pay_is_never_planned_and_says_so():
    inner = Inner()
    plans = played(PayingPlanner(inner, Hoped(0.97)), 30, 2)
    assert inner.planned == 0
    assert inner.observed == 0
    assert {(plan.stop.max_tokens, plan.declined) for plan in plans} == {(0, 0.97)}


def test_planning_that_costs_more_than_its_stake_is_declined():
    saved = 1000 * 8.0 * (1.0 - 1.0 / 2.0)
    for trial, planned in ((RISK * saved * 0.99, 5), (RISK * saved * 1.01, 0)):
        inner = Inner()
        played(PayingPlanner(inner, Hoped(2.0, trial)), 5, 2)
        assert inner.planned == planned


def test_what_pays_is_not_interrupted_and_not_decided_again():
    inner, hoped = Inner(), Hoped(1.2)
    played(PayingPlanner(inner, hoped), 300, 2)
    assert inner.planned == 300
    assert hoped.asked == 1


def test_rounds_that_lose_more_than_the_stake_end_drafting():
    inner = Inner()
    plans = played(PayingPlanner(inner, Hoped(1.05)), 60, 0)
    lost = COSTS.round(HALF, 99) - COSTS.autoregressive(99)  # a round, nothing accepted
    stake = RISK * 1000 * 8.0 * (1.0 - 1.0 / 1.05)
    assert inner.planned == int(stake / lost) + 1 < 60
    assert inner.observed == inner.planned + 1  # once told that others plan
    assert plans[-1].declined == pytest.approx(8.0 / COSTS.round(HALF, 99))  # as observed


def test_seconds_of_planning_count_as_lost():
    inner = Inner()
    played(PayingPlanner(inner, Hoped(1.05)), 60, 1, select=100.0)
    assert inner.planned < 5


def test_a_strategy_may_know_that_its_rounds_take_longer_than_priced():
    class Slow(Hoped):
        def seconds_of(self, outcome, context):
            return 3.0 * super().seconds_of(outcome, context)

    as_priced, slow = Inner(), Inner()
    played(PayingPlanner(as_priced, Hoped(1.2)), 60, 2)
    played(PayingPlanner(slow, Slow(1.2)), 60, 2)
    assert as_priced.planned == 60
    assert 0 < slow.planned < 60


def test_old_gains_do_not_pay_for_later_losses():
    inner = Inner()
    planner = PayingPlanner(inner, Hoped(1.05))
    played(planner, 500, 2)
    played(planner, 60, 0, first=500)
    lost = COSTS.round(HALF, 99) - COSTS.autoregressive(99)
    stake = RISK * 1000 * 8.0 * (1.0 - 1.0 / 1.05)
    assert inner.planned - 500 <= 2 * stake / lost + 1


def test_decisions_are_revisited_after_pauses_that_grow():
    hoped = Hoped(0.9)
    asked = []
    planner = PayingPlanner(Inner(), hoped)
    for number in range(PAUSE * 8):
        before = hoped.asked
        played(planner, 1, 0, first=number)
        if hoped.asked > before:
            asked.append(number)
    assert asked == [0, PAUSE, 3 * PAUSE, 7 * PAUSE]


def test_a_revisit_may_begin_to_draft_and_risks_less():
    hoped, inner = Hoped(0.9), Inner()
    planner = PayingPlanner(inner, hoped)
    played(planner, PAUSE, 0)
    hoped.value = 1.05
    played(planner, 60, 0, first=PAUSE)
    first = Inner()
    played(PayingPlanner(first, Hoped(1.05)), 60, 0)
    assert 0 < inner.planned < first.planned


def test_while_drafting_is_declined_the_planner_rests_until_the_next_decision():
    planner = PayingPlanner(Inner(), Hoped(0.9))
    played(planner, 1, 0)
    assert planner.rest() == PAUSE - 1
    played(planner, 1, 0, first=PAUSE - 1)
    assert planner.rest() == 0
    played(planner, 1, 0, first=PAUSE)
    assert planner.rest() == 2 * PAUSE - 1


def test_a_planner_that_drafts_does_not_rest():
    planner = PayingPlanner(Inner(), Hoped(1.5))
    played(planner, 3, 2)
    assert planner.rest() == 0


def test_a_planner_that_learns_from_text_is_asked_in_every_round():
    class Reading(Inner):
        def follow(self, context):
            self.read = context.length

    planner = PayingPlanner(Reading(), Hoped(0.9))
    played(planner, 1, 0)
    assert planner.rest() == 0


def test_a_second_plan_of_the_same_round_is_the_same():
    planner = PayingPlanner(Inner(), Hoped(1.5))
    assert planner.plan(context(0)) == planner.plan(context(0)) == HALF
    assert replace(HALF, declined=0.5) == HALF  # what is planned is the same
