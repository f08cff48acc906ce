"""What low-bit sublayers and heads cost is measured on the executor."""

import pytest
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_model

from specframe.executors.fused.executor import FusedExecutor
from specframe.profilers.latency import LatencyGrid, profile_latency
from specframe.types import SkipSet

GRID = LatencyGrid((8, 96), (1, 4), budget_seconds=0.5)


@pytest.fixture
def priced(monkeypatch):
    """A full attention takes 3 seconds and a low-bit one 1; an MLP 5 and 2; a head 8 and 4."""
    clock = TickingClock(monkeypatch, ("specframe.profilers.clocks",))
    clock.costs(FusedExecutor, "_frame", 0.5)
    layer_of, logits = FusedExecutor._layer, FusedExecutor.logits

    def layer(self, depth, skips):
        seconds = ((3.0, 1.0), (5.0, 2.0))[depth % 2]
        clock.now += seconds[skips.low >> depth & 1]
        return layer_of(self, depth, skips)

    def read(self, hidden, skips=None):
        clock.now += 4.0 if skips is not None and skips.low_head else 8.0
        return logits(self, hidden, skips)

    monkeypatch.setattr(FusedExecutor, "_layer", layer)
    monkeypatch.setattr(FusedExecutor, "logits", read)
    return profile_latency(FusedExecutor(tiny_model(Tiny())), GRID).costs


def test_low_bit_prices_are_those_of_the_executor(priced):
    assert priced.widths == (4, 8)
    for low in priced.low:
        for n, rows in ((8, 1), (96, 4)):
            assert low.attention[0].at(n, rows) == pytest.approx(1.0)
            assert low.mlp[0].at(n, rows) == pytest.approx(2.0)
            assert low.head.at(n, rows) == pytest.approx(4.0)
            assert priced.sublayer(0, n, rows) == pytest.approx(3.0)


def test_the_profile_knows_the_memory_of_the_copies():
    executor = FusedExecutor(tiny_model(Tiny()))
    costs = profile_latency(executor, GRID).costs
    every = SkipSet.none(2)
    assert executor.low_bytes == sum(costs.low_bytes(every.lower(bits)) for bits in (4, 8))


def test_a_model_that_cannot_be_lowered_has_no_low_bit_prices(monkeypatch):
    monkeypatch.setattr(FusedExecutor, "refuses_low", lambda self: "it is quantised already")
    costs = profile_latency(FusedExecutor(tiny_model(Tiny())), GRID).costs
    assert costs.widths == ()
    assert costs.facts["states"] == "full"
