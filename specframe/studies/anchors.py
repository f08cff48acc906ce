"""How many clusters and how many anchors are needed to find a prompt's skip set.

After table 6 of KNN-SSD (https://arxiv.org/abs/2505.16162). Prompts without labels are grouped into
`clusters` by k-means; each is represented by k anchors, and a test prompt belongs to the cluster of
its nearest anchor. A cluster uses the skip set of `knn-ssd` that is fastest on those of its prompts
that were generated for. The label of a cluster is the domain of most of its prompts, so fewer
clusters than domains cannot cover all domains. Speed-ups are computed from measured acceptance at
kept prices; only the look-up is timed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import median
from time import perf_counter
from typing import Any

from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds import domain_strategies as shared
from specframe.types import Prompt

__all__ = ["STUDY", "AnchorSettings"]

NEAR = 0.01  # relative difference to the best speed-up that is ignored
SEED = 42
LOOKS = 7  # times that each look-up is timed


@dataclass(frozen=True)
class AnchorSettings(shared.DomainSettings):
    """`clustered` prompts of each domain are clustered, `looked_up` test prompts are looked up."""

    clusters: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 9, 10)
    anchors: tuple[int, ...] = (1, 2, 5, 10, 20)
    clustered: int = 40
    looked_up: int = 20

    def __post_init__(self) -> None:
        shared.DomainSettings.__post_init__(self)
        require_at_least(
            self, clusters=2, anchors=1, clustered=self.calibration, looked_up=self.prompts
        )


def run(settings: AnchorSettings, work: Work) -> Findings:
    """A row for each number of clusters and of anchors a cluster."""
    lookups = _ClusterLookups(settings, work)
    rows = lookups.rows("clusters anchors", product(settings.clusters, settings.anchors))
    best = max(row["speed"] for row in rows)
    mixed, own = rows[0]["mixed"], rows[0]["own"]
    least = min(
        (row for row in rows if row["speed"] >= (1.0 - NEAR) * best),
        key=lambda row: (row["clusters"], row["anchors"]),
    )
    surest = max(rows, key=lambda row: (row["accuracy"], -row["clusters"], -row["anchors"]))
    times = [row["lookup_seconds"] for row in rows]
    figures = {
        "best": best,
        "mixed": mixed,
        "own": own,
        "enough": {key: least[key] for key in ("clusters", "anchors", "speed")},
        "surest": {key: surest[key] for key in ("clusters", "anchors", "accuracy")},
        "lookup_seconds": {"least": min(times), "most": max(times)},
    }
    return Findings(
        figures,
        f"The fewest anchors with a speed-up within {NEAR:.0%} of the best, {best:.2f}x, are "
        f"{least['anchors']} in each of {least['clusters']} clusters; one mixed set has "
        f"{mixed:.2f}x and one set per domain {own:.2f}x. The right domain is found most often, "
        f"for {surest['accuracy']:.0%} of the prompts, with {surest['anchors']} in each of "
        f"{surest['clusters']} clusters. A look-up takes {1e6 * min(times):.0f} to "
        f"{1e6 * max(times):.0f} microseconds.",
    )


class _ClusterLookups(shared.DomainMeasurement[AnchorSettings]):
    def row(self, clusters: int, anchors: int) -> Row:
        self._work.tell(f"{clusters} clusters, {anchors} anchors each")
        labels = self._labels(clusters)
        says = (
            self._strategies.knn.asking(anchors=str(anchors), neighbours="1")
            .anchored(self._points, labels)
            .says
        )
        found = [says(vector).label for vector in self._looked_up]
        names, set_of = self._names(labels), self._set_of(labels)
        right = [names[label] == p.domain for label, p in zip(found, self._tests, strict=True)]
        label_of = dict(zip((p.tokens for p in self._tests), found, strict=True))
        tests = self._strategies.test_prompts()
        prices = self._prices
        return {
            "accuracy": sum(right) / len(right),
            "named": len(set(names.values())),
            "speed": shared.speedup(prices[p.tokens][set_of[label_of[p.tokens]]] for p in tests),
            "mixed": shared.speedup(prices[p.tokens][shared.MIXED] for p in tests),
            "own": shared.speedup(prices[p.tokens][p.domain] for p in tests),
            "lookup_seconds": self._seconds(says),
        }

    def _labels(self, clusters: int) -> list[str]:
        """The cluster of each prompt, found without its domain."""
        from sklearn.cluster import KMeans

        means = KMeans(clusters, n_init=10, random_state=SEED).fit(self._points.double().numpy())
        return [f"cluster {number}" for number in means.labels_]

    def _names(self, labels: Sequence[str]) -> dict[str, str]:
        """For each cluster, the domain of most of its prompts."""
        owners: dict[str, Counter[str]] = {}
        for label, prompt in zip(labels, self._clustered, strict=True):
            owners.setdefault(label, Counter())[prompt.domain] += 1
        return {label: counts.most_common(1)[0][0] for label, counts in owners.items()}

    def _set_of(self, labels: Sequence[str]) -> dict[str, str]:
        """For each cluster, the fastest set on its generations; the mixed set if it has none."""
        members: dict[str, list[Mapping[str, shared.Priced]]] = {label: [] for label in labels}
        for label, prompt in zip(labels, self._clustered, strict=True):
            if prompt.tokens in self._prices:
                members[label].append(self._prices[prompt.tokens])
        sets = list(self._strategies.sets)
        return {
            label: max(sets, key=lambda name: shared.speedup(one[name] for one in own))
            if own
            else shared.MIXED
            for label, own in members.items()
        }

    def _seconds(self, says: Callable[[Tensor], Any]) -> float:
        """Seconds of one look-up, median over prompts and repeats."""
        took = []
        for vector in list(self._looked_up) * LOOKS:
            began = perf_counter()
            says(vector)
            took.append(perf_counter() - began)
        return median(took)

    @cached_property
    def _clustered(self) -> list[Prompt]:
        return self._strategies.calibration_prompts(count=self._settings.clustered)

    @cached_property
    def _points(self) -> Tensor:
        return self._strategies.vectors(self._clustered)

    @cached_property
    def _tests(self) -> list[Prompt]:
        return self._strategies.test_prompts(count=self._settings.looked_up)

    @cached_property
    def _looked_up(self) -> Tensor:
        return self._strategies.vectors(self._tests)

    @cached_property
    def _prices(self) -> dict[tuple[int, ...], dict[str, shared.Priced]]:
        """Seconds with each set, by prompt of either split."""
        tests = [*self._strategies.calibration_prompts(), *self._strategies.test_prompts()]
        return dict(zip((p.tokens for p in tests), self._strategies.set_prices(tests), strict=True))


STUDY = Study(
    "anchors",
    "Clusters and anchors",
    "How many clusters and anchors are needed to find a prompt's skip set, and what do they cost?",
    AnchorSettings(),
    AnchorSettings(
        **shared.QUICK, clusters=(2, 5, 10), anchors=(1, 5, 20), clustered=20, looked_up=8
    ),
    run,
    Lines("clusters", "accuracy", ("anchors",)),
    real={**shared.REAL, "clustered": 10, "looked_up": 6, "anchors": (1, 5, 10)},
    minutes=1,
)
