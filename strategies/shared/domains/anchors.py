"""Anchor vectors: a few points that represent the prompts of a domain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specframe.errors import InvalidConfig

__all__ = ["KINDS", "Anchors", "Clustering", "cluster_prompts", "labelled_anchors"]

KINDS = ("centroids", "members")
RESTARTS = 10
CLUSTER_COUNTS = range(2, 11)


@dataclass(frozen=True, slots=True)
class Anchors:
    """Anchor vectors and the domain of each."""

    vectors: Tensor  # [A, H]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clustering:
    """Unlabelled prompts in groups; `silhouette` is near 1 where groups lie far apart."""

    labels: tuple[str, ...]
    silhouette: float


def labelled_anchors(
    vectors: Tensor,
    labels: Sequence[str],
    per_domain: int = 10,
    kind: str = "centroids",
    seed: int = 42,
) -> Anchors:
    """K-means in each domain on its own; anchors are centroids, or the members next to them."""
    if kind not in KINDS:
        raise InvalidConfig.of("labelled_anchors", "kind", " or ".join(KINDS), kind)
    if per_domain < 1:
        raise InvalidConfig.of("labelled_anchors", "per_domain", "at least 1", per_domain)
    points = vectors.detach().cpu().double().numpy()
    found: list[Any] = []
    owners: list[str] = []
    for domain in dict.fromkeys(labels):
        own = points[[label == domain for label in labels]]
        anchors = _centres(own, per_domain, seed)
        if kind == "members":
            anchors = own[sorted({_closest(own, centre) for centre in anchors})]
        found.append(anchors)
        owners += [domain] * len(anchors)
    return Anchors(torch.from_numpy(np.concatenate(found)).float(), tuple(owners))


def cluster_prompts(
    vectors: Tensor, counts: Iterable[int] = CLUSTER_COUNTS, seed: int = 42
) -> Clustering:
    """K-means over pooled prompts with the number of clusters of the highest silhouette."""
    from sklearn.metrics import silhouette_score

    points = vectors.detach().cpu().double().numpy()
    most = len(np.unique(points, axis=0))
    best = Clustering(("task-1",) * len(points), 0.0)
    for count in counts:
        if not 2 <= count < most:
            continue
        numbers = _means(points, count, seed).labels_
        score = float(silhouette_score(points, numbers))
        if score > best.silhouette:
            best = Clustering(_names(numbers.tolist()), score)
    return best


def _names(numbers: Sequence[int]) -> tuple[str, ...]:
    """Clusters numbered in the order of their first prompts, not in that of k-means."""
    order = list(dict.fromkeys(numbers))
    return tuple(f"task-{order.index(number) + 1}" for number in numbers)


def _centres(points: Any, count: int, seed: int) -> Any:
    distinct = np.unique(points, axis=0)
    if len(distinct) <= count:
        return distinct
    return _means(points, count, seed).cluster_centers_


def _means(points: Any, count: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=count, n_init=RESTARTS, random_state=seed).fit(points)


def _closest(points: Any, centre: Any) -> int:
    return int(((points - centre) ** 2).sum(-1).argmin())
