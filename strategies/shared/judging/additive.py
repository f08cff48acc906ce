"""Acceptance of any skip set from losses of its sublayers that add up.

    alpha(S) = link(sum of loss_b over b in S)

Sublayers on low-bit weights, and the head on those, have losses of their own in the same sum.

The losses are fitted to measured sets as if sublayers lost tokens independently, so that
logarithms add up. The link is then measured on sets that the losses themselves propose, on prompts
that decided nothing, since the best of many predictions is too good. Because losses add up, the
best set at any price of attention and MLP is the solution of a knapsack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specframe.costs.tables import rising
from specframe.errors import InvalidConfig
from specframe.types import SkipSet

__all__ = [
    "FORBIDDEN",
    "AdditiveModel",
    "Fitted",
    "LowLosses",
    "fit_losses",
    "link_through",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Knots = tuple[tuple[float, float], ...]
BELOW = 0.9  # of the worst acceptance measured is taken for the floor
BEYOND = 0.05  # sum of losses
FORBIDDEN = 1e9  # a loss that no set has; finite, as JSON has it
PULL = 4.0  # tokens at even odds that a prior loss weighs as much as


@dataclass(frozen=True, slots=True)
class LowLosses:
    """Losses by sublayer on weights of `bits` bits, and of the head; `FORBIDDEN`: never lowered."""

    bits: int
    losses: tuple[float, ...]
    head: float

    def loss(self, skips: SkipSet) -> float:
        """What low-bit weights lose in a set."""
        return sum((self.losses[b] for b in skips.lowered), self.head if skips.low_head else 0.0)

    def of(self, copies: SkipSet) -> LowLosses:
        """The same, with nothing lowered but what has one of these copies."""
        if copies.low_bits != self.bits:
            return LowLosses(self.bits, (FORBIDDEN,) * len(self.losses), FORBIDDEN)
        losses = (x if copies.low >> b & 1 else FORBIDDEN for b, x in enumerate(self.losses))
        head = self.head if copies.low_head else FORBIDDEN
        return LowLosses(self.bits, tuple(losses), head)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Acceptance = floor + (1 - floor) exp(-sum of losses); even a draft of nothing has a floor."""

    losses: Floats  # [2L]
    floor: float = 0.0
    low: LowLosses | None = None

    def loss(self, skips: SkipSet) -> float:
        """The sum of a set's losses."""
        return _loss(self.losses, self.low, skips)

    def alphas(self, losses: Floats) -> Floats:
        """Acceptance at these sums of losses."""
        alphas: Floats = self.floor + (1.0 - self.floor) * np.exp(-losses)
        return alphas


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """Losses by sublayer, and acceptance as a falling function of their sum."""

    losses: tuple[float, ...]
    knots: Knots  # (sum of losses, acceptance)
    low: LowLosses | None = None

    def __post_init__(self) -> None:
        places = [place for place, _ in self.knots]
        if not places or places != sorted(places):
            raise InvalidConfig.of("AdditiveModel", "knots", "ascending in loss", self.knots)
        if not all(0.0 <= alpha <= 1.0 for _, alpha in self.knots):
            raise InvalidConfig.of("AdditiveModel", "knots", "of acceptances in 0..1", self.knots)

    def loss(self, skips: SkipSet) -> float:
        """The sum of a set's losses."""
        return _loss(self.losses, self.low, skips)

    def alphas(self, losses: Floats) -> Floats:
        """Acceptance at these sums of losses, which are infinite where no set exists."""
        places, alphas = zip(*self.knots, strict=True)
        found: Floats = np.interp(losses, places, alphas)
        return found


def _loss(losses: Sequence[float] | Floats, low: LowLosses | None, skips: SkipSet) -> float:
    lost = float(sum((losses[b] for b in skips), 0.0))
    return lost if low is None else lost + low.loss(skips)


def fit_losses(
    changed: Bools,  # [N, K] whether a measured set makes a change, such as skipping a sublayer
    shares: Floats,  # [N] their acceptance
    counts: Floats,  # [N] tokens it was measured on
    expected: Floats | None = None,  # [K] prior losses
) -> Fitted:
    """Losses of changes, of at least 0 by least squares in logarithms.

    A share's logarithm has variance (1 - p) / (p count), so that sets of high acceptance weigh
    most: the set to be chosen is one of them.
    """
    from scipy.optimize import nnls

    size = changed.shape[1]
    floor = BELOW * float(shares.min())
    chances = np.clip((shares - floor) / (1.0 - floor), 0.5 / counts, 1.0)
    weights = np.sqrt(counts * chances / (1.0 - chances + 1.0 / counts))
    centre = np.zeros(size) if expected is None else expected
    design = np.vstack([weights[:, None] * changed, np.sqrt(PULL) * np.eye(size)])
    wanted = np.concatenate([-weights * np.log(chances), np.sqrt(PULL) * centre])
    losses: Floats = nnls(design, wanted)[0]
    return Fitted(losses, floor)


def link_through(losses: Sequence[float], alphas: Sequence[float]) -> Knots:
    """Knots through measured points, made to fall; nothing skipped is always accepted.

    Past the last point acceptance falls to 0 over the same distance again, or over `BEYOND`:
    nothing is known there, and an estimate that is too good would be chosen.
    """
    order = np.argsort(losses, kind="stable")
    places = np.maximum(np.asarray(losses, dtype=np.float64)[order], 0.0)
    falling = [-value for value in rising([-alphas[i] for i in order])]
    last = float(places[-1]) if len(places) else 0.0
    knots = [*zip(places.tolist(), falling, strict=True), (last + max(last, BEYOND), 0.0)]
    kept = {0.0: 1.0}  # one knot a place, the lowest: sets of equal loss cannot be distinguished
    for place, alpha in knots:
        kept[place] = min(float(alpha), kept.get(place, 1.0))
    return tuple(kept.items())
