"""Early exits spread over the depth of a model."""

from __future__ import annotations

__all__ = ["spread_exits"]


def spread_exits(layers: int, count: int) -> tuple[int, ...]:
    """So many exits at even distances, ascending; fewer in a model of few layers."""
    parts = count + 1
    spread = {max(1, round(layers * i / parts)) for i in range(1, parts)}
    return tuple(sorted(e for e in spread if e < layers))
