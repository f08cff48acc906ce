"""Timing: trials run in turns, and the median over turns counts.

The speed of a machine drifts (heat, other programs, clock rates). This affects trials that run in
turns equally, and a median ignores turns that were disturbed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

__all__ = ["Interval", "bootstrap", "in_turns", "median", "ratio_of_medians", "seconds_of"]

Name = TypeVar("Name")
Sample = TypeVar("Sample")
Trial = Callable[[], float]  # runs once and returns the seconds that count


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its confidence interval."""

    value: float
    low: float
    high: float


def seconds_of(
    work: Callable[[], object], finish: Callable[[], object] = lambda: None
) -> Callable[[], float]:
    """A trial that times one call of `work`; `finish` waits for a device to be done."""

    def trial() -> float:
        finish()
        started = perf_counter()
        work()
        finish()
        return perf_counter() - started

    return trial


def in_turns(
    trials: Mapping[Name, Trial], turns: int, warm_ups: int = 1
) -> dict[Name, list[float]]:
    """Seconds of every trial, turn by turn: A B C, A B C, ... after uncounted warm-ups."""
    for _ in range(warm_ups):
        for trial in trials.values():
            trial()
    seconds: dict[Name, list[float]] = {name: [] for name in trials}
    for _ in range(turns):
        for name, trial in trials.items():
            seconds[name].append(trial())
    return seconds


def ratio_of_medians(pairs: Sequence[tuple[float, float]]) -> float:
    """Median of the first over median of the second."""
    return median([first for first, _ in pairs]) / median([second for _, second in pairs])


def bootstrap(
    samples: Sequence[Sample],
    figure: Callable[[Sequence[Sample]], float],
    *,
    seed: int = 0,
    draws: int = 2_000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a figure of the samples, by drawing them again with replacement."""
    source = random.Random(seed)
    values = sorted(figure(source.choices(samples, k=len(samples))) for _ in range(draws))
    tail = (1.0 - confidence) / 2.0
    last = len(values) - 1
    return Interval(figure(samples), values[round(tail * last)], values[round((1 - tail) * last)])
