"""CLaSp: which whole layers to skip, by a dynamic program on the states of accepted tokens.

Chen, Shan, Wang, Wang, Liu, Luo, Wang, Alinejad-Rokny, Yang 2025,
https://arxiv.org/abs/2505.24196. After a verification the target's states x_0 to x_L of the last
accepted token cost nothing. Numbers in the code:

    (1) g[0][0] = x_0, and g[i][j] is a draft's state after i layers of which j were skipped
    (2) g[i][j] = the one more like x_i of layer(g[i-1][j]) and g[i-1][j-1], by cosine
    (3) the path to g[L][M] says which M layers are skipped
    (4) drafts have up to 10 tokens and end after one of probability under 0.7
    (5) (1) to (3) every 64 rounds, not every round

The paper was read in summaries and in the port that KnapSpec's authors published; decisions are
those of the port (`chain_dp` with whole layers, ties skip).

Differs from the paper, preset `faithful`: M is a share of the layers, a quarter, near what the
port takes for models of 3B to 70B, and can be set; sampled drafts are verified by rejection with
residual. Until the first program drafts are the full model, as in the port.

Differs from the paper, preset `best`: plans right after the prompt, from several reference tokens
that see the target's keys before themselves; M is the number of skipped layers of most tokens a
second, by measured prices and an acceptance that moves to what is observed; drafts end where one
more token does not pay, and nothing is drafted where none does; the program runs again when what
it promised has drifted. It is the planner of `knapspec.online` over whole layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.contract.planner import Context, Probe
from specframe.contract.selector import Needs, Traits
from specframe.errors import InvalidConfig
from specframe.strategies.knapspec.online import OnlineConfig, OnlinePlanner
from specframe.strategies.shared.planners.planning import Planner, PlanningStrategy
from specframe.strategies.shared.streams.chain_dp import ChainRules, Stretch, best_chains
from specframe.types import DraftPlan, Outcome, SkipSet, StopRule

__all__ = ["BEST", "ClaSp", "ClaSpConfig", "skipped_layers", "whole_layers"]


@dataclass(frozen=True)
class ClaSpConfig:
    """The port's constants; `skipped` 0 is `share` of the layers."""

    skipped: int = 0
    share: float = 0.25
    interval: int = 64  # rounds from one program to the next
    draft: int = 10
    confidence: float = 0.7

    def __post_init__(self) -> None:
        require_at_least(self, skipped=0, interval=2, draft=1)
        if not 0.0 < self.share < 1.0:
            raise InvalidConfig.of("ClaSpConfig", "share", "in (0, 1)", self.share)

    def count(self, layers: int) -> int:
        """M for a model of so many layers; one is always left."""
        return min(self.skipped or max(round(self.share * layers), 1), layers - 1)


BEST = OnlineConfig(protected=0.0)


def whole_layers(
    references: Mapping[int, Tensor], weights: Sequence[float], protected: int
) -> list[Stretch]:
    """A layer a stretch; those within `protected` sublayers of either end are not skipped."""
    size = len(weights)
    return [
        Stretch(b, b + 2, sum(weights[b : b + 2]), may_skip=b < size - protected)
        for b in range(protected, size, 2)
    ]


def skipped_layers(probe: Probe, references: Mapping[int, Tensor], count: int) -> SkipSet:
    """Equations (1) to (3); `references` hold one row at each depth, the last accepted token's."""
    size = max(references)
    stretches = whole_layers(references, (0.5,) * size, protected=0)
    chains = best_chains(probe, references, stretches, ChainRules(count, ties_skip=True))
    return SkipSet(size, chains.bits[chains.weights.index(count)])


@dataclass
class PortPlanner:
    """Equations (4) and (5); the paper counts rounds from 0, the prompt's."""

    config: ClaSpConfig
    _skips: SkipSet | None = field(default=None, init=False)
    _planned: int | None = field(default=None, init=False)  # round

    def select(self, context: Context) -> DraftPlan:
        """Plan after the first round of each interval."""
        phase = context.round % self.config.interval
        if phase == 1 and context.probe is not None and context.states:
            self._plan(context, context.probe)
        skips = self._skips or SkipSet.none(context.shape.layers)
        stop = StopRule(self.config.draft, self.config.confidence)
        return DraftPlan(skips, stop, capture=phase == 0)

    def observe(self, outcome: Outcome) -> None:
        """Nothing is learnt from it."""

    def _plan(self, context: Context, probe: Probe) -> None:
        if self._planned == context.round:
            return
        last = {depth: rows[-1:] for depth, rows in context.states.items()}
        self._skips = skipped_layers(probe, last, self.config.count(context.shape.layers))
        self._planned = context.round


@dataclass
class ClaSp(PlanningStrategy):
    """Whole layers to skip from a dynamic program on the states of accepted tokens."""

    config: OnlineConfig | ClaSpConfig = BEST

    traits = Traits(
        "whole layers by a dynamic program on the states of accepted tokens",
        separable=False,
        adaptive=True,
        context_aware=True,
        search="chain dynamic program over layers",
    )
    presets: ClassVar[Mapping[str, OnlineConfig | ClaSpConfig]] = {
        "best": BEST,
        "faithful": ClaSpConfig(),
    }

    def planner(self) -> Planner:
        """By the preset."""
        if isinstance(self.config, ClaSpConfig):
            return PortPlanner(self.config)
        return OnlinePlanner(self.config, whole_layers)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths: of the last committed token, or of the last few (best)."""
        if isinstance(self.config, ClaSpConfig):
            return Needs(committed=Needs.every, window=1)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
