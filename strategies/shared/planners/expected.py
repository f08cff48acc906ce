"""What is expected of low-bit drafts before any was seen."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.strategies.shared.searching.searchers import in_other_precisions
from specframe.types import ModelShape, SkipSet

__all__ = ["expected_of_low_bits"]

# of first tokens, by bits, where everything is low-bit; models were seen from 0.96 and from 0.71 on
ACCEPTANCE = {8: 0.97, 4: 0.85}


def expected_of_low_bits(
    shape: ModelShape, widths: Sequence[int]
) -> tuple[list[SkipSet], list[float]]:
    """All sublayers on low-bit weights, with the head and without it, and their acceptance."""
    lowered = list(in_other_precisions(SkipSet.none(shape.layers), widths))
    return lowered, [ACCEPTANCE[one.low_bits] for one in lowered]
