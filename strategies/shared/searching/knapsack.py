"""Skip sets as knapsacks: each sublayer saves a weight and loses a value when it is skipped.

`suffix_table` is a dynamic program of microseconds: the least loss for every weight and prefix at
once. `IntegerProgram` also takes bounds on runs and quotas, and asks a solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from specframe.errors import InvalidConfig
from specframe.strategies.shared.searching.pulp_shim import (
    binaries,
    minimise,
    programme,
    weighted_sum,
)
from specframe.types import SkipSet

__all__ = ["IntegerProgram", "Knapsack", "Solution", "SuffixTable", "suffix_table"]


@dataclass(frozen=True, slots=True)
class Knapsack:
    """Weights and losses by sublayer, and side constraints on the skip set.

    `longest_run` bounds consecutive skipped sublayers, `attention_quota` the number of skipped
    attention sublayers.
    """

    weights: tuple[int, ...]
    losses: tuple[float, ...]
    protected: frozenset[int] = frozenset()
    longest_run: int | None = None
    attention_quota: int | None = None

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.losses) or len(self.weights) % 2 or not self.weights:
            raise InvalidConfig.of(
                "Knapsack", "weights", "as many as losses, two a layer", len(self.weights)
            )
        if min(self.weights) < 1:
            raise InvalidConfig.of("Knapsack", "weights", "whole numbers from 1 on", self.weights)
        for name in ("longest_run", "attention_quota"):
            bound = getattr(self, name)
            if bound is not None and bound < 0:
                raise InvalidConfig.of("Knapsack", name, "at least 0, or None", bound)

    @property
    def size(self) -> int:
        """2L."""
        return len(self.weights)

    def solution(self, bits: int) -> Solution:
        """A skip set with what it saves and loses."""
        skips = SkipSet(self.size, bits)
        return Solution(skips, sum(self.weights[b] for b in skips), self.loss(skips))

    def loss(self, skips: SkipSet) -> float:
        """What a skip set loses."""
        return sum((self.losses[b] for b in skips), 0.0)

    def allows(self, skips: SkipSet) -> bool:
        """Whether a skip set respects all side constraints."""
        longest = max(map(len, format(skips.bits, "b").split("0")))
        return (
            not any(b in self.protected for b in skips)
            and (self.longest_run is None or longest <= self.longest_run)
            and (self.attention_quota is None or len(skips.attention) <= self.attention_quota)
        )


@dataclass(frozen=True, slots=True)
class Solution:
    """A skip set, the weight it saves and the value it loses."""

    skips: SkipSet
    weight: int
    loss: float


@dataclass(frozen=True, slots=True)
class IntegerProgram:
    """The exact integer program, by PuLP."""

    def solve(self, problem: Knapsack, saved: int) -> Solution | None:
        """Of all allowed skip sets that save at least this weight, one of least loss."""
        model = programme()
        skip = binaries(model, problem.size)
        model += weighted_sum(problem.weights, skip) >= saved
        for sublayer in problem.protected:
            model += weighted_sum([1], [skip[sublayer]]) == 0
        if problem.attention_quota is not None:
            attention = skip[::2]
            model += weighted_sum([1] * len(attention), attention) <= problem.attention_quota
        if problem.longest_run is not None:
            window = problem.longest_run + 1
            for start in range(problem.size - window + 1):
                run = skip[start : start + window]
                model += weighted_sum([1] * window, run) <= problem.longest_run
        chosen = minimise(model, weighted_sum(problem.losses, skip), skip)
        if chosen is None:
            return None
        return problem.solution(sum(1 << b for b, taken in enumerate(chosen) if taken))


@dataclass(frozen=True, slots=True)
class SuffixTable:
    """Least loss for every exact weight among sublayers from `p` on, for every p at once.

    A skip set whose first p sublayers run lets verification start at p, so the best set depends on
    p; one program from the last sublayer to the first solves for all of them.
    """

    weights: tuple[int, ...]
    losses: NDArray[np.float64]  # [2L + 1, 1 + weights]: row p, column the weight saved
    taken: NDArray[np.bool_]  # [2L, 1 + weights]: whether row p skips sublayer p

    def bits(self, first: int, weight: int) -> int:
        """The skip set behind one cell."""
        bits = 0
        for sublayer in range(first, len(self.weights)):
            if self.taken[sublayer, weight]:
                bits |= 1 << sublayer
                weight -= self.weights[sublayer]
        return bits


def suffix_table(problem: Knapsack) -> SuffixTable:
    """Solve without bounds on runs or quotas, in a few microseconds a sublayer."""
    if problem.longest_run is not None or problem.attention_quota is not None:
        raise InvalidConfig.of("suffix_table", "problem", "without run or quota bounds", problem)
    width = 1 + sum(w for b, w in enumerate(problem.weights) if b not in problem.protected)
    losses = np.full((problem.size + 1, width), inf)
    taken = np.zeros((problem.size, width), dtype=bool)
    losses[-1, 0] = 0.0
    for sublayer in range(problem.size - 1, -1, -1):
        row = losses[sublayer]
        row[:] = losses[sublayer + 1]
        if sublayer in problem.protected:
            continue
        weight = problem.weights[sublayer]
        skipped = losses[sublayer + 1, : width - weight] + problem.losses[sublayer]
        np.less(skipped, row[weight:], out=taken[sublayer, weight:])
        np.minimum(skipped, row[weight:], out=row[weight:])
    return SuffixTable(problem.weights, losses, taken)
