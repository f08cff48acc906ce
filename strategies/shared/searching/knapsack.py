"""Sets of sublayers as knapsacks: each saves a weight and loses a value, skipped or low-bit.

`suffix_table` is a dynamic program of microseconds a sublayer: the least loss for every weight and
prefix at once. Each sublayer has two choices, or three where there are low-bit weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from specframe.errors import InvalidConfig
from specframe.types import SkipSet

__all__ = ["Knapsack", "LowItems", "Solution", "SuffixTable", "suffix_table"]

SKIPPED, LOW = 1, 2  # states of a sublayer beside 0, in full


@dataclass(frozen=True, slots=True)
class LowItems:
    """What sublayers save and lose on weights of `bits` bits, and the bytes of their copies.

    A sublayer that saves no weight, or has an infinite loss, is never lowered.
    """

    bits: int
    weights: tuple[int, ...]
    losses: tuple[float, ...]
    bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Knapsack:
    """Weights and losses by sublayer when it is skipped; `protected` ones never are."""

    weights: tuple[int, ...]
    losses: tuple[float, ...]
    protected: frozenset[int] = frozenset()
    low: LowItems | None = None

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.losses) or len(self.weights) % 2 or not self.weights:
            raise InvalidConfig.of(
                "Knapsack", "weights", "as many as losses, two a layer", len(self.weights)
            )
        if min(self.weights) < 1:
            raise InvalidConfig.of("Knapsack", "weights", "whole numbers from 1 on", self.weights)

    @property
    def size(self) -> int:
        return len(self.weights)

    @property
    def lowered(self) -> frozenset[int]:
        """Sublayers for which low-bit weights are a choice."""
        low = self.low
        if low is None:
            return frozenset()
        both = enumerate(zip(low.weights, low.losses, strict=True))
        return frozenset(b for b, (weight, loss) in both if weight > 0 and loss < inf)

    def set_of(self, skipped: int, lowered: int) -> SkipSet:
        """The set of these masks; the head runs in full."""
        return SkipSet(self.size, skipped, lowered, self.low.bits if self.low and lowered else 0)

    def solution(self, skips: SkipSet) -> Solution:
        """A set with what it saves, what it loses, and the memory of its copies."""
        weight = sum(self.weights[b] for b in skips)
        loss = sum((self.losses[b] for b in skips), 0.0)
        if self.low is None:
            return Solution(skips, weight, loss, 0)
        weight += sum(self.low.weights[b] for b in skips.lowered)
        loss += sum(self.low.losses[b] for b in skips.lowered)
        return Solution(skips, weight, loss, sum(self.low.bytes[b] for b in skips.lowered))


@dataclass(frozen=True, slots=True)
class Solution:
    """A set, the weight it saves, the value it loses and the bytes of its copies."""

    skips: SkipSet
    weight: int
    loss: float
    bytes: int


@dataclass(frozen=True, slots=True)
class SuffixTable:
    """Least loss for every exact weight among sublayers from `p` on, for every p at once.

    A set whose first p sublayers run in full lets verification start at p, so the best set depends
    on p; one program from the last sublayer to the first solves for all of them.
    """

    problem: Knapsack
    losses: NDArray[np.float64]  # [2L + 1, 1 + weights]: row p, column the weight saved
    taken: NDArray[np.int8]  # [2L, 1 + weights]: the state of sublayer p in row p

    def skips(self, first: int, weight: int) -> SkipSet:
        """The set behind one cell."""
        low = self.problem.low
        saved = ((), self.problem.weights, () if low is None else low.weights)
        masks = [0, 0, 0]  # by state
        for sublayer in range(first, self.problem.size):
            if state := int(self.taken[sublayer, weight]):
                masks[state] |= 1 << sublayer
                weight -= saved[state][sublayer]
        return self.problem.set_of(masks[SKIPPED], masks[LOW])


def suffix_table(problem: Knapsack) -> SuffixTable:
    """Solve for every weight and prefix, in a few microseconds a sublayer."""
    low, lowered, protected = problem.low, problem.lowered, problem.protected
    most = [0 if b in protected else weight for b, weight in enumerate(problem.weights)]
    for sublayer in lowered:
        assert low is not None
        most[sublayer] = max(most[sublayer], low.weights[sublayer])
    losses = np.full((problem.size + 1, 1 + sum(most)), inf)
    taken = np.zeros((problem.size, 1 + sum(most)), dtype=np.int8)
    losses[-1, 0] = 0.0
    for b in range(problem.size - 1, -1, -1):
        losses[b] = losses[b + 1]
        if b not in protected:
            _offer(losses, taken, b, SKIPPED, problem.weights[b], problem.losses[b])
        if b in lowered:
            assert low is not None
            _offer(losses, taken, b, LOW, low.weights[b], low.losses[b])
    return SuffixTable(problem, losses, taken)


def _offer(
    losses: NDArray[np.float64],
    taken: NDArray[np.int8],
    sublayer: int,
    state: int,
    weight: int,
    loss: float,
) -> None:
    """Put the sublayer into this state in the cells where that loses less."""
    row = losses[sublayer, weight:]
    changed = losses[sublayer + 1, : len(row)] + loss
    np.putmask(taken[sublayer, weight:], changed < row, state)
    np.minimum(changed, row, out=row)
