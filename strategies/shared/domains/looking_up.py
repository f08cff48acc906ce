"""A calibrated strategy that looks up the domain of a prompt by its hidden states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from specframe.contract.options import with_options
from specframe.contract.pooling import Pooling
from specframe.contract.selector import Needs
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.lookup import Lookup, Match, memory_of
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy

__all__ = ["LookingUp"]


@dataclass(frozen=True)
class LookingUp(CalibratedStrategy):
    """What was found has a `memory` of where domains lie; planners share one look-up over it."""

    _lookup: Lookup | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.found is not None:
            object.__setattr__(self, "_lookup", Lookup(self.found.memory, self.config))

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The prompt's states after the last sublayer."""
        return Needs(prompt=(-1,), prompt_rows=Pooling(self.config.pooling).rows)

    @property
    def lookup(self) -> Lookup:
        """Built with the strategy; refused where nothing was found yet."""
        if self._lookup is None:
            raise InvalidRequest(f"{self.name} is not calibrated yet. {self.remedy()}")
        return self._lookup

    def asking(self, **options: str) -> Self:
        """The same calibration with other settings."""
        return replace(self, config=with_options(self.config, options))

    def anchored(self, vectors: Tensor, labels: Sequence[str]) -> Self:
        """The same with anchors of these pooled prompts, [prompts, H]."""
        memory = memory_of(vectors, labels, self.config)
        return replace(self, found=replace(self.found, memory=memory))

    def says(self, vector: Tensor) -> Match:
        """The domain of a pooled prompt, [H]."""
        return self.lookup.of(vector)

    def memory_figures(self) -> Mapping[str, Any]:
        """How well held-out prompts found their domain, and among how many anchors."""
        memory = self.found.memory
        return {"lookup_accuracy": memory.accuracy, "anchors": len(memory.labels)}
