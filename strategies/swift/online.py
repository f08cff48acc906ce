"""SWIFT as it pays: preset `best` of `swift`, whose equations it refers to.

Differs from the paper:
- (3) is taken on the most recent rows, the prompt's to begin with, so that sets are tried before
  anything was produced; as the overlap of the two laws; and each row sees the target's keys before
  itself, as the first token of a draft does;
- the score is predicted tokens a second, so sets of any size compete;
- sublayers are ranked by how little they turn the prompt's stream for what they cost, nested sets
  along that ranking are tried first, then neighbours of the best set;
- trying takes a share of the autoregressive seconds that are left, and ends where nothing comes
  near to paying;
- acceptance moves to what is observed; a draft ends where one more token does not pay, and nothing
  is drafted where none does (`contest`); drafts are chains;
- where the speed promised has drifted away the search opens again on the rows of the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.contract.planner import Context, Probe
from specframe.costs.rates import RoundPrices
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import CandidatePlanner, PriceBook
from specframe.strategies.shared.searching.searchers import LocalSearch
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.strategies.shared.streams.stream_change import nested_sets, stream_change
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["StreamConfig", "StreamPlanner"]


@dataclass(frozen=True)
class StreamConfig:
    """What trying may cost, and what is believed of what was tried."""

    window: int = 24  # rows that sets are scored on
    share: float = 0.06  # of the remaining autoregressive seconds that trying may take
    patience: int = 24  # sets in a row that are no better
    hopeless: float = 0.9  # of autoregressive speed: if no first set reaches it, none is tried on
    protected: int = 1  # layers at either end that the first sets keep
    longest: int = 16  # drafted tokens
    prior: float = 8.0  # tokens that a score is worth
    memory: float = 0.98  # of observed acceptance, a round
    lead: float = 1.03  # how much faster another set must be to take over
    drift: float = 0.1  # loss of promised speed that opens the search again
    interval: int = 64  # tokens between two openings at least
    review: int = 4  # rounds between two looks at the set in play
    seed: int = 1

    def __post_init__(self) -> None:
        require_at_least(self, window=1, patience=1, longest=1, interval=1, review=1)
        if not 0.0 <= self.share < 1.0:
            raise InvalidConfig.of("StreamConfig", "share", "in [0, 1)", self.share)


FALLEN = 0.9  # of the best speed: the next wider set is not tried at once
SHARES = (0.25, 0.45, 0.65, 0.8)  # of the sublayers, in the sets that are tried first


@dataclass
class _Search:
    """One opening: what proposes, what it may still cost, and how it goes."""

    searcher: LocalSearch
    first: int  # sets that are tried at once
    seconds: float  # still to spend
    best: float = 0.0  # predicted speed
    tried: int = 0
    stalled: int = 0
    over: bool = False


@dataclass
class StreamPlanner:
    """One live instance a sequence."""

    config: StreamConfig
    _contest: CandidatePlanner | None = field(default=None, init=False)
    _search: _Search | None = field(default=None, init=False)
    _order: list[int] = field(default_factory=list, init=False)  # sublayers, cheapest loss first
    _promised: float = field(default=1.0, init=False)
    _opened_at: int = field(default=0, init=False)  # tokens
    _openings: int = field(default=0, init=False)
    _since: int = field(default=0, init=False)  # rounds since the last review
    _looked: int = field(default=-1, init=False)  # round
    _billed: float = field(default=0.0, init=False)  # predicted seconds of this round's sets
    _overrun: float = field(default=1.0, init=False)  # measured over predicted seconds
    _captured: int = field(default=0, init=False)  # tokens of rounds whose states were captured

    def __post_init__(self) -> None:
        self._prices = PriceBook(self.config.longest)

    def select(self, context: Context) -> DraftPlan:
        """Try sets where that may pay, price anew now and then, else go on."""
        if context.round != self._looked:
            self._looked = context.round
            self._look(context)
        if self._contest is None:
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0))
        return self._contest.plan(context.shape.layers, capture=True)

    def observe(self, outcome: Outcome) -> None:
        """Learn acceptance, and what trying really costs."""
        self._since += 1
        if outcome.plan.capture:
            self._captured += len(outcome.emitted)
        if self._billed > 0.0:
            self._overrun = max(outcome.select_seconds / self._billed, 1.0)
            self._billed = 0.0
        if self._contest is not None:
            self._contest.observe(outcome)

    def _look(self, context: Context) -> None:
        prices = self._prices.at(context)
        if self._since >= self.config.review and self._contest is not None:
            self._since = 0
            self._contest.review(prices)
        self._billed = 0.0
        gap = context.length - 1 > context.prompt_length + self._captured  # others played between
        if gap or context.probe is None or not context.prompt_states:
            return
        if self._opens(context):
            self._open(context, prices)
        if self._search is not None and not self._search.over:
            self._try_on(context, context.probe, prices, self._search)

    def _opens(self, context: Context) -> bool:
        """At first, and where what was promised did not come."""
        if not self._openings:
            return context.round == 0
        slowed = self._speed() < (1.0 - self.config.drift) * self._promised
        return slowed and context.length - self._opened_at >= self.config.interval

    def _speed(self) -> float:
        return 1.0 if self._contest is None else self._contest.speedup

    def _open(self, context: Context, prices: RoundPrices) -> None:
        """Forget old scores; the set in play must hold its own on the rows of the moment."""
        size = context.shape.sublayers
        if not self._order:
            self._order = self._ranked(context, prices)
        starts = nested_sets(self._order, size, SHARES)
        if self._contest is not None:
            starts = [*self._contest.candidates, *starts]
        self._openings += 1
        self._opened_at = context.length
        self._contest, self._promised = None, 1.0
        plain = 0.0 if context.costs is None else context.costs.autoregressive(context.length - 1)
        self._search = _Search(
            LocalSearch(size, self.config.seed + self._openings, starts),
            first=len(starts),
            seconds=self.config.share / self._openings * plain * context.budget,
        )

    def _ranked(self, context: Context, prices: RoundPrices) -> list[int]:
        """Sublayers by how little they turn the prompt's stream for a second they cost."""
        size = context.shape.sublayers
        ends = 2 * min(self.config.protected, (context.shape.layers - 1) // 2)
        turned = stream_change(context.prompt_states, size)
        seconds: list[float] = prices.sublayer_seconds.tolist()
        return sorted(range(ends, size - ends), key=lambda b: turned[b] / max(seconds[b], 1e-12))

    def _try_on(self, context: Context, probe: Probe, prices: RoundPrices, search: _Search) -> None:
        """The first sets at once, then one a round."""
        tokens, target = self._rows(context)
        judge = None
        while not search.over:
            skips = search.searcher.ask()
            if skips is not None and not skips:
                search.searcher.tell(skips, prices.speed(1.0, skips))  # the target: nothing to run
                continue
            if skips is None or not self._affordable(context, skips, len(tokens), search):
                search.over = True
                break
            judge = judge or RowJudge(probe, tokens, target)
            (alpha,) = judge.agreement(skips).overlap
            self._score(prices, search, skips, alpha)
            if search.tried >= search.first:
                break

    def _affordable(self, context: Context, skips: SkipSet, rows: int, search: _Search) -> bool:
        """Bill a trial where it fits; where nothing is known of seconds it is taken to be free."""
        if context.costs is None:
            return True
        n = context.length - 1
        seconds = self._overrun * context.costs.walk(n, rows, skips, logits=2 * rows)
        if seconds > search.seconds:
            return False
        search.seconds -= seconds
        self._billed += seconds / self._overrun
        return True

    def _rows(self, context: Context) -> tuple[list[int], Tensor]:
        """The last committed tokens and the target's last states of them."""
        last = context.shape.sublayers
        states = context.prompt_states[last]
        if last in context.states:
            states = torch.cat([states, context.states[last]])
        states = states[-self.config.window :]
        committed = context.length - 1
        return list(context.tokens[committed - len(states) : committed]), states

    def _score(self, prices: RoundPrices, search: _Search, skips: SkipSet, alpha: float) -> None:
        """Predicted speed; a set that is better by the lead takes over."""
        speed = prices.speed(alpha, skips)
        search.searcher.tell(skips, speed)
        search.tried += 1
        search.stalled = 0 if speed > search.best else search.stalled + 1
        if speed < FALLEN * search.best:
            search.first = min(search.first, search.tried)  # wider sets can wait
        search.best = max(search.best, speed)
        hopeless = search.tried == search.first and search.best < self.config.hopeless
        search.over = hopeless or search.stalled > self.config.patience
        if speed > self.config.lead * self._speed():
            self._contest = CandidatePlanner(
                [skips],
                [alpha],
                longest=self.config.longest,
                prior=self.config.prior,
                memory=self.config.memory,
                lead=self.config.lead,
            )
            self._contest.review(prices)
            self._promised = self._contest.speedup
