"""How to draft: when a draft ends, how wide it is, where tokens leave, and the plan of a round."""

from __future__ import annotations

from dataclasses import dataclass, field

from specframe.errors import InvalidConfig
from specframe.types.skip_set import SkipSet

__all__ = [
    "EXACT_ROWS",
    "LONGEST_CHAIN",
    "LONGEST_DRAFT",
    "DraftPlan",
    "ExitRule",
    "GainRule",
    "StopRule",
    "TreeRule",
]

LONGEST_DRAFT = 64  # scratch rows reserved for one draft
EXACT_ROWS = 32  # most rows whose joint verification is bit-identical to single rows
LONGEST_CHAIN = EXACT_ROWS - 1  # most drafted tokens of a chain; its root is a row as well


@dataclass(frozen=True, slots=True)
class GainRule:
    """Continue drafting only while the probability of acceptance pays for one more step.

    `price` is the cost of a draft step in tokens: its seconds times the tokens per second of a
    typical round. `knots` map the draft's confidence to a calibrated probability of acceptance,
    piecewise linear.
    """

    price: float
    knots: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))

    def __post_init__(self) -> None:
        xs = [x for x, _ in self.knots]
        if self.price < 0:
            raise InvalidConfig.of("GainRule", "price", "at least 0", self.price)
        if not xs or xs != sorted(xs):
            raise InvalidConfig.of("GainRule", "knots", "ascending in confidence", self.knots)


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a draft ends. The token at which a rule ends it is kept and verified.

    `confidence` ends the draft after a token whose draft probability is below it. A `temperature`
    above 1 flattens the probabilities that `confidence` and `gain` look at, and nothing else. With
    `max_tokens` 0 nothing is drafted: plain autoregressive decoding.
    """

    max_tokens: int
    confidence: float = 0.0
    gain: GainRule | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.max_tokens < 0:
            raise InvalidConfig.of("StopRule", "max_tokens", "at least 0", self.max_tokens)
        if self.temperature <= 0.0:
            raise InvalidConfig.of("StopRule", "temperature", "above 0", self.temperature)
        if not 0.0 <= self.confidence <= 1.0:
            raise InvalidConfig.of("StopRule", "confidence", "in [0, 1]", self.confidence)


@dataclass(frozen=True, slots=True)
class ExitRule:
    """Where drafted tokens may leave the model before the plan's own exit.

    A token leaves after the first of these `layers` at which its probability is at least the stop
    rule's `confidence`, at a temperature of 1 + `annealing` (1 - layer / L); a token that never
    reaches it leaves at the plan's exit and ends the draft.
    """

    layers: tuple[int, ...]  # ascending, numbers of layers that have run
    annealing: float = 0.0

    def __post_init__(self) -> None:
        if list(self.layers) != sorted({*self.layers}) or min(self.layers, default=1) < 1:
            raise InvalidConfig.of("ExitRule", "layers", "ascending, from 1", self.layers)
        if self.annealing < 0.0:
            raise InvalidConfig.of("ExitRule", "annealing", "at least 0", self.annealing)


@dataclass(frozen=True, slots=True)
class TreeRule:
    """How many candidates are drawn at each depth; the first continues, the others are leaves.

    `widths[k]` is the width at depth k + 1; the last one repeats. `by_confidence` overrides it with
    pairs (floor, width): the first pair applies whose floor is below the node's top probability.
    """

    widths: tuple[int, ...] = (1,)
    by_confidence: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        every = [*self.widths, *(width for _, width in self.by_confidence)]
        if not self.widths or min(every) < 1:
            raise InvalidConfig.of("TreeRule", "widths", "one or more widths, each >= 1", self)

    @property
    def widest(self) -> int:
        """The largest width of the rule."""
        return max([*self.widths, *(width for _, width in self.by_confidence)])


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """How to draft in one round.

    The draft begins with the `copied` tokens, which are not drafted by the model; it reads them
    only when it drafts further tokens after them. They count towards `stop.max_tokens`. `headed`
    drafts with the strategy's draft head; the plan must then skip all sublayers after the head's
    depth. `second` drafts with the strategy's second model, and the plan must skip nothing. `exits`
    lets each token of a chain leave the model earlier than the plan, which must be an early exit
    itself. `capture` keeps the states that the strategy's `needs` name from this round's
    verification. If a plan drafts nothing because no plan would pay, `declined` is the predicted
    speed-up of the best plan over autoregressive decoding.
    """

    skips: SkipSet
    stop: StopRule
    tree: TreeRule | None = None  # None is a chain
    capture: bool = True
    copied: tuple[int, ...] = ()
    headed: bool = False
    exits: ExitRule | None = None
    second: bool = False
    declined: float = field(default=0.0, compare=False)  # speed-up; 0: no plan was declined
