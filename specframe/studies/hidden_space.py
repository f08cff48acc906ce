"""Which layer, pooling and metric identify a prompt's domain.

KNN-SSD (https://arxiv.org/abs/2505.16162) reads the last hidden layer, mean over all positions, by
cosine, of prompts with templates and exemplars. Here anchors are made and looked up at several
layers, with several poolings and metrics, for prompts with the chat template or without, with
solved exemplars before them or not, and for anchors and prompts that are written in different ways.
A prompt uses the skip set of the domain that was found, so a mistake costs the difference between
two sets: acceptance at kept prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.contract.pooling import Pooling
from specframe.errors import InvalidConfig
from specframe.profilers.continuations import text_states
from specframe.prompts.everyday import everyday_prompts
from specframe.prompts.usual import TESTBED
from specframe.rig import Rig
from specframe.studies.framework.measurement import remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds import domain_strategies as shared
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["STUDY", "HiddenSettings", "written"]

Split = Literal["validation", "test"]

EXEMPLARS = 2
# how prompts are written -> whether in the chat template, and how many exemplars come first
STYLES = {
    "template": (True, 0),
    "plain": (False, 0),
    "template, exemplars": (True, EXEMPLARS),
    "plain, exemplars": (False, EXEMPLARS),
}
USUAL = "template"
PAIRS = (
    *((style, style) for style in STYLES),
    *((USUAL, style) for style in STYLES if style != USUAL),
)  # how anchors and prompts are written
METRICS = ("cosine", "euclid")
POOLING, METRIC, CENTRED = "normed-mean", "cosine", True  # of knn-ssd's preset `best`


@dataclass(frozen=True)
class HiddenSettings(shared.DomainSettings):
    """`depths` are shares of the layers, 0 the embeddings; `anchored` prompts are clustered.

    `looked_up` test prompts of a domain are looked up, and sets are judged on `prompts` of them.
    """

    depths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    poolings: tuple[str, ...] = ("mean", "normed-mean", "last", "last-8")
    anchored: int = 20
    looked_up: int = 12
    anchors: int = 10

    def __post_init__(self) -> None:
        shared.DomainSettings.__post_init__(self)
        if not self.poolings:
            raise InvalidConfig.of("HiddenSettings", "poolings", "one or more", self.poolings)
        for pooling in self.poolings:
            Pooling(pooling)
        if not self.depths or not 0.0 <= min(self.depths) <= max(self.depths) <= 1.0:
            raise InvalidConfig.of("HiddenSettings", "depths", "one or more in [0, 1]", self.depths)
        require_at_least(self, anchored=1, looked_up=self.prompts, anchors=1)


def run(settings: HiddenSettings, work: Work) -> Findings:
    """All depths and poolings by the usual metric, then all metrics at the last depth."""
    lookups = _SpaceLookups(settings, work)
    last = max(settings.depths)
    spaces = [(depth, p, METRIC, CENTRED) for depth in settings.depths for p in settings.poolings]
    pooling = POOLING if POOLING in settings.poolings else settings.poolings[0]
    spaces += [(last, pooling, metric, centred) for metric in METRICS for centred in (True, False)]
    rows = lookups.rows(
        "anchors_of prompts_of depth pooling metric centred",
        ((*pair, *space) for pair in PAIRS for space in dict.fromkeys(spaces)),
    )
    return _findings(rows, last)


def written(rig: Rig, style: str, count: int, split: Split) -> list[Prompt]:
    """`count` prompts of each domain, written in this style.

    Everyday prompts have no solutions: their exemplars are unsolved prompts of the same domain.
    """
    from specframe.testbed import suite

    templated, exemplars = STYLES[style]
    domains = texts_of(rig.name).known
    if rig.name != TESTBED:
        return everyday_prompts(
            rig.tokenizer,
            domains=domains,
            per_domain=count,
            split=split,
            templated=templated,
            before=exemplars,
        )
    return [
        Prompt(one.tokens(rig.tokenizer), domain)
        for domain in domains
        for one in suite(domain, count, split=split, exemplars=exemplars, templated=templated)
    ]


def _findings(rows: Sequence[Row], last: float) -> Findings:
    alike = [row for row in rows if row["anchors_of"] == row["prompts_of"]]
    apart = [row for row in rows if row["anchors_of"] != row["prompts_of"]]
    usual = [row for row in alike if row["metric"] == METRIC and row["centred"] == CENTRED]
    depths = _means(usual, "depth")
    ranked = sorted(alike, key=lambda row: (row["accuracy"], row["lead"]))
    worst, best = ranked[0], ranked[-1]
    pooling = next(row["pooling"] for row in alike if row["metric"] != METRIC)
    at_last = [row for row in alike if (row["depth"], row["pooling"]) == (last, pooling)]
    ends = [row for row in alike if row["depth"] == last]
    figures = {
        "by_depth": depths,
        "by_pooling": _means([row for row in usual if row["depth"] == last], "pooling"),
        "by_metric": {
            f"{metric}, {'centred' if centred else 'as it is'}": fmean(
                row["accuracy"]
                for row in at_last
                if (row["metric"], row["centred"]) == (metric, centred)
            )
            for metric in METRICS
            for centred in (True, False)
        },
        "by_style": _means(ends, "prompts_of"),
        "other_style": fmean(row["accuracy"] for row in apart),
        "best": _shown(best),
        "worst": _shown(worst),
        "speed": {"best": max(r["speed"] for r in alike), "worst": min(r["speed"] for r in rows)},
    }
    slowest = min(rows, key=lambda row: row["speed"] / row["own"])
    found = ", ".join(f"{accuracy:.0%} at {float(depth):g}" for depth, accuracy in depths.items())
    return Findings(
        figures,
        f"Share of prompts whose domain is found, by depth of the states as a share of the "
        f"layers: {found}. The lowest is {worst['accuracy']:.0%} ({worst['pooling']} pooling at "
        f"{worst['depth']:g}, prompts in the style {worst['prompts_of']}). With anchors from "
        f"prompts of another style it is {figures['other_style']:.0%}. Wrong domains cost at most "
        f"{1.0 - slowest['speed'] / slowest['own']:.1%} of the speed, in a case where "
        f"{slowest['accuracy']:.0%} are found.",
    )


def _drawn(anchors_of: str, metric: str, centred: bool) -> bool:
    """Whether the picture shows this space."""
    return (anchors_of, metric, centred) == (USUAL, METRIC, CENTRED)


def _means(rows: Sequence[Row], key: str) -> dict[str, float]:
    """Mean accuracy for each value of a key."""
    values = dict.fromkeys(row[key] for row in rows)
    return {str(v): fmean(row["accuracy"] for row in rows if row[key] == v) for v in values}


def _shown(row: Row) -> dict[str, object]:
    return {key: row[key] for key in ("depth", "pooling", "metric", "prompts_of", "accuracy")}


class _SpaceLookups(shared.DomainMeasurement[HiddenSettings]):
    def row(
        self,
        anchors_of: str,
        prompts_of: str,
        depth: float,
        pooling: str,
        metric: str,
        centred: bool,
    ) -> Row:
        """Prompts of one style looked up among anchors of another, in one space."""
        known, tests = self._text(anchors_of, "validation"), self._text(prompts_of, "test")
        lookup = self._strategies.knn.asking(
            metric=metric, centred=str(centred).lower(), anchors=str(self._settings.anchors)
        ).anchored(known.vectors[depth, pooling], known.domains)
        matches = [lookup.says(vector) for vector in tests.vectors[depth, pooling]]
        said = [match.label for match in matches]
        right = [label == domain for label, domain in zip(said, tests.domains, strict=True)]
        leads = [
            match.margin if hit else -match.margin
            for match, hit in zip(matches, right, strict=True)
        ]
        return {
            "accuracy": sum(right) / len(right),
            "lead": fmean(leads),
            "lead_by_depth": fmean(leads) if _drawn(anchors_of, metric, centred) else None,
            **self._speeds(prompts_of, said, tests.domains),
        }

    def _speeds(self, style: str, said: Sequence[str], domains: Sequence[str]) -> Row:
        prices = self._prices_of(style)
        answered = self._answered
        return {
            "speed": shared.speedup(prices[i][said[number]] for i, number in enumerate(answered)),
            "own": shared.speedup(prices[i][domains[number]] for i, number in enumerate(answered)),
            "mixed": shared.speedup(one[shared.MIXED] for one in prices),
        }

    @cached_property
    def _answered(self) -> list[int]:
        """Indices of the test prompts that sets are judged on: the first of each domain."""
        settings = self._settings
        each, few = settings.looked_up, settings.prompts
        domains = len(texts_of(settings.model).known)
        return [domain * each + i for domain in range(domains) for i in range(few)]

    @remembered
    def _prices_of(self, style: str) -> list[dict[str, shared.Priced]]:
        """Seconds with each set, for each prompt that sets are judged on."""
        self._work.tell(f"judging sets on prompts written as {style}")
        prompts = self._text(style, "test").prompts
        return self._strategies.set_prices([prompts[i] for i in self._answered])

    @remembered
    def _text(self, style: str, split: Split) -> _Texts:
        self._work.tell(f"reading {split} prompts written as {style}")
        settings, rig = self._settings, self._strategies.rig
        count = settings.looked_up if split == "test" else settings.anchored
        prompts = written(rig, style, count, split)
        return _Texts.read(rig, prompts, settings.depths, settings.poolings)


@dataclass(frozen=True)
class _Texts:
    """Prompts and their vectors [prompts, H] by depth and pooling."""

    prompts: Sequence[Prompt]
    vectors: Mapping[tuple[float, str], Tensor]

    @property
    def domains(self) -> list[str]:
        return [prompt.domain for prompt in self.prompts]

    @classmethod
    def read(
        cls,
        rig: Rig,
        prompts: Sequence[Prompt],
        depths: Sequence[float],
        poolings: Sequence[str],
    ) -> _Texts:
        """Read them, one pass for each prompt."""
        found: dict[tuple[float, str], list[Tensor]] = {}
        taps = {depth: 2 * round(depth * rig.shape.layers) for depth in depths}
        for prompt in prompts:
            states = text_states(rig.executor, prompt.tokens, list(taps.values()))
            for depth in depths:
                for name in poolings:
                    pooled = Pooling(name).of(states[taps[depth]][0]).cpu()
                    found.setdefault((depth, name), []).append(pooled)
        return cls(prompts, {space: torch.stack(vectors) for space, vectors in found.items()})


STUDY = Study(
    "hidden-space",
    "Where a prompt's domain can be read",
    "Which layer, pooling and metric identify the domain of a prompt, however it is written, and "
    "how does this affect the speed-up?",
    HiddenSettings(),
    HiddenSettings(**shared.QUICK, depths=(0.0, 0.5, 1.0), anchored=10, looked_up=6),
    run,
    Lines("depth", "lead_by_depth", ("pooling", "prompts_of")),
    real={**shared.REAL, "prompts": 1, "anchored": 5, "looked_up": 3},
    minutes=3,
)
