"""Acceptance of any skip set from losses of its sublayers that add up.

    alpha(S) = link(sum of loss_b over b in S)

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

__all__ = ["AdditiveModel", "Fitted", "fit_losses", "link_through"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Knots = tuple[tuple[float, float], ...]
BELOW = 0.9  # of the worst acceptance measured is taken for the floor
BEYOND = 0.05  # sum of losses
PULL = 4.0  # tokens at even odds that a prior loss weighs as much as


@dataclass(frozen=True, slots=True)
class Fitted:
    """Acceptance = floor + (1 - floor) exp(-sum of losses); even a draft of nothing has a floor."""

    losses: Floats  # [2L]
    floor: float = 0.0

    def alphas(self, losses: Floats) -> Floats:
        """Acceptance at these sums of losses."""
        alphas: Floats = self.floor + (1.0 - self.floor) * np.exp(-losses)
        return alphas


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """Losses by sublayer, and acceptance as a falling function of their sum."""

    losses: tuple[float, ...]
    knots: Knots  # (sum of losses, acceptance)

    def __post_init__(self) -> None:
        places = [place for place, _ in self.knots]
        if not places or places != sorted(places):
            raise InvalidConfig.of("AdditiveModel", "knots", "ascending in loss", self.knots)

    def loss(self, skips: SkipSet) -> float:
        """The sum of a set's losses."""
        return sum((self.losses[b] for b in skips), 0.0)

    def alphas(self, losses: Floats) -> Floats:
        """Acceptance at these sums of losses; infinite ones mean that there is no set."""
        places, alphas = zip(*self.knots, strict=True)
        found: Floats = np.interp(losses, places, alphas)
        return found


def fit_losses(
    skipped: Bools,  # [N, 2L] measured sets
    shares: Floats,  # [N] their acceptance
    counts: Floats,  # [N] tokens it was measured on
    expected: Floats | None = None,  # [2L] prior losses
) -> Fitted:
    """Losses of at least 0 by least squares in logarithms.

    A share's logarithm has variance (1 - p) / (p count), so that sets of high acceptance weigh
    most: the set to be chosen is one of them.
    """
    from scipy.optimize import nnls

    size = skipped.shape[1]
    floor = BELOW * float(shares.min())
    chances = np.clip((shares - floor) / (1.0 - floor), 0.5 / counts, 1.0)
    weights = np.sqrt(counts * chances / (1.0 - chances + 1.0 / counts))
    centre = np.zeros(size) if expected is None else expected
    design = np.vstack([weights[:, None] * skipped, np.sqrt(PULL) * np.eye(size)])
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
