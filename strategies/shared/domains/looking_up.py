"""Strategies that look up the domain of a prompt by its hidden states, and domains of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from specframe.contract.lab import Lab
from specframe.contract.options import with_options
from specframe.contract.pooling import Pooling
from specframe.contract.selector import Needs
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.anchors import cluster_prompts
from specframe.strategies.shared.domains.lookup import Lookup, Match, memory_of
from specframe.strategies.shared.judging.prompt_split import MIXED
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.types import Prompt

__all__ = ["LookingUp", "label_prompts", "require_labels"]


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


def require_labels(prompts: Sequence[Prompt]) -> None:
    """Every prompt has a domain, or none has one."""
    if any(prompt.domain == MIXED for prompt in prompts):
        raise InvalidRequest(
            f"{MIXED!r} names what is learnt for prompts of no domain. Name that domain otherwise."
        )
    named = sum(bool(prompt.domain) for prompt in prompts)
    if named not in (0, len(prompts)):
        raise InvalidRequest(
            f"{named} of {len(prompts)} prompts name a domain. Name one for each prompt, or none."
        )


def label_prompts(lab: Lab, prompts: Sequence[Prompt], pooling: str) -> tuple[Prompt, ...]:
    """Prompts with a domain each; where none has one, clusters of their vectors are the domains."""
    require_labels(prompts)
    if all(prompt.domain for prompt in prompts):
        return tuple(prompts)
    vectors = lab.vectors(prompts, lab.shape.sublayers, pooling)
    found = cluster_prompts(vectors)
    return tuple(replace(p, domain=d) for p, d in zip(prompts, found.labels, strict=True))
