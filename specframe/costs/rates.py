"""Expected tokens per second of many skip sets and draft lengths at once, at one context length.

The same prices as `CostModel.round` for chains, computed as arrays, which is fast enough to plan
during generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from specframe.costs.model import CostModel, LowPrices
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

__all__ = [
    "APART",
    "Choice",
    "PricedSets",
    "RoundPrices",
    "SetMatrix",
    "StepPrices",
    "as_matrix",
    "expected_token_grid",
    "nearest",
    "round_seconds",
    "step_seconds",
    "token_seconds",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
NEVER = 1e-6
APART = 32  # tokens of context between prices that are looked up while generating
KEPT_ROUNDS = 4096
KEPT = 256  # prices that are kept: contexts, and skip sets at each


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan with the most tokens per second; `candidate` None means: do not speculate."""

    candidate: int | None
    draft_length: int
    tokens_per_second: float
    autoregressive: float  # tokens per second without speculation
    fastest: float = 0.0  # of any candidate, chosen or not

    @property
    def speedup(self) -> float:
        """Speed-up over autoregressive decoding."""
        return self.tokens_per_second / self.autoregressive

    @property
    def best_speedup(self) -> float:
        """Of the fastest candidate, chosen or not."""
        return self.fastest / self.autoregressive


@dataclass(frozen=True, slots=True)
class SetMatrix:
    """Many skip sets as arrays."""

    skipped: Bools  # [C, 2L]
    lowered: Bools  # [C, 2L] sublayers that run on low-bit weights
    head: Bools  # [C] whether the head does
    bits: NDArray[np.intp]  # [C] of the low-bit weights; 0 where there are none

    @classmethod
    def of(cls, sets: Sequence[SkipSet], size: int) -> SetMatrix:
        """The arrays of these sets over 2L = `size` sublayers."""
        skipped, low = as_matrix(sets, size), [skips.low for skips in sets]
        return cls(
            skipped,
            as_matrix(low, size) if any(low) else np.zeros_like(skipped),
            np.array([skips.low_head for skips in sets], dtype=bool),
            np.array([skips.low_bits for skips in sets], dtype=np.intp),
        )

    @property
    def prefix(self) -> Bools:
        """[C, 2L] which sublayers come before the first that is skipped or low-bit."""
        prefix: Bools = np.cumsum(self.skipped | self.lowered, axis=1) == 0
        return prefix


@dataclass(frozen=True, slots=True)
class PricedSets:
    """Skip sets at the prices of one context."""

    seconds: Floats  # [C, D] of a round of each set and draft length
    lengths: Floats  # [D]
    autoregressive: float

    def rates(self, alphas: Floats) -> Floats:
        """Expected tokens per second of each skip set and draft length: [C, D]."""
        rates: Floats = expected_token_grid(alphas, self.lengths) / self.seconds
        return rates

    def choose(
        self, alphas: Floats, live: int | None = None, lead: float = 1.0, begin: float = 1.0
    ) -> Choice:
        """The best skip set and draft length, if faster than not speculating.

        The set in use (`live`) is kept unless another one is `lead` times as fast. If none is in
        use, drafting begins only with a set that is `begin` times as fast as not speculating.
        """
        plain = 1.0 / self.autoregressive
        if not len(alphas):
            return Choice(None, 0, plain, plain)
        rates = self.rates(alphas)
        fastest = rates.max(axis=1)
        row, best = int(fastest.argmax()), float(fastest.max())
        if live is not None and fastest[row] < lead * fastest[live]:
            row = live
        if fastest[row] <= plain * (begin if live is None else 1.0):
            return Choice(None, 0, plain, plain, best)
        column = int(rates[row].argmax())
        return Choice(row, int(self.lengths[column]), float(rates[row, column]), plain, best)

    def in_steps(self, row: int) -> tuple[float, float]:
        """Costs in autoregressive steps: of one drafted token, and of a round that drafts none."""
        first, last = float(self.seconds[row, 0]), float(self.seconds[row, -1])
        span = float(self.lengths[-1] - self.lengths[0])
        step = (last - first) / span if span else first / 2
        rest = first - float(self.lengths[0]) * step
        return max(step / self.autoregressive, NEVER), max(rest / self.autoregressive, 0.0)


@dataclass(frozen=True, slots=True)
class StepPrices:
    """Seconds of a draft step in full or on low-bit weights, by draft length."""

    sublayers: Floats  # [K, D] one sublayer
    head: Floats  # [D]
    step: float = 0.0  # what low-bit weights add to a step where all are low-bit
    round: float = 0.0  # the same to a round

    @classmethod
    def of(cls, prices: CostModel | LowPrices, contexts: Sequence[float]) -> StepPrices:
        """One row at each of these contexts."""
        tables = (*prices.attention, *prices.mlp)
        return cls(
            np.array([[table.at(n, 1) for n in contexts] for table in tables]),
            np.array([prices.head.at(n, 1) for n in contexts]),
            *((prices.step_seconds, prices.round_seconds) if isinstance(prices, LowPrices) else ()),
        )


@dataclass(frozen=True, slots=True)
class RoundPrices:
    """Prices of a cost model at one context; the K rows are attention kinds, then MLP kinds.

    `low` are those of low-bit weights, by their number of bits. If the cost model drafts everything
    with low-bit weights, `drafting` are their prices, and there is no prefix.
    """

    kind: NDArray[np.intp]  # [2L] by sublayer: row of its prices
    lengths: Floats  # [D] draft lengths, ascending, from 1
    drafting: StepPrices
    low: Mapping[int, StepPrices]
    step: Floats  # [D] the rest of a draft step
    finishing: Floats  # [K, D] one sublayer over the last drafted token
    finish: Floats  # [D] the rest of that walk
    verifying: Floats  # [K, D] one sublayer over d + 1 rows
    verify: Floats  # [D] the rest of verification and of the round
    copying: tuple[float, ...]  # [D] a round that verifies d copied tokens and drafts none
    autoregressive: float
    reused: bool  # whether verification starts after the prefix
    _known: dict[tuple[SkipSet, ...], PricedSets] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # priced sets, since sequences use the same ones again

    @classmethod
    def at(cls, costs: CostModel, n: float, lengths: Sequence[int]) -> RoundPrices:
        """The prices of a cost model at context n; the last few are kept."""
        return _priced(costs, n, tuple(lengths))

    @classmethod
    def near(cls, costs: CostModel, n: float, lengths: Sequence[int]) -> RoundPrices:
        """Those of the nearest context at which prices are looked up: all sequences share them."""
        return cls.at(costs, nearest(n), lengths)

    @property
    def sublayer_seconds(self) -> Floats:
        """[2L] seconds of each sublayer in a step of the shortest draft."""
        seconds: Floats = self.drafting.sublayers[self.kind, 0]
        return seconds

    def seconds(self, sets: SetMatrix) -> Floats:
        """Seconds of a round for each skip set and draft length: [C, D]."""
        before = self._counts(sets.prefix & self.reused)
        every = self._counts(np.ones_like(sets.skipped[:1]))
        finish = before @ self.finishing + self.finish * (before.sum(1, keepdims=True) > 0)
        verify = (every - before) @ self.verifying + self.verify
        seconds: Floats = self.lengths * self.draft_steps(sets) + finish + verify
        return seconds + self._low_overhead(sets)[1]

    def draft_steps(self, sets: SetMatrix) -> Floats:
        """Seconds of a draft step for each skip set and draft length: [C, D]."""
        in_full = self._counts(~(sets.skipped | sets.lowered))
        steps: Floats = in_full @ self.drafting.sublayers + self.step + self.drafting.head
        steps += self._low_overhead(sets)[0]
        if not sets.bits.any():
            return steps
        lowered = self._counts(sets.lowered)
        for bits in set(sets.bits.tolist()) - {0}:
            low, here = self.low.get(bits, self.drafting), sets.bits == bits
            steps[here] += lowered[here] @ low.sublayers
            steps[here] += sets.head[here, None] * (low.head - self.drafting.head)
        return steps

    def _low_overhead(self, sets: SetMatrix) -> tuple[Floats, Floats]:
        """[C, 1] what low-bit weights add to a draft step and to a round, by their share."""
        in_full = (~(sets.skipped | sets.lowered)).mean(1)
        steps, rounds = in_full * self.drafting.step, in_full * self.drafting.round
        share = sets.lowered.mean(1)
        for bits in set(sets.bits.tolist()) - {0}:
            low, here = self.low.get(bits, self.drafting), sets.bits == bits
            steps[here] += share[here] * low.step
            rounds[here] += share[here] * low.round
        return steps[:, None], rounds[:, None]

    def of(self, sets: Sequence[SkipSet]) -> PricedSets:
        """Prices of these skip sets, computed once however often they are compared."""
        key = tuple(sets)
        if key not in self._known:
            if len(self._known) == KEPT:
                self._known.clear()
            seconds = self.seconds(SetMatrix.of(sets, len(self.kind)))
            self._known[key] = PricedSets(seconds, self.lengths, self.autoregressive)
        return self._known[key]

    def speed(self, alpha: float, skips: SkipSet) -> float:
        """Speed-up of one skip set at its best draft length."""
        return float(self.of([skips]).rates(np.array([alpha])).max()) * self.autoregressive

    def after_prefix(self, prefixes: Sequence[int]) -> tuple[Floats, Floats]:
        """Seconds of a round that skips nothing: a draft step [D], and the rest [P, D].

        The first p sublayers run in drafting and not again in verification.
        """
        numbers = np.arange(len(self.kind))
        before = self._counts((numbers < np.array(prefixes)[:, None]) & self.reused)
        every = self._counts(np.ones((1, len(self.kind)), dtype=bool))
        finish = before @ self.finishing + self.finish * (before.sum(1, keepdims=True) > 0)
        verify = (every - before) @ self.verifying + self.verify
        drafting = self.drafting
        step: Floats = (every @ drafting.sublayers)[0] + self.step + drafting.head + drafting.step
        return step, finish + verify + drafting.round

    def _counts(self, members: Bools) -> Floats:
        """[C, 2L] -> [C, K]: how many sublayers of each kind."""
        kinds = np.arange(len(self.finishing))
        counts: Floats = members.astype(np.float64) @ (self.kind[:, None] == kinds)
        return counts


def round_seconds(
    costs: CostModel, plan: DraftPlan, n: float, drafted: float | None = None
) -> float:
    """`CostModel.round` at the nearest context at which prices are looked up while generating."""
    d = plan.stop.max_tokens if drafted is None else drafted
    rows = plan.tree, len(plan.copied), plan.headed, plan.second
    return _round_seconds(costs, nearest(n), plan.skips, *rows, d)


def token_seconds(costs: CostModel, n: float) -> float:
    """`CostModel.autoregressive` at the nearest of those contexts."""
    return _token_seconds(costs, nearest(n))


def step_seconds(costs: CostModel, skips: SkipSet, n: float) -> float:
    """`CostModel.draft_step` at the nearest of those contexts."""
    return _step_seconds(costs, nearest(n), skips)


def nearest(n: float) -> int:
    """The nearest context length at which prices are looked up while generating."""
    return APART * round(n / APART)


@lru_cache(maxsize=KEPT)
def _token_seconds(costs: CostModel, n: int) -> float:
    return costs.autoregressive(n)


@lru_cache(maxsize=KEPT)
def _step_seconds(costs: CostModel, n: int, skips: SkipSet) -> float:
    return costs.draft_step(skips, n)


@lru_cache(maxsize=KEPT_ROUNDS)
def _round_seconds(
    costs: CostModel,
    n: int,
    skips: SkipSet,
    tree: TreeRule | None,
    copied: int,
    headed: bool,
    second: bool,
    drafted: float,
) -> float:
    stop, copies = StopRule(ceil(drafted)), (0,) * copied
    plan = DraftPlan(skips, stop, tree, copied=copies, headed=headed, second=second)
    return costs.round(plan, n, drafted)


@lru_cache(maxsize=KEPT)
def _priced(costs: CostModel, n: float, lengths: tuple[int, ...]) -> RoundPrices:
    """Cached, since a planner and the rule that decides whether it plans use the same prices."""
    tables = (*costs.attention, *costs.mlp)
    attention_kinds = len(costs.attention)
    kind = [attention_kinds * (b % 2) + costs.kinds[b // 2] for b in range(2 * costs.layers)]
    middle = [n + (d - 1) / 2 for d in lengths]
    steps = {0: StepPrices.of(costs, middle)}
    steps |= {low.bits: StepPrices.of(low, middle) for low in costs.low}
    return RoundPrices(
        kind=np.array(kind),
        lengths=np.array(lengths, dtype=np.float64),
        drafting=steps[costs.draft_bits],
        low=steps,
        step=np.array([costs.base.at(m, 1) for m in middle]) + costs.step_seconds,
        finishing=np.array([[t.at(n + d, 1) for d in lengths] for t in tables]),
        finish=np.array([costs.base.at(n + d, 1) for d in lengths]),
        verifying=np.array([[t.at(n, d + 1) for d in lengths] for t in tables]),
        verify=np.array([costs.base.at(n, d + 1) + costs.head.at(n, d + 1) for d in lengths])
        + np.array([(d + 1) * costs.row_seconds for d in lengths])
        + costs.round_seconds,
        copying=tuple(costs.verify(1 + d, n) + costs.round_seconds for d in lengths),
        autoregressive=costs.autoregressive(n),
        reused=not costs.draft_bits,
    )


def as_matrix(skips: Sequence[SkipSet | int], size: int) -> Bools:
    """Skip sets, or their bits, as [C, 2L]."""
    bits = [s.bits if isinstance(s, SkipSet) else s for s in skips]
    return np.array([[b >> i & 1 for i in range(size)] for b in bits], dtype=bool).reshape(-1, size)


def expected_token_grid(alphas: Floats, lengths: Floats) -> Floats:
    """[C] chances and [D] draft lengths -> [C, D] expected tokens, as `costs.expected_tokens`."""
    drafted = lengths.astype(int)
    powers = np.repeat(alphas[:, None], drafted.max(initial=0) + 1, axis=1)
    powers[:, 0] = 1.0
    tokens: Floats = powers.cumprod(axis=1).cumsum(axis=1)[:, drafted]
    return tokens
