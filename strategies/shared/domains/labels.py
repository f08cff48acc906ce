"""Domains for prompts that come without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specframe.contract.lab import Lab
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.anchors import cluster_prompts
from specframe.strategies.shared.judging.prompt_split import MIXED
from specframe.types import Prompt

__all__ = ["label_prompts", "require_labels"]


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
