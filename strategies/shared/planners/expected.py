"""What is expected of low-bit drafts before any was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.planner import Context
from specframe.strategies.shared.searching.searchers import in_other_precisions
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.types import ModelShape, SkipSet

__all__ = ["expected_of_low_bits", "in_each_precision", "judge_of", "quicker_low_bits"]

Floats = NDArray[np.float64]

# of first tokens, by bits, where everything is low-bit; models were seen from 0.96 and from 0.71 on
ACCEPTANCE = {8: 0.97, 4: 0.85}


def expected_of_low_bits(
    shape: ModelShape, widths: Sequence[int]
) -> tuple[list[SkipSet], list[float]]:
    """All sublayers on low-bit weights, with the head and without it, and their acceptance."""
    lowered = list(in_other_precisions(SkipSet.none(shape.layers), widths))
    return lowered, [ACCEPTANCE[one.low_bits] for one in lowered]


def quicker_low_bits(context: Context) -> tuple[list[SkipSet], list[float]]:
    """The same in those precisions that make a draft step quicker here; none where none do."""
    return expected_of_low_bits(context.shape, context.costs.quicker_widths(context.length - 1))


def judge_of(context: Context, target: Tensor) -> RowJudge:
    """Of the last committed rows; `target` [R, H] are the target's last states of them."""
    committed = context.probe.committed
    return RowJudge(context.probe, context.tokens[committed - len(target) : committed], target)


def in_each_precision(
    context: Context,
    sets: Sequence[SkipSet],
    alphas: Floats,
    target: Tensor,
    lowered: Sequence[SkipSet],
) -> tuple[list[SkipSet], Floats]:
    """Also the lowered sets; what skipping and what low bits lose is taken to add up.

    `target` [R, H] are the target's last states of the last committed rows, and `lowered` are sets
    that skip nothing.
    """
    found, estimates = list(sets), [alphas]
    if not lowered:
        return found, alphas
    judge = judge_of(context, target)
    for one in lowered:
        (alpha,) = judge.agreement(one).overlap
        found += [one, *(s.lower(one.low_bits, head=one.low_head) for s in sets)]
        estimates += [np.array([alpha]), alpha * alphas]
    return found, np.concatenate(estimates)
