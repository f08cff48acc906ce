"""SWIFT: skip sets tried while serving, scored on tokens the model has already produced.

Xia, Li, Zhang, Du, Li 2025, https://arxiv.org/abs/2410.06916. Preset `faithful` is `paper`, preset
`best` is `online`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.shared.planners.prospects import StreamProspect
from specframe.strategies.swift.online import StreamConfig, StreamPlanner
from specframe.strategies.swift.paper import PaperPlanner, SwiftConfig
from specframe.types import ModelShape

__all__ = ["Swift"]


@dataclass(frozen=True)
class Swift(LayerSelector):
    """Skip sets tried while serving, scored on tokens the model has already produced."""

    config: StreamConfig | SwiftConfig = field(default_factory=StreamConfig)

    traits = Traits(
        "skip sets tried while serving, scored on tokens already produced",
        adaptive=True,
        context_aware=True,
        precision_aware=True,
        official="no, the bonus token ignores the temperature, and siblings leave a wrong residual",
        search="random and Bayesian, or local",
    )
    presets: ClassVar[Mapping[str, StreamConfig | SwiftConfig]] = {
        "best": StreamConfig(),
        "faithful": SwiftConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, SwiftConfig):
            return PaperPlanner(self.config, shape.layers)
        return StreamPlanner(self.config)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of any sublayers, for the price of the first sets; the paper always drafts."""
        if isinstance(self.config, SwiftConfig):
            return None
        return StreamProspect(self.config.longest, self.config.first_trials, low_bit=True)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Of the prompt all depths, to rank sublayers; then last states, to score on (best)."""
        if isinstance(self.config, SwiftConfig):
            return Needs(prices=False)
        rows = self.config.window
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=(-1,), window=rows)
