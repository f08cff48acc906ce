"""Prices of low-bit drafts, against sums written out by hand and the cost model's own."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.rates import RoundPrices, SetMatrix
from specframe.costs.sampled import sampled_prices
from specframe.costs.tables import Table
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 3
SIZE = 2 * LAYERS
EVERY = (1 << SIZE) - 1


def flat(seconds):
    return Table((0,), (1, 9), ((seconds, 2 * seconds),))


def low(bits, attention, mlp, head):
    return LowPrices(bits, (flat(attention),), (flat(mlp),), flat(head), (100,), (300,), 1000)


FULL = CostModel((0,) * LAYERS, (flat(4.0),), (flat(8.0),), flat(0.5), flat(16.0), 0.25, 0.75)
COSTS = replace(FULL, low=(low(4, 1.0, 2.0, 3.0), low(8, 2.0, 4.0, 8.0)))
COLD = replace(
    COSTS,
    low=tuple(
        replace(one, step_seconds=-one.bits / 16, round_seconds=one.bits / 2) for one in COSTS.low
    ),
)


def test_a_draft_step_is_the_sum_of_what_runs_in_each_state():
    skips = SkipSet.from_sublayers(LAYERS, [2]).lower(4, [1, 4])
    assert COSTS.walk(0, 1, skips, logits=1) == 0.5 + 2 * 4.0 - 4.0 + 1.0 + 2 * 8.0 + 2.0 + 3.0
    assert COSTS.draft_step(skips, 0) == COSTS.walk(0, 1, skips, logits=1) + 0.25


def test_verification_starts_at_the_first_low_bit_sublayer():
    skips = SkipSet.none(LAYERS).lower(8, [1, 2], head=False)
    plan = DraftPlan(skips, StopRule(1))
    step = 0.5 + 2 * 4.0 + 2 * 8.0 + 2.0 + 4.0 + 16.0 + 0.25
    prefix = 0.5 + 4.0
    assert COSTS.round(plan, 0) == step + prefix + COSTS.verify(2, 0, start=1) + 0.75


def test_the_overhead_of_low_bits_is_counted_by_their_share():
    skips = SkipSet.from_sublayers(LAYERS, [2]).lower(4, [0, 1, 4])
    assert COLD.draft_step(skips, 0) == COSTS.draft_step(skips, 0) - 0.25 / 2
    plan = DraftPlan(skips, StopRule(3))
    assert COLD.round(plan, 0) == COSTS.round(plan, 0) - 3 * 0.25 / 2 + 2.0 / 2
    full = DraftPlan(SkipSet.none(LAYERS), StopRule(3))
    assert COLD.round(full, 0) == COSTS.round(full, 0)


def test_the_memory_of_a_set_is_that_of_its_copies():
    assert COSTS.low_bytes(SkipSet.none(LAYERS)) == 0
    assert COSTS.low_bytes(SkipSet.none(LAYERS).lower(4, [0, 1, 3])) == 100 + 2 * 300 + 1000
    assert COSTS.low_bytes(SkipSet.none(LAYERS).lower(4, [0], head=False)) == 100


def test_copies_that_sets_share_take_memory_once():
    none = SkipSet.none(LAYERS)
    sets = [none.lower(4, [0, 1], head=False), none.lower(4, [1, 2]), none, none.lower(8, [1])]
    assert COSTS.low_bytes_of(sets) == (100 + 300 + 100 + 1000) + (300 + 1000)
    assert COSTS.low_bytes_of([none]) == 0


@st.composite
def sets(draw):
    skipped = draw(st.integers(0, EVERY))
    lowered = draw(st.integers(0, EVERY)) & ~skipped
    head = draw(st.booleans())
    bits = draw(st.sampled_from([4, 8])) if lowered or head else 0
    return SkipSet(SIZE, skipped, lowered, bits, head)


@given(st.lists(sets(), min_size=1, max_size=4), st.integers(1, 9), st.sampled_from([0, 4, 8]))
def test_prices_of_three_states_as_arrays_are_the_cost_model_s(many, drafted, draft_bits):
    """With `draft_bits`, what a set runs in full is low-bit as well."""
    costs = replace(COLD, draft_bits=draft_bits)
    as_arrays_as_one_by_one(many, drafted, costs, COLD)


@given(st.lists(sets(), min_size=1, max_size=4), st.integers(1, 9))
def test_prices_of_sampled_rounds_as_arrays_are_the_cost_model_s(many, drafted):
    drawing = sampled_prices(replace(COLD, sampled_row_seconds=0.5, sampled_step_seconds=0.25))
    as_arrays_as_one_by_one(many, drafted, drawing, drawing)


def as_arrays_as_one_by_one(many, drafted, costs, of_lowered):
    draft_bits = costs.draft_bits
    asked = [skips.full for skips in many] if draft_bits else many
    found = RoundPrices.at(costs, 20, range(1, 10)).seconds(SetMatrix.of(asked, SIZE))
    for line, skips in zip(found, asked, strict=True):
        plan = DraftPlan(skips, StopRule(drafted))
        assert line[drafted - 1] == pytest.approx(costs.round(plan, 20))
        lowered = DraftPlan(skips.lower(draft_bits), StopRule(drafted)) if draft_bits else plan
        assert costs.round(plan, 20) == pytest.approx(of_lowered.round(lowered, 20))
