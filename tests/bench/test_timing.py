"""Trials in turns, and intervals by drawing again."""

from itertools import count

import pytest

from specframe.bench.timing import bootstrap, in_turns, median, ratio_of_medians, seconds_of


def test_trials_take_turns_after_their_warm_ups():
    order = []

    def trial(name):
        def run():
            order.append(name)
            return float(len(order))

        return run

    seconds = in_turns({"a": trial("a"), "b": trial("b")}, turns=2, warm_ups=1)
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_trial_waits_for_the_device_before_and_after(monkeypatch):
    log = []
    ticks = count()
    monkeypatch.setattr("specframe.bench.timing.perf_counter", lambda: next(ticks))
    trial = seconds_of(lambda: log.append("work"), lambda: log.append("finish"))
    assert trial() == 1
    assert log == ["finish", "work", "finish"]


def test_a_disturbed_turn_does_not_move_the_ratio():
    pairs = [(2.0, 1.0), (2.0, 1.0), (40.0, 1.0), (2.0, 1.0), (2.0, 30.0)]
    assert ratio_of_medians(pairs) == 2.0


def test_the_interval_holds_the_value_and_is_the_same_each_time():
    samples = [1.0, 2.0, 3.0, 4.0, 50.0]
    found = bootstrap(samples, median)
    assert found == bootstrap(samples, median)
    assert found.value == 3.0
    assert 1.0 <= found.low < found.value < found.high <= 50.0


def test_equal_samples_give_an_interval_of_no_width():
    found = bootstrap([7.0] * 4, median)
    assert (found.low, found.value, found.high) == (7.0, 7.0, 7.0)


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_more_confidence_takes_a_wider_interval(confidence):
    samples = [float(i * i % 17) for i in range(20)]
    narrow = bootstrap(samples, median, confidence=confidence)
    wide = bootstrap(samples, median, confidence=0.999)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low
