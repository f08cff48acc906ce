"""Candidates against each other: what goes on keeps what it learnt, at the prices of the moment."""

import numpy as np
import pytest
from doubles.strategies_worlds import prices

from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.planners.candidates import CandidatePlanner
from specframe.types import Draft, Outcome, SkipSet

LAYERS = 6
HALF = SkipSet.from_sublayers(LAYERS, [2, 3, 4, 5, 6, 7])


def at(n, **slope):
    return RoundPrices.at(prices(LAYERS, **slope), n, range(1, 17))


def drafted(contest, length, stood):
    plan = contest.plan(LAYERS)
    draft = Draft((5,) * length, tuple(range(-1, length - 1)), (0.95,) * length)
    contest.observe(Outcome(plan, draft, stood, (5,) * (stood + 1)))


def test_the_cap_grows_with_what_is_observed():
    contest = CandidatePlanner([HALF], [0.6], prior=4.0)
    contest.review(at(100))
    first = contest.plan(LAYERS).stop.max_tokens
    for _ in range(60):
        drafted(contest, 4, 4)
    contest.review(at(100))
    assert contest.plan(LAYERS).stop.max_tokens > first


def test_a_candidate_that_goes_on_is_priced_anew_and_keeps_what_it_learnt():
    contest = CandidatePlanner([HALF], [0.9])
    contest.review(at(10, attention=(1.0, 0.01)))
    for _ in range(20):
        drafted(contest, 4, 1)
    before = contest.plan(LAYERS).stop.gain
    contest.review(at(900, attention=(1.0, 0.01)))
    after = contest.plan(LAYERS).stop.gain
    assert after.knots == before.knots
    assert after.price != pytest.approx(before.price)


def test_another_candidate_begins_with_nothing_learnt():
    contest = CandidatePlanner([HALF, HALF.flip(8)], np.array([0.9, 0.88]), prior=2.0)
    contest.review(at(100))
    live = contest.live
    untouched = contest.plan(LAYERS).stop.gain.knots
    for _ in range(40):
        drafted(contest, 3, 0)
    contest.review(at(100))
    if contest.live is None:
        assert contest.plan(LAYERS).stop.max_tokens == 0
    else:
        assert contest.live != live
        assert contest.plan(LAYERS).stop.gain.knots == untouched
