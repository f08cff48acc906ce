"""With `draft_bits`, a strategy measures, prices and plans low-bit drafts without knowing it."""

from dataclasses import replace

import pytest
from doubles.written_lab import WrittenLab, context_at, flat, plain_costs, prompts_of, small_shape

from specframe.contract.drafting_options import WithDrafting, bits_from, with_drafting
from specframe.contract.low_bit import LowBitLab, low_bit_context
from specframe.costs.model import LowPrices
from specframe.errors import InvalidConfig
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
SKIPS = SkipSet.of(LAYERS, mlp=[2])
LOW = LowPrices(4, (flat(0.25),), (flat(0.25),), flat(0.1), (1,), (1,), 1)
COSTS = replace(plain_costs(LAYERS), low=(LOW,))


def test_everything_that_runs_in_drafting_uses_low_bit_weights():
    planner = WithDrafting(FixedSkips(SKIPS, StopRule(3)), bits=4).start(SHAPE)
    plan = planner.plan(context_at(SHAPE, costs=COSTS))
    assert plan.skips == SKIPS.lower(4)
    assert plan.skips.prefix == 0


def test_a_plan_that_drafts_nothing_is_not_changed():
    planner = WithDrafting(FixedSkips(SKIPS, StopRule(0)), bits=4).start(SHAPE)
    assert planner.plan(context_at(SHAPE, costs=COSTS)).skips == SKIPS


def test_the_strategy_sees_the_prices_of_low_bit_drafts():
    seen = low_bit_context(context_at(SHAPE, costs=COSTS), 4).costs
    plan = DraftPlan(SKIPS, StopRule(3))
    assert seen.round(plan, 9) == COSTS.round(replace(plan, skips=SKIPS.lower(4)), 9)


def test_calibration_judges_low_bit_drafts():
    lab = WrittenLab(SHAPE, {"a": [0.1] * 2 * LAYERS}, COSTS)
    LowBitLab(lab, 4).acceptance([SKIPS], prompts_of("a", 2))
    assert [skips for skips, _ in lab.asked] == [SKIPS.lower(4)]
    assert LowBitLab(lab, 4).costs.draft_bits == 4


def test_the_option_is_a_number_of_bits():
    assert with_drafting(FixedSkips(SKIPS), {"draft_bits": "8"}).bits == 8
    assert bits_from("4") == 4
    for wrong in ("3", "", "four", "16"):
        with pytest.raises(InvalidConfig, match="4 or 8"):
            bits_from(wrong)
    with pytest.raises(InvalidConfig, match="4 or 8"):
        WithDrafting(FixedSkips(SKIPS), bits=5)
