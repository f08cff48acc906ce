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
and the machine's prices decide how much is copied, or that nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.costs.model import expected_tokens_by_depth
from specframe.strategies.shared.ngrams import (
    PROMPT_LOOKUP,
    Copy,
    CopyBeliefs,
    NgramConfig,
    NgramIndex,
)
from specframe.types import DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["CopyPlanner", "PromptLookup"]


@dataclass(frozen=True)
class PromptLookup(LayerSelector):
    """Drafts what followed the last tokens before, and skips nothing."""

    config: NgramConfig = field(default_factory=NgramConfig)

    traits = Traits(
        "copies what followed the last tokens before",
        separable=False,
        adaptive=True,
        context_aware=True,
        search="n-gram match",
    )
    presets: ClassVar[Mapping[str, NgramConfig]] = {
        "best": NgramConfig(),
        "faithful": PROMPT_LOOKUP,
    }

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, where they decide how much is copied."""
        return Needs(prices=self.config.priced)

    def start(self, shape: ModelShape) -> Planner:
        """A planner with an empty index."""
        return CopyPlanner(self.config)


class CopyPlanner(Planner):
    """Indexes the text as it grows, and learns which copies are accepted."""

    def __init__(self, config: NgramConfig) -> None:
        self._priced = config.priced
        self._index = NgramIndex(config)
        self._beliefs = CopyBeliefs(config.prior)
        self._matched = 0

    def plan(self, context: Context) -> DraftPlan:
        """Equations (1) and (2)."""
        layers = context.shape.layers
        copy = self._index.find(context.tokens, context.budget - 1)
        if copy is None:
            return draft_nothing(layers)
        self._matched = copy.matched
        tokens = copy.tokens[: self._worth(copy, context)]
        stop = StopRule(len(tokens))
        return DraftPlan(SkipSet.none(layers), stop, capture=False, copied=tokens)

    def observe(self, outcome: Outcome) -> None:
        """Which copies were accepted."""
        self._beliefs.observe(self._matched, outcome.draft.copied, outcome.accepted)

    def _worth(self, copy: Copy, context: Context) -> int:
        """How many tokens to copy for most tokens a second."""
        costs, n = context.costs, context.length - 1
        if not self._priced:
            return len(copy.tokens)
        chances = self._beliefs.chances(copy)
        rates = [1.0 / costs.autoregressive(n)]
        for count in range(1, len(copy.tokens) + 1):
            seconds = costs.verify(1 + count, n) + costs.round_seconds
            rates.append(expected_tokens_by_depth(chances, count) / seconds)
        return max(range(len(rates)), key=rates.__getitem__)
