"""The best set at the prices of one context length.

Losses that add up make it a dynamic program of a few microseconds a sublayer. One table holds the
best set for every weight saved and every prefix that runs in full; tokens a second are computed for
all cells at once, and the best few cells are priced exactly, together with sets that were measured.
Where the losses of low-bit weights are known, sublayers and head may run on those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specframe.costs.rates import Choice, RoundPrices, expected_token_grid
from specframe.strategies.shared.judging.additive import FORBIDDEN, AdditiveModel, LowLosses
from specframe.strategies.shared.searching.knapsack import Knapsack, LowItems, suffix_table
from specframe.types import SkipSet

__all__ = [
    "Items",
    "KnownSet",
    "Resolved",
    "best_of",
    "best_places",
    "resolve",
    "whole_weights",
]

Floats = NDArray[np.float64]
NEVER = 1e-6
LEAD = 1.1  # of a set that was never measured
# with low-bit weights
FINER = 2  # parts of a weight are this many times finer
COARSER = 2  # and this many times fewer prefixes are tried: such sets begin early


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A skip set and the acceptance that plans count on."""

    skips: SkipSet
    alpha: float


@dataclass(frozen=True, slots=True)
class Resolved:
    """The set of most tokens a second, with the chance that a drafted token is accepted."""

    skips: SkipSet | None  # None: speculation does not pay
    alpha: float
    choice: Choice


def whole_weights(seconds: Floats, parts: int, heaviest: int) -> tuple[tuple[int, ...], float]:
    """Seconds by sublayer as whole weights, and the seconds of weight 1.

    The cheapest sublayer weighs `parts`, the most expensive one at most `heaviest` times that.
    """
    unit = max(float(seconds.min()), float(seconds.max()) / heaviest, NEVER * float(seconds.sum()))
    unit /= parts
    weights = np.maximum(np.round(seconds / unit), 1).astype(int)
    return tuple(weights.tolist()), unit


@dataclass(frozen=True, slots=True)
class Items:
    """Sublayers as items of a knapsack, at the prices of one context."""

    model: AdditiveModel
    prices: RoundPrices
    problem: Knapsack
    unit: float  # seconds of weight 1
    shift: float = 0.0  # of all acceptances, in log-odds

    @classmethod
    def of(
        cls,
        model: AdditiveModel,
        prices: RoundPrices,
        *,
        protected: frozenset[int] = frozenset(),
        parts: int = 2,
        heaviest: int = 8,
        shift: float = 0.0,
        low_bytes: tuple[int, ...] = (),
    ) -> Items:
        """Weights are seconds saved in a draft step; `low_bytes` are those of low-bit copies."""
        low = model.low if model.low is not None and model.low.bits in prices.low else None
        parts *= FINER if low is not None else 1
        weights, unit = whole_weights(prices.sublayer_seconds, parts, heaviest)
        items = None if low is None else _low_items(low, prices, unit, low_bytes)
        return cls(model, prices, Knapsack(weights, model.losses, protected, items), unit, shift)

    @property
    def heads(self) -> tuple[bool, ...]:
        """Whether the head runs on low-bit weights: what is worth trying."""
        low = self.model.low
        tried = low is not None and low.head < FORBIDDEN and self._saved_by(True) > 0.0
        return (False, True) if tried else (False,)

    def lowered(self, skips: SkipSet, head: bool) -> SkipSet:
        """The set with the head as given."""
        if not head:
            return skips
        assert self.model.low is not None
        return skips.lower(self.model.low.bits, skips.lowered)

    def alphas(self, losses: Floats, head: bool) -> Floats:
        """Acceptance at these sums of the sublayers' losses."""
        lost = losses
        if head:
            assert self.model.low is not None
            lost = losses + self.model.low.head
        return _shifted(self.model.alphas(lost), self.shift)

    def rates(
        self, losses: Floats, alphas: Floats, prefixes: Sequence[int], head: bool, least: int
    ) -> Floats:
        """Tokens a second of cells [prefixes, weights from `least` on]; 0 where no set is."""
        saved = self.unit * np.arange(least, least + losses.shape[1]) + self._saved_by(head)
        step, rest = self.prices.after_prefix(prefixes)
        drafting = np.maximum(step[None, None] - saved[None, :, None], 0.0)
        seconds = self.prices.lengths * drafting + rest[:, None]
        tokens = expected_token_grid(alphas.reshape(-1), self.prices.lengths).reshape(seconds.shape)
        found: Floats = np.where(np.isfinite(losses), (tokens / seconds).max(axis=2), 0.0)
        return found

    def _saved_by(self, head: bool) -> float:
        """Seconds that a low-bit head saves in a step of the shortest draft."""
        low = self.model.low
        if not head or low is None or low.bits not in self.prices.low:
            return 0.0
        return float(self.prices.drafting.head[0] - self.prices.low[low.bits].head[0])


def _low_items(
    low: LowLosses, prices: RoundPrices, unit: float, low_bytes: tuple[int, ...]
) -> LowItems:
    saved = prices.sublayer_seconds - prices.low[low.bits].sublayers[prices.kind, 0]
    weights = np.maximum(np.round(saved / unit), 0).astype(int)
    weights[np.array(low.losses) >= FORBIDDEN] = 0
    return LowItems(
        low.bits, tuple(weights.tolist()), low.losses, low_bytes or (0,) * len(low.losses)
    )


def resolve(
    model: AdditiveModel,
    known: Sequence[KnownSet],
    prices: RoundPrices,
    *,
    protected: frozenset[int] = frozenset(),
    most_skipped: float = 1.0,
    parts: int = 2,
    heaviest: int = 8,
    shift: float = 0.0,
    doubt: float = 0.0,
    solved: int = 4,
    stride: int = 4,
) -> Resolved:
    """Choose between the best cells of the table and the known sets.

    The best of many estimates is usually too high. If there are known sets, a set whose acceptance
    was never measured must therefore be faster than the best of them by `LEAD`. `shift` moves all
    acceptances in log-odds: the difference of observed and estimated ones. `doubt`, the mean error
    of acceptances predicted from losses, is subtracted from them.
    """
    items = Items.of(
        model, prices, protected=protected, parts=parts, heaviest=heaviest, shift=shift
    )
    stride *= COARSER if items.problem.low is not None else 1
    estimated = best_of(list(_best_cells(items, most_skipped, doubt, solved, stride)), prices)
    if not known:
        return estimated
    moved = [KnownSet(one.skips, float(_shifted(np.array([one.alpha]), shift)[0])) for one in known]
    measured = best_of(moved, prices)
    ahead = estimated.choice.tokens_per_second > LEAD * measured.choice.tokens_per_second
    return estimated if ahead else measured


def best_of(candidates: Sequence[KnownSet], prices: RoundPrices) -> Resolved:
    """The candidate of most tokens a second, if it is faster than not speculating."""
    priced = prices.of([one.skips for one in candidates])
    choice = priced.choose(np.array([one.alpha for one in candidates]))
    if choice.candidate is None:
        return Resolved(None, 0.0, choice)
    best = candidates[choice.candidate]
    return Resolved(best.skips, best.alpha, choice)


def _best_cells(
    items: Items, most_skipped: float, doubt: float, count: int, stride: int
) -> Iterator[KnownSet]:
    """The sets of the best few cells, with the head in each precision."""
    table = suffix_table(items.problem)
    prefixes = range(0, items.problem.size, stride)
    heaviest = int(most_skipped * sum(items.problem.weights)) + 1
    for head in items.heads:
        least = 0 if head else 1  # something has to be saved
        losses = table.losses[::stride][: len(prefixes), least:heaviest]
        alphas = np.maximum(items.alphas(losses, head) - doubt, 0.0)
        rates = items.rates(losses, alphas, prefixes, head, least)
        found = {}
        for p, j in best_places(rates, count):
            skips = items.lowered(table.skips(prefixes[p], j + least), head)
            found[skips] = float(alphas[p, j])
        found.pop(SkipSet(items.problem.size), None)
        yield from (KnownSet(skips, alpha) for skips, alpha in found.items())


def best_places(rates: Floats, count: int) -> list[tuple[int, int]]:
    """Row and column of the highest few."""
    count = min(count, rates.size)
    cells = np.argpartition(rates, -count, axis=None)[-count:] if count else np.arange(0)
    places = [np.unravel_index(cell, rates.shape) for cell in cells]
    return [(int(p), int(j)) for p, j in places]


def _shifted(alphas: Floats, shift: float) -> Floats:
    if shift == 0.0:
        return alphas
    inside = np.clip(alphas, NEVER, 1.0 - NEVER)
    odds = inside / (1.0 - inside) * np.exp(shift)
    moved: Floats = odds / (1.0 + odds)
    return moved
