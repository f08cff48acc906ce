"""Candidates: what they are believed to be worth, and which of them drafts."""

from dataclasses import replace

import numpy as np
import pytest
from doubles.contexts import plain_context
from doubles.strategies_worlds import outcome, prices
from doubles.written_lab import small_shape

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Planner
from specframe.costs.model import LowPrices
from specframe.costs.rates import APART, RoundPrices
from specframe.costs.tables import Table
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import (
    Beliefs,
    CandidatePlanner,
    CandidateRules,
    PriceBook,
    Repricing,
)
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 6
SHAPE = small_shape(LAYERS)
HALF = SkipSet.from_sublayers(LAYERS, [2, 3, 4, 5, 6, 7])
EVERYTHING = SkipSet.from_sublayers(LAYERS, range(2 * LAYERS))


def at(n, **given):
    return plain_context(SHAPE, [0] * (n + 1), costs=prices(LAYERS, **given))


def considering(candidates, estimates, context=None, **rules):
    planner = CandidatePlanner(CandidateRules(**rules))
    planner.consider(candidates, estimates, context or at(100))
    return planner


def drafted(planner, length, accepted, context=None):
    plan = planner.present(context or at(100))
    planner.observe(outcome(plan, accepted, length))


# beliefs


def test_beliefs_start_at_the_estimates_and_end_at_what_is_observed():
    beliefs = Beliefs(np.array([0.9, 0.6]), prior=8.0, memory=1.0)
    assert beliefs.alphas() == pytest.approx([0.9, 0.6])
    for index in range(400):
        beliefs.observe(0, index % 2 == 0)
    alphas = beliefs.alphas()
    assert alphas[0] == pytest.approx(0.5, abs=0.02)
    assert alphas[1] < 0.5  # it was thought worse than one that turned out bad


def test_a_candidate_never_seen_is_not_carried_away_by_one_bad_round():
    beliefs = Beliefs(np.array([0.9, 0.8]), prior=8.0, memory=1.0)
    beliefs.observe(0, False)
    assert beliefs.alphas()[1] > 0.7


# prices


def test_prices_are_looked_up_again_after_some_tokens():
    book = PriceBook(4)
    first = book.at(at(100, attention=(1.0, 0.1)))
    assert book.at(at(100 + APART - 1, attention=(1.0, 0.1))) is first
    later = book.at(at(100 + APART, attention=(1.0, 0.1)))
    assert later.autoregressive > first.autoregressive
    assert list(later.lengths) == [1, 2, 3, 4]


def test_sequences_share_prices_of_the_nearest_of_a_few_contexts():
    costs = prices(LAYERS, attention=(1.0, 0.1))
    near = RoundPrices.near(costs, 3 * APART + 5, (1, 2))
    assert near is RoundPrices.near(costs, 3 * APART - 5, (1, 2))
    assert near is RoundPrices.at(costs, 3 * APART, (1, 2))


def test_dear_prices_are_looked_up_again_when_the_context_has_grown_by_a_quarter():
    repricing = Repricing()
    assert [n for n in range(99, 200) if repricing.due(at(n))] == [99, 125, 157, 197]


# the choice


def test_without_candidates_nothing_is_drafted():
    planner = CandidatePlanner(CandidateRules())
    assert isinstance(planner, Planner)
    assert planner.empty
    for _ in range(9):
        plan = planner.plan(at(100))
        assert (
            plan
            == draft_nothing(LAYERS)
            == DraftPlan(SkipSet.none(LAYERS), StopRule(0), capture=False)
        )
        planner.observe(outcome(plan, 0, 0))
    assert planner.speedup == 1.0


def test_the_candidate_of_most_tokens_a_second_drafts():
    planner = considering([HALF, EVERYTHING], [0.9, 0.01])
    assert planner.chosen == HALF
    assert planner.plan(at(100)).skips == HALF
    assert planner.speedup > 1.0


def test_where_no_candidate_pays_nothing_is_drafted_until_one_does():
    planner = considering([HALF], [0.9], at(100, row=1.0))
    assert planner.chosen is None
    assert planner.speedup == 1.0
    assert planner.present(at(100), capture=True) == draft_nothing(LAYERS, capture=True)
    planner.review(at(100 + APART))
    assert planner.chosen == HALF


def test_another_candidate_must_be_faster_by_the_lead():
    close = [0.8, 0.801]
    patient = considering([HALF, HALF.flip(2).flip(8)], close, lead=1.5, prior=1e-6)
    eager = considering([HALF, HALF.flip(2).flip(8)], close, lead=1.0, prior=1e-6)
    assert patient.chosen == eager.chosen
    for planner in (patient, eager):
        for index in range(20):
            drafted(planner, 2, 2 * (index % 4 > 0))
        planner.review(at(100))
    assert patient.chosen == HALF.flip(2).flip(8)
    assert eager.chosen == HALF


def test_a_review_is_due_every_few_rounds():
    planner = considering([HALF], [0.9], review=3, prior=1.0)
    plans = []
    for _ in range(7):
        plans.append(planner.plan(at(100)))
        planner.observe(outcome(plans[-1], 0, min(plans[-1].stop.max_tokens, 1)))
    assert [plan.stop.max_tokens > 0 for plan in plans] == [True] * 3 + [False] * 4


def test_cleared_candidates_are_forgotten():
    planner = considering([HALF], [0.9])
    planner.clear()
    assert planner.empty
    assert planner.candidates == ()
    assert planner.plan(at(100)) == draft_nothing(LAYERS)


def test_a_fixed_length_is_the_best_one():
    fixed = CandidatePlanner(CandidateRules(), fixed_length=True)
    fixed.consider([HALF], [0.9], at(100))
    gain = considering([HALF], [0.9])
    stop = fixed.plan(at(100)).stop
    assert stop == StopRule(stop.max_tokens)
    assert gain.plan(at(100)).stop.max_tokens == min(2 * stop.max_tokens, 16)


@pytest.mark.parametrize(("skips", "reach"), [(HALF, 2), (SkipSet.none(LAYERS).lower(4), 4)])
def test_a_draft_that_skips_nothing_may_be_twice_as_long(skips, reach):
    cheap = Table((0,), (1,), ((0.5,),))
    low = LowPrices(4, (cheap,), (cheap,), cheap, (1,), (1,), 1)
    context = plain_context(SHAPE, [0] * 101, costs=replace(prices(LAYERS), low=(low,)))
    best, longest = (
        CandidatePlanner(CandidateRules(), fixed_length=fixed) for fixed in (True, False)
    )
    for planner in (best, longest):
        planner.consider([skips], [0.7], context)
    lengths = [planner.plan(context).stop.max_tokens for planner in (best, longest)]
    assert lengths[1] == reach * lengths[0] < 16


def test_the_cap_grows_with_what_is_observed():
    planner = considering([HALF], [0.7], prior=4.0)
    first = planner.present(at(100)).stop.max_tokens
    for _ in range(60):
        drafted(planner, 4, 4)
    planner.review(at(100))
    assert planner.present(at(100)).stop.max_tokens > first


def test_a_candidate_that_continues_is_priced_again_and_keeps_what_it_learnt():
    near, far = (at(n, attention=(1.0, 0.01)) for n in (10, 900))
    planner = considering([HALF], [0.9], near)
    for _ in range(20):
        drafted(planner, 4, 1, near)
    planner.review(near)
    before = planner.present(near).stop.gain
    planner.review(far)
    after = planner.present(far).stop.gain
    assert after.knots == before.knots
    assert after.price != pytest.approx(before.price)


def test_another_candidate_begins_with_nothing_learnt():
    planner = considering([HALF, HALF.flip(8)], np.array([0.9, 0.88]), prior=2.0)
    chosen, untouched = planner.chosen, planner.present(at(100)).stop.gain.knots
    for _ in range(40):
        drafted(planner, 3, 0)
    planner.review(at(100))
    if planner.chosen is None:
        assert planner.present(at(100)).stop.max_tokens == 0
    else:
        assert planner.chosen != chosen
        assert planner.present(at(100)).stop.gain.knots == untouched


@pytest.mark.parametrize(
    ("given", "named"),
    [({"longest": 0}, "longest"), ({"review": 0}, "review"), ({"memory": 0.0}, "memory")],
)
def test_rules_out_of_range_are_refused_by_name(given, named):
    with pytest.raises(InvalidConfig, match=named):
        CandidateRules(**given)
