"""Prices over several devices, and of larger shapes of the same family."""

from dataclasses import replace

import pytest

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.sharded import Link, scaled_to, sharded, weights_of
from specframe.costs.tables import Table
from specframe.profilers.composed import COMPOSED
from specframe.studies.worlds.prices import kept_prices
from specframe.types import ModelShape, SkipSet

SHAPE = ModelShape(2, 10, 100, 4, 2, 5, 40, 512)
ROWS = Table((0, 100), (1, 4), ((8.0, 16.0), (24.0, 32.0)))
COSTS = CostModel(
    (0, 0), (ROWS,), (ROWS,), base=ROWS, head=ROWS, step_seconds=1.0, round_seconds=2.0
)
FREE, SLOW = Link(0.0, 0.0), Link(0.5, 0.01)


def test_an_all_reduce_takes_the_steps_of_a_ring():
    assert SLOW.all_reduce(100, 2) == pytest.approx(0.5 + 1.0)
    assert SLOW.all_reduce(100, 8) == pytest.approx(7 * 0.5 + 2 * 7 / 8 * 1.0)
    assert SLOW.all_gather(100, 8) == SLOW.all_reduce(100, 8) / 2


def test_one_device_changes_no_price():
    assert sharded(COSTS, SHAPE, 1, SLOW) == COSTS


def test_products_are_split_and_everything_else_stays():
    split = sharded(COSTS, SHAPE, 4, FREE)
    for rows in (1, 2, 4):
        assert split.sublayer(0, 50, rows) == pytest.approx(COSTS.sublayer(0, 50, rows) / 4)
        assert split.sublayer(1, 50, rows) == pytest.approx(COSTS.sublayer(1, 50, rows) / 4)
        assert split.head.at(50, rows) == pytest.approx(COSTS.head.at(50, rows) / 4)
        assert split.base == COSTS.base
    assert (split.step_seconds, split.round_seconds) == (1.0, 2.0)
    assert "4 devices" in split.simulated


def test_each_sublayer_waits_for_the_sum_of_its_rows():
    free, slow = (sharded(COSTS, SHAPE, 2, link) for link in (FREE, SLOW))
    one = SLOW.all_reduce(3 * 10 * 2, 2)
    head = SLOW.all_gather(3 * 100 * 2, 2)
    assert slow.sublayer(1, 50, 3) - free.sublayer(1, 50, 3) == pytest.approx(one)
    walked = slow.walk(50, 3, logits=3) - free.walk(50, 3, logits=3)
    assert walked == pytest.approx(4 * one + head)
    skips = SkipSet.of(2, attention=[0], mlp=[1])
    assert slow.walk(50, 3, skips) - free.walk(50, 3, skips) == pytest.approx(2 * one)


def test_low_bit_sublayers_are_split_too():
    low = LowPrices(4, (ROWS,), (ROWS,), ROWS, (7,), (9,), 5)
    split = sharded(replace(COSTS, low=(low,)), SHAPE, 2, SLOW)
    assert split.low[0].attention == split.attention
    assert split.low[0].head == split.head


def test_the_405b_has_its_published_number_of_weights():
    assert weights_of(COMPOSED["llama-3.1-405B"].shape).total / 1e9 == pytest.approx(405.8, abs=0.2)


def test_a_larger_shape_reads_more_weights_and_its_own_keys():
    wide = replace(SHAPE, layers=3, hidden=20, heads=8, intermediate=80)
    grown = scaled_to(COSTS, SHAPE, wide)
    assert grown.layers == 3
    weights = 20 * (8 + 2) / (10 * (4 + 2))
    assert grown.sublayer(0, 0) == pytest.approx(8.0 * weights)
    assert grown.sublayer(0, 100) == pytest.approx(8.0 * weights + 16.0)  # as many keys as before
    assert grown.sublayer(1, 0) == pytest.approx(8.0 * 4)
    assert grown.head.at(0, 1) == pytest.approx(8.0 * 2)


@pytest.mark.parametrize("context", [128, 2048, 32768])
def test_the_measured_70b_is_what_the_8b_scales_to(context):
    names = "llama-3.1-8B", "llama-3.1-70B"
    scaled = scaled_to(kept_prices(names[0]), *(COMPOSED[name].shape for name in names))
    measured = kept_prices(names[1]).autoregressive(context)
    assert scaled.autoregressive(context) == pytest.approx(measured, rel=0.06)
