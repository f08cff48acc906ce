"""KnapSpec: which sublayers to skip, as a knapsack solved while generating.

Cha, Kim, Han, Yang, Han 2026, https://arxiv.org/abs/2602.20217. Preset `faithful` is `paper`,
preset `best` is `online`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.knapspec.online import OnlinePlanner
from specframe.strategies.knapspec.paper import PaperConfig, PaperPlanner
from specframe.strategies.shared.planners.chain_search import ChainConfig
from specframe.types import ModelShape

__all__ = ["KnapSpec"]


@dataclass(frozen=True)
class KnapSpec(LayerSelector):
    """Sublayers to skip from a knapsack over their measured latency, solved while generating."""

    config: ChainConfig | PaperConfig = field(default_factory=ChainConfig)

    traits = Traits(
        "knapsack over measured latency and similarity, solved while generating",
        adaptive=True,
        context_aware=True,
        search="chain dynamic program and tokens-per-time grid",
    )
    presets: ClassVar[Mapping[str, ChainConfig | PaperConfig]] = {
        "best": ChainConfig(),
        "faithful": PaperConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        """The planner of the preset."""
        if isinstance(self.config, PaperConfig):
            return PaperPlanner(self.config)
        return OnlinePlanner(self.config)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths: of the prompt's last rows (best), of committed tokens."""
        if isinstance(self.config, PaperConfig):
            return Needs(committed=Needs.every, window=self.config.window)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
