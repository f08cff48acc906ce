"""A calibrated strategy that asks the prompt's hidden states which domain it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor

from specframe.contract.options import with_options
from specframe.contract.planner import Context
from specframe.contract.pooling import Pooling
from specframe.contract.selector import Needs
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.lookup import Lookup, Match, memory_of
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy

__all__ = ["LookingUp"]


@dataclass
class LookingUp(CalibratedStrategy):
    """What was found has a `memory` of where domains lie."""

    lookup: Lookup | None = None  # over that memory; shared by all sequences

    def __post_init__(self) -> None:
        self._match: Match | None = None
        if self.lookup is None and self.found is not None:
            self.lookup = Lookup(self.found.memory, self.config)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The prompt's states after the last sublayer."""
        return Needs(prompt=(-1,), prompt_rows=Pooling(self.config.pooling).rows)

    @property
    def match(self) -> Match | None:
        """What the look-up said of the sequence at hand."""
        return self._match

    def asking(self, **options: str) -> Self:
        """The same calibration with other settings."""
        return replace(self, config=with_options(self.config, options), lookup=None)

    def anchored(self, vectors: Tensor, labels: Sequence[str]) -> Self:
        """The same with anchors of these pooled prompts, [prompts, H]."""
        memory = memory_of(vectors, labels, self.config)
        return replace(self, found=replace(self.found, memory=memory), lookup=None)

    def says(self, vector: Tensor) -> Match:
        """What the look-up makes of a pooled prompt, [H]."""
        if self.lookup is None:
            raise InvalidRequest(f"{self.name} is not calibrated yet. {self.remedy()}")
        return self.lookup.of(vector)

    def look_up(self, context: Context) -> Match | None:
        """Ask once; without the prompt's states nothing is known."""
        states = context.prompt_states.get(context.shape.sublayers)
        if states is not None and self.lookup is not None:
            self._match = self.says(Pooling(self.config.pooling).of(states))
        return self._match

    def memory_figures(self) -> dict[str, Any]:
        """How well held-out prompts found their domain, and among how many anchors."""
        memory = self.found.memory
        return {"lookup_accuracy": memory.accuracy, "anchors": len(memory.labels)}
