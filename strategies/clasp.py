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
it promised has drifted. It is `chain_search` over whole layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from specframe.contract.options import require_at_least, require_draft_length, require_in
from specframe.contract.paying import Prospect
from specframe.contract.planner import Context, Planner, Probe
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.shared.planners.chain_search import ChainConfig, ChainSearch
from specframe.strategies.shared.planners.replanning import Replanner, program_prospect
from specframe.strategies.shared.streams.chain_dp import ChainRules, Stretch, best_chains
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

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
        require_at_least(self, skipped=0, interval=2)
        require_draft_length(self, "draft")
        require_in(self, "(0, 1)", "share")
        require_in(self, "[0, 1]", "confidence")

    def count(self, layers: int) -> int:
        """M for a model with this number of layers; at least one layer runs."""
        return min(self.skipped or max(round(self.share * layers), 1), layers - 1)


BEST = ChainConfig(protected=0.0)


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


class PortPlanner(Planner):
    """Equations (4) and (5); the paper counts rounds from 0, the prompt's."""

    def __init__(self, config: ClaSpConfig) -> None:
        self._config = config
        self._skips: SkipSet | None = None
        self._planned: int | None = None  # round

    def plan(self, context: Context) -> DraftPlan:
        """Run the program after the first round of each interval."""
        phase = context.round % self._config.interval
        if phase == 1 and context.states and self._planned != context.round:
            self._run(context)
        skips = self._skips or SkipSet.none(context.shape.layers)
        stop = StopRule(self._config.draft, self._config.confidence)
        return DraftPlan(skips, stop, capture=phase == 0)

    def _run(self, context: Context) -> None:
        last = {depth: rows[-1:] for depth, rows in context.states.items()}
        count = self._config.count(context.shape.layers)
        self._skips = skipped_layers(context.probe, last, count)
        self._planned = context.round


@dataclass(frozen=True)
class ClaSp(LayerSelector):
    """Whole layers to skip from a dynamic program on the states of accepted tokens."""

    config: ChainConfig | ClaSpConfig = BEST

    traits = Traits(
        "whole layers by a dynamic program on the states of accepted tokens",
        separable=False,
        adaptive=True,
        context_aware=True,
        official="no code published",
        search="chain dynamic program over layers",
    )
    presets: ClassVar[Mapping[str, ChainConfig | ClaSpConfig]] = {
        "best": BEST,
        "faithful": ClaSpConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, ClaSpConfig):
            return PortPlanner(self.config)
        return Replanner(self.config, ChainSearch(self.config, whole_layers))

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of any sublayers; the paper always drafts."""
        if isinstance(self.config, ClaSpConfig):
            return None
        program = ChainSearch(self.config, whole_layers)
        return program_prospect(self.config.longest, program)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths: of the last committed token, or of the last few (best)."""
        if isinstance(self.config, ClaSpConfig):
            return Needs(committed=Needs.every, window=1, prices=False)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
