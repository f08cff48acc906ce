"""The best set of full, low-bit and skipped sublayers whose copies keep within a memory.

The dynamic program has no second budget. With a price on every byte it gives a bound instead: for
any price q >= 0, a set that keeps the memory loses at least

    min over all sets of (loss + q bytes) - q memory

in each cell of the table, and the best of a few prices is close. Sets of those tables that keep the
memory are already good. Integer programs then solve the cells that could still hold a better set,
the most promising first, until none is left: the set is proven to be the best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.judging.additive import AdditiveModel
from specframe.strategies.shared.searching.copy_room import CopyRoom
from specframe.strategies.shared.searching.integer_program import least_loss
from specframe.strategies.shared.searching.knapsack import Knapsack, suffix_table
from specframe.strategies.shared.searching.resolve import (
    Items,
    KnownSet,
    Resolved,
    best_of,
    best_places,
)
from specframe.types import SkipSet

__all__ = ["resolve_within"]

Floats = NDArray[np.float64]
PRICES = 12  # of a byte, beside 0
FIRST_PRICE = 1e-3  # of them, in losses of skipping everything for the whole memory
RAISED = 8.0  # factor between prices until a set fits
TRIED = 4  # best cells of each table
ROUNDING = 1e-9  # speeds that differ by less, relative, are equal


def resolve_within(
    model: AdditiveModel,
    prices: RoundPrices,
    room: CopyRoom,
    *,
    gap: float = 0.0,
    stride: int = 4,
) -> Resolved:
    """As `resolve` without known sets, within the memory that is left for copies.

    No set within the room is faster by more than a share of `gap`. If that is infinite, it is the
    best set that was found while the bounds were computed, without a solver.
    """
    sizes, head_bytes = room.missing_bytes(model.low.bits) if model.low is not None else ((), 0)
    items = Items.of(model, prices, low_bytes=sizes)
    found: list[KnownSet] = []
    for head in items.heads:
        left = room.left - head_bytes * head
        if left >= 0:
            found += _Cells(items, head, min(left, sum(sizes)), stride).best(gap)
    return best_of(found, prices)


class _Cells:
    """The table's cells for one precision of the head: bounds, and the best set."""

    def __init__(self, items: Items, head: bool, memory: float, stride: int) -> None:
        self._items, self._head, self._memory = items, head, int(memory)
        self._prefixes = range(0, items.problem.size, stride)
        self._least = 0 if head else 1  # something has to be saved
        self._best: SkipSet | None = None
        self._rate = 0.0  # of it, in tokens a second, by the rounded weights of the table

    def best(self, gap: float) -> Iterator[KnownSet]:
        """The best set, if one was found."""
        bounds = self._bounds()
        if gap < inf:
            self._settle(bounds, max(gap, ROUNDING))
        if self._best is not None:
            loss = np.array([self._items.problem.solution(self._best).loss])
            alpha = float(self._items.alphas(loss, self._head)[0])
            yield KnownSet(self._items.lowered(self._best, self._head), alpha)

    def _bounds(self) -> Floats:
        """The least loss that a set of each cell may have; notes good sets that it finds.

        Prices of a byte are bisected to where the best set just fits into the memory.
        """
        bounds, fits = self._priced(0.0)
        low, high = 0.0, 0.0 if fits else inf
        price = FIRST_PRICE * sum(self._items.problem.losses) / max(self._memory, 1)
        for _ in range(0 if fits else PRICES):
            more, fits = self._priced(price)
            bounds = np.maximum(bounds, more)
            low, high = (low, price) if fits else (price, high)
            price = (low + high) / 2 if high < inf else RAISED * price
        return bounds

    def _priced(self, price: float) -> tuple[Floats, bool]:
        """The bound of a price on every byte, and whether the set that looks best fits in."""
        table = suffix_table(_with_price(self._items.problem, price))
        losses = table.losses[:: self._prefixes.step][: len(self._prefixes), self._least :]
        bound = np.maximum(losses - price * self._memory, 0.0)
        rates, fits = self._rates(losses), False
        for p, j in sorted(best_places(rates, TRIED), key=rates.__getitem__):
            fits = self._note(table.skips(self._prefixes[p], j + self._least))
        return bound, fits

    def _settle(self, bounds: Floats, gap: float) -> None:
        """Solve cells until none can hold a better set; `bounds` are raised meanwhile."""
        while True:
            rates = self._rates(bounds)
            p, j = (int(i) for i in np.unravel_index(rates.argmax(), rates.shape))
            if rates[p, j] <= (1.0 + gap) * self._rate:
                return
            first, saved = self._prefixes[p], j + self._least
            found = least_loss(self._items.problem, saved, self._memory, first)
            beyond = bounds[p:, j:]  # the program also covered the sets of these cells
            np.maximum(beyond, inf if found is None else found.loss, out=beyond)
            if found is not None:
                self._note(found.skips)
                bounds[p, j] = inf  # its best set is noted, or one that saves more and loses less

    def _note(self, skips: SkipSet) -> bool:
        """Whether the set fits into the memory; if so, keep it if it is the fastest so far."""
        solution = self._items.problem.solution(skips)
        if solution.bytes > self._memory:
            return False
        prefix = max(p for p in self._prefixes if p <= skips.prefix)
        loss = np.array([[solution.loss]])
        alphas = self._items.alphas(loss, self._head)
        rate = self._items.rates(loss, alphas, [prefix], self._head, solution.weight)[0, 0]
        if rate > self._rate:
            self._best, self._rate = skips, float(rate)
        return True

    def _rates(self, losses: Floats) -> Floats:
        alphas = self._items.alphas(losses, self._head)
        return self._items.rates(losses, alphas, self._prefixes, self._head, self._least)


def _with_price(problem: Knapsack, price: float) -> Knapsack:
    """The problem with a price on every byte of low-bit copies."""
    low = problem.low
    if low is None or not price:
        return problem
    losses = [loss + price * size for loss, size in zip(low.losses, low.bytes, strict=True)]
    return replace(problem, low=replace(low, losses=tuple(losses)))
