"""Nearest anchors of a query: an exact index by one product, or a graph for very many anchors.

The graph only proposes candidates, whose exact distances are then ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from specframe.errors import InvalidConfig

__all__ = [
    "GRAPH_FROM",
    "INDEXES",
    "METRICS",
    "ExactIndex",
    "GraphIndex",
    "Index",
    "Vote",
    "build_index",
    "distances",
    "vote",
]

METRICS = ("cosine", "euclid")
INDEXES = ("auto", "exact", "graph")
GRAPH_FROM = 50_000  # anchors; for fewer, one product is quicker than a graph
CANDIDATES = 8  # the graph proposes this many times the neighbours asked for
TINY = 1e-12


class Index(Protocol):
    """Finds the nearest anchors."""

    def nearest(self, query: Tensor, count: int) -> tuple[list[int], list[float]]:
        """Numbers and distances of the nearest anchors, nearest first; ties by number."""
        ...


def distances(query: Tensor, anchors: Tensor, metric: str) -> Tensor:
    """From a query [H] to each anchor [A, H]: one minus the cosine, or Euclid's."""
    if metric == "euclid":
        apart: Tensor = (anchors - query).norm(dim=-1)
        return apart
    norms = anchors.norm(dim=-1) * query.norm()
    turned: Tensor = 1.0 - (anchors @ query) / norms.clamp_min(TINY)
    return turned


class ExactIndex:
    """Measures the distance to every anchor."""

    def __init__(self, anchors: Tensor, metric: str = "cosine") -> None:
        _check(anchors, metric)
        self._anchors = anchors.detach().float().contiguous()
        self._metric = metric
        if metric == "cosine":
            norms = self._anchors.norm(dim=-1, keepdim=True)
            self._anchors = self._anchors / norms.clamp_min(TINY)

    def nearest(self, query: Tensor, count: int) -> tuple[list[int], list[float]]:
        query = query.float()
        if self._metric == "cosine":
            # the anchors have unit length already, which spares their norms in each look-up
            far = 1.0 - (self._anchors @ query) / query.norm().clamp_min(TINY)
        else:
            far = distances(query, self._anchors, self._metric)
        return _nearest(far, torch.arange(len(far)), count)


class GraphIndex:
    """Candidates from hnswlib's graph, re-ranked by their exact distances."""

    def __init__(self, anchors: Tensor, metric: str = "cosine", seed: int = 0) -> None:
        _check(anchors, metric)
        self._anchors, self._metric = anchors.detach().float().contiguous(), metric
        self._graph = _hnswlib().Index("cosine" if metric == "cosine" else "l2", anchors.shape[1])
        self._graph.init_index(len(anchors), ef_construction=200, M=32, random_seed=seed)
        self._graph.set_num_threads(1)  # with several threads graphs differ from run to run
        self._graph.add_items(self._anchors.numpy())

    def nearest(self, query: Tensor, count: int) -> tuple[list[int], list[float]]:
        query = query.float()
        wanted = min(CANDIDATES * count, len(self._anchors))
        self._graph.set_ef(max(4 * wanted, 256))
        found, _ = self._graph.knn_query(query[None].numpy(), k=wanted)
        numbers = torch.tensor(found[0].astype("int64")).sort().values
        return _nearest(distances(query, self._anchors[numbers], self._metric), numbers, count)


def build_index(
    anchors: Tensor, metric: str = "cosine", kind: str = "auto", graph_from: int = GRAPH_FROM
) -> Index:
    """An index of this kind; `auto` is a graph for very many anchors if hnswlib is installed."""
    if kind not in INDEXES:
        raise InvalidConfig.of("build_index", "kind", " or ".join(INDEXES), kind)
    many = len(anchors) >= graph_from and find_spec("hnswlib") is not None
    if kind == "graph" or (kind == "auto" and many):
        return GraphIndex(anchors, metric)
    return ExactIndex(anchors, metric)


@dataclass(frozen=True, slots=True)
class Vote:
    """The label of most votes, its lead as a share of all votes, and its nearest distance."""

    label: str
    margin: float
    distance: float


def vote(labels: Sequence[str], near: Sequence[float]) -> Vote:
    """Neighbours vote for their label, nearest first, each by the inverse of its distance."""
    weights: dict[str, float] = {}
    for label, distance in zip(labels, near, strict=True):
        weights[label] = weights.get(label, 0.0) + 1.0 / max(distance, TINY)
    winner = max(weights, key=lambda label: weights[label])
    return Vote(winner, _margin(weights, winner), near[list(labels).index(winner)])


def _margin(weights: Mapping[str, float], winner: str) -> float:
    second = max((weight for label, weight in weights.items() if label != winner), default=0.0)
    return (weights[winner] - second) / sum(weights.values())


def _nearest(far: Tensor, numbers: Tensor, count: int) -> tuple[list[int], list[float]]:
    order = torch.argsort(far, stable=True)[:count]
    return numbers[order].tolist(), far[order].clamp_min(0.0).tolist()


def _check(anchors: Tensor, metric: str) -> None:
    if metric not in METRICS:
        raise InvalidConfig.of("an index", "metric", " or ".join(METRICS), metric)
    if anchors.ndim != 2 or not len(anchors):
        raise InvalidConfig.of("an index", "anchors", "[A, H] with A >= 1", tuple(anchors.shape))


def _hnswlib() -> Any:
    try:
        import hnswlib
    except ImportError:
        raise InvalidConfig(
            "A graph of anchors needs hnswlib, which is not installed. "
            "Install it with `pip install 'specframe[ann]'`, or set index=exact."
        ) from None
    return hnswlib
