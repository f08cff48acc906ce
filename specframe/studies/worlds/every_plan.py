"""The speed of every skip set at every draft length on given answers, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specframe.costs.model import CostModel, expected_tokens
from specframe.types import DraftPlan, SkipSet, StopRule

__all__ = ["EveryPlan", "Plan", "pooled"]

Floats = NDArray[np.float64]
Plan = tuple[int, int]  # bits of the skip set, draft length; length 0 is autoregressive decoding


@dataclass(frozen=True, slots=True)
class EveryPlan:
    """Speed-ups over autoregressive decoding of all plans on one answer."""

    speeds: Floats  # [sets, draft lengths from 0]
    seconds: float  # of the answer by autoregressive decoding: its weight

    @classmethod
    def of(cls, shares: Floats, tokens: int, costs: CostModel, n: float, longest: int) -> EveryPlan:
        """`shares` [sets] are measured acceptances, by bits; n is the context in the middle."""
        size = 2 * costs.layers
        plain = costs.autoregressive(n)
        kinds, kind_of = _alike(size)
        rounds = np.array(
            [
                [costs.round(DraftPlan(skips, StopRule(d)), n) for d in range(longest + 1)]
                for skips in kinds
            ]
        )
        emitted = np.array([[expected_tokens(a, d) for d in range(longest + 1)] for a in shares])
        return cls(plain * emitted / rounds[kind_of], plain * tokens)

    def best(self) -> Plan:
        """The plan of the highest speed-up."""
        bits, length = np.unravel_index(int(self.speeds.argmax()), self.speeds.shape)
        return int(bits), int(length)


def pooled(answers: Sequence[EveryPlan]) -> EveryPlan:
    """All answers with one plan: their seconds add up."""
    seconds = sum(answer.seconds for answer in answers)
    spent = sum(answer.seconds / answer.speeds for answer in answers)
    return EveryPlan(seconds / np.asarray(spent), seconds)


def _alike(size: int) -> tuple[list[SkipSet], NDArray[np.intp]]:
    """One set for each distinct cost, and which of them each set costs the same as."""
    known: dict[tuple[int, int, int], int] = {}
    kinds: list[SkipSet] = []
    number = np.empty(1 << size, dtype=np.intp)
    for bits in range(1 << size):
        skips = SkipSet(size, bits)
        key = (len(skips.attention), len(skips.mlp), skips.prefix)
        if key not in known:
            known[key] = len(kinds)
            kinds.append(skips)
        number[bits] = known[key]
    return kinds, number
