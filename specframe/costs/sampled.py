"""The prices of rounds in which tokens are drawn at random."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from specframe.costs.model import CostModel

__all__ = ["sampled_prices"]


@lru_cache(maxsize=64)
def sampled_prices(costs: CostModel) -> CostModel:
    """Prices of the same model when sampling: a token is drawn from every row's distribution."""
    return replace(
        costs,
        row_seconds=costs.sampled_row_seconds,
        step_seconds=costs.step_seconds + costs.sampled_step_seconds,
        second=None if costs.second is None else sampled_prices(costs.second),
    )
