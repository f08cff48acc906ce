"""Drafting options that any strategy accepts: a stop rule, a tree, low-bit weights; also as text.

draft_stop = length:8                    8 tokens
draft_stop = confidence:12:0.6           at most 12, until a token's probability is below 0.6
draft_stop = adaptive:12:0.6:0.9         the same; 0.6 is adapted to an acceptance rate of 0.9
draft_stop = annealed:8:0.2:0.5          at most 8; the more is skipped, the flatter confidence
draft_stop = gain:16                     at most 16, while one more token pays
draft_tree = 3-2-1                       widths by depth; the last one repeats
draft_tree = 0.9:1-0.5:2-4               width 1 above confidence 0.9, 2 above 0.5, otherwise 4
draft_bits = 4                           drafts use weights of 4 bits; or 8
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from specframe.contract.lab import Lab
from specframe.contract.low_bit import LowBitLab, low_bit_context, low_bit_plan
from specframe.contract.options import finite, whole
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Traits
from specframe.contract.stopping import (
    AdaptiveThreshold,
    DepthAnnealed,
    FixedStop,
    PricedGain,
    StopPolicy,
)
from specframe.contract.wrapper import WrappedPlanner, WrappedSelector
from specframe.errors import InvalidConfig
from specframe.types import (
    LONGEST_DRAFT,
    LOW_BITS,
    DraftPlan,
    ModelShape,
    Outcome,
    Prompt,
    StopRule,
    TreeRule,
)

__all__ = [
    "DRAFTING_OPTIONS",
    "WithDrafting",
    "bits_from",
    "drafting_from",
    "stop_from",
    "tree_from",
    "with_drafting",
]

DRAFTING_OPTIONS = ("draft_stop", "draft_tree", "draft_bits")
BITS = " or ".join(map(str, LOW_BITS))
STOPS = "length:N, confidence:N:P, adaptive:N:P:TARGET, annealed:N:P:ANNEALING or gain:N"
TREES = "widths like 3-2-1, or FLOOR:WIDTH pairs before them like 0.9:1-0.5:2-4"


@dataclass(frozen=True)
class WithDrafting(WrappedSelector):
    """Any strategy with another stop rule, a tree, low-bit drafting, or several of these."""

    stop: StopPolicy | None = None
    tree: TreeRule | None = None
    bits: int = 0  # of the weights that draft; 0 is full precision

    def __post_init__(self) -> None:
        if self.bits not in (0, *LOW_BITS):
            raise InvalidConfig.of("any strategy", "draft_bits", BITS, self.bits)

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        """Those of the inner strategy; a priced stop rule also depends on the context length."""
        traits = self.inner.traits
        return replace(traits, context_aware=True) if isinstance(self.stop, PricedGain) else traits

    def start(self, shape: ModelShape) -> Planner:
        """The inner strategy's planner with this stop rule and tree."""
        stop = None if self.stop is None else self.stop.fresh()
        return _DraftingPlanner(self.inner.start(shape), stop, self.tree, self.bits)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Calibrate the inner strategy, on low-bit drafts if drafts are low-bit."""
        return super().calibrate(LowBitLab(lab, self.bits) if self.bits else lab, prompts)


class _DraftingPlanner(WrappedPlanner):
    def __init__(
        self, inner: Planner, stop: StopPolicy | None, tree: TreeRule | None, bits: int
    ) -> None:
        super().__init__(inner)
        self._stop, self._tree, self._bits = stop, tree, bits

    def plan(self, context: Context) -> DraftPlan:
        """The inner plan with these rules; a plan that drafts nothing is not changed."""
        if self._bits:
            context = low_bit_context(context, self._bits)
        plan = self._inner.plan(context)
        if plan.stop.max_tokens == 0:
            return plan
        if self._bits:
            plan = low_bit_plan(plan, self._bits)
        stop = plan.stop
        if self._stop is not None:
            self._stop.price(plan, context)
            stop = self._stop.rule()
        if self._tree is not None:  # all tokens of a tree exit at the same depth
            plan = replace(plan, tree=self._tree, exits=None)
        return replace(plan, stop=stop)

    def observe(self, outcome: Outcome) -> None:
        """Pass the outcome to the stop rule and, with the inner plan, to the inner planner."""
        own = replace(outcome.plan, skips=outcome.plan.skips.full) if self._bits else outcome.plan
        self._inner.observe(replace(outcome, plan=own))
        if self._stop is not None:
            self._stop.observe(outcome)

    def rest(self) -> int:
        """As long as the inner planner."""
        return self._inner.rest()


def with_drafting(strategy: LayerSelector, options: Mapping[str, str]) -> LayerSelector:
    """The strategy with the stop rule, tree and low-bit drafting of the options, if any."""
    given = drafting_from(options)
    return (
        WithDrafting(strategy, *given)
        if any(name in options for name in DRAFTING_OPTIONS)
        else strategy
    )


def drafting_from(options: Mapping[str, str]) -> tuple[StopPolicy | None, TreeRule | None, int]:
    """The stop rule, the tree and the bits that the options name, if any."""
    stop, tree, bits = (options.get(name) for name in DRAFTING_OPTIONS)
    return (
        None if stop is None else stop_from(stop),
        None if tree is None else tree_from(tree),
        0 if bits is None else bits_from(bits),
    )


def bits_from(text: str) -> int:
    """A number of bits from text."""
    if text not in map(str, LOW_BITS):
        raise InvalidConfig.of("any strategy", "draft_bits", BITS, text)
    return int(text)


def stop_from(text: str) -> StopPolicy:
    """A stop rule from text; numbers left out keep their defaults."""
    kind, *numbers = text.split(":")
    kinds: Mapping[str, tuple[int, Callable[..., StopPolicy]]] = {
        "length": (1, _length),
        "confidence": (2, _confidence),
        "adaptive": (3, AdaptiveThreshold),
        "annealed": (3, DepthAnnealed),
        "gain": (1, PricedGain),
    }
    if kind not in kinds or len(numbers) > kinds[kind][0]:
        raise InvalidConfig.of("any strategy", "draft_stop", STOPS, text)
    try:
        given = [whole(n) if i == 0 else finite(n) for i, n in enumerate(numbers)]
    except ValueError:
        raise InvalidConfig.of("any strategy", "draft_stop", STOPS, text) from None
    return kinds[kind][1](*given)


def tree_from(text: str) -> TreeRule:
    """A tree from text."""
    try:
        parts = [part.rpartition(":") for part in text.split("-")]
        pairs = tuple((finite(floor), whole(width)) for floor, colon, width in parts if colon)
        widths = tuple(whole(width) for _, colon, width in parts if not colon)
    except ValueError:
        raise InvalidConfig.of("any strategy", "draft_tree", TREES, text) from None
    if any(colon for _, colon, _ in parts[len(pairs) :]) or not widths:
        raise InvalidConfig.of("any strategy", "draft_tree", TREES, text)
    tree = TreeRule(widths, pairs)
    if tree.widest > LONGEST_DRAFT:
        limit = f"at most {LONGEST_DRAFT} wide, the most tokens a draft can have"
        raise InvalidConfig.of("any strategy", "draft_tree", limit, text)
    return tree


def _length(tokens: int = 8) -> StopPolicy:
    return FixedStop(StopRule(tokens))


def _confidence(tokens: int = 12, floor: float = 0.6) -> StopPolicy:
    return FixedStop(StopRule(tokens, confidence=floor))
