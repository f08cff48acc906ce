"""Equation (4) of knap-knn: the knapsack of a domain at the prices of the context."""

from __future__ import annotations

from collections.abc import Hashable

from specframe.contract.planner import Context
from specframe.costs.model import CostModel
from specframe.costs.rates import RoundPrices, nearest
from specframe.strategies.knap_knn.config import KnapKnnConfig
from specframe.strategies.shared.domains.domain_models import DomainModel
from specframe.strategies.shared.searching.resolve import KnownSet, Resolved, resolve
from specframe.types import ModelShape

__all__ = ["Solver"]

LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
NEVER = 1e-12
FELT = 0.25  # of the boundary: smaller changes of attention's price leave the solution as it is
MOST_KEPT = 256  # solutions of a domain


class Solver:
    """Equation (4) for one sequence: solved when a boundary was crossed, else as before."""

    def __init__(
        self, domain: DomainModel, config: KnapKnnConfig, kept: dict[Hashable, Resolved]
    ) -> None:
        """`kept` are solutions of this domain, which are the same in every sequence."""
        self._config, self._model, self._kept = config, domain.model, kept
        published = config.most_skipped < 1.0  # which trusts the losses
        known = () if published else domain.sets
        self._known = tuple(KnownSet(one.skips, one.acceptance.low) for one in known)
        self._doubt = 0.0 if published else domain.error
        self._prices: RoundPrices | None = None
        self._context = 0
        self._attention = 1.0  # against an MLP, at that context
        self._shift = 0.0
        self.solved: Resolved | None = None
        self.solutions = 0

    def at(self, context: Context, shift: float) -> Resolved:
        """The set for this context, with acceptances moved by `shift` in log-odds."""
        n = context.length - 1
        if self.solved is not None and shift == self._shift and not self._crossed(context):
            return self.solved
        if self._prices is None or self._crossed(context):
            lengths = [d for d in LENGTHS if d <= self._config.longest]
            self._prices, self._context = RoundPrices.near(context.costs, n, lengths), n
            self._attention = _attention_price(context.costs, n)
        self._shift, self.solutions = shift, self.solutions + 1
        key = context.costs, nearest(self._context), shift
        if key not in self._kept:
            if len(self._kept) == MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._solve(self._prices, context.shape, shift)
        self.solved = self._kept[key]
        return self.solved

    def _solve(self, prices: RoundPrices, shape: ModelShape, shift: float) -> Resolved:
        config, size = self._config, shape.sublayers
        ends = min(config.protected, (shape.layers - 1) // 2) * 2
        return resolve(
            self._model,
            self._known,
            prices,
            protected=frozenset([*range(ends), *range(size - ends, size)]),
            most_skipped=config.most_skipped,
            parts=config.parts,
            heaviest=config.heaviest,
            shift=shift,
            doubt=self._doubt,
        )

    @property
    def prices(self) -> RoundPrices:
        """Those of the last solution."""
        assert self._prices is not None
        return self._prices

    def _crossed(self, context: Context) -> bool:
        """Whether the context moved, and the price of attention with it."""
        boundary, n = self._config.boundary, context.length - 1
        if abs(n - self._context) <= boundary * max(self._context, 64):
            return False
        moved = _attention_price(context.costs, n) / self._attention - 1.0
        return abs(moved) > FELT * boundary


def _attention_price(costs: CostModel, n: int) -> float:
    """Seconds of attention over those of an MLP, first layer."""
    return max(costs.sublayer(0, n), NEVER) / max(costs.sublayer(1, n), NEVER)
