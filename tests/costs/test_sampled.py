"""Prices of drawing tokens, for every verified row and every drafted token."""

from dataclasses import replace

import pytest
from doubles.tiny import tiny_executor

from specframe.contract.constant_plan import ConstantPlan
from specframe.contract.paying import draft_nothing
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.costs import measure
from specframe.costs.model import CostModel
from specframe.costs.sampled import sampled_prices
from specframe.types import DraftPlan, SkipSet, StopRule

ROW, STEP = 0.5, 0.25
COSTS = replace(CostModel.even(2), sampled_row_seconds=ROW, sampled_step_seconds=STEP)
SKIPS = SkipSet.of(2, [1])


def test_rows_and_drafted_tokens_take_longer_when_sampling():
    drawing = sampled_prices(COSTS)
    assert drawing.autoregressive(9) == COSTS.autoregressive(9) + ROW
    assert drawing.verify(4, 9) == COSTS.verify(4, 9) + 4 * ROW
    assert drawing.draft_step(SKIPS, 9) == COSTS.draft_step(SKIPS, 9) + STEP
    plan = DraftPlan(SKIPS, StopRule(3))
    assert drawing.round(plan, 9) == COSTS.round(plan, 9) + 4 * ROW + 3 * STEP
    copied = DraftPlan(SKIPS, StopRule(2), copied=(1, 2))
    assert drawing.round(copied, 9) == COSTS.round(copied, 9) + 3 * ROW


def test_a_second_model_draws_its_tokens_as_well():
    drawing = sampled_prices(replace(COSTS, second=COSTS))
    assert drawing.second == sampled_prices(COSTS)


@pytest.mark.parametrize("sampled", [False, True])
def test_planners_get_the_prices_of_sampling_or_of_greedy_decoding(monkeypatch, sampled):
    seen = []
    executor = tiny_executor()
    costs = replace(
        CostModel.even(executor.shape.layers), sampled_row_seconds=ROW, sampled_step_seconds=STEP
    )
    law = Law(choose=seeded_choice(None)) if sampled else Law()
    strategy = ConstantPlan(draft_nothing(executor.shape.layers))
    engine = Engine(executor, strategy, law, Limits(2), costs)
    context = engine._context
    monkeypatch.setattr(
        engine, "_context", lambda live: seen.append(context(live)) or context(live)
    )
    list(engine.rounds([1, 2, 3]))
    assert {one.costs for one in seen} == {sampled_prices(costs) if sampled else costs}


def test_the_price_of_drawing_is_the_difference_to_greedy_rounds(monkeypatch):
    def timed(executor, plans, ranks, in_a_row, seconds, laws):
        """Twice as slow as priced."""
        drawn = [row_and_step * law.sampled for law, row_and_step in zip(laws, more, strict=True)]
        plain = [CostModel.even(2).round(plan, 100) for plan in plans]
        return [2 * (p + d) for p, d in zip(plain, drawn, strict=True)], []

    drafts = measure.SAMPLED_DRAFTS
    more = 2 * [(1 + d) * ROW + d * STEP for d in drafts]
    monkeypatch.setattr(measure, "timed_rounds", timed)
    found = measure.measure_sampling(tiny_executor(), CostModel.even(2))
    assert found.sampled_row_seconds == pytest.approx(ROW)
    assert found.sampled_step_seconds == pytest.approx(STEP)
