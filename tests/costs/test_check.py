"""Stored prices are compared with rounds that are timed now."""

import pytest
from doubles.tiny import tiny_executor

from specframe.costs import check, rounds
from specframe.costs.check import price_error
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table


def priced() -> CostModel:
    one, half, none = (Table((1,), (1,), ((price,),)) for price in (1.0, 0.5, 0.0))
    low = [LowPrices(bits, (half,), (half,), none, (1,), (1,), 1) for bits in (4, 8)]
    return CostModel((0, 0), (one,), (one,), base=none, head=one, low=tuple(low))


@pytest.mark.parametrize(
    ("bits", "slower", "error"), [(0, 1.0, 0.0), (8, 1.6, 0.375), (4, 0.8, 0.25)]
)
def test_the_error_is_the_largest_of_all_ratios_to_autoregressive_decoding(
    monkeypatch, bits, slower, error
):
    costs = priced()

    def timed(executor, plans, **given):
        """Twice the prices, and rounds with `bits` slower by another factor."""
        factors = [slower if plan.skips.low_bits == bits else 1.0 for plan in plans]
        return [2 * f * costs.round(plan, 100) for plan, f in zip(plans, factors, strict=True)], []

    monkeypatch.setattr(check, "timed_rounds", timed)
    assert price_error(tiny_executor(), costs) == pytest.approx(error)


def test_without_low_bit_prices_nothing_is_timed(monkeypatch):
    monkeypatch.setattr(check, "timed_rounds", None)
    assert price_error(tiny_executor(), CostModel.even(2)) == 0.0


def test_real_rounds_are_timed(monkeypatch):
    monkeypatch.setattr(rounds, "ROUNDS", (1, 2))
    assert price_error(tiny_executor(), priced()) >= 0.0
