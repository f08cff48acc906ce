"""Suffix decoding: copies the likeliest continuation of the last tokens, by counts in suffix trees.

Oliaro, Jia, Campos, Qiao 2024, https://arxiv.org/abs/2411.04975; code:
https://github.com/snowflakedb/ArcticInference, which vLLM runs as method `suffix`. Numbers in the
code, in `shared/suffix_copies`:

    (1) for m = 1, 2, ...: the last m tokens, as long as they occurred before
    (2) share of a token = occurrences of the run that ends with it / of the run before it
    (3) the token of the largest share follows, while the product of shares is at least 0.1, up to
        m tokens, and 24 with the match
    (4) score = sum of the products; the best score wins, the longer match and the own text at ties
    (5) two trees are searched: one of the prompt and its answer, one of the latest 10,000 answers

The second tree is kept from sequence to sequence and depends on their order, so figures with it
depend on how similar the sequences are; `cached=0` leaves it out.

Differs from the official code, preset `faithful`, which has the defaults of vLLM: a draft has at
most 31 tokens, as any chain here; an answer can be copied from once the next sequence begins, and
without the tokens of its last round; of equal counts the token that came first is taken.

Preset `best` lets up to 4 m tokens follow; does not count the end of the text as an occurrence;
learns the chance of a copied token by the length of the match before it, times its share; and the
machine's prices decide whether and how much is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.shared.ngrams import CopyCounts
from specframe.strategies.shared.planners.copying import CopyPlanner
from specframe.strategies.shared.planners.prospects import BestOf
from specframe.strategies.shared.suffix_copies import (
    SUFFIX_DECODING,
    EarlierAnswers,
    SuffixConfig,
    SuffixIndex,
)
from specframe.types import ModelShape

__all__ = ["Suffix"]


@dataclass(frozen=True)
class Suffix(LayerSelector):
    """Drafts the likeliest continuation by counts, and skips nothing."""

    config: SuffixConfig = field(default_factory=SuffixConfig)
    earlier: EarlierAnswers = field(init=False, compare=False, repr=False)
    counts: CopyCounts = field(init=False, compare=False, repr=False)  # of accepted copies

    traits = Traits(
        "copies the likeliest continuation by counts, also of earlier answers",
        separable=False,
        adaptive=True,
        context_aware=True,
        official="yes, by vLLM's rejection sampling",
        search="suffix trees",
    )
    presets: ClassVar[Mapping[str, SuffixConfig]] = {
        "best": SuffixConfig(),
        "faithful": SUFFIX_DECODING,
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "earlier", EarlierAnswers(self.config))
        object.__setattr__(self, "counts", CopyCounts())

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices, if they decide how much is copied."""
        return Needs(prices=self.config.priced)

    def fresh(self) -> Self:
        """Without earlier outputs and counts of accepted copies."""
        return replace(self)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """What copies gain depends on the text, so they are tried where prices decide."""
        return BestOf([None]) if self.config.priced else None

    def start(self, shape: ModelShape) -> Planner:
        """A planner that copies from its own text and from earlier outputs."""
        index = SuffixIndex(self.config, self.earlier if self.config.cached else None)
        return CopyPlanner(index, self.config.prior, self.config.priced, self.counts)
