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

It is no paper's method. The lookup is that of `prompt_lookup`; preset `best` asks for matches of
two tokens or more, since one token says less than what the inner strategy knows. `faithful` copies
as prompt lookup's own `faithful` does, and drafts after the copy, whatever that costs. Preset
`suffix` is `best` with the copies of `suffix`, also of earlier answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.paying import Prospect
from specframe.contract.planner import Context, DraftHead, Planner
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.contract.wrapper import WrappedPlanner
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.strategies.shared.ngrams import (
    PROMPT_LOOKUP,
    Copy,
    CopyBeliefs,
    CopySource,
    NgramConfig,
    NgramIndex,
)
from specframe.strategies.shared.planners.prospects import BestOf
from specframe.strategies.shared.suffix_copies import EarlierAnswers, SuffixConfig, SuffixIndex
from specframe.types import Draft, DraftPlan, ModelShape, Outcome, SkipSet, StopRule

__all__ = ["Cascade"]

PRIOR = 4.0  # drafted tokens that the starting acceptance is worth
LIKELY = 0.9  # where it starts: the inner strategy drafts because it expects to be right
LENGTH = 6.0  # how long drafts are taken to be until some have been seen
MEMORY = 0.95


@dataclass
class _Drafts:
    """Acceptance and length of the inner strategy's drafts."""

    seen: float = PRIOR
    accepted: float = PRIOR * LIKELY
    rounds: float = 1.0
    drafted: float = LENGTH

    @property
    def acceptance(self) -> float:
        return self.accepted / self.seen

    @property
    def length(self) -> float:
        return self.drafted / self.rounds

    def observe(self, drafted: int, accepted: int, alone: bool) -> None:
        """A draft; one after a copy ends early, so it does not say how long others are."""
        self.seen = MEMORY * self.seen + min(drafted, accepted + 1)
        self.accepted = MEMORY * self.accepted + accepted
        if alone:
            self.rounds = MEMORY * self.rounds + 1.0
            self.drafted = MEMORY * self.drafted + drafted


@dataclass(frozen=True)
class Cascade(LayerSelector):
    """Copies where the text repeats itself, and drafts with another strategy where it does not."""

    parts: tuple[LayerSelector, ...]  # one: the inner strategy
    config: NgramConfig | SuffixConfig = field(default_factory=lambda: NgramConfig(shortest=2))
    earlier: EarlierAnswers | None = field(init=False, compare=False, repr=False)

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

    @property
    def inner(self) -> LayerSelector:
        """The strategy that drafts where nothing is copied, and after copies."""
        return self.parts[0]

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Those of the inner strategy, and prices, where they decide how much is copied."""
        needs = self.inner.needs
        return replace(needs, prices=needs.prices or self.config.priced)

    def fresh(self) -> Self:
        """With a fresh part, and without earlier answers."""
        return replace(self, parts=tuple(part.fresh() for part in self.parts))

    def head(self, shape: ModelShape) -> DraftHead | None:
        """That of the inner strategy."""
        return self.inner.head(shape)

    def with_models(self, load: LoadSecond) -> Self:
        """With those of the inner strategy."""
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
        return _CascadePlanner(self.inner.start(shape), source, config.prior, config.priced)


class _CascadePlanner(WrappedPlanner):
    """Copies, drafts of the inner planner, or both."""

    def __init__(self, inner: Planner, source: CopySource, prior: float, priced: bool) -> None:
        super().__init__(inner)
        self._source, self._priced = source, priced
        self._beliefs = CopyBeliefs(prior)
        self._drafts = _Drafts()
        self._inner_plan: DraftPlan | None = None
        self._copy = Copy((), 1)  # of the round that was planned last

    def plan(self, context: Context) -> DraftPlan:
        """Equation (4)."""
        plan = self._inner_plan = self._inner.plan(context)
        copy = self._source.find(context.tokens, context.budget - 1)
        if copy is None:
            return plan
        self._copy = copy
        if not self._priced:
            return _after_copy(plan, copy, len(copy.tokens), plan.stop.max_tokens)
        return self._fastest(plan, copy, context.costs, context.length - 1)

    def observe(self, outcome: Outcome) -> None:
        """Both learn, each from its own part of the draft."""
        self._beliefs.observe(self._copy, outcome.draft.copied, outcome.accepted)
        inner = _own_part(outcome, self._inner_plan)
        if inner.drafted:
            alone = not outcome.draft.copied
            self._drafts.observe(inner.drafted, inner.accepted, alone)
        self._inner.observe(inner)

    def _fastest(self, plan: DraftPlan, copy: Copy, costs: CostModel, n: int) -> DraftPlan:
        """Equation (3) for every option; copies double in length."""
        alpha = self._drafts.acceptance
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
    """The plan after a copy whose tokens are all accepted with chance `reach`.

    A gain must repay that chance. Nothing is skipped where nothing is drafted after the copy.
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
    """What the inner planner observes: its own draft, or none where the copy was rejected."""
    if plan is None or not outcome.draft.copied:
        return outcome
    copied = outcome.draft.copied
    reached = outcome.accepted >= copied
    return replace(
        outcome,
        plan=plan,
        draft=outcome.draft.after(copied) if reached else Draft((), (), ()),
        accepted=max(outcome.accepted - copied, 0),
    )
