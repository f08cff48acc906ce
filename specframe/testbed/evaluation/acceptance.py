"""A greedy search for skip sets by their acceptance on stored answers."""

from collections.abc import Sequence

from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.types import SkipSet


def search(
    estimator: AcceptanceEstimator, sublayers: int, counts: Sequence[int]
) -> dict[int, SkipSet]:
    """Skip the least important sublayers, two at a time; skip sets of the requested sizes."""
    found: dict[int, SkipSet] = {}
    skips = SkipSet(sublayers)
    while len(skips) < max(counts):
        wanted = min(count for count in counts if count > len(skips))
        means = {one: estimator.estimate(skips.flip(one)).mean for one in skips.kept}
        ranked = sorted(means, key=means.__getitem__, reverse=True)
        for sublayer in ranked[: min(2, wanted - len(skips))]:
            skips = skips.flip(sublayer)
        if len(skips) in counts:
            found[len(skips)] = skips
    return found
