"""Speed-ups of all plans are those of the cost model, and `best` is the highest."""

import random

import numpy as np
import pytest
from doubles.strategies_worlds import prices

from specframe.studies.worlds.every_plan import EveryPlan, pooled
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS, LONGEST, N = 3, 6, 40
SETS = range(1 << 2 * LAYERS)
COSTS = prices(LAYERS, attention=(0.5, 0.001))


def random_answer(seed):
    shares = np.random.default_rng(seed).uniform(0.3, 1.0, 1 << 2 * LAYERS)
    return shares, EveryPlan.of(SETS, shares, 50, COSTS, N, LONGEST)


def test_speeds_are_those_of_the_cost_model():
    shares, every = random_answer(0)
    drawn = random.Random(1)
    for _ in range(40):
        bits, length = drawn.randrange(1 << 2 * LAYERS), drawn.randrange(LONGEST + 1)
        plan = DraftPlan(SkipSet(2 * LAYERS, bits), StopRule(length))
        wanted = COSTS.speedup(float(shares[bits]), plan, N).value
        assert every.speeds[bits, length] == pytest.approx(wanted)
    assert every.speeds[:, 0] == pytest.approx(1.0)
    assert every.seconds == pytest.approx(50 * COSTS.autoregressive(N))


def test_no_plan_beats_the_best():
    _, every = random_answer(2)
    assert every.speeds[every.best()] == every.speeds.max()


def test_pooled_answers_add_their_seconds():
    (_, one), (_, two) = random_answer(3), random_answer(4)
    both = pooled([one, two])
    spent = one.seconds / one.speeds + two.seconds / two.speeds
    assert both.seconds == one.seconds + two.seconds
    assert both.speeds == pytest.approx(both.seconds / spent)
    assert both.speeds[both.best()] <= (one.speeds.max() + two.speeds.max()) / 2 + 1e-9


def test_the_shipped_prices_cover_long_contexts():
    costs = kept_prices()
    assert costs.layers == 22
    assert costs.attention[0].contexts[-1] == 32768
    assert costs.attention_line().holds
    assert costs.sublayer(0, 128) < costs.sublayer(1, 128)
    assert costs.sublayer(0, 32768) > costs.sublayer(1, 32768)


def test_fewer_layers_take_the_same_seconds_in_total():
    costs = kept_prices()
    for n, rows in ((100, 1), (3000, 5)):
        assert spread_over(costs, 6).walk(n, rows) == pytest.approx(costs.walk(n, rows))
