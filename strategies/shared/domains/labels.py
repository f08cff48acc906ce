"""Domains for prompts that come without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specframe.contract.lab import Lab
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.anchors import cluster_prompts
from specframe.strategies.shared.judging.prompt_split import MIXED
from specframe.types import Prompt

__all__ = ["label_prompts"]


def label_prompts(lab: Lab, prompts: Sequence[Prompt], pooling: str) -> tuple[Prompt, ...]:
    """Prompts with a domain each; where none has one, clusters of their vectors are the domains."""
    if any(prompt.domain == MIXED for prompt in prompts):
        raise InvalidRequest(
            f"{MIXED!r} names what is learnt for prompts of no domain. Name that domain otherwise."
        )
    named = sum(bool(prompt.domain) for prompt in prompts)
    if named == len(prompts):
        return tuple(prompts)
    if named:
        raise InvalidRequest(
            f"{named} of {len(prompts)} prompts name a domain. Name one for each prompt, or none."
        )
    vectors = lab.vectors(prompts, lab.shape.sublayers, pooling)
    found = cluster_prompts(vectors)
    return tuple(replace(p, domain=d) for p, d in zip(prompts, found.labels, strict=True))
