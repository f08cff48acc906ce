"""Cost model: what a round takes, and what it gains over autoregressive decoding.

n is the number of cache columns that a walk starts from, d the number of drafted tokens, alpha the
probability that a drafted token is accepted if all tokens before it were accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt

from specframe.costs.expected import (
    chance_of_acceptance,
    continues,
    expected_tokens,
    expected_tokens_by_depth,
    expected_tokens_of_plan,
    expected_tree_tokens,
    tree_nodes,
)
from specframe.costs.tables import LineFit, Table, fit_level, fit_line
from specframe.errors import InvalidConfig
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule
from specframe.types.given import NORMAL_95

__all__ = [
    "CostModel",
    "LowPrices",
    "Speedup",
    "chance_of_acceptance",
    "continues",
    "expected_tokens",
    "expected_tokens_by_depth",
    "expected_tree_tokens",
    "tree_nodes",
]

LONGEST_PRICED = 32


@dataclass(frozen=True, slots=True)
class Speedup:
    """Tokens per second relative to autoregressive decoding, with a 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, *errors: float) -> Speedup:
        """The interval from independent standard errors of the value."""
        half = NORMAL_95 * sqrt(sum(error**2 for error in errors))
        return cls(value, max(value - half, 0.0), value + half)


@dataclass(frozen=True, slots=True)
class LowPrices:
    """Seconds of sublayers and head on weights of `bits` bits, and the memory of their copies.

    Full weights and copies displace each other in the processor's caches, so a round that drafts on
    copies takes longer than its walks one by one: by `round_seconds` if all weights are low-bit,
    and by `step_seconds`, which may be negative, for each drafted token.
    """

    bits: int
    attention: tuple[Table, ...]  # by kind
    mlp: tuple[Table, ...]  # by kind
    head: Table
    attention_bytes: tuple[int, ...]  # by kind, of one sublayer
    mlp_bytes: tuple[int, ...]
    head_bytes: int
    step_seconds: float = 0.0
    round_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CostModel:
    """Seconds of all parts of a round, measured on the executor in use.

    Layers of one kind share a table. `facts` describe what was measured (executor, machine, shape)
    and must match where the prices are used. `simulated` describes what was computed instead of
    measured.
    """

    kinds: tuple[int, ...]  # by layer: number of its table
    attention: tuple[Table, ...]  # by kind
    mlp: tuple[Table, ...]  # by kind
    base: Table  # per walk: embedding, rotary rows, mask
    head: Table  # final norm and logits
    step_seconds: float = 0.0  # per drafted token besides its walk; negative if a chain saves time
    round_seconds: float = 0.0  # per round besides its walks: verdict, commit
    spread: float = 0.0  # relative standard error of a ratio of two prices
    facts: Mapping[str, str] = field(default_factory=dict)
    simulated: str = ""
    low: tuple[LowPrices, ...] = ()  # by number of bits; empty if nothing can be lowered
    draft_bits: int = 0  # if not 0, all that runs in drafting has low-bit weights of so many bits
    second: CostModel | None = None  # of the strategy's second model, if it has one
    row_seconds: float = 0.0  # per verified row besides its walk: drawing a token from it
    sampled_row_seconds: float = 0.0  # the same when sampling; see `sampled_prices`
    sampled_step_seconds: float = 0.0  # per drafted token, when sampling: more than otherwise

    @classmethod
    def even(cls, layers: int) -> CostModel:
        """One second per sublayer, everything else free: for use when nothing was measured."""
        one, nothing = Table((0,), (1,), ((1.0,),)), Table((0,), (1,), ((0.0,),))
        return cls((0,) * layers, (one,), (one,), base=nothing, head=nothing)

    def __post_init__(self) -> None:
        if not self.kinds or max(self.kinds) >= min(len(self.attention), len(self.mlp)):
            raise InvalidConfig.of("CostModel", "kinds", "a table's number each", self.kinds)

    def __hash__(self) -> int:
        """Uses few fields, since prices are looked up by their model many times a second."""
        return hash((self.kinds, self.step_seconds, self.round_seconds, self.draft_bits))

    @property
    def layers(self) -> int:
        """L."""
        return len(self.kinds)

    def sublayer(self, number: int, n: float, rows: float = 1) -> float:
        """Seconds of one sublayer."""
        tables = self.mlp if number % 2 else self.attention
        return tables[self.kinds[number // 2]].at(n, rows)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of the low-bit weights that have prices."""
        return tuple(prices.bits for prices in self.low)

    def quicker_widths(self, n: float) -> tuple[int, ...]:
        """Widths with which a draft step is faster; none if all drafts are low-bit already."""
        if self.draft_bits:
            return ()
        full = SkipSet.none(self.layers)
        step = self.draft_step(full, n)
        return tuple(b for b in self.widths if self.draft_step(full.lower(b), n) < step)

    def lowered(self, bits: int) -> LowPrices:
        """Prices of low-bit weights, or those of full weights if they were not measured."""
        for prices in self.low:
            if prices.bits == bits:
                return prices
        unknown = (0,) * len(self.attention)
        return LowPrices(bits, self.attention, self.mlp, self.head, unknown, unknown, 0)

    def low_overhead(self, skips: SkipSet) -> tuple[float, float]:
        """What low-bit weights add to each drafted token and to a round, by their share."""
        if not skips.low_bits:
            return 0.0, 0.0
        low, share = self.lowered(skips.low_bits), skips.low.bit_count() / skips.size
        return share * low.step_seconds, share * low.round_seconds

    def low_bytes(self, skips: SkipSet) -> int:
        """Memory of the low-bit copies that this set needs."""
        if not skips.low_bits:
            return 0
        low = self.lowered(skips.low_bits)
        sizes = [low.mlp_bytes if b % 2 else low.attention_bytes for b in skips.lowered]
        layers = [self.kinds[b // 2] for b in skips.lowered]
        copies = sum(size[kind] for size, kind in zip(sizes, layers, strict=True))
        return copies + skips.low_head * low.head_bytes

    def low_bytes_of(self, sets: Iterable[SkipSet]) -> int:
        """Memory of the low-bit copies that all these sets need together."""
        shared: dict[int, SkipSet] = {}
        for skips in filter(lambda skips: skips.low_bits, sets):
            known = shared.get(skips.low_bits, SkipSet.none(self.layers))
            low, head = {*known.lowered, *skips.lowered}, known.low_head or skips.low_head
            shared[skips.low_bits] = SkipSet.none(self.layers).lower(skips.low_bits, low, head)
        return sum(map(self.low_bytes, shared.values()))

    def walk(
        self,
        n: float,
        rows: float = 1,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        logits: float = 0,
    ) -> float:
        """Seconds of sublayers start..stop-1 without skipped ones, and of `logits` logit rows."""
        stop = 2 * self.layers if stop is None else stop
        skips = SkipSet(2 * self.layers) if skips is None else skips
        run = ((1 << stop) - 1) & ~((1 << start) - 1) & ~skips.bits
        seconds = self.base.at(n, rows)
        seconds += self._sublayers(run & ~skips.low, self.attention, self.mlp, n, rows)
        head = self.head
        if skips.low_bits:
            low = self.lowered(skips.low_bits)
            seconds += self._sublayers(run & skips.low, low.attention, low.mlp, n, rows)
            head = low.head if skips.low_head else head
        return seconds + (head.at(n, logits) if logits else 0.0)

    def _sublayers(
        self,
        run: int,
        attentions: Sequence[Table],
        mlps: Sequence[Table],
        n: float,
        rows: float,
    ) -> float:
        """Seconds of the sublayers of a mask, at these prices."""
        seconds = 0.0
        for kind, (attention, mlp) in enumerate(_sublayers_of_kinds(self.kinds)):
            if count := (run & attention).bit_count():
                seconds += count * attentions[kind].at(n, rows)
            if count := (run & mlp).bit_count():
                seconds += count * mlps[kind].at(n, rows)
        return seconds

    def drafting(self, skips: SkipSet) -> SkipSet:
        """The set that drafts for this one: the same, on low-bit weights if all drafts use them."""
        return skips.lower(self.draft_bits) if self.draft_bits else skips

    def draft_step(self, skips: SkipSet, n: float) -> float:
        """Seconds of drafting one token."""
        skips = self.drafting(skips)
        return self.walk(n, 1, skips, logits=1) + self.step_seconds + self.low_overhead(skips)[0]

    def verify(self, rows: float, n: float, start: int = 0) -> float:
        """Seconds of verifying this many rows, from sublayer `start` on."""
        return self.walk(n, rows, start=start, logits=rows) + rows * self.row_seconds

    def tree_step(self, skips: SkipSet, tree: TreeRule, depth: int, n: float) -> float:
        """Seconds that one more depth after `depth` adds to a round: its walk and its nodes' rows.

        Leaves are not walked in drafting, only through the prefix afterwards and in verification.
        """
        deeper = DraftPlan(skips, StopRule(depth + 1), tree)
        return self.round(deeper, n) - self.round(DraftPlan(skips, StopRule(depth), tree), n)

    def round(self, plan: DraftPlan, n: float, drafted: float | None = None) -> float:
        """Seconds of a round that drafts `drafted` tokens (None: the plan's maximum).

        Sublayers before the first skipped one compute the target's values in drafting and are not
        repeated in verification; rows that no draft step walked run the prefix once. A copied token
        costs one more row in the first draft step, or nothing in drafting if there is no such step.
        A draft head is priced like an attention sublayer. Tokens that may leave the model earlier
        than the plan are priced as if they did not.
        """
        d = plan.stop.max_tokens if drafted is None else drafted
        if d <= 0:
            return self.autoregressive(n)
        copied = min(len(plan.copied), round(d))
        if copied >= d:
            return self.verify(1 + d, n) + self.round_seconds
        if plan.second:
            return self._second_round(plan, n, d, copied)
        nodes = d if plan.tree is None else tree_nodes(plan.tree, round(d), copied)
        skips = plan.skips if plan.headed else self.drafting(plan.skips)
        prefix, steps = skips.prefix, d - copied
        middle = n + copied + (steps - 1) / 2
        step, once = self.low_overhead(skips)
        seconds = steps * (self.walk(middle, 1, skips, logits=1) + self.step_seconds + step) + once
        if copied:
            block, alone = (self.walk(n, rows, skips) for rows in (1 + copied, 1))
            seconds += block - alone
        if plan.headed:
            seconds += steps * self.sublayer(0, middle)
        if prefix:
            seconds += self.walk(n + d, 1 + nodes - d, stop=prefix)
        return seconds + self.verify(1 + nodes, n, start=prefix) + self.round_seconds

    def _second_round(self, plan: DraftPlan, n: float, d: float, copied: int) -> float:
        """Seconds of a round that the second model drafts in; copied rows join its first step."""
        second = self.second or self
        bits = plan.skips.low_bits or self.draft_bits
        skips = SkipSet.none(second.layers)
        skips = skips.lower(bits) if bits else skips
        middle, steps = n + copied + (d - copied - 1) / 2, d - copied
        step, once = second.low_overhead(skips)
        each = second.walk(middle, 1, skips, logits=1) + second.step_seconds + step
        seconds = steps * each + once
        if copied:
            seconds += second.walk(n, 1 + copied, skips) - second.walk(n, 1, skips)
        nodes = d if plan.tree is None else tree_nodes(plan.tree, round(d), copied)
        return seconds + self.verify(1 + nodes, n) + self.round_seconds

    def autoregressive(self, n: float) -> float:
        """Seconds of one token of autoregressive decoding."""
        return self.verify(1, n) + self.round_seconds

    def tokens_per_second(
        self, alpha: float | Sequence[float], plan: DraftPlan, n: float, sibling: float = 0.0
    ) -> float:
        """Expected tokens of a round over its seconds; trees use alpha's mean and `sibling`."""
        return expected_tokens_of_plan(alpha, plan, sibling) / self.round(plan, n)

    def speedup(
        self, alpha: float | Sequence[float], plan: DraftPlan, n: float, alpha_error: float = 0.0
    ) -> Speedup:
        """Predicted speed-up over autoregressive decoding at the same context.

        `alpha_error` is alpha's standard error; the spread of the tables is added.
        """
        value = self._ratio(alpha, plan, n)
        shifts = [self._ratio(_shifted(alpha, sign * alpha_error), plan, n) for sign in (-1, 1)]
        return Speedup.around(value, (shifts[1] - shifts[0]) / 2, self.spread * value)

    def best_draft_length(
        self,
        alpha: float | Sequence[float],
        skips: SkipSet,
        n: float,
        longest: int = LONGEST_PRICED,
        tree: TreeRule | None = None,
        sibling: float = 0.0,
    ) -> int:
        """The d with the most tokens per second; 0 means that drafting does not pay."""
        plans = [DraftPlan(skips, StopRule(d), tree) for d in range(longest + 1)]
        return max(
            range(longest + 1),
            key=lambda d: self.tokens_per_second(alpha, plans[d], n, sibling),
        )

    def falling_acceptance(
        self, plan: DraftPlan, n: float, high: float = 0.9, low: float = 0.7
    ) -> tuple[float, float]:
        """Speed-ups of the plan at a high and a low acceptance rate."""
        return self._ratio(high, plan, n), self._ratio(low, plan, n)

    def attention_line(self, kind: int = 0, rows: int = 1) -> LineFit:
        """KnapSpec's `c2 n + c3` over the measured contexts."""
        table = self.attention[kind]
        return fit_line(table.contexts, table.by_context(rows))

    def mlp_level(self, kind: int = 0, rows: int = 1) -> LineFit:
        """KnapSpec's `c1`: the same price at every context."""
        table = self.mlp[kind]
        return fit_level(table.contexts, table.by_context(rows))

    def _ratio(self, alpha: float | Sequence[float], plan: DraftPlan, n: float) -> float:
        return self.tokens_per_second(alpha, plan, n) * self.autoregressive(n)


def _shifted(alpha: float | Sequence[float], by: float) -> float | Sequence[float]:
    if isinstance(alpha, float | int):
        return min(max(alpha + by, 0.0), 1.0)
    return [min(max(a + by, 0.0), 1.0) for a in alpha]


@lru_cache(maxsize=64)
def _sublayers_of_kinds(kinds: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """For each kind, the bits of its attention and of its MLP sublayers."""
    found = []
    for kind in range(max(kinds) + 1):
        layers = [i for i, k in enumerate(kinds) if k == kind]
        found.append((sum(1 << 2 * i for i in layers), sum(2 << 2 * i for i in layers)))
    return tuple(found)
