"""Which domain a prompt belongs to: nearest anchors, a vote, and a gate for prompts of none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least, require_in, require_known
from specframe.contract.planner import Context
from specframe.contract.pooling import Pooling
from specframe.errors import InvalidConfig
from specframe.strategies.shared.domains.anchors import KINDS, Anchors, labelled_anchors
from specframe.strategies.shared.domains.neighbours import (
    INDEXES,
    METRICS,
    Index,
    build_index,
    vote,
)
from specframe.strategies.shared.judging.prompt_split import PromptSplit

__all__ = ["DomainConfig", "Lookup", "Match", "Memory", "learn_memory", "memory_of", "require_each"]


@dataclass(frozen=True)
class DomainConfig:
    """How anchors are made and how a prompt is matched with them.

    `margin` is the lead that the winner of a vote needs, `gate` how many times farther than
    held-out prompts of its domain a prompt may lie; 0 accepts every prompt. `index`: `exact`
    computes all distances, `graph` searches with hnswlib, `auto` does so for very many anchors if
    hnswlib is installed.
    """

    pooling: str = "normed-mean"
    metric: str = "cosine"
    anchors: int = 10  # a domain
    kind: str = "centroids"
    neighbours: int = 5
    margin: float = 0.2
    centred: bool = True
    gate: float = 1.5
    cluster_seed: int = 42
    index: str = "auto"

    def __post_init__(self) -> None:
        Pooling(self.pooling)
        require_known(self, metric=METRICS, kind=KINDS, index=INDEXES)
        require_at_least(self, anchors=1, neighbours=1, gate=0)
        require_in(self, "[0, 1]", "margin")


@dataclass(frozen=True, slots=True)
class Memory:
    """Where the domains lie."""

    anchors: Tensor  # [A, H], the centre taken off
    labels: tuple[str, ...]  # [A]
    centre: Tensor  # [H]
    reach: Mapping[str, float] = field(default_factory=dict)  # farthest held-out prompt, by domain
    accuracy: float = 0.0  # share of held-out prompts that find their domain

    def __post_init__(self) -> None:
        found = tuple(self.anchors.shape), len(self.labels), tuple(self.centre.shape)
        fits = len(found[0]) == 2 and found == (found[0], found[0][0], found[0][1:])
        if not (fits and self.labels):
            raise InvalidConfig.of("Memory", "anchors", "a vector and a label each", found)

    @classmethod
    def of(cls, anchors: Anchors) -> Memory:
        """Anchors as they are: no centre, no reach."""
        return cls(anchors.vectors, anchors.labels, torch.zeros(anchors.vectors.shape[1]))


def require_each(owner: str, name: str, wanted: Sequence[str], found: Mapping[str, object]) -> None:
    """Raise if one of these domains is missing."""
    if missing := [domain for domain in wanted if domain not in found]:
        raise InvalidConfig.of(owner, name, f"of all domains, {missing[0]!r} too", list(found))


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest domain of a prompt, and whether the prompt is `known` to be of it."""

    label: str
    margin: float
    distance: float
    known: bool


class Lookup:
    """Finds the domain of a prompt by one index, which is built once for all prompts."""

    def __init__(self, memory: Memory, config: DomainConfig) -> None:
        self._memory, self._config = memory, config
        self._index: Index = build_index(memory.anchors, config.metric, config.index)

    def of_prompt(self, context: Context) -> Match | None:
        """The domain of a sequence's prompt; None where its states were not captured."""
        states = context.prompt_states.get(context.shape.sublayers)
        return None if states is None else self.of(Pooling(self._config.pooling).of(states))

    def of(self, vector: Tensor) -> Match:
        """The domain of a pooled vector [H]."""
        memory, config = self._memory, self._config
        query = vector.to(memory.centre.device) - memory.centre
        numbers, far = self._index.nearest(query, config.neighbours)
        found = vote([memory.labels[number] for number in numbers], far)
        within = found.distance <= config.gate * memory.reach.get(found.label, float("inf"))
        known = found.margin >= config.margin and (config.gate == 0.0 or within)
        return Match(found.label, found.margin, found.distance, known)


def learn_memory(lab: Lab, split: PromptSplit, config: DomainConfig) -> Memory:
    """Anchors of the search part's prompts; the other split say how far a domain reaches."""
    held = (*split.choose, *split.judge)
    vectors, others = (
        lab.vectors(prompts, lab.shape.sublayers, config.pooling).float().cpu()
        for prompts in (split.search, held)
    )
    labels, held_labels = ([p.domain for p in prompts] for prompts in (split.search, held))
    return _measured(memory_of(vectors, labels, config), others, held_labels, config)


def memory_of(vectors: Tensor, labels: Sequence[str], config: DomainConfig) -> Memory:
    """Anchors of pooled vectors [prompts, H]; how far a domain reaches is left open."""
    centre = _centre(vectors, labels) if config.centred else torch.zeros(vectors.shape[1])
    anchors = labelled_anchors(
        vectors - centre, labels, config.anchors, config.kind, config.cluster_seed
    )
    return Memory(anchors.vectors, anchors.labels, centre)


def _measured(
    memory: Memory, vectors: Tensor, labels: Sequence[str], config: DomainConfig
) -> Memory:
    """With the reach of each domain and the share of prompts found, on held-out prompts."""
    lookup = Lookup(memory, config)
    reach: dict[str, float] = {}
    right = 0
    for vector, label in zip(vectors, labels, strict=True):
        found = lookup.of(vector)
        right += found.label == label
        if found.label == label:
            reach[label] = max(reach.get(label, 0.0), found.distance)
    return Memory(memory.anchors, memory.labels, memory.centre, reach, right / len(labels))


def _centre(vectors: Tensor, labels: Sequence[str]) -> Tensor:
    """The mean of the domains' means: each domain counts the same, however many prompts it has."""
    means = [
        vectors[[label == domain for label in labels]].mean(0) for domain in dict.fromkeys(labels)
    ]
    return torch.stack(means).mean(0)
