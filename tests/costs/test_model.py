"""Prices of rounds, against sums written out by hand, and the lines and tables they come from."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.costs.model import (
    CostModel,
    Speedup,
    expected_tokens,
    expected_tokens_by_depth,
    expected_tree_tokens,
    tree_nodes,
)
from specframe.costs.tables import Table, fit_level, fit_line, rising
from specframe.errors import InvalidConfig
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

LAYERS = 4
ATTENTION = Table((0, 100), (1, 9), ((1.0, 2.0), (3.0, 6.0)))  # rises with context and rows
MLP = Table((0,), (1, 9), ((2.0, 2.4),))
BASE = Table((0,), (1,), ((0.5,),))
HEAD = Table((0,), (1, 9), ((4.0, 5.0),))
COSTS = CostModel((0,) * LAYERS, (ATTENTION,), (MLP,), BASE, HEAD, 0.25, 0.75)


def plan(skips, drafted, tree=None):
    return DraftPlan(skips, StopRule(drafted), tree)


def test_a_table_is_linear_between_knots_and_past_the_last_one():
    assert ATTENTION.at(50, 1) == 2.0
    assert ATTENTION.at(0, 5) == 1.5
    assert ATTENTION.at(50, 5) == 3.0
    assert ATTENTION.at(200, 1) == 5.0
    assert ATTENTION.at(100, 17) == 9.0
    assert ATTENTION.at(-5, 1) == 1.0
    assert MLP.at(1e6, 1) == 2.0


def test_a_table_never_gives_negative_seconds():
    falling = Table((0, 10), (1,), ((1.0,), (0.5,)))
    assert falling.at(100, 1) == 0.0


@pytest.mark.parametrize(
    "arguments",
    [((), (1,), ()), ((2, 1), (1,), ((1.0,), (1.0,))), ((1,), (1, 2), ((1.0,),))],
)
def test_a_table_of_wrong_shape_is_refused(arguments):
    with pytest.raises(InvalidConfig):
        Table(*arguments)


def test_a_line_is_found_with_its_fit():
    fit = fit_line([0, 10, 20], [1.0, 3.0, 5.0])
    assert (fit.slope, fit.intercept, fit.r_squared) == pytest.approx((0.2, 1.0, 1.0))
    assert fit.holds


def test_a_line_through_a_step_does_not_hold():
    fit = fit_line([0, 10, 20, 30], [1.0, 1.0, 5.0, 5.0])
    assert not fit.holds
    assert fit.r_squared == pytest.approx(0.8)
    assert fit.worst_residual == pytest.approx(1.2)  # 2.2 fitted where 1.0 was measured


def test_a_level_explains_nothing_of_what_varies():
    fit = fit_level([1, 2], [1.0, 3.0])
    assert (fit.slope, fit.intercept, fit.r_squared) == (0.0, 2.0, 0.0)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12))
def test_the_rising_sequence_is_the_closest_one(values):
    found = rising(values)
    assert all(a <= b + 1e-12 for a, b in pairwise(found))
    assert sum(found) == pytest.approx(sum(values))
    distance = sum((a - b) ** 2 for a, b in zip(found, values, strict=True))
    drawn = random.Random(len(values))
    for _ in range(5):
        other = sorted(value + drawn.uniform(-1, 1) for value in found)
        assert sum((a - b) ** 2 for a, b in zip(other, values, strict=True)) >= distance - 1e-9


def test_expected_tokens_by_hand():
    assert expected_tokens(0.5, 2) == pytest.approx(1 + 0.5 + 0.25)
    assert expected_tokens(1.0, 3) == 4.0
    assert expected_tokens_by_depth([0.5, 0.2], 3) == pytest.approx(1 + 0.5 + 0.1 + 0.02)


def test_a_tree_without_siblings_is_a_chain():
    chain = TreeRule((1,))
    assert expected_tree_tokens(0.6, 0.3, chain, 4) == pytest.approx(expected_tokens(0.6, 4))
    assert tree_nodes(chain, 4) == tree_nodes(None, 4) == 4


def test_siblings_save_a_missed_token():
    # depth 1: spine 0.6, else one of two siblings: 0.4 x (1 - 0.7^2); depth 2 after the spine only
    assert expected_tree_tokens(0.6, 0.3, TreeRule((3, 1)), 2) == pytest.approx(
        1 + 0.6 + 0.4 * 0.51 + 0.6 * 0.6
    )
    assert tree_nodes(TreeRule((3, 1)), 4) == 6


def test_a_draft_step_costs_what_runs():
    skips = SkipSet.of(LAYERS, attention=[1, 2], mlp=[3])
    assert COSTS.draft_step(skips, 50) == pytest.approx(0.5 + 2 * 2.0 + 3 * 2.0 + 4.0 + 0.25)


def test_autoregressive_is_one_verified_row_and_the_fixed_part():
    assert COSTS.autoregressive(0) == pytest.approx(0.5 + 4 * (1.0 + 2.0) + 4.0 + 0.75)


def test_a_round_without_a_shared_prefix_is_drafts_and_a_whole_verification():
    skips = SkipSet.of(LAYERS, attention=[0])
    drafts = 2 * COSTS.draft_step(skips, 10.5)  # contexts 10 and 11
    verify = 0.5 + 4 * ATTENTION.at(10, 3) + 4 * MLP.at(0, 3) + HEAD.at(0, 3)
    assert COSTS.round(plan(skips, 2), 10) == pytest.approx(drafts + verify + 0.75)


def test_a_shared_prefix_is_walked_once_by_the_last_token_and_not_verified_again():
    skips = SkipSet.of(LAYERS, attention=[2], mlp=[2])
    assert skips.prefix == 4
    drafts = 2 * COSTS.draft_step(skips, 10.5)
    finish = 0.5 + 2 * ATTENTION.at(12, 1) + 2 * MLP.at(0, 1)
    verify = 0.5 + 2 * ATTENTION.at(10, 3) + 2 * MLP.at(0, 3) + HEAD.at(0, 3)
    assert COSTS.round(plan(skips, 2), 10) == pytest.approx(drafts + finish + verify + 0.75)


def test_drafting_nothing_is_autoregressive():
    assert COSTS.round(plan(SkipSet.of(LAYERS, [1]), 0), 7) == COSTS.autoregressive(7)


def test_a_tree_step_adds_its_nodes_to_verification():
    skips = SkipSet.of(LAYERS, attention=[0])
    tree = TreeRule((1, 3))
    more = COSTS.tree_step(skips, tree, 1, 10)
    two, one = COSTS.round(plan(skips, 2, tree), 10), COSTS.round(plan(skips, 1, tree), 10)
    assert more == pytest.approx(two - one)
    assert two == pytest.approx(2 * COSTS.draft_step(skips, 10.5) + COSTS.verify(1 + 4, 10) + 0.75)


def test_layers_of_two_kinds_have_their_own_prices():
    dear = Table((0,), (1,), ((10.0,),))
    costs = replace(COSTS, kinds=(0, 1, 0, 1), attention=(ATTENTION, dear), mlp=(MLP, MLP))
    assert costs.sublayer(0, 0) == 1.0
    assert costs.sublayer(2, 0) == 10.0
    assert costs.walk(0) == pytest.approx(0.5 + 2 * 1.0 + 2 * 10.0 + 4 * 2.0)
    assert costs.walk(0, skips=SkipSet.of(4, [1, 3])) == pytest.approx(0.5 + 2 * 1.0 + 4 * 2.0)


def test_a_kind_without_a_table_is_refused():
    with pytest.raises(InvalidConfig, match="kinds"):
        replace(COSTS, kinds=(0, 1, 0, 0))


@given(st.integers(0, 255), st.integers(1, 8), st.floats(0, 300), st.floats(0.01, 0.99), st.data())
def test_skipping_more_never_makes_a_draft_step_more_expensive(bits, drafted, n, alpha, data):
    skips = SkipSet(2 * LAYERS, bits)
    more = SkipSet(2 * LAYERS, bits | 1 << data.draw(st.integers(0, 7)))
    assert COSTS.draft_step(more, n) <= COSTS.draft_step(skips, n) + 1e-12
    speedup = COSTS.speedup(alpha, plan(skips, drafted), n, alpha_error=0.01)
    assert speedup.low <= speedup.value <= speedup.high


def test_the_best_draft_length_is_the_fastest_and_0_if_nothing_pays():
    half = SkipSet.of(LAYERS, [2, 3], [2, 3])
    best = COSTS.best_draft_length(0.9, half, 50, longest=16)
    rates = [COSTS.tokens_per_second(0.9, plan(half, d), 50) for d in range(17)]
    assert rates[best] == max(rates)
    assert best > 0
    assert COSTS.best_draft_length(0.05, half, 50) == 0


def test_a_perfect_draft_that_costs_nothing_gains_every_drafted_token():
    free = CostModel(
        (0, 0), (Table((0,), (1,), ((1.0,),)),), (Table((0,), (1,), ((1.0,),)),),
        Table((0,), (1,), ((0.0,),)), Table((0,), (1,), ((0.0,),)),
    )  # fmt: skip
    everything = SkipSet.from_sublayers(2, range(4))
    assert free.speedup(1.0, plan(everything, 3), 0).value == pytest.approx(4.0)


def test_a_fall_of_acceptance_costs_speed():
    high, low = COSTS.falling_acceptance(plan(SkipSet.of(LAYERS, [2, 3], [2, 3]), 4), 50)
    assert high > low > 0
    tokens = expected_tokens(0.9, 4) / expected_tokens(0.7, 4)
    assert high / low == pytest.approx(tokens)


def test_an_interval_grows_with_both_errors():
    skips = plan(SkipSet.of(LAYERS, [2, 3], [2, 3]), 4)
    exact = COSTS.speedup(0.8, skips, 50)
    assert exact.low == exact.value == exact.high
    unsure = COSTS.speedup(0.8, skips, 50, alpha_error=0.02)
    noisy = replace(COSTS, spread=0.1).speedup(0.8, skips, 50, alpha_error=0.02)
    assert exact.value - unsure.low < exact.value - noisy.low
    assert noisy.high - noisy.value >= 1.96 * 0.1 * noisy.value


def test_an_interval_from_independent_errors():
    found = Speedup.around(1.5, 0.03, 0.04)
    assert (found.low, found.high) == pytest.approx((1.5 - 0.098, 1.5 + 0.098))


def test_the_lines_of_knapspec_are_slices_at_one_row():
    line = COSTS.attention_line()
    assert (line.slope, line.intercept) == pytest.approx((0.02, 1.0))
    assert COSTS.mlp_level().intercept == 2.0
