"""SpecBound: each token leaves the model where it is sure enough, and two bounds end the draft.

2026, https://arxiv.org/abs/2604.12247. Numbers in the code, for depth l of L layers:

    (1) T_l = 1 + alpha (1 - l / L): a shallow exit's confidence is flattened more
    (2) a token leaves after the first exit with max softmax(z_l / T_l) >= tau
    (3) a token that has not left at the deepest exit, d_max, ends the draft
    (4) so do w_max drafted tokens
    (5) every token keeps its state where it left; later tokens that go deeper continue it, and
        verification runs all states to the end from there, so no layer runs twice for a token

The paper trains a light head for each exit and keeps the model. Here the model's own norm and head
read every exit: nothing is trained. alpha, tau, d_max and w_max were not published; the page of
this strategy explains how the values used here were measured. Any strategy can use (1), (3) and (4)
as its stop rule: `draft_stop=annealed:N:P:ALPHA` (`contract.stopping.DepthAnnealed`).

Differs from the paper, preset `faithful`: untrained exits, and as everywhere here the token that
ends a draft is kept and verified; states are run to d_max before verification runs all rows
together; sampled drafts are verified by rejection with residual.

Differs from the paper, preset `best`: a round has one exit, since every exit that is read costs a
product with the head. It is the one of most expected tokens a second, at an acceptance estimated
on the prompt's last rows and corrected by observation; tau is replaced by the expected gain of one
more token, measured by the annealed confidence; and nothing is drafted where no exit pays
(`shared.planners.replanning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.contract.stopping import annealed
from specframe.contract.wrapper import WrappedPlanner
from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.planners.exits import spread_exits
from specframe.strategies.shared.planners.prospects import ExitProspect
from specframe.strategies.shared.planners.replanning import Replanner, ReplanRules
from specframe.strategies.shared.streams.agreement import compare_heads
from specframe.types import DraftPlan, ExitRule, ModelShape, SkipSet, StopRule

__all__ = ["BoundConfig", "PricedExits", "SpecBound"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BoundConfig:
    """(1) to (4): alpha, tau, d_max as a share of the layers, and w_max."""

    annealing: float = 0.5
    confidence: float = 0.2
    deepest: float = 0.875
    longest: int = 4
    spread: int = 4  # exits, at even distances up to the deepest

    def __post_init__(self) -> None:
        require_at_least(self, annealing=0)
        require_in(self, "[1, 1000]", "spread")
        require_in(self, "[0, 1]", "confidence")
        require_in(self, "(0, 1]", "deepest")
        require_draft_length(self, "longest")

    def plan(self, layers: int) -> DraftPlan:
        """The same in every round."""
        deepest = min(max(round(self.deepest * layers), 1), layers - 1)
        if deepest < 1:  # a model of one layer has no exit
            return draft_nothing(layers)
        exits = ExitRule(spread_exits(deepest, self.spread - 1), self.annealing)
        stop = StopRule(self.longest, self.confidence)
        return DraftPlan(SkipSet.after(layers, deepest), stop, capture=False, exits=exits)


@dataclass(frozen=True)
class PricedExits(ReplanRules):
    """`spread` exits at even distances compete."""

    rows: int = 16
    spread: int = 8
    annealing: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, annealing=0)
        require_in(self, "[1, 1000]", "spread")


@dataclass(frozen=True)
class _ExitSearch:
    """All exits, judged by what the head reads from the states of each."""

    exits: tuple[int, ...]

    def seconds(self, context: Context, rows: int) -> float:
        """The head over the rows of every exit and of the end."""
        return context.costs.head.at(context.length - 1, (1 + len(self.exits)) * rows)

    def run(
        self, context: Context, references: Mapping[int, Tensor], prices: RoundPrices
    ) -> tuple[list[SkipSet], Floats]:
        """Every exit; what draws from its distribution is accepted as often as it overlaps."""
        drafts = torch.stack([references[2 * e] for e in self.exits])
        last = references[context.shape.sublayers]
        sets = [SkipSet.after(context.shape.layers, e) for e in self.exits]
        return sets, np.array(compare_heads(context.probe, drafts, last).overlap)

    def unplanned(self, context: Context) -> tuple[list[SkipSet], list[float]]:
        """None: an exit is not known before it was judged."""
        return [], []


class _AnnealedPlanner(WrappedPlanner):
    """Measures confidence as (1) does."""

    def __init__(self, inner: Planner, annealing: float) -> None:
        super().__init__(inner)
        self._annealing = annealing

    def plan(self, context: Context) -> DraftPlan:
        """The inner plan, whose stop rule looks at annealed confidence."""
        plan = self._inner.plan(context)
        temperature = annealed(plan.skips, self._annealing)
        return replace(plan, stop=replace(plan.stop, temperature=temperature))


@dataclass(frozen=True)
class SpecBound(LayerSelector):
    """Tokens leave the model where their annealed confidence suffices."""

    config: PricedExits | BoundConfig = field(default_factory=PricedExits)

    traits = Traits(
        "early exit where annealed confidence suffices, within two bounds",
        separable=False,
        adaptive=True,
        context_aware=True,
        search="confidence at each exit, or expected speed of each",
        official="no code found",
    )
    presets: ClassVar[Mapping[str, PricedExits | BoundConfig]] = {
        "best": PricedExits(),
        "faithful": BoundConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, BoundConfig):
            return ConstantPlanner(self.config.plan(shape.layers))
        exits = spread_exits(shape.layers, self.config.spread)
        if not exits:  # a model of one layer
            return ConstantPlanner(draft_nothing(shape.layers))
        planner = Replanner(self.config, _ExitSearch(exits))
        return _AnnealedPlanner(planner, self.config.annealing)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of the exits, for the price of judging them; the paper always drafts."""
        exits = spread_exits(shape.layers, self.config.spread)
        if isinstance(self.config, BoundConfig) or not exits:
            return None
        search = _ExitSearch(exits)
        trial = lambda context: search.seconds(context, self.config.rows)  # noqa: E731
        return ExitProspect(exits, self.config.longest, trial)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths of the prompt's last rows and of committed tokens (best)."""
        if isinstance(self.config, BoundConfig):
            return Needs(prices=False)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
