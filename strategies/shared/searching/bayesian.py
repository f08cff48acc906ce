"""Bayesian optimisation over 2L variables, by the bayesian-optimization package.

A variable is 0 for a sublayer that runs and 1 for one that is skipped. If the best known set at the
start uses low-bit weights, a sublayer on low-bit weights is 0.5.

The package models functions on a box. A suggestion is rounded to the nearest corner; the corner is
measured and registered. Registering the suggestion would teach the process values at points that
were not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from specframe.strategies.shared.searching.search import Searcher
from specframe.types import SkipSet

__all__ = ["BayesianSearch"]

NOISE = 1e-2  # the process' own variance at measured points, as Draft & Verify set it
QUICK_RANDOM = 500  # candidates instead of 10,000, climbs instead of 10
QUICK_CLIMBS = 1


class BayesianSearch(Searcher):
    """Upper confidence bound of a Gaussian process; `starts` are the probe points.

    `quick` fits the process from one start and looks for its highest bound less thoroughly:
    seconds a suggestion become tenths. `remembered` keeps only the best known points, since fits
    grow with their cube; None keeps all. With `members` a suggestion becomes the set of that many
    largest coordinates, known or not.
    """

    def __init__(
        self,
        size: int,
        seed: int = 1,
        starts: Sequence[SkipSet] = (),
        quick: bool = False,
        remembered: int | None = None,
        members: int | None = None,
    ) -> None:
        self._size, self._seed, self._quick, self._remembered = size, seed, quick, remembered
        self._members = members
        self._queue = list(dict.fromkeys(starts))
        self._told: dict[SkipSet, float] = {}
        self._optimizer: Any = None
        self._points: set[tuple[float, ...]] = set()  # registered: the package refuses them twice
        self._low: tuple[int, bool] = (0, False)  # bits, and whether the head has them as well

    def ask(self) -> SkipSet | None:
        while self._queue:
            if self._queue[0] not in self._told:
                return self._queue[0]
            self._queue.pop(0)
        if self._optimizer is None:
            self._optimizer = self._make()
            best = max(self._told, key=lambda skips: self._told[skips], default=None)
            if best is not None:
                self._low = best.low_bits, best.low_head
            kept = sorted(self._told, key=lambda skips: -self._told[skips])[: self._remembered]
            for skips in kept:
                self._register(skips, self._told[skips])
        if len(self._told) >= (3 if self._low[0] else 2) ** self._size:
            return None
        suggestion = self._optimizer.suggest()
        point = [float(suggestion[name]) for name in self._names()]
        return self._corner(point) if self._members is None else self._largest(point, self._members)

    def tell(self, skips: SkipSet, value: float) -> None:
        known = skips in self._told
        self._told[skips] = value
        if self._optimizer is not None and not known:
            self._register(skips, value)

    def _make(self) -> Any:
        from bayes_opt import BayesianOptimization
        from bayes_opt.acquisition import UpperConfidenceBound

        optimizer = BayesianOptimization(
            None,
            dict.fromkeys(self._names(), (0.0, 1.0)),
            acquisition_function=_quick_bound() if self._quick else UpperConfidenceBound(),
            random_state=self._seed,
            verbose=0,
        )
        optimizer.set_gp_params(alpha=NOISE)
        if self._quick:
            optimizer.set_gp_params(n_restarts_optimizer=0)
        return optimizer

    def _register(self, skips: SkipSet, value: float) -> None:
        if skips.low_bits and (skips.low_bits, skips.low_head) != self._low:
            return
        if value == -inf:  # not allowed, and so not measured
            return
        point = tuple(float(i in skips) + (skips.low >> i & 1) / 2 for i in range(self._size))
        if point in self._points:  # the same sublayers, with the head in the other precision
            return
        self._points.add(point)
        self._optimizer.register(dict(zip(self._names(), point, strict=True)), value)

    def _names(self) -> list[str]:
        return [f"sublayer{i:04d}" for i in range(self._size)]

    def _largest(self, point: Sequence[float], members: int) -> SkipSet:
        ranked = sorted(range(self._size), key=lambda i: -point[i])
        return SkipSet.from_sublayers(self._size // 2, ranked[:members])

    def _corner(self, point: Sequence[float]) -> SkipSet:
        """The nearest corner that was not measured yet.

        From a corner that is known, those coordinates are flipped first that are nearest to 0.5.
        """
        skips = self._nearest(point)
        unsure = sorted(range(self._size), key=lambda i: abs(point[i] - 0.5))
        turn = 0
        while skips in self._told:
            turn += 1
            skips = skips.flip(unsure[_lowest_bit(turn) % self._size])  # counts in Gray's code
        return skips

    def _nearest(self, point: Sequence[float]) -> SkipSet:
        bits, head = self._low
        least = 2 / 3 if bits else 0.5  # of a sublayer that is skipped
        skips = SkipSet.from_sublayers(
            self._size // 2, [i for i, x in enumerate(point) if x > least]
        )
        low = [i for i, x in enumerate(point) if x > 1 / 3]
        return skips.lower(bits, low, head) if bits and (low or head) else skips


def _lowest_bit(number: int) -> int:
    return (number & -number).bit_length() - 1


def _quick_bound() -> Any:
    from bayes_opt.acquisition import UpperConfidenceBound

    class QuickBound(UpperConfidenceBound):
        """Searches the highest bound from fewer points."""

        def suggest(self, *args: Any, **options: Any) -> Any:
            """Fewer random candidates, fewer climbs."""
            options |= {"n_random": QUICK_RANDOM, "n_smart": QUICK_CLIMBS}
            return super().suggest(*args, **options)

    return QuickBound()
