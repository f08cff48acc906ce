"""ConfLayers: whole layers that are less sure of the next token than their neighbours are skipped.

2026, https://arxiv.org/abs/2604.14612. Preset `faithful` is `paper`, preset `best` is `program`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.conflayers.paper import ConfLayersConfig, PaperPlanner
from specframe.strategies.conflayers.program import ConfidenceSearch, OrderConfig
from specframe.strategies.shared.planners.replanning import Replanner, program_prospect
from specframe.types import ModelShape

__all__ = ["ConfLayers"]


@dataclass(frozen=True)
class ConfLayers(LayerSelector):
    """Whole layers that are less sure of the next token than their neighbours are skipped."""

    config: OrderConfig | ConfLayersConfig = field(default_factory=OrderConfig)

    traits = Traits(
        "whole layers that are less sure of the next token than their neighbours",
        separable=False,
        adaptive=True,
        context_aware=True,
        search="order of confidence, or a moving threshold",
        precision_aware=True,
        official="no, the bonus token ignores the temperature, and siblings leave a wrong residual",
    )
    presets: ClassVar[Mapping[str, OrderConfig | ConfLayersConfig]] = {
        "best": OrderConfig(),
        "faithful": ConfLayersConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, ConfLayersConfig):
            return PaperPlanner(self.config, shape.layers)
        return Replanner(self.config, ConfidenceSearch(self.config))

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of any layers; the paper always drafts."""
        if isinstance(self.config, ConfLayersConfig):
            return None
        return program_prospect(self.config.longest, ConfidenceSearch(self.config), low_bit=True)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths: of committed tokens, and of the prompt's last rows (best)."""
        if isinstance(self.config, ConfLayersConfig):
            return Needs(committed=Needs.every, window=self.config.window, prices=False)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
