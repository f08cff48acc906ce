"""Draft & Verify: one skip set for everything, found offline by Bayesian optimisation.

Zhang, Wang, Li, Shou, Chen, Chen, Mehrotra 2024, https://arxiv.org/abs/2309.08168. Numbers in the
code:

    (1) z in {0, 1}^2L, attention and MLP apart; none is protected
    (2) z* = argmax of tokens a second of self-speculative generations with z skipped
    (3) z is proposed by a Gaussian process over [0, 1]^2L, rounded at 0.5
    (4) drafts end after a token less likely than a threshold that steers acceptance to a target

Differs from the paper, preset `faithful`: the corner that was measured is registered, not the
suggestion that was rounded to it; seconds are divided by the tokens that were really emitted, not
by those asked for; the two probe points of the official code name layers of one model, so probe
points are the sets given as `starts`; 1,000 evaluations are capped by `seconds`, and the record
then says that it was cut short; sampled drafts are verified by rejection against the distribution
they were drawn from; the timed search ends drafts at a fixed probability, the threshold that (4)
starts from; the running acceptance of (4) starts at the target instead of 0 (`AdaptiveThreshold`).

Differs from the paper, preset `best`: (2) is predicted instead of timed, as acceptance on the
target's own cached continuations times what the machine's prices say of rounds with the best draft
length, prefix reuse included: the same set always gets the same value, in a hundredth of the time.
(3) starts from a local search's sets. Sublayers may also run on low-bit weights, so z has three
states; the best set in full and the best low-bit one are timed against each other. Search, choice
and the figure that is kept use different prompts (`shared.judging`). (4) becomes the expected gain
of one more token, and nothing is drafted while the set does not pay (`shared.planners.fallback`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from specframe.contract.published import PublishedFiles
from specframe.contract.selector import Traits
from specframe.strategies.shared.planners.one_set import FoundSet, OneSet
from specframe.strategies.shared.published import PublishedSet, read_entry
from specframe.strategies.shared.searching.offline import OfflineConfig, unjudged
from specframe.types import ModelShape

__all__ = ["FAITHFUL", "StaticBO"]

FAITHFUL = OfflineConfig(
    search="bayes",
    objective="clock",
    evaluations=1_000,
    seconds=3_600.0,
    prompts=8,
    stop="adaptive",
    check=0,
    may_decline=False,
)


@dataclass(frozen=True)
class StaticBO(OneSet):
    """One skip set for everything, found offline; `calibrate` is equations (1) to (3)."""

    name = "static-bo"
    presets: ClassVar[Mapping[str, OfflineConfig]] = {"best": OfflineConfig(), "faithful": FAITHFUL}
    traits = Traits(
        "one skip set for everything, found offline",
        precision_aware=True,
        official="no by default, where drafts are verified as if drawn, but are the top token",
        search="Bayesian optimisation",
        calibrated=True,
    )

    @classmethod
    def from_published(cls, published: PublishedSet, layers: int) -> Self:
        """The authors' own set, with the paper's stop rule."""
        return cls(FAITHFUL, FoundSet(unjudged(published.skips(layers), FAITHFUL.longest)))

    @classmethod
    def imported(cls, files: PublishedFiles, shape: ModelShape, facts: Mapping[str, str]) -> Self:
        """One entry of a skip-set file."""
        published = read_entry(files.sets, files.entry)
        return cls.from_published(published, shape.layers).made_for(shape, facts)
