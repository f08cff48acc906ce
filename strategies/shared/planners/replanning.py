"""Runs a search for skip sets while generating, whenever that is expected to pay.

It runs right after the prompt, on the prompt's last rows. Its candidates are reviewed as acceptance
is observed and the context grows. When the speed that it promised has drifted, or attention's share
of the price has, states of new rows are captured and it runs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least, require_in, require_known
from specframe.contract.planner import Context, Planner
from specframe.costs.rates import APART, RoundPrices
from specframe.strategies.shared.planners.candidates import (
    CandidatePlanner,
    CandidateRules,
)
from specframe.strategies.shared.planners.prospects import StreamProspect
from specframe.types import DraftPlan, Outcome, SkipSet

__all__ = ["FEWEST_ROWS", "Program", "ReplanRules", "Replanner", "program_prospect"]

Floats = NDArray[np.float64]
FEWEST_ROWS = 2
NEVER = 1e-6


@dataclass(frozen=True)
class ReplanRules(CandidateRules):
    """What planning may cost, and what is believed of its candidates."""

    prior: float = 24.0  # tokens that an estimate of acceptance is worth
    rows: int = 4  # reference rows
    stop: str = "gain"  # or "fixed": at the length that was planned, whatever is drafted
    share: float = 0.02  # of the remaining autoregressive seconds that planning should take
    payback: float = 0.5  # of the seconds it may save that planning takes at most
    hoped_speedup: float = 1.3  # of a first planning
    drift: float = 0.1  # loss of expected speed, or change of price ratio, that plans again
    interval: int = 64  # tokens between two plannings at least

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, rows=1, interval=1, payback=0, hoped_speedup=0)
        require_in(self, "[0, 1]", "share", "drift")
        require_known(self, stop=("gain", "fixed"))


class Program(Protocol):
    """A search for skip sets on the states of a few reference rows."""

    def seconds(self, context: Context, rows: int) -> float:
        """What a search on so many reference rows will take."""
        ...

    def run(
        self, context: Context, references: Mapping[int, Tensor], prices: RoundPrices
    ) -> tuple[Sequence[SkipSet], Floats]:
        """Candidates and estimates of their acceptance; `references` are [R, H] by depth."""
        ...

    def unplanned(self, context: Context) -> tuple[Sequence[SkipSet], Sequence[float]]:
        """Candidates that no search is needed for, and what is expected of their acceptance."""
        ...


class Replanner(Planner):
    """Candidates from a program, run where it pays."""

    def __init__(self, config: ReplanRules, program: Program) -> None:
        self._config, self._program = config, program
        self._candidates = CandidatePlanner(config, fixed_length=config.stop == "fixed")
        self._promised = 1.0  # speed-up when the program last ran
        self._ratio = 1.0  # of attention's to MLP's price, then
        self._planned_at = 0  # tokens, then
        self._drifted: bool | None = None  # None before the first review
        self._captured = 0  # rows captured without a gap
        self._round = -1  # that was planned last
        self._billed = 0.0  # predicted seconds of the planning in it
        self._overrun = 1.0  # measured over predicted seconds
        self._priced_at = 0  # context length, when the program was last priced
        self._prices: dict[int, float] = {}  # seconds of the program, by reference rows

    def plan(self, context: Context) -> DraftPlan:
        """Run the program where that pays, review the candidates where that is due."""
        if context.round != self._round:
            self._round, self._billed = context.round, 0.0
        if self._drifted is None or self._candidates.due(context):
            self._review(context)
        references = self._references(context) if self._drifted else None
        if references is not None:
            rows = self._affordable_rows(context, len(references[0]))
            if rows:
                self._search(context, {d: s[-rows:] for d, s in references.items()})
            else:  # too dear now: nothing is captured before the next review
                self._drifted = False
        waiting = self._config.interval - (context.length - self._planned_at)
        capture = bool(self._drifted) and waiting <= self._config.rows
        return self._candidates.present(context, capture)

    def observe(self, outcome: Outcome) -> None:
        """Learn acceptance and what planning really costs, and count captured rows."""
        self._captured = self._captured + len(outcome.emitted) if outcome.plan.capture else 0
        if self._billed > 0.0:
            self._overrun = outcome.select_seconds / self._billed
            self._billed = 0.0
        self._candidates.observe(outcome)

    def rest(self) -> int:
        """While nothing is drafted and no search is wanted."""
        return 0 if self._drifted else self._candidates.rest()

    def _references(self, context: Context) -> Mapping[int, Tensor] | None:
        """States of the last committed rows, where they were captured."""
        if context.round == 0 and context.prompt_states:
            return context.prompt_states
        enough = min(self._captured, self._config.rows)
        if enough < FEWEST_ROWS or context.length - self._planned_at < self._config.interval:
            return None
        if not context.states:
            return None
        return {depth: rows[-enough:] for depth, rows in context.states.items()}

    def _affordable_rows(self, context: Context, available: int) -> int:
        """How many reference rows planning may use; 0 where it cannot pay for itself.

        As many as fit into the share of the remaining seconds; the fewest where none do, if the
        expected gain is worth it.
        """
        rows = min(available, self._config.rows)
        remaining = context.budget * context.costs.autoregressive(context.length - 1)
        hoped = max(self._config.hoped_speedup, self._promised)
        gain = remaining * (1.0 / self._candidates.speedup - 1.0 / hoped)
        if gain <= 0.0:
            return 0
        fewest = min(FEWEST_ROWS, available)
        if self._overrun * self._seconds(context, fewest) > self._config.payback * gain:
            return 0  # more rows would take longer still
        while True:
            seconds = self._overrun * self._seconds(context, rows)
            if seconds <= self._config.share * remaining or rows <= fewest:
                return rows if seconds <= self._config.payback * gain else 0
            rows = max(rows // 2, fewest)

    def _seconds(self, context: Context, rows: int) -> float:
        """What the program takes, priced anew as often as rounds are."""
        if abs(context.length - self._priced_at) >= APART:
            self._priced_at = context.length
            self._prices.clear()
        if rows not in self._prices:
            self._prices[rows] = self._program.seconds(context, rows)
        return self._prices[rows]

    def _search(self, context: Context, references: Mapping[int, Tensor]) -> None:
        """Replace the candidates by the program's."""
        prices = self._candidates.prices(context)
        self._billed = self._seconds(context, len(references[0]))
        self._candidates.consider(*self._program.run(context, references, prices), context)
        self._planned_at, self._ratio = context.length, _price_ratio(prices)
        self._review(context)
        self._promised, self._drifted = self._candidates.speedup, False

    def _review(self, context: Context) -> None:
        """Choose by what is known now, and see whether what was promised has drifted."""
        if self._candidates.empty:
            candidates, alphas = self._program.unplanned(context)
            if candidates:
                self._candidates.consider(candidates, alphas, context)
        self._candidates.review(context)
        if not self._planned_at:
            self._drifted = context.round == 0  # the prompt's states are only there then
            return
        prices = self._candidates.prices(context)
        changed = abs(_price_ratio(prices) / self._ratio - 1.0) > self._config.drift
        slowed = self._candidates.speedup < (1.0 - self._config.drift) * self._promised
        self._drifted = (changed or slowed) and bool(
            self._affordable_rows(context, self._config.rows)
        )


def program_prospect(longest: int, program: Program, low_bit: bool = False) -> StreamProspect:
    """What a program could find, for the price of running it on the fewest rows."""
    trial = lambda context: program.seconds(context, FEWEST_ROWS)  # noqa: E731
    return StreamProspect(longest, trial, low_bit=low_bit)


def _price_ratio(prices: RoundPrices) -> float:
    seconds = prices.sublayer_seconds
    return float(max(seconds[::2].sum(), NEVER) / max(seconds[1::2].sum(), NEVER))
