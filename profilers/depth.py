"""Learns from a few real drafts how acceptance differs for tokens after the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specframe.profilers.acceptance import Acceptance, Trial

__all__ = ["DepthCorrection", "learn_correction"]

PRIOR = 4.0  # weight, in drafts, of the prior that later tokens are like first ones


@dataclass(frozen=True, slots=True)
class DepthCorrection:
    """Acceptance at depth k is `kept[k] c + gained[k] (1 - c)`, c being a first token's chance.

    Depth 0 is the first token, which needs no correction; the last value repeats.
    """

    kept: tuple[float, ...] = (1.0,)
    gained: tuple[float, ...] = (0.0,)

    def at(self, depth: int, chance: float) -> float:
        """The acceptance chance of a token at this depth."""
        k = min(depth, len(self.kept) - 1)
        return min(max(self.kept[k] * chance + self.gained[k] * (1.0 - chance), 0.0), 1.0)


def learn_correction(first: Acceptance, trials: Sequence[Trial]) -> DepthCorrection:
    """Least squares at each depth over drafts that reached it; the prior is no correction."""
    longest = max((len(trial.chances) for trial in trials), default=0)
    kept, gained = [1.0], [0.0]
    for depth in range(1, longest):
        reached = [
            (_reach(trial, depth), first.chances[trial.continuation][trial.place + depth], trial)
            for trial in trials
            if len(trial.chances) > depth
        ]
        points = [(weight, chance, trial.chances[depth]) for weight, chance, trial in reached]
        slope, base = _fit(points)
        kept.append(slope)
        gained.append(base)
    return DepthCorrection(tuple(kept), tuple(gained))


def _reach(trial: Trial, depth: int) -> float:
    reach = 1.0
    for chance in trial.chances[:depth]:
        reach *= chance
    return reach


def _fit(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """kept and gained of `y = kept c + gained (1 - c)`; the prior is kept 1, gained 0."""
    cc = bb = PRIOR
    cb = 0.0
    cy, by = PRIOR, 0.0
    for weight, c, y in points:
        b = 1.0 - c
        cc, bb, cb = cc + weight * c * c, bb + weight * b * b, cb + weight * c * b
        cy, by = cy + weight * c * y, by + weight * b * y
    determinant = cc * bb - cb * cb
    return (cy * bb - by * cb) / determinant, (by * cc - cy * cb) / determinant
