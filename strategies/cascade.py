"""Cascade: n-gram lookup before any other strategy, verified together, chosen by price.

Two drafters that fail on different text: a copy costs nothing to draft and stands where the text
repeats itself, a draft of skipped layers costs time and stands where the model is sure. Numbers in
the code:

    (1) a copy of c tokens after a match, each with the chance learnt for its match length
    (2) a draft of the strategy within, about as long as its drafts have been, with their acceptance
    (3) rate = expected tokens / seconds of: the strategy alone; a copy; a copy gone on from
    (4) the round of the highest rate is planned; 1 token / autoregressive step is among them where
        the strategy within declines

It is no paper's method. The lookup is `prompt_lookup`'s; preset `best` asks for matches of two
tokens or more, since one token says less than what the strategy within knows. `faithful` copies as
prompt lookup's own `faithful` does, and goes on from the copy, without asking for the price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.options import preset_with
from specframe.contract.planner import Context, DraftHead
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.strategies.prompt_lookup import PromptLookup
from specframe.strategies.shared.ngrams import Copy, CopyBeliefs, NgramConfig, NgramIndex
from specframe.types import Draft, DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["Cascade"]

PRIOR = 4.0  # drafted tokens that the starting acceptance is worth
LIKELY = 0.9  # where it starts: the strategy within drafts because it expects to be right
LENGTH = 6.0  # how long drafts are taken to be until some have been seen
MEMORY = 0.95


@dataclass
class _Drafts:
    """Acceptance and length of the drafts of the strategy within."""

    seen: float = PRIOR
    stood: float = PRIOR * LIKELY
    rounds: float = 1.0
    drafted: float = LENGTH

    @property
    def acceptance(self) -> float:
        return self.stood / self.seen

    @property
    def length(self) -> float:
        return self.drafted / self.rounds

    def observe(self, drafted: int, accepted: int) -> None:
        self.seen = MEMORY * self.seen + min(drafted, accepted + 1)
        self.stood = MEMORY * self.stood + accepted
        self.rounds = MEMORY * self.rounds + 1.0
        self.drafted = MEMORY * self.drafted + drafted


@dataclass
class Cascade(LayerSelector):
    """Copies where the text repeats itself, and drafts with another strategy where it does not."""

    strategy: LayerSelector
    config: NgramConfig = field(default_factory=lambda: NgramConfig(shortest=2))

    traits = Traits(
        "n-gram lookup before another strategy, chosen by price",
        adaptive=True,
        context_aware=True,
        search="n-gram match, and the other's own",
    )
    presets: ClassVar[Mapping[str, NgramConfig]] = {
        "best": NgramConfig(shortest=2),
        "faithful": PromptLookup.presets["faithful"],
    }
    combines = ("knapspec",)

    def __post_init__(self) -> None:
        self._index = NgramIndex(self.config)
        self._beliefs = CopyBeliefs(self.config.prior)
        self._drafts = _Drafts()
        self._inner: DraftPlan | None = None
        self._matched = 0

    @classmethod
    def combining(
        cls, parts: Sequence[LayerSelector], preset: str = "best", /, **options: str
    ) -> Self:
        """Presets `best` and `faithful`; options are the fields of `NgramConfig`."""
        if len(parts) != 1:
            raise InvalidConfig.of("Cascade", "of", "one strategy", f"{len(parts)} strategies")
        return cls(parts[0], preset_with("Cascade", cls.presets, preset, options))

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """What the strategy within needs."""
        return self.strategy.needs

    def head(self, shape: ModelShape) -> DraftHead | None:
        """The strategy's own."""
        return self.strategy.head(shape)

    def select(self, context: Context) -> DraftPlan:
        """Equation (4)."""
        self._inner = self.strategy.select(context)
        copy = self._index.find(context.tokens, context.budget - 1)
        if copy is None:
            return self._inner
        self._matched = copy.matched
        if context.costs is None or not self.config.priced:
            return _after_copy(self._inner, copy, len(copy.tokens), self._inner.stop.max_tokens)
        return self._fastest(copy, context.costs, context.length - 1)

    def observe(self, outcome: Outcome) -> None:
        """Both learn, each from its own part of the draft."""
        self._beliefs.observe(self._matched, outcome.draft.copied, outcome.accepted)
        inner = _own_part(outcome, self._inner)
        if inner.drafted:
            self._drafts.observe(inner.drafted, inner.accepted)
        self.strategy.observe(inner)

    def spawn(self) -> Self:
        """Fresh instances of both."""
        return replace(self, strategy=self.strategy.spawn())

    def _fastest(self, copy: Copy, costs: CostModel, n: int) -> DraftPlan:
        """Equation (3) for every option; copies double in length."""
        assert self._inner is not None
        plan, alpha = self._inner, self._drafts.acceptance
        more = min(plan.stop.max_tokens, max(1, round(self._drafts.length)))
        chances = self._beliefs.chances(copy)

        def rate(copied: int, drafted: int) -> float:
            planned = _after_copy(plan, copy, copied, drafted)
            alphas = (*chances[:copied], *(alpha,) * drafted)
            return costs.tokens_per_second(alphas or (0.0,), planned, n)

        lengths = [2**i for i in range(len(copy.tokens).bit_length())]
        options = [(0, more), *((c, d) for c in lengths for d in dict.fromkeys((0, more)))]
        copied, drafted = max(options, key=lambda option: rate(*option))
        if copied == 0:
            return plan
        reach = 1.0
        for chance in chances[:copied]:
            reach *= chance
        longest = plan.stop.max_tokens if drafted else 0
        return _after_copy(plan, copy, copied, longest, reach)


def _after_copy(
    plan: DraftPlan, copy: Copy, copied: int, drafted: int, reach: float = 1.0
) -> DraftPlan:
    """The plan after a copy whose tokens all stand with chance `reach`, which a gain must repay.

    A copy that is not gone on from skips nothing.
    """
    if not drafted:
        nothing = SkipSet.none(plan.skips.layers)
        return DraftPlan(
            nothing, StopRule(copied), capture=plan.capture, copied=copy.tokens[:copied]
        )
    gain = plan.stop.gain
    if gain is not None and reach > 0.0:
        gain = replace(gain, price=gain.price / reach)
    stop = StopRule(copied + drafted, plan.stop.confidence, gain)
    return replace(plan, stop=stop, copied=copy.tokens[:copied])


def _own_part(outcome: Outcome, plan: DraftPlan | None) -> Outcome:
    """What the strategy within is told: its own draft, or none where the copy did not stand."""
    if plan is None or not outcome.draft.copied:
        return outcome
    copied = outcome.draft.copied
    reached = outcome.accepted >= copied
    return replace(
        outcome,
        plan=plan,
        draft=_tail(outcome.draft, copied) if reached else Draft((), (), ()),
        accepted=max(outcome.accepted - copied, 0),
    )


def _tail(draft: Draft, copied: int) -> Draft:
    """The draft without its copied nodes, whose last one becomes the root."""
    laws = draft.laws
    return Draft(
        draft.tokens[copied:],
        tuple(parent - copied for parent in draft.parents[copied:]),
        draft.confidences[copied:],
        None if laws is None else {parent - copied: law for parent, law in laws.items()},
    )
