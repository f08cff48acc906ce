"""Splits the seconds of whole walks into those of single sublayers of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from specframe.types import SkipSet


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds of the base, then of one attention and one MLP sublayer of each kind."""

    seconds: tuple[float, ...]
    miss: float  # |sum of the parts - walk| / walk, of the set that was left out of the fit


def timed_sets(kinds: Sequence[int]) -> list[SkipSet]:
    """Nothing skipped, everything, each part of each kind alone and left out; last a mixed set.

    The mixed set skips attention in even and MLPs in odd layers. It is not
    used in the fit and shows how well the parts add up.
    """
    layers = len(kinds)
    nothing, everything = SkipSet.none(layers), SkipSet.from_sublayers(layers, range(2 * layers))
    sets = [nothing, everything]
    for kind in range(max(kinds) + 1):
        members = [i for i, k in enumerate(kinds) if k == kind]
        for part in (SkipSet.of(layers, members), SkipSet.of(layers, mlp=members)):
            sets += [part, SkipSet(2 * layers, everything.bits & ~part.bits)]
    mixed = SkipSet.of(layers, attention=range(0, layers, 2), mlp=range(1, layers, 2))
    return [*dict.fromkeys(sets), mixed]


def split_walks(seconds: Sequence[float], sets: Sequence[SkipSet], kinds: Sequence[int]) -> Parts:
    """Least squares over all walks but the last set's, which measures the error."""
    counts = np.array([_counts(skips, kinds) for skips in sets], dtype=float)
    walks = np.array(seconds)
    weights = 1.0 / walks[:-1]  # relative errors: short walks count as much as long ones
    fitted, *_ = np.linalg.lstsq(counts[:-1] * weights[:, None], walks[:-1] * weights, rcond=None)
    fitted = np.maximum(fitted, 0.0)
    miss = abs(float(counts[-1] @ fitted) - walks[-1]) / walks[-1]
    return Parts(tuple(fitted.tolist()), float(miss))


def _counts(skips: SkipSet, kinds: Sequence[int]) -> list[int]:
    """1 for the base, then the numbers of attention and MLP sublayers of each kind that run."""
    counts = [1]
    for kind in range(max(kinds) + 1):
        members = [i for i, k in enumerate(kinds) if k == kind]
        counts.append(sum(2 * i not in skips for i in members))
        counts.append(sum(2 * i + 1 not in skips for i in members))
    return counts
