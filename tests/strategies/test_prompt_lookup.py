"""N-gram lookup: what is matched, copied, believed and worth its rows."""

import pytest
from doubles.contexts import plain_context
from doubles.laws import Case, law_error
from doubles.planted_labs import keeps_tokens, planted_executor, planted_prompts
from doubles.written_lab import flat, plain_costs, small_shape
from hypothesis import given
from hypothesis import strategies as st

from specframe.contract.naming import strategy_from
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.strategies.shared.ngrams import (
    CARRIED,
    Copy,
    CopyBeliefs,
    CopyCounts,
    NgramConfig,
    NgramIndex,
)
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
FREE_ROWS = plain_costs(LAYERS)
# a verified row costs as much as the first one, so that speculation never pays
FULL_PRICE = CostModel(
    (0,) * LAYERS, (flat(1.0),), (flat(1.0),), flat(0.0), Table((0,), (1, 65), ((9.0, 1300.0),))
)


def context(tokens, **given):
    return plain_context(SHAPE, tokens, **{"prompt_length": 2, "budget": 100, **given})


def planner(preset="best"):
    return strategy_from("prompt-lookup", SHAPE, preset).start(SHAPE)


def found(tokens, most=4, **config):
    return NgramIndex(NgramConfig(**config)).find(tokens, most)


def test_the_longest_match_wins():
    #        the 2-gram (7, 8) is older than the 1-gram 8
    assert found([7, 8, 1, 2, 3, 8, 5, 6, 4, 7, 8]) == Copy((1, 2, 3, 8), 2)


def test_of_equal_matches_the_latest_or_the_first():
    text = [8, 1, 1, 8, 2, 2, 9, 8]
    assert found(text) == Copy((2, 2, 9, 8), 1)
    assert found(text, latest=False) == Copy((1, 1, 8, 2), 1)


def test_a_match_may_be_longer_than_the_longest_ngram():
    text = [1, 2, 3, 4, 5, 6, 7, 9, 0, 2, 3, 4, 5, 6, 7]
    assert found(text, 1) == Copy((9,), 6)


def test_a_copy_continues_with_itself():
    assert found([5, 1, 2, 3, 1, 2, 3], 7) == Copy((1, 2, 3, 1, 2, 3, 1), 3)
    assert found([4, 4], 3) == Copy((4, 4, 4), 1)


@pytest.mark.parametrize("tokens", [[1], [1, 2, 3, 4]])
def test_nothing_is_copied_without_a_match(tokens):
    assert found(tokens) is None
    plan = planner().plan(context(tokens))
    assert plan == DraftPlan(SkipSet.none(LAYERS), StopRule(0), capture=False)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 3), st.booleans())
def test_a_text_read_bit_by_bit_is_the_text_read_at_once(tokens, shortest, latest):
    config = NgramConfig(longest=3, shortest=shortest, latest=latest)
    growing = NgramIndex(config)
    for length in range(1, len(tokens) + 1):
        grown = growing.find(tokens[:length], 5)
    assert grown == NgramIndex(config).find(tokens, 5)
    ends = [
        end
        for end in range(shortest, len(tokens))
        for size in (shortest,)
        if tokens[end - size : end] == tokens[len(tokens) - size :]
    ]
    assert (grown is None) == (not ends)


def test_beliefs_start_with_the_match_and_follow_what_is_accepted():
    beliefs = CopyBeliefs(prior=4.0)
    assert beliefs.chances(Copy((1, 2), 1)) == pytest.approx((1 / 3, 1 / 2))
    beliefs.observe(Copy((), 1), copied=3, accepted=1)  # the third is not counted
    assert beliefs.chances(Copy((1, 2, 3), 1)) == pytest.approx(((4 / 3 + 1) / 5, 2 / 5, 3 / 5))


def test_faithful_copies_ten_tokens_at_any_price():
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1, 2]
    plan = planner("faithful").plan(context(text, costs=FULL_PRICE))
    assert plan.copied == (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    assert plan.stop == StopRule(10)


def test_the_price_decides_how_much_is_copied():
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3]
    assert len(planner().plan(context(text, costs=FREE_ROWS)).copied) == 16
    assert planner().plan(context(text, costs=FULL_PRICE)).copied == ()


def test_copies_that_are_always_rejected_are_given_up():
    rows = Table((0,), (1, 65), ((9.0, 9.0 + 64 * 1.5),))
    costs = CostModel((0,) * LAYERS, (flat(1.0),), (flat(1.0),), flat(0.0), rows)
    live, tokens = planner(), [1, 2, 3, 9, 1, 2, 3]
    assert live.plan(context(tokens, costs=costs)).copied
    for _ in range(30):
        plan = live.plan(context(tokens, costs=costs))
        count = plan.stop.max_tokens
        draft = Draft(plan.copied, tuple(range(-1, count - 1)), (1.0,) * count, copied=count)
        live.observe(Outcome(plan, draft, 0, (5,)))
    assert not live.plan(context(tokens, costs=costs)).copied


def test_no_more_is_copied_than_may_be_emitted():
    assert len(planner().plan(context([1, 1, 1, 1], budget=3)).copied) == 2
    assert planner().plan(context([1, 1, 1, 1], budget=1)).copied == ()


@pytest.mark.parametrize("count", [3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_sampling_keeps_the_models_distribution(preset, count):
    strategy = strategy_from("prompt-lookup", SHAPE, preset)
    assert law_error(Case(strategy, new_tokens=count)) < 1e-12


@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_greedy_tokens_are_the_models_own(preset):
    strategy = strategy_from("prompt-lookup", SHAPE, preset)
    assert keeps_tokens(planted_executor("llama"), strategy, planted_prompts(each=2), 80)


def test_a_new_text_starts_with_the_acceptance_of_earlier_ones():
    counts, copy = CopyCounts(), Copy((5,), 2)
    first = CopyBeliefs(4.0, counts)
    (before,) = first.chances(copy)
    at_the_same_time = CopyBeliefs(4.0, counts)
    for _ in range(100):
        first.observe(copy, 1, 0)
    assert at_the_same_time.chances(copy) == (before,)
    (later,) = CopyBeliefs(4.0, counts).chances(copy)
    assert later == pytest.approx(4.0 * before / (4.0 + CARRIED))
    other = Copy((5,), 3)
    assert CopyBeliefs(4.0, counts).chances(other) == CopyBeliefs(4.0).chances(other)
