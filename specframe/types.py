"""Frozen values shared by all modules. Comments give the shapes of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

from specframe.errors import InvalidConfig, InvalidSkipSet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EXACT_ROWS",
    "LONGEST_CHAIN",
    "LONGEST_DRAFT",
    "LOW_BITS",
    "Draft",
    "DraftPlan",
    "Estimate",
    "ExitRule",
    "GainRule",
    "ModelShape",
    "Outcome",
    "Pass",
    "Prompt",
    "SkipSet",
    "Step",
    "StopRule",
    "TreeRule",
    "Verdict",
]


LOW_BITS = (4, 8)  # widths of low-bit weights
LONGEST_DRAFT = 64  # scratch rows reserved for one draft
EXACT_ROWS = 32  # most rows whose joint verification is bit-identical to single rows
LONGEST_CHAIN = EXACT_ROWS - 1  # most drafted tokens of a chain; its root is a row as well

NORMAL_95 = 1.96  # standard errors on either side that cover 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class SkipSet:
    """A set of skipped sublayers out of 2L: number 2i is layer i's attention, 2i+1 its MLP.

    Sublayers that run may run on low-bit weights: those of the mask `low`, and the LM head where
    `low_head` is true, with weights of `low_bits` bits (4 or 8; 0 where everything runs in full).
    """

    size: int
    bits: int = 0
    low: int = 0
    low_bits: int = 0
    low_head: bool = False

    def __post_init__(self) -> None:
        if self.size < 2 or self.size % 2:
            raise InvalidSkipSet(
                f"A skip set covers 2 sublayers per layer, so its size must be even and at least "
                f"2. Got {self.size} instead."
            )
        if self.bits < 0 or self.bits >> self.size:
            raise InvalidSkipSet(
                f"A skip set of size {self.size} names sublayers 0 to {self.size - 1}. "
                f"Got bits {self.bits:#x} instead."
            )
        if self.low < 0 or self.low >> self.size or self.low & self.bits:
            raise InvalidSkipSet(
                f"Only sublayers from 0 to {self.size - 1} that run can run on low-bit weights. "
                f"Got the mask {self.low:#x} together with the skipped {self.bits:#x}."
            )
        if self.low_bits not in (LOW_BITS if self.low or self.low_head else (0,)):
            raise InvalidSkipSet(
                f"Low-bit weights have {' or '.join(map(str, LOW_BITS))} bits, and 0 says that "
                f"there are none. Got {self.low_bits} instead."
            )

    @classmethod
    def none(cls, layers: int) -> SkipSet:
        """Skip nothing."""
        return cls(2 * layers)

    @classmethod
    def _with_low(cls, size: int, bits: int, low: int, low_bits: int, head: bool) -> SkipSet:
        """A set whose `low_bits` is 0 if neither a sublayer nor the head is low-bit."""
        return cls(size, bits, low, low_bits if low or head else 0, head)

    @classmethod
    def from_sublayers(cls, layers: int, sublayers: Iterable[int]) -> SkipSet:
        """Skip these sublayer numbers."""
        bits = 0
        for sublayer in sublayers:
            if not 0 <= sublayer < 2 * layers:
                raise InvalidSkipSet(
                    f"A model of {layers} layers has sublayers 0 to {2 * layers - 1}. "
                    f"Got {sublayer} instead."
                )
            bits |= 1 << sublayer
        return cls(2 * layers, bits)

    @classmethod
    def of(cls, layers: int, attention: Iterable[int] = (), mlp: Iterable[int] = ()) -> SkipSet:
        """Skip the attention and the MLP of these layers, each named by layer number."""
        attention, mlp = tuple(attention), tuple(mlp)
        for layer in (*attention, *mlp):
            if not 0 <= layer < layers:
                raise InvalidSkipSet(
                    f"A model of {layers} layers has layers 0 to {layers - 1}. Got {layer} instead."
                )
        return cls.from_sublayers(layers, [2 * i for i in attention] + [2 * i + 1 for i in mlp])

    @classmethod
    def after(cls, layers: int, exit_layer: int) -> SkipSet:
        """Early exit: run layers 0..exit_layer-1, skip all others."""
        return cls.from_sublayers(layers, range(2 * exit_layer, 2 * layers))

    def __contains__(self, sublayer: int) -> bool:
        return bool(self.bits >> sublayer & 1)

    def __iter__(self) -> Iterator[int]:
        return (i for i in range(self.size) if self.bits >> i & 1)

    def __len__(self) -> int:
        return self.bits.bit_count()

    @property
    def layers(self) -> int:
        """L, the number of layers."""
        return self.size // 2

    @property
    def prefix(self) -> int:
        """Number of leading sublayers that run in full: there, draft and target are the same."""
        changed = self.bits | self.low
        return (changed & -changed).bit_length() - 1 if changed else self.size

    @property
    def kept(self) -> tuple[int, ...]:
        """Sublayers that run, ascending."""
        return tuple(i for i in range(self.size) if not self.bits >> i & 1)

    @property
    def attention(self) -> tuple[int, ...]:
        """Layers whose attention is skipped."""
        return tuple(i // 2 for i in self if i % 2 == 0)

    @property
    def mlp(self) -> tuple[int, ...]:
        """Layers whose MLP is skipped."""
        return tuple(i // 2 for i in self if i % 2 == 1)

    @property
    def lowered(self) -> tuple[int, ...]:
        """Sublayers that run on low-bit weights, ascending."""
        return tuple(i for i in range(self.size) if self.low >> i & 1)

    @property
    def full(self) -> SkipSet:
        """The same skipped sublayers; all others and the head run in full."""
        return SkipSet(self.size, self.bits)

    def flip(self, sublayer: int) -> SkipSet:
        """The same set with one sublayer added or removed; a removed one runs in full."""
        low = self.low & ~(1 << sublayer)
        return SkipSet._with_low(
            self.size, self.bits ^ (1 << sublayer), low, self.low_bits, self.low_head
        )

    @property
    def runs_in_full(self) -> bool:
        """Whether nothing is skipped and nothing runs on low-bit weights."""
        return not (self.bits or self.low_bits)

    def run_low(self, sublayer: int) -> SkipSet:
        """The same set with this sublayer run on low-bit weights, as others are already."""
        mask = 1 << sublayer
        return SkipSet._with_low(
            self.size, self.bits & ~mask, self.low | mask, self.low_bits, self.low_head
        )

    def lower(
        self, bits: int, sublayers: Iterable[int] | None = None, head: bool = True
    ) -> SkipSet:
        """The same skipped sublayers; these of the others (None: all) run on low-bit weights."""
        every = (1 << self.size) - 1
        mask = every if sublayers is None else sum(1 << b for b in set(sublayers))
        return SkipSet._with_low(self.size, self.bits, mask & ~self.bits, bits, head)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share measured on `count` cases, with a 95 % confidence interval."""

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def of_share(cls, hits: float, count: int) -> Estimate:
        """With Wilson's interval, which also holds for shares near 0 or 1 and for small counts."""
        if count < 1:
            return cls(0.0, 0.0, 1.0, 0)
        z = NORMAL_95
        share, weight = hits / count, 1.0 + z * z / count
        centre = (share + z * z / (2 * count)) / weight
        half = z / weight * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
        return cls(share, max(centre - half, 0.0), min(centre + half, 1.0), count)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids and the domain they belong to; an empty domain is unknown.

    Two prompts are equal if these are; `name` is for people, and `context` is the length that was
    asked for, 0 for whatever length it has.
    """

    tokens: tuple[int, ...]
    domain: str = ""
    name: str = field(default="", compare=False)
    context: int = field(default=0, compare=False)

    @property
    def digest(self) -> str:
        """What prompts of the same tokens share and no others do."""
        return hashlib.sha256(",".join(map(str, self.tokens)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The dimensions of a model, which a strategy may know."""

    layers: int
    hidden: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    positions: int

    @property
    def sublayers(self) -> int:
        """2L."""
        return 2 * self.layers


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
        """The largest width the rule can ask for."""
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
    verification. A plan that drafts nothing because nothing would pay says in `declined` what the
    best plan was predicted to reach over autoregressive decoding.
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


@dataclass(frozen=True, slots=True)
class Step:
    """The rows that one walk processes.

    `slot` is the cache column from which the rows' keys and values are written; every row sees all
    columns before it. With None nothing is written: the rows see the first `visible` columns and
    each other. `mask` covers the rightmost columns: True is visible, and columns to the left of
    the mask are visible to every row. Without a mask, attention among the rows is causal.
    """

    tokens: Tensor  # [B, S] token ids
    positions: Tensor  # [S] rotary positions
    slot: int | None
    visible: int
    mask: Tensor | None = None  # [S, C], C <= visible + S

    @property
    def rows(self) -> int:
        """S."""
        return self.positions.shape[0]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a walk returns."""

    hidden: Tensor  # [B, S, H] residual stream after the last sublayer walked
    logits: Tensor | None  # [B, R, V] for the requested rows
    taps: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [B, S, H]


@dataclass(frozen=True, slots=True)
class Draft:
    """Drafted candidates: a chain, or a tree in drawing order (a parent before its children).

    Node i has token `tokens[i]`; `parents[i]` is its parent node, -1 the last emitted token.
    `laws[p]` is the distribution that the children of node p were drawn from. Children without one
    are deterministic: greedy ones, and the first `copied` nodes. `confidences` are those of the
    spine only, i.e. of the first nodes, each of which is the child of the node before it. `states`
    hold the residual stream of the root and of every node, at depths where the draft computes the
    target's own values.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    confidences: tuple[float, ...]
    laws: Mapping[int, Tensor] | None = None  # parent -> [V]
    states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [1, 1 + nodes, H]
    copied: int = 0

    @property
    def is_chain(self) -> bool:
        """Whether every node follows the one before it."""
        return self.parents == tuple(range(-1, len(self.parents) - 1))

    def children(self, parent: int) -> list[int]:
        """Nodes under a parent, in the order drawn."""
        return [i for i, p in enumerate(self.parents) if p == parent]

    def path(self, node: int) -> list[int]:
        """Nodes from the root down to this one, inclusive."""
        found: list[int] = []
        while node >= 0:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def after(self, count: int) -> Draft:
        """The draft without its first `count` nodes, a chain; the last of them becomes the root."""
        return Draft(
            self.tokens[count:],
            tuple(parent - count for parent in self.parents[count:]),
            self.confidences[count:],
            None if self.laws is None else {p - count: law for p, law in self.laws.items()},
            copied=max(self.copied - count, 0),
        )

    def depth(self) -> int:
        """Length of the longest path."""
        if self.is_chain:
            return len(self.tokens)
        return max(len(self.path(i)) for i in range(len(self.tokens)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted nodes in order, and the bonus token that verification adds."""

    path: tuple[int, ...]
    bonus: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round did, for `observe` and the statistics. Seconds are wall-clock.

    `accepted` counts drafted tokens that were accepted; `emitted` may be shorter than
    accepted + 1 if an end token or the budget cut them short.
    """

    plan: DraftPlan
    draft: Draft
    accepted: int
    emitted: tuple[int, ...]
    select_seconds: float = 0.0
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0

    @property
    def drafted(self) -> int:
        """Depth of the draft: the most tokens that could have been accepted."""
        return self.draft.depth()
