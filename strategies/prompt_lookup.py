"""Prompt lookup: what followed the last tokens before is drafted again, without any model.

Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding. Numbers in the code:

    (1) the last n tokens are looked up in prompt and answer, n = 3, 2, 1
    (2) the draft is the 10 tokens that followed the match
    (3) drafts are verified like any others; copied tokens are point masses

Differs from the original, preset `faithful`: a match so close to the end that fewer than 10 tokens
follow it is used too, and continues with itself, as periodic text does; sampled tokens are verified
by rejection, which for a point mass accepts with its probability under the target.

Differs from the original, preset `best`: the latest match is taken, since it is the likeliest to be
about the same thing; the chance of a copied token is learnt by the length of the match before it;
and the machine's prices decide whether and how much is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.shared.ngrams import PROMPT_LOOKUP, NgramConfig, NgramIndex
from specframe.strategies.shared.planners.copying import CopyPlanner
from specframe.strategies.shared.planners.prospects import BestOf
from specframe.types import ModelShape

__all__ = ["PromptLookup"]


@dataclass(frozen=True)
class PromptLookup(LayerSelector):
    """Drafts what followed the last tokens before, and skips nothing."""

    config: NgramConfig = field(default_factory=NgramConfig)

    traits = Traits(
        "copies what followed the last tokens before",
        separable=False,
        adaptive=True,
        context_aware=True,
        official="yes, in transformers",
        search="n-gram match",
    )
    presets: ClassVar[Mapping[str, NgramConfig]] = {
        "best": NgramConfig(),
        "faithful": PROMPT_LOOKUP,
    }

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, if they decide how much is copied."""
        return Needs(prices=self.config.priced)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """What copies gain depends on the text, so they are tried where prices decide."""
        return BestOf([None]) if self.config.priced else None

    def start(self, shape: ModelShape) -> Planner:
        """A planner with an empty index."""
        return CopyPlanner(NgramIndex(self.config), self.config.prior, self.config.priced)
