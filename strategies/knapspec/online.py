"""KnapSpec as it pays: preset `best` of `knapspec`, whose equations it refers to.

Differs from the paper:
- plans right after the prompt, from its last rows, not after six rounds of drafting with the full
  model; of a planning that cannot pay for itself within the remaining budget nothing is computed;
- a few paths live on, spread over the skipped weights: the program then takes about as long as
  some tokens, not tens of them;
- weights are real seconds, and `most_skipped` of them may be skipped, all if it is 1; how many
  layers are protected at either end goes by the depth, none in a very shallow model;
- reference rows see the target's keys before themselves, as the first token of a draft does;
- alpha is first the overlap of the two laws, made to fall with the skipped weight, and then moves
  to the acceptance observed, each counted in tokens;
- rounds are priced by the cost model: head, verification of several rows, reuse of the prefix;
- the best draft length is used: a draft ends where one more step does not pay, and at twice that
  length at the latest;
- not to speculate is among the candidates;
- a finished table is priced anew as acceptance is observed and the context grows; the program runs
  again when what it promised has drifted, or attention's share of the price has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.contract.planner import Context
from specframe.costs.model import CostModel
from specframe.costs.rates import RoundPrices
from specframe.costs.tables import rising
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import CandidatePlanner, PriceBook
from specframe.strategies.shared.streams.agreement import Agreement, compare_heads
from specframe.strategies.shared.streams.chain_dp import (
    ChainRules,
    Chains,
    Stretch,
    best_chains,
    branches_by_stretch,
    stretches_between,
)
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["OnlineConfig", "OnlinePlanner"]

Floats = NDArray[np.float64]
Cut = Callable[[Mapping[int, Tensor], Sequence[float], int], list[Stretch]]
FEWEST_ROWS = 2
NEVER = 1e-6
STOPS = ("gain", "fixed")


@dataclass(frozen=True)
class OnlineConfig:
    """What the planner may spend, try and believe."""

    rows: int = 4  # reference rows
    most_skipped: float = 1.0  # share of the sublayers' seconds
    similarity: float = 0.5  # least mean cosine of a path
    widest: int = 16  # paths of the program that live on from one sublayer to the next
    protected: float = 0.04  # share of the layers that is never skipped, at either end
    finalists: int = 10  # candidates whose alpha is estimated
    longest: int = 16  # drafted tokens
    stop: str = "gain"  # or "fixed": at the length that was planned, whatever is drafted
    share: float = 0.02  # of the remaining autoregressive seconds that planning aims at
    payback: float = 0.5  # of the seconds it may save that planning takes at most
    hoped_speedup: float = 1.3  # of a first planning
    prior: float = 24.0  # tokens that an estimate of alpha is worth
    memory: float = 0.98  # of observed acceptance, a round
    lead: float = 1.03  # how much faster another candidate must be to take over
    drift: float = 0.1  # loss of promised speed, or change of price ratio, that plans anew
    review: int = 4  # rounds between two looks at the candidates
    interval: int = 64  # tokens between two plannings at least

    def __post_init__(self) -> None:
        require_at_least(self, rows=1, widest=2, finalists=1, longest=1, review=1, interval=1)
        for name in ("most_skipped", "memory"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InvalidConfig.of("OnlineConfig", name, "in (0, 1]", getattr(self, name))
        if self.stop not in STOPS:
            raise InvalidConfig.of("OnlineConfig", "stop", " or ".join(STOPS), self.stop)
        if not 0.0 <= self.protected < 0.5:
            raise InvalidConfig.of("OnlineConfig", "protected", "in [0, 0.5)", self.protected)


@dataclass
class OnlinePlanner:
    """One live instance a sequence; `cut` says into what the model is cut for the program."""

    config: OnlineConfig
    cut: Cut = stretches_between
    _contest: CandidatePlanner | None = field(default=None, init=False)
    _promised: float = field(default=1.0, init=False)  # speed-up when the program last ran
    _ratio: float = field(default=1.0, init=False)  # of attention's to MLP's price, then
    _planned_at: int = field(default=0, init=False)  # tokens, then
    _drifted: bool = field(default=True, init=False)
    _fresh: int = field(default=0, init=False)  # rows captured without a gap
    _rounds: int = field(default=0, init=False)  # since the last look at the candidates
    _round: int = field(default=-1, init=False)  # that was planned last
    _billed: float = field(default=0.0, init=False)  # predicted seconds of the planning in it
    _overrun: float = field(default=1.0, init=False)  # measured over predicted seconds

    def __post_init__(self) -> None:
        self._rounds = self.config.review  # the first round looks
        self._prices = PriceBook(self.config.longest)

    def select(self, context: Context) -> DraftPlan:
        """Plan where it pays, price anew where something changed, else go on."""
        if context.round != self._round:
            self._round, self._billed = context.round, 0.0
        if self._rounds >= self.config.review:
            self._review(context)
        references = self._references(context) if self._drifted else None
        if references is not None and context.probe is not None:
            rows = self._affordable_rows(context, len(references[0]))
            if rows:
                self._search(context, {d: s[-rows:] for d, s in references.items()})
        waiting = self.config.interval - (context.length - self._planned_at)
        capture = self._drifted and waiting <= self.config.rows
        if self._contest is None:
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=capture)
        return self._contest.plan(context.shape.layers, capture)

    def observe(self, outcome: Outcome) -> None:
        """Learn acceptance, and count the rows that were captured."""
        self._rounds += 1
        self._fresh = self._fresh + len(outcome.emitted) if outcome.plan.capture else 0
        if self._billed > 0.0:
            self._overrun = outcome.select_seconds / self._billed
            self._billed = 0.0
        if self._contest is not None:
            self._contest.observe(outcome)

    def _references(self, context: Context) -> Mapping[int, Tensor] | None:
        """States of the last rows before the cursor, where they are at hand."""
        if context.round == 0 and context.prompt_states:
            return context.prompt_states
        enough = min(self._fresh, self.config.rows)
        if enough < FEWEST_ROWS or context.length - self._planned_at < self.config.interval:
            return None
        return {depth: rows[-enough:] for depth, rows in context.states.items()}

    def _affordable_rows(self, context: Context, available: int) -> int:
        """How many reference rows planning may use; 0 where it cannot pay for itself.

        As many as fit into the share; the fewest where none do, if the gain is worth it.
        """
        costs = context.costs
        rows = min(available, self.config.rows)
        if costs is None:
            return rows  # nothing is known of seconds: planning is taken to be free
        remaining = context.budget * costs.autoregressive(context.length - 1)
        hoped = max(self.config.hoped_speedup, self._promised)
        gain = remaining * (1.0 / self._speed_now() - 1.0 / hoped)
        fewest = min(FEWEST_ROWS, available)
        while True:
            seconds = self._overrun * self._search_seconds(context, costs, rows)
            if seconds <= self.config.share * remaining or rows <= fewest:
                return rows if seconds <= self.config.payback * gain else 0
            rows = max(rows // 2, fewest)

    def _speed_now(self) -> float:
        return 1.0 if self._contest is None else self._contest.speedup

    def _search_seconds(self, context: Context, costs: CostModel, rows: int) -> float:
        """What the program will take."""
        n = context.length - 1
        stretches, rules = self._problem(context, RoundPrices.at(costs, n, (1,)))
        seconds = costs.head.at(n, (1 + self.config.finalists) * rows)
        for stretch, branches in zip(
            stretches, branches_by_stretch(stretches, rules, rows), strict=True
        ):
            seconds += costs.base.at(n, 1)
            for sublayer in range(stretch.start, stretch.stop):
                seconds += costs.sublayer(sublayer, n, max(branches, 1) * rows)
        return seconds

    def _problem(self, context: Context, prices: RoundPrices) -> tuple[list[Stretch], ChainRules]:
        """Equation (3) in seconds; a sublayer that costs nothing still weighs something."""
        total = float(prices.sublayer_seconds.sum())
        weights = np.maximum(prices.sublayer_seconds, NEVER * total).tolist()
        most = (context.shape.layers - 1) // 2
        layers = min(round(self.config.protected * context.shape.layers), most)
        states = context.prompt_states or context.states
        stretches = self.cut(states, weights, 2 * layers)
        return stretches, ChainRules(
            budget=self.config.most_skipped * total,
            unit=min(stretch.weight for stretch in stretches if stretch.may_skip),
            similarity=self.config.similarity,
            sight="target",
            widest=self.config.widest,
        )

    def _search(self, context: Context, references: Mapping[int, Tensor]) -> None:
        """Equation (4), and alpha of a few candidates spread over the skipped weights."""
        assert context.probe is not None
        prices = self._prices.at(context)
        stretches, rules = self._problem(context, prices)
        rows = len(references[0])
        if context.costs is not None:
            self._billed = self._search_seconds(context, context.costs, rows)
        chains = best_chains(context.probe, references, stretches, rules)
        finalists = _spread(chains, self.config.finalists)
        candidates = [SkipSet(context.shape.sublayers, chains.bits[i]) for i in finalists]
        states = chains.states[finalists]
        last = references[context.shape.sublayers]
        agreement = compare_heads(context.probe, states, last)
        self._contest = CandidatePlanner(
            candidates,
            _estimates(agreement),
            longest=self.config.longest,
            prior=self.config.prior,
            memory=self.config.memory,
            lead=self.config.lead,
            stop=self.config.stop,
        )
        self._planned_at, self._ratio = context.length, _price_ratio(prices)
        self._review(context)
        self._promised, self._drifted = self._speed_now(), False

    def _review(self, context: Context) -> None:
        """Equation (7) over candidates and draft lengths, with what is known by now."""
        self._rounds = 0
        if self._contest is None:
            self._drifted = context.round == 0  # the prompt's states are there once
            return
        prices = self._prices.at(context)
        self._contest.review(prices)
        changed = abs(_price_ratio(prices) / self._ratio - 1.0) > self.config.drift
        slowed = self._contest.speedup < (1.0 - self.config.drift) * self._promised
        self._drifted = (changed or slowed) and bool(
            self._affordable_rows(context, self.config.rows)
        )


def _spread(chains: Chains, count: int) -> list[int]:
    """Paths at evenly spaced skipped weights, the one that skips nothing left out."""
    paths = [i for i, bits in enumerate(chains.bits) if bits]
    if len(paths) <= count:
        return paths
    places = np.linspace(0, len(paths) - 1, count).round().astype(int)
    return [paths[place] for place in places]


def _estimates(agreement: Agreement) -> Floats:
    """Alpha by candidate in ascending weight: it cannot rise with what is skipped.

    The overlap of the laws is the chance that a sampled token stands. On a few rows it also tells
    more of greedy agreement than agreement itself: where the prompt leaves the target in doubt,
    its top token is a matter of chance.
    """
    falling: Sequence[float] = rising(list(agreement.overlap)[::-1])
    return np.array(falling[::-1])


def _price_ratio(prices: RoundPrices) -> float:
    seconds = prices.sublayer_seconds
    return float(max(seconds[::2].sum(), NEVER) / max(seconds[1::2].sum(), NEVER))
