"""CAS-Spec: levels of skipping and of low-bit weights draft, above copies from the text.

2025, https://arxiv.org/abs/2510.26843. Preset `faithful` is `paper`, preset `best` is `levels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.cas.levels import LevelConfig, LevelSearch
from specframe.strategies.cas.paper import CasConfig, PaperPlanner
from specframe.strategies.shared.ngrams import NgramConfig, NgramIndex
from specframe.strategies.shared.planners.copy_first import CopyFirst
from specframe.strategies.shared.planners.replanning import Replanner, program_prospect
from specframe.types import ModelShape

__all__ = ["Cas"]


@dataclass(frozen=True)
class Cas(LayerSelector):
    """Levels of skipping and of low-bit weights draft, above copies from the text."""

    config: LevelConfig | CasConfig = field(default_factory=LevelConfig)

    traits = Traits(
        "levels of skipping and low-bit weights above copies, the one worth most",
        adaptive=True,
        context_aware=True,
        search="worth of each level, n-gram match",
        precision_aware=True,
        official="no code found",
    )
    presets: ClassVar[Mapping[str, LevelConfig | CasConfig]] = {
        "best": LevelConfig(),
        "faithful": CasConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, CasConfig):
            return PaperPlanner(self.config, shape.layers)
        copies = NgramConfig(shortest=self.config.shortest)
        levels = Replanner(self.config, LevelSearch(self.config))
        return CopyFirst(levels, NgramIndex(copies), copies.prior, copies.priced)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of any level; without it nothing is copied either. The paper always drafts."""
        if isinstance(self.config, CasConfig):
            return None
        return program_prospect(self.config.longest, LevelSearch(self.config), low_bit=True)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices; states of all depths of a few rows (best)."""
        if isinstance(self.config, CasConfig):
            return Needs()
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
