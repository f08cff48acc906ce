"""What low-bit sublayers and heads cost is measured on the executor."""

import pytest
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_model

from specframe.executors.fused.executor import FusedExecutor
from specframe.profilers.latency import LatencyGrid, profile_latency
from specframe.types import SkipSet

GRID = LatencyGrid((8, 96), (1, 4), budget_seconds=0.0)  # the fewest repeats


@pytest.fixture(scope="module")
def priced():
    return priced_by()


def priced_by(slowed=1.0):
    """A full attention takes 3 seconds and a low-bit one 1; an MLP 5 and 2; a head 8 and 4.

    Once the first low-bit copy is made, everything takes `slowed` times as long.
    """
    with pytest.MonkeyPatch.context() as own:
        clock = TickingClock(own, ("specframe.profilers.clocks",))
        layer_of, frame = FusedExecutor._layer, FusedExecutor._frame
        logits = FusedExecutor.logits

        def spend(executor, seconds):
            clock.now += seconds * (slowed if executor.low_bytes else 1.0)

        def framed(self, *given, **named):
            spend(self, 0.5)
            return frame(self, *given, **named)

        def layer(self, depth, skips):
            spend(self, ((3.0, 1.0), (5.0, 2.0))[depth % 2][skips.low >> depth & 1])
            return layer_of(self, depth, skips)

        def read(self, hidden, skips=None):
            spend(self, 4.0 if skips is not None and skips.low_head else 8.0)
            return logits(self, hidden, skips)

        own.setattr(FusedExecutor, "_frame", framed)
        own.setattr(FusedExecutor, "_layer", layer)
        own.setattr(FusedExecutor, "logits", read)
        return profile_latency(FusedExecutor(tiny_model(Tiny())), GRID).costs


def test_low_bit_prices_are_those_of_the_executor(priced):
    assert priced.widths == (4, 8)
    for low in priced.low:
        for n, rows in ((8, 1), (96, 4)):
            assert low.attention[0].at(n, rows) == pytest.approx(1.0)
            assert low.mlp[0].at(n, rows) == pytest.approx(2.0)
            assert low.head.at(n, rows) == pytest.approx(4.0)
            assert priced.sublayer(0, n, rows) == pytest.approx(3.0)


def test_the_profile_has_the_memory_of_the_copies():
    executor = FusedExecutor(tiny_model(Tiny()))
    costs = profile_latency(executor, GRID).costs
    every = SkipSet.none(2)
    assert executor.low_bytes == sum(costs.low_bytes(every.lower(bits)) for bits in (4, 8))


def test_a_model_that_cannot_be_lowered_has_no_low_bit_prices(monkeypatch):
    monkeypatch.setattr(FusedExecutor, "refuses_low", lambda self: "it is quantised already")
    costs = profile_latency(FusedExecutor(tiny_model(Tiny())), GRID).costs
    assert costs.widths == ()
    assert costs.facts["states"] == "full"


def test_a_machine_that_is_slower_for_a_while_does_not_make_savings_larger(priced):
    slower = priced_by(slowed=3.0)
    for low, same in zip(priced.low, slower.low, strict=True):
        assert same.attention[0].at(8, 1) == pytest.approx(low.attention[0].at(8, 1))
        assert same.mlp[0].at(8, 1) == pytest.approx(low.mlp[0].at(8, 1))
        assert same.head.at(8, 1) == pytest.approx(low.head.at(8, 1))
