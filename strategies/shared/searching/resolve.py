"""The best skip set at the prices of one context length.

Losses that add up make it a dynamic program of a few microseconds a sublayer. One table holds the
best set for every weight saved and every prefix that runs; tokens a second are computed for all
cells at once, and the best few cells are priced exactly, together with sets that were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specframe.costs.rates import Choice, RoundPrices, SetMatrix, expected_token_grid
from specframe.strategies.shared.judging.additive import AdditiveModel
from specframe.strategies.shared.searching.knapsack import Knapsack, suffix_table
from specframe.types import SkipSet

__all__ = ["KnownSet", "Resolved", "resolve", "whole_weights"]

Floats = NDArray[np.float64]
NEVER = 1e-6


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
    solved: int = 4,
    stride: int = 4,
) -> Resolved:
    """Choose between the best cells of the table and the known sets.

    `shift` moves all acceptances in log-odds, as far as observed ones differ from estimated ones.
    """
    weights, unit = whole_weights(prices.sublayer_seconds, parts, heaviest)
    table = suffix_table(Knapsack(weights, model.losses, protected))
    prefixes = range(0, len(weights), stride)
    heaviest_saved = int(most_skipped * sum(weights)) + 1
    losses = table.losses[::stride][: len(prefixes), 1:heaviest_saved]
    alphas = _shifted(model.alphas(losses), shift)
    rates = _rates(losses, alphas, unit, prefixes, prices)
    count = min(solved, rates.size)
    cells = np.argpartition(rates, -count, axis=None)[-count:] if count else np.arange(0)
    places = [np.unravel_index(cell, rates.shape) for cell in cells]
    bits = {table.bits(prefixes[p], int(j) + 1): float(alphas[p, j]) for p, j in places}
    bits.pop(0, None)
    candidates = [KnownSet(SkipSet(len(weights), b), alpha) for b, alpha in bits.items()]
    candidates += [
        KnownSet(one.skips, float(_shifted(np.array([one.alpha]), shift)[0])) for one in known
    ]
    matrix = SetMatrix.of([one.skips for one in candidates], len(weights))
    choice = prices.choose(np.array([one.alpha for one in candidates]), matrix)
    if choice.candidate is None:
        return Resolved(None, 0.0, choice)
    best = candidates[choice.candidate]
    return Resolved(best.skips, best.alpha, choice)


def _rates(
    losses: Floats, alphas: Floats, unit: float, prefixes: Sequence[int], prices: RoundPrices
) -> Floats:
    """Tokens a second of every cell, by prefix and whole weight saved; 0 where no set is."""
    saved = unit * np.arange(1, losses.shape[1] + 1)
    step, rest = prices.after_prefix(prefixes)
    drafting = np.maximum(step[None, None] - saved[None, :, None], 0.0)
    seconds = prices.lengths * drafting + rest[:, None]
    tokens = expected_token_grid(alphas.reshape(-1), prices.lengths).reshape(seconds.shape)
    found: Floats = np.where(np.isfinite(losses), (tokens / seconds).max(axis=2), 0.0)
    return found


def _shifted(alphas: Floats, shift: float) -> Floats:
    if shift == 0.0:
        return alphas
    inside = np.clip(alphas, NEVER, 1.0 - NEVER)
    odds = inside / (1.0 - inside) * np.exp(shift)
    moved: Floats = odds / (1.0 + odds)
    return moved
