"""The first token at which two greedy generations differ, and whether rounding explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.executors.executor import LAST_ROW, Executor, chain_step

__all__ = ["Divergence", "first_divergence"]

TIE_STEPS = 8  # units in the last place within which two bf16 or fp32 logits count as tied


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first new token that differs, with the target's own logits at that position."""

    position: int  # counted from the first new token
    expected: int
    got: int
    gap: float  # logit of `expected` minus logit of `got`
    top_gap: float  # best minus second-best logit
    near_tie: bool  # the gap is within rounding of this dtype

    def __str__(self) -> str:
        kind = "a near-tie within rounding" if self.near_tie else "NOT a near-tie: report a bug"
        return (
            f"new token {self.position}: {self.got} instead of {self.expected}, logit gap "
            f"{self.gap:.3g} (top two {self.top_gap:.3g}): {kind}"
        )


def first_divergence(
    executor: Executor, prompt: Sequence[int], expected: Sequence[int], got: Sequence[int]
) -> Divergence | None:
    """Compare new tokens; None if one sequence is a prefix of the other."""
    for position, (left, right) in enumerate(zip(expected, got, strict=False)):
        if left != right:
            logits = _logits_after(executor, [*prompt, *expected[:position]])
            return _judge(logits, position, left, right)
    return None


def _logits_after(executor: Executor, tokens: Sequence[int]) -> Tensor:
    cache = executor.new_cache(len(tokens))
    step = chain_step(tokens, 0, cache.data.device)
    logits = executor.walk(step, cache, rows=LAST_ROW).logits
    assert logits is not None
    return logits[0, 0]


def _judge(logits: Tensor, position: int, expected: int, got: int) -> Divergence:
    best = logits.topk(2).values
    gap = float(logits[expected]) - float(logits[got])
    unit = torch.finfo(logits.dtype).eps * max(abs(float(best[0])), 1.0)
    return Divergence(
        position=position,
        expected=expected,
        got=got,
        gap=gap,
        top_gap=float(best[0]) - float(best[1]),
        near_tie=abs(gap) <= TIE_STEPS * unit,
    )
