"""The model, prices and prompts of `specframe predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specframe.doors.loading import PLANTED
from specframe.prediction.check import rank_sublayers
from specframe.prompts.everyday import EVERYDAY_DOMAINS, cut_everyday_prompts
from specframe.prompts.files import cut_prompts, numbered_lines
from specframe.prompts.random import random_prompts
from specframe.prompts.testbed import suite_prompts
from specframe.prompts.usual import EVERYDAY, RANDOM, TESTBED
from specframe.rig import Rig
from specframe.testing.planted import planted_order
from specframe.types import Prompt, SkipSet

__all__ = ["Setup", "require_source", "three_states"]

SOURCES = (TESTBED, EVERYDAY, RANDOM)
SHARES = (0.2, 0.35, 0.5, 0.65)  # shares of skipped sublayers that are checked
PLANTED_SHARES = (0.25, 0.4, 0.55, 0.7)  # where acceptance of planted models falls
LOW_SHARES = (0.0, 0.2)  # shares of skipped sublayers if all others are low-bit
MIXED = (0.1, 0.5)  # skipped up to the first share, low-bit up to the second, then full
SLOW = 0.03  # seconds per token
RANKED_TOKENS = 32


def require_source(source: str) -> None:
    """Refuse a file of prompts that cannot be read, before a model is loaded."""
    if source not in SOURCES:
        numbered_lines(Path(source), "Name a file with one prompt per line.")


@dataclass(frozen=True, slots=True)
class Setup:
    """The inputs of a prediction."""

    rig: Rig
    source: str  # testbed, everyday, random or a file's name
    count: int | None  # prompts of each length; None means the usual number of the caller
    new_tokens: int

    @property
    def slow(self) -> bool:
        """Whether generation is so slow that only few outputs are measured."""
        return self.rig.costs.autoregressive(1) > SLOW

    def prompts(self, context: int, start: int, usual: int) -> list[Prompt]:
        """Prompts of about this length; another `start` gives other prompts."""
        vocabulary, count = self.rig.shape.vocabulary, self.count or usual
        if self.source == "testbed":
            return suite_prompts(self.rig.tokenizer, context, count, start)
        if self.source == "random":
            return random_prompts(vocabulary, context, count, start)
        place = count if start else 0  # these sources are finite: take the next prompts
        if self.source == "everyday":
            turn = len(EVERYDAY_DOMAINS)  # domains take turns: start with the same one
            return cut_everyday_prompts(
                self.rig.tokenizer, context, count, -(-place // turn) * turn
            )
        return cut_prompts(Path(self.source), self.rig.tokenizer, context, count, place)

    def skip_sets(self, context: int) -> list[SkipSet]:
        """Skip sets of the least important sublayers at this context, in every precision."""
        rig = self.rig
        if rig.name in PLANTED:
            return three_states(planted_order(rig.shape.layers), PLANTED_SHARES, rig.costs.widths)
        prompts = [prompt.tokens for prompt in self.prompts(context, 0, 4)[:4]]
        order = rank_sublayers(rig.executor, prompts, RANKED_TOKENS)
        return three_states(order, SHARES, rig.costs.widths)


def three_states(
    order: Sequence[int], shares: Sequence[float], widths: Sequence[int]
) -> list[SkipSet]:
    """Skip sets in full precision, all low-bit and mixed; sublayers are skipped in this order."""

    def first(share: float) -> Sequence[int]:
        return order[: round(share * len(order))]

    def without(share: float) -> SkipSet:
        return SkipSet.from_sublayers(len(order) // 2, first(share))

    low = [without(share).lower(bits) for bits in widths for share in LOW_SHARES]
    mixed = [without(MIXED[0]).lower(bits, first(MIXED[1])) for bits in widths]
    return [*map(without, shares), *low, *mixed]
