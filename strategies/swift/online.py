"""SWIFT as it pays: preset `best` of `swift`, whose equations (`paper`) it refers to.

Differs from the paper:
- (3) is taken on the most recent rows, the prompt's to begin with, so that sets are tried before
  anything was produced; as the overlap of the two distributions; and each row sees the target's
  keys before itself, as the first token of a draft does;
- the score is expected tokens a second, so sets of any size compete;
- sublayers are ranked by how little they turn the prompt's stream for what they cost; nested sets
  along that ranking are tried first, then neighbours of the best set;
- trying takes a share of the autoregressive seconds that are left, and ends if no set comes close
  to paying;
- acceptance moves to what is observed; a draft ends where one more token does not pay, and nothing
  is drafted where none does (`candidates`); drafts are chains;
- where the expected speed has fallen the search opens again on the most recent rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.contract.options import require_at_least, require_in
from specframe.contract.planner import Context, Planner
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.planners.candidates import CandidatePlanner, CandidateRules
from specframe.strategies.shared.planners.expected import expected_of_low_bits
from specframe.strategies.shared.searching.searchers import (
    LocalSearch,
    in_other_precisions,
)
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.strategies.shared.streams.stream_change import (
    least_loss_first,
    nested_sets,
    stream_change,
)
from specframe.types import DraftPlan, Outcome, SkipSet

__all__ = ["StreamConfig", "StreamPlanner"]


@dataclass(frozen=True)
class StreamConfig(CandidateRules):
    """What trying may cost, and what is believed of what was tried."""

    window: int = 24  # rows that sets are scored on
    share: float = 0.06  # of the remaining autoregressive seconds that trying may take
    patience: int = 24  # sets in a row that are no better
    hopeless: float = 0.9  # of autoregressive speed: if no first set reaches it, the search ends
    protected: int = 1  # layers at either end that the first sets keep
    drift: float = 0.1  # loss of expected speed that opens the search again
    interval: int = 64  # tokens between two openings at least
    seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, window=1, patience=1, interval=1)
        require_at_least(self, hopeless=0)
        require_in(self, "[0, 1)", "share")
        require_in(self, "[0, 1]", "drift")

    def first_trials(self, context: Context) -> float:
        """Seconds of the sets that are tried in the first round."""
        rows, n = min(self.window, context.prompt_length), context.length - 1
        full = context.costs.walk(n, rows, logits=2 * rows)
        return sum((1.0 - share) * full for share in SHARES)


FALLEN = 0.9  # of the best speed: wider sets are not tried in the same round
SHARES = (0.25, 0.45, 0.65, 0.8)  # of the sublayers, in the sets that are tried first


@dataclass
class _Search:
    """One opening: what proposes, what it may still cost, and how it goes."""

    searcher: LocalSearch
    first: int  # sets that are tried in one round
    seconds: float  # still to spend
    best: float = 0.0  # predicted speed
    tried: int = 0
    stalled: int = 0
    over: bool = False

    def note(self, skips: SkipSet, speed: float) -> None:
        """Note the predicted speed of a set."""
        self.searcher.tell(skips, speed)
        self.tried += 1
        self.stalled = 0 if speed > self.best else self.stalled + 1
        if speed < FALLEN * self.best:
            self.first = min(self.first, self.tried)  # wider sets can wait
        self.best = max(self.best, speed)


class StreamPlanner(Planner):
    """Tries sets while it plans, within a budget of seconds."""

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._candidates = CandidatePlanner(config)
        self._search: _Search | None = None
        self._order: list[int] = []  # sublayers, cheapest loss first
        self._promised = 1.0  # speed-up expected when the set that drafts was found
        self._opened_at = 0  # tokens
        self._openings = 0
        self._looked = -1  # round
        self._billed = 0.0  # predicted seconds of this round's sets
        self._overrun = 1.0  # measured over predicted seconds
        self._captured = 0  # tokens of rounds whose states were captured

    def plan(self, context: Context) -> DraftPlan:
        """Try sets where that may pay, and review the one that drafts where that is due."""
        if context.round != self._looked:
            self._looked = context.round
            self._look(context)
        if self._candidates.empty:
            widths = context.costs.quicker_widths(context.length - 1)
            if widths:
                self._candidates.consider(*expected_of_low_bits(context.shape, widths), context)
        return self._candidates.present(context, capture=True)

    def observe(self, outcome: Outcome) -> None:
        """Learn acceptance, and what trying really costs."""
        if outcome.plan.capture:
            self._captured += len(outcome.emitted)
        if self._billed > 0.0:
            self._overrun = max(outcome.select_seconds / self._billed, 1.0)
            self._billed = 0.0
        self._candidates.observe(outcome)

    def _look(self, context: Context) -> None:
        prices = self._candidates.prices(context)
        self._candidates.review_if_due(context)
        self._billed = 0.0
        # rounds that another strategy planned leave a gap in the captured states
        gap = context.length - 1 > context.prompt_length + self._captured
        if gap or not context.prompt_states:
            return
        if self._opens(context):
            self._open(context, prices)
        if self._search is not None and not self._search.over:
            self._try_on(context, prices, self._search)

    def _opens(self, context: Context) -> bool:
        """In the first round, and where the expected speed has fallen."""
        if not self._openings:
            return context.round == 0
        slowed = self._candidates.speedup < (1.0 - self._config.drift) * self._promised
        return slowed and context.length - self._opened_at >= self._config.interval

    def _open(self, context: Context, prices: RoundPrices) -> None:
        """Forget old scores; the present set is scored again on the most recent rows."""
        size = context.shape.sublayers
        if not self._order:
            self._order = self._ranked(context, prices)
        nested = nested_sets(self._order, size, SHARES)
        widths = context.costs.quicker_widths(context.length - 1)
        lowered = in_other_precisions(SkipSet(size), widths)
        starts = [*self._candidates.candidates, *lowered, *nested]
        self._openings += 1
        self._opened_at = context.length
        self._candidates.clear()
        self._promised = 1.0
        plain = context.costs.autoregressive(context.length - 1)
        self._search = _Search(
            LocalSearch(size, self._config.seed + self._openings, starts, widths=widths),
            first=len(starts),
            seconds=self._config.share / self._openings * plain * context.budget,
        )

    def _ranked(self, context: Context, prices: RoundPrices) -> list[int]:
        """Inner sublayers, those whose skipping should lose least for its gain first."""
        size = context.shape.sublayers
        ends = 2 * min(self._config.protected, (context.shape.layers - 1) // 2)
        changes = stream_change(context.prompt_states, size)
        return least_loss_first(changes, prices.sublayer_seconds.tolist(), range(ends, size - ends))

    def _try_on(self, context: Context, prices: RoundPrices, search: _Search) -> None:
        """Try the first sets in one round, then one set a round."""
        tokens, target = self._rows(context)
        judge = None
        while not search.over:
            skips = search.searcher.ask()
            if skips is not None and skips.runs_in_full:
                search.searcher.tell(skips, prices.speed(1.0, skips))  # the target: nothing to run
                continue
            if skips is None or not self._affordable(context, skips, len(tokens), search):
                search.over = True
                break
            judge = judge or RowJudge(context.probe, tokens, target)
            (alpha,) = judge.agreement(skips).overlap
            self._score(context, search, skips, alpha)
            if search.tried >= search.first:
                break

    def _affordable(self, context: Context, skips: SkipSet, rows: int, search: _Search) -> bool:
        """Charge a trial if the budget allows it."""
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
        states = states[-self._config.window :]
        committed = context.length - 1
        return list(context.tokens[committed - len(states) : committed]), states

    def _score(self, context: Context, search: _Search, skips: SkipSet, alpha: float) -> None:
        """Expected speed; a set that is better by the lead replaces the present one."""
        speed = self._candidates.prices(context).speed(alpha, skips)
        search.note(skips, speed)
        hopeless = search.tried == search.first and search.best < self._config.hopeless
        search.over = hopeless or search.stalled > self._config.patience
        if speed > self._config.lead * self._candidates.speedup:
            self._candidates.consider([skips], [alpha], context)
            self._promised = self._candidates.speedup
