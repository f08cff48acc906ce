"""Cascade: copies before the drafts of any other strategy, verified together, chosen by price.

The two drafters fail on different text: a copy costs nothing to draft and is accepted where the
text repeats itself, a draft of skipped layers costs time and is accepted where the model is sure.
Numbers in the code:

    (1) a copy of c tokens after a match, each with the chance learnt for its match length
    (2) a draft of the inner strategy, about as long as its drafts have been, with their acceptance
    (3) rate = expected tokens / seconds of: the inner strategy alone; a copy; a copy with a draft
        after it
    (4) the round of the highest rate is planned; 1 token / autoregressive step is among them where
        the inner strategy drafts nothing
    (5) where planning takes long, blocks of rounds without copies are tried now and then, and the
        kind of round that is faster by the clock is used (`CopyTrial`)

The method is not from a paper. The lookup is that of `prompt_lookup`; preset `best` needs matches
of two tokens or more, since a draft of the inner strategy is better than a copy after one token.
`faithful` copies as preset `faithful` of prompt lookup does, and always drafts after the copy,
without looking at prices. Preset `suffix` is `best` with the copies of `suffix`, which also come
from earlier outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.paying import Prospect
from specframe.contract.planner import DraftHead, Planner
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.errors import InvalidConfig
from specframe.strategies.shared.ngrams import (
    PROMPT_LOOKUP,
    CopyCounts,
    CopySource,
    NgramConfig,
    NgramIndex,
)
from specframe.strategies.shared.planners.copy_first import CopyFirst
from specframe.strategies.shared.planners.evidence import CopyTrial
from specframe.strategies.shared.planners.prospects import BestOf
from specframe.strategies.shared.suffix_copies import EarlierAnswers, SuffixConfig, SuffixIndex
from specframe.types import ModelShape

__all__ = ["Cascade"]


@dataclass(frozen=True)
class Cascade(LayerSelector):
    """Copies where the text repeats itself, and drafts with another strategy where it does not."""

    parts: tuple[LayerSelector, ...]  # one: the inner strategy
    config: NgramConfig | SuffixConfig = field(default_factory=lambda: NgramConfig(shortest=2))
    earlier: EarlierAnswers | None = field(init=False, compare=False, repr=False)
    counts: CopyCounts = field(init=False, compare=False, repr=False)  # of accepted copies
    trial: CopyTrial = field(init=False, compare=False, repr=False)  # of looking for copies

    traits = Traits(
        "copies before the drafts of another strategy, chosen by price",
        adaptive=True,
        context_aware=True,
        precision_aware=True,
        search="matches, and the other's own",
    )
    presets: ClassVar[Mapping[str, NgramConfig | SuffixConfig]] = {
        "best": NgramConfig(shortest=2),
        "faithful": PROMPT_LOOKUP,
        "suffix": SuffixConfig(),
    }
    combines = ("knapspec",)

    def __post_init__(self) -> None:
        count = len(self.parts)
        if count != 1:
            raise InvalidConfig.of("Cascade", "of", "one strategy", f"{count} strategies")
        config = self.config
        earlier = None
        if isinstance(config, SuffixConfig) and config.cached:
            earlier = EarlierAnswers(config)
        object.__setattr__(self, "earlier", earlier)
        object.__setattr__(self, "counts", CopyCounts())
        object.__setattr__(self, "trial", CopyTrial())

    @property
    def inner(self) -> LayerSelector:
        """The strategy that drafts where nothing is copied, and after copies."""
        return self.parts[0]

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Those of the inner strategy, and prices if they decide how much is copied."""
        needs = self.inner.needs
        return replace(needs, prices=needs.prices or self.config.priced)

    def fresh(self) -> Self:
        """With a fresh part, without earlier outputs and counts of accepted copies."""
        return replace(self, parts=tuple(part.fresh() for part in self.parts))

    def head(self, shape: ModelShape) -> DraftHead | None:
        """That of the inner strategy."""
        return self.inner.head(shape)

    def with_models(self, load: LoadSecond) -> Self:
        """With the models of the inner strategy."""
        return replace(self, parts=(self.inner.with_models(load),))

    def second(self) -> SecondModel | None:
        """That of the inner strategy."""
        return self.inner.second()

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """That of the inner strategy; without it nothing is copied either."""
        return BestOf([self.inner.prospect(shape)]) if self.config.priced else None

    def start(self, shape: ModelShape) -> Planner:
        """A planner with an empty index, around the inner strategy's."""
        config = self.config
        source: CopySource
        if isinstance(config, SuffixConfig):
            source = SuffixIndex(config, self.earlier)
        else:
            source = NgramIndex(config)
        inner = self.inner.start(shape)
        trial = self.trial if config.priced else None
        return CopyFirst(inner, source, config.prior, config.priced, self.counts, trial)
