"""The chain dynamic program within a generation: its problem, its price and its candidates.

A candidate's acceptance rate is first taken to be the overlap of the distributions of draft and
target on a few reference rows, made to fall with the weight that is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.options import require_at_least, require_in
from specframe.contract.planner import Context
from specframe.costs.rates import RoundPrices
from specframe.costs.tables import rising
from specframe.strategies.shared.planners.expected import in_each_precision, quicker_low_bits
from specframe.strategies.shared.planners.replanning import ReplanRules
from specframe.strategies.shared.streams.agreement import Agreement, compare_heads
from specframe.strategies.shared.streams.chain_dp import (
    ChainRules,
    Chains,
    Stretch,
    best_chains,
    branches_by_stretch,
)
from specframe.types import SkipSet

__all__ = ["ChainConfig", "ChainSearch", "Cut"]

Floats = NDArray[np.float64]
# states by depth, weights of sublayers, protected ones at either end -> what is skipped as one
Cut = Callable[[Mapping[int, Tensor], Sequence[float], int], list[Stretch]]
NEVER = 1e-6


@dataclass(frozen=True)
class ChainConfig(ReplanRules):
    """What the program searches."""

    most_skipped: float = 1.0  # share of the sublayers' seconds
    similarity: float = 0.5  # least mean cosine of a path
    widest: int = 16  # paths of the program that are kept from one sublayer to the next
    protected: float = 0.04  # share of the layers that is never skipped, at either end
    finalists: int = 10  # candidates whose acceptance rate is estimated

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, widest=2, finalists=1)
        require_in(self, "(0, 1]", "most_skipped")
        require_in(self, "[-1, 1]", "similarity")
        require_in(self, "[0, 0.5)", "protected")


@dataclass(frozen=True)
class ChainSearch:
    """One way to search; `cut` says what the program skips as one.

    With `low_bit`, candidates may also run on low-bit weights.
    """

    config: ChainConfig
    cut: Cut
    low_bit: bool = False

    def seconds(self, context: Context, rows: int) -> float:
        """What a search on so many reference rows will take."""
        costs, n = context.costs, context.length - 1
        stretches, rules = self._problem(context, RoundPrices.near(costs, n, (1,)))
        branches = branches_by_stretch(stretches, rules, rows)
        seconds = costs.head.at(n, (1 + self.config.finalists) * rows)
        for stretch, count in zip(stretches, branches, strict=True):
            seconds += costs.base.at(n, 1)
            for sublayer in range(stretch.start, stretch.stop):
                seconds += costs.sublayer(sublayer, n, max(count, 1) * rows)
        for lowered in self.unplanned(context)[0]:
            seconds += costs.walk(n, rows, lowered, logits=2 * rows)
        return seconds

    def run(
        self, context: Context, references: Mapping[int, Tensor], prices: RoundPrices
    ) -> tuple[list[SkipSet], Floats]:
        """A few candidates spread over the skipped weights, and estimates of their acceptance."""
        stretches, rules = self._problem(context, prices)
        chains = best_chains(context.probe, references, stretches, rules)
        finalists = _spread(chains, self.config.finalists)
        last = references[context.shape.sublayers]
        agreement = compare_heads(context.probe, chains.states[finalists], last)
        sets = [SkipSet(context.shape.sublayers, chains.bits[i]) for i in finalists]
        return in_each_precision(
            context, sets, _estimates(agreement), last, self.unplanned(context)[0]
        )

    def unplanned(self, context: Context) -> tuple[list[SkipSet], list[float]]:
        """Candidates that no search is needed for, and what is expected of their acceptance."""
        return quicker_low_bits(context) if self.low_bit else ([], [])

    def _problem(self, context: Context, prices: RoundPrices) -> tuple[list[Stretch], ChainRules]:
        """Weights are seconds; a sublayer that costs nothing still weighs something."""
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


def _spread(chains: Chains, count: int) -> list[int]:
    """Paths at evenly spaced skipped weights, without the one that skips nothing."""
    paths = [i for i, bits in enumerate(chains.bits) if bits]
    if len(paths) <= count:
        return paths
    places = np.linspace(0, len(paths) - 1, count).round().astype(int)
    return [paths[place] for place in places]


def _estimates(agreement: Agreement) -> Floats:
    """Acceptance rates in ascending weight: they cannot rise with what is skipped.

    The overlap of two distributions is the chance that a sampled token is accepted. On a few rows
    it also predicts greedy agreement better than agreement itself: where the prompt leaves the
    target in doubt, its top token is a matter of chance.
    """
    falling: Sequence[float] = rising(list(agreement.overlap)[::-1])
    return np.array(falling[::-1])
