"""The best set at the prices of one context, as a knapsack."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from doubles.strategies_worlds import prices

from specframe.costs.model import expected_tokens
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.judging.additive import AdditiveModel, link_through
from specframe.strategies.shared.searching.resolve import LEAD, KnownSet, resolve, whole_weights
from specframe.types import DraftPlan, SkipSet, StopRule

LENGTHS = range(1, 13)


def random_model(seed, layers):
    losses = np.random.default_rng(seed).uniform(0.0, 0.6, 2 * layers)
    places = [0.2, 0.6, 1.2, 2.0, 3.0]
    alphas = [0.97, 0.92, 0.8, 0.6, 0.35]
    return AdditiveModel(tuple(losses.tolist()), link_through(places, alphas))


@pytest.mark.parametrize("seed", range(6))
def test_the_resolved_set_is_as_fast_as_the_best_of_all_sets(seed):
    layers = 4
    costs = prices(layers, attention=(0.5 + seed / 4, 0.0), mlp=1.0, row=0.01)
    model = random_model(seed, layers)
    slices = RoundPrices.at(costs, 10, LENGTHS)
    fastest = max(
        expected_tokens(float(model.alphas(np.array(model.loss(skips)))), d)
        / costs.round(DraftPlan(skips, StopRule(d)), 10)
        for skips in (SkipSet(8, bits) for bits in range(1, 256))
        for d in LENGTHS
    )
    found = resolve(model, (), slices, parts=8, stride=1, solved=8)
    assert found.choice.tokens_per_second == pytest.approx(fastest, rel=0.01)


def test_a_measured_set_is_taken_where_it_beats_what_the_model_proposes():
    model = AdditiveModel((1.0,) * 8, link_through([1.0, 2.0], [0.5, 0.2]))
    known = KnownSet(SkipSet.from_sublayers(4, [2, 3, 5]), 0.99)
    found = resolve(model, [known], RoundPrices.at(prices(4), 10, LENGTHS))
    assert found.skips == known.skips
    assert found.alpha == 0.99


@pytest.mark.parametrize(("alpha", "taken"), [(0.75, False), (0.9, True)])
def test_a_set_that_was_never_measured_must_be_faster_by_the_lead(alpha, taken):
    """Two sets of four sublayers with equal prices: one is measured, one is estimated."""
    slices = RoundPrices.at(prices(4), 10, LENGTHS)
    known = KnownSet(SkipSet.from_sublayers(4, [4, 5, 6, 7]), 0.72)
    model = AdditiveModel((9.0,) * 4 + (0.001,) * 4, link_through([0.004, 9.0], [alpha, 0.0]))
    model = replace(model, losses=model.losses[::-1])
    found = resolve(model, [known], slices)
    rates = [slices.speed(one, known.skips) for one in (alpha, known.alpha)]
    assert taken == (rates[0] > LEAD * rates[1]), "the case shows nothing"
    assert (found.skips != known.skips) == taken
    assert resolve(model, (), slices).skips != known.skips


def test_nothing_is_skipped_where_speculation_does_not_pay():
    expensive = prices(4, row=2.0)
    found = resolve(random_model(0, 4), (), RoundPrices.at(expensive, 10, LENGTHS))
    assert found.skips is None


def test_protected_sublayers_and_the_share_of_weight_are_kept():
    slices = RoundPrices.at(prices(6), 10, LENGTHS)
    model = AdditiveModel((0.001,) * 12, link_through([0.1], [0.99]))
    found = resolve(model, (), slices, protected=frozenset({0, 1}), most_skipped=0.5)
    assert not set(found.skips) & {0, 1}
    assert len(found.skips) <= 6


def test_weights_keep_the_ratio_of_seconds():
    weights, unit = whole_weights(np.array([2.0, 3.0]), parts=2, heaviest=8)
    assert weights == (2, 3)
    assert unit == pytest.approx(1.0)
    assert max(whole_weights(np.array([1.0, 100.0]), parts=2, heaviest=8)[0]) <= 16


def test_more_expensive_attention_moves_the_skips_to_attention():
    model = AdditiveModel((0.2,) * 16, link_through([0.2, 1.0, 2.0, 3.0], [0.98, 0.9, 0.75, 0.5]))
    balance = []
    for attention in (0.2, 1.0, 5.0):
        slices = RoundPrices.at(prices(8, attention=(attention, 0.0)), 10, LENGTHS)
        skips = resolve(model, (), slices).skips
        balance.append(len(skips.attention) - len(skips.mlp))
    assert balance == sorted(balance)
    assert balance[-1] > balance[0]


def lines_to_resolve(layers):
    """Lines that Python runs; a second table or a loop over its cells would show."""
    known = [KnownSet(SkipSet(2 * layers, 5 << shift), 0.9) for shift in range(6)]
    slices = RoundPrices.at(prices(layers, attention=(1.0, 0.002), mlp=1.3), 200, LENGTHS)
    model = random_model(1, layers)
    count = 0

    def traced(_frame, event, _argument):
        nonlocal count
        count += event == "line"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        resolve(model, known, slices)
    finally:
        sys.settrace(before)
    return count


def test_solving_again_runs_a_few_lines_a_sublayer():
    few, many = lines_to_resolve(24), lines_to_resolve(48)
    assert few < 50 * 48
    assert many < 2 * few


def test_a_share_under_one_sublayer_skips_nothing():
    model = AdditiveModel((0.001,) * 12, link_through([0.1], [0.99]))
    prices_here = RoundPrices.at(prices(6), 10, LENGTHS)
    assert resolve(model, (), prices_here, most_skipped=0.005).skips is None


def test_sets_that_were_not_measured_are_doubted_as_much_as_they_were_wrong():
    model, at_prices = random_model(3, 4), RoundPrices.at(prices(4), 10, LENGTHS)
    trusted = resolve(model, (), at_prices)
    measured = KnownSet(SkipSet.from_sublayers(4, [2]), 0.95)
    assert resolve(model, (measured,), at_prices).skips == trusted.skips
    doubted = resolve(model, (measured,), at_prices, doubt=0.6)
    assert doubted.skips == measured.skips
    assert doubted.alpha == measured.alpha
