"""Measured seconds as tables and lines: interpolation, monotone smoothing, straight-line fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from specframe.errors import InvalidConfig

__all__ = ["LineFit", "Table", "fit_level", "fit_line", "rising"]

LINE_HOLDS = 0.15  # largest residual, as a share of the value, of a line that describes the data


@dataclass(frozen=True, slots=True)
class Table:
    """Seconds by context length and rows: linear between knots, extrapolated past the last one."""

    contexts: tuple[int, ...]
    rows: tuple[int, ...]
    seconds: tuple[tuple[float, ...], ...]  # [contexts][rows]

    def __post_init__(self) -> None:
        for name, knots in (("contexts", self.contexts), ("rows", self.rows)):
            if not knots or list(knots) != sorted(set(knots)):
                raise InvalidConfig.of("Table", name, "ascending and not empty", knots)
        if [len(line) for line in self.seconds] != [len(self.rows)] * len(self.contexts):
            raise InvalidConfig.of(
                "Table", "seconds", f"{len(self.contexts)} x {len(self.rows)}", self.seconds
            )

    def at(self, context: float, rows: float) -> float:
        """Seconds at this context length and number of rows, never below 0."""
        left, share = _place(self.contexts, context)
        below, part = _place(self.rows, rows)
        low = _between(self.seconds[left], below, part)
        if share == 0.0:
            return max(low, 0.0)
        high = _between(self.seconds[left + 1], below, part)
        return max(low + share * (high - low), 0.0)

    def by_context(self, rows: float) -> tuple[float, ...]:
        """The slice at this number of rows, a value for each context knot."""
        below, part = _place(self.rows, rows)
        return tuple(_between(line, below, part) for line in self.seconds)


@dataclass(frozen=True, slots=True)
class LineFit:
    """A least-squares line `slope x + intercept` and the quality of its fit."""

    slope: float
    intercept: float
    r_squared: float
    worst_residual: float  # largest |fit - value| / value

    @property
    def holds(self) -> bool:
        """Whether the line describes the data well enough."""
        return self.worst_residual <= LINE_HOLDS

    def at(self, x: float) -> float:
        """The line's value."""
        return self.slope * x + self.intercept


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> LineFit:
    """The least-squares line through the points; flat where all x are equal."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    product = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    slope = product / spread if spread > 0 else 0.0
    return _judged(xs, ys, slope, mean_y - slope * mean_x)


def fit_level(xs: Sequence[float], ys: Sequence[float]) -> LineFit:
    """The best constant: a line of slope 0."""
    return _judged(xs, ys, 0.0, sum(ys) / len(ys))


def _judged(xs: Sequence[float], ys: Sequence[float], slope: float, intercept: float) -> LineFit:
    misses = [slope * x + intercept - y for x, y in zip(xs, ys, strict=True)]
    mean = sum(ys) / len(ys)
    total = sum((y - mean) ** 2 for y in ys)
    unexplained = sum(miss**2 for miss in misses)
    worst = max(abs(miss) / y if y > 0 else 0.0 for miss, y in zip(misses, ys, strict=True))
    return LineFit(slope, intercept, 1.0 - unexplained / total if total > 0 else 1.0, worst)


def rising(values: Sequence[float]) -> tuple[float, ...]:
    """The closest non-decreasing sequence in least squares (isotonic regression)."""
    pools: list[tuple[float, int]] = []  # (mean, how many)
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (high, n), (low, m) = pools[-2:]
            pools[-2:] = [((high * n + low * m) / (n + m), n + m)]
    return tuple(mean for mean, count in pools for _ in range(count))


def _place(knots: tuple[int, ...], x: float) -> tuple[int, float]:
    """The knot left of x, and the share of the way to the next; above 1 past the last knot."""
    if len(knots) == 1 or x <= knots[0]:
        return 0, 0.0
    left = min(bisect_right(knots, x), len(knots) - 1) - 1
    return left, (x - knots[left]) / (knots[left + 1] - knots[left])


def _between(values: Sequence[float], left: int, share: float) -> float:
    return values[left] + share * (values[left + 1] - values[left]) if share else values[left]
