"""The speed-ups of all skip sets at all draft lengths on a generation, and the best of them."""

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
    """Speed-ups of all plans over autoregressive decoding on one generation."""

    sets: Sequence[int]  # bits of the skip sets, each once
    speeds: Floats  # [sets, draft lengths from 0]
    seconds: float  # of the generation by autoregressive decoding: its weight

    @classmethod
    def of(
        cls,
        sets: Sequence[int],
        shares: Floats,
        tokens: int,
        costs: CostModel,
        n: float,
        longest: int,
    ) -> EveryPlan:
        """`shares` [sets] are acceptance rates; n is the context in the middle of the text."""
        plain = costs.autoregressive(n)
        kinds, kind_of = _alike(sets, 2 * costs.layers)
        rounds = np.array(
            [
                [costs.round(DraftPlan(skips, StopRule(d)), n) for d in range(longest + 1)]
                for skips in kinds
            ]
        )
        emitted = np.array([[expected_tokens(a, d) for d in range(longest + 1)] for a in shares])
        return cls(sets, plain * emitted / rounds[kind_of], plain * tokens)

    def best(self) -> Plan:
        """The plan with the highest speed-up."""
        row, length = np.unravel_index(int(self.speeds.argmax()), self.speeds.shape)
        return self.sets[int(row)], int(length)

    def speed(self, plan: Plan) -> float:
        """The speed-up of a plan whose set is one of `sets`."""
        bits, length = plan
        return float(self.speeds[self.sets.index(bits), length])

    def among(self, sets: Sequence[int]) -> Floats:
        """The speed-ups of these sets, in this order."""
        if sets == self.sets:
            return self.speeds
        return self.speeds[[self.sets.index(bits) for bits in sets]]


def pooled(texts: Sequence[EveryPlan]) -> EveryPlan:
    """One plan for all generations: their seconds add up. Keeps the sets tried on all of them."""
    sets = texts[0].sets
    if any(text.sets != sets for text in texts):
        sets = [bits for bits in sets if all(bits in text.sets for text in texts)]
    seconds = sum(text.seconds for text in texts)
    spent = sum(text.seconds / text.among(sets) for text in texts)
    return EveryPlan(sets, seconds / np.asarray(spent), seconds)


def _alike(sets: Sequence[int], size: int) -> tuple[list[SkipSet], NDArray[np.intp]]:
    """One set for each distinct cost, and for each set the index of the one with the same cost."""
    known: dict[tuple[int, int, int], int] = {}
    kinds: list[SkipSet] = []
    number = np.empty(len(sets), dtype=np.intp)
    for row, bits in enumerate(sets):
        skips = SkipSet(size, bits)
        key = (len(skips.attention), len(skips.mlp), skips.prefix)
        if key not in known:
            known[key] = len(kinds)
            kinds.append(skips)
        number[row] = known[key]
    return kinds, number
