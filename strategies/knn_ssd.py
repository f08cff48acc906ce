"""KNN-SSD: one skip set per domain, looked up by the prompt's hidden states.

Song, Xia, Zhang, Leong, Xu, Li, Li 2025, https://arxiv.org/abs/2505.16162. Numbers in the code:

    (1) v = mean over the prompt's positions of the last hidden state
    (2) anchors: k-means of the v of each domain (10 centroids), or of pooled unlabelled prompts
    (3) for each domain z* = argmax of tokens a second, by Bayesian optimisation, as Draft & Verify
    (4) at prefill the domain of the nearest anchor by cosine gives the skip set of the request
    (5) drafts have up to 12 tokens and end after one of probability under 0.8

Differs from the paper, preset `faithful`: (1) is taken before the final norm and brought to
root-mean-square 1 at each position, which is that norm without its learnt gain, since a strategy
sees the residual stream and no weights; clusters of unlabelled prompts are counted by silhouette
alone; what `static_bo` names for (3).

Differs from the paper, preset `best`: vectors lose the mean of the calibration's before (4), k
neighbours vote, and a narrow vote or a prompt farther from its anchors than held-out prompts of the
domain were gets the `mixed` set, which is searched on all domains; (3) predicts speed instead of
timing it, starts from the mixed set and the other domains' sets, and keeps a figure from prompts
that decided nothing (`judged`); (5) is the expected gain of one more token; a set whose observed
acceptance leaves its band is left for `mixed`, and that for no drafting (`playing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.planner import Context
from specframe.contract.selector import Traits
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.shared.domains.anchors import cluster_prompts
from specframe.strategies.shared.domains.looking_up import LookingUp
from specframe.strategies.shared.domains.lookup import DomainConfig, Match, Memory, learn_memory
from specframe.strategies.shared.judging.find_set import (
    MIXED,
    MIXED_SHARE,
    PromptSplit,
    find_set,
    split_prompts,
)
from specframe.strategies.shared.planners.fallback import FallbackPlanner
from specframe.strategies.shared.published import PublishedSet
from specframe.strategies.shared.searching.offline import (
    OfflineConfig,
    enough,
    search_task,
    unjudged,
)
from specframe.strategies.shared.searching.search import Budget
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt, SkipSet

__all__ = ["FAITHFUL", "DomainSets", "KnnSsd", "KnnSsdConfig", "label_prompts"]


@dataclass(frozen=True)
class KnnSsdConfig(OfflineConfig, DomainConfig):
    """How sets are searched and played, and how a prompt finds its own.

    `evaluations` are those of the mixed set, `domain_evaluations` those of each domain.
    """

    domain_evaluations: int = 200
    mixed: bool = True

    def __post_init__(self) -> None:
        OfflineConfig.__post_init__(self)
        DomainConfig.__post_init__(self)
        if self.domain_evaluations < 1:
            raise InvalidConfig.of(
                "KnnSsdConfig", "domain_evaluations", "at least 1", self.domain_evaluations
            )


FAITHFUL = KnnSsdConfig(
    search="bayes",
    objective="clock",
    seconds=3_600.0,
    prompts=8,
    domain_evaluations=1_000,
    stop="confidence",
    confidence=0.8,
    check=0,
    may_decline=False,
    mixed=False,
    neighbours=1,
    margin=0.0,
    centred=False,
    gate=0.0,
)


@dataclass(frozen=True, slots=True)
class DomainSets:
    """What calibration learnt: where domains lie, and each one's set."""

    memory: Memory
    sets: Mapping[str, JudgedSet]  # by domain; MIXED is for prompts of none
    curves: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)  # why each search did
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What an artefact holds."""

    config: KnnSsdConfig
    found: DomainSets


@dataclass
class KnnSsd(LookingUp):
    """One skip set per domain, chosen once by the nearest anchors of the prompt."""

    config: KnnSsdConfig = field(default_factory=KnnSsdConfig)
    found: DomainSets | None = None

    name = "knn-ssd"
    record = _Saved
    traits = Traits(
        "one skip set per domain, looked up by the prompt's hidden states",
        domain_aware=True,
        search="Bayesian optimisation per domain",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, KnnSsdConfig]] = {"best": KnnSsdConfig(), "faithful": FAITHFUL}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._playing: FallbackPlanner | None = None

    @classmethod
    def from_published(cls, memory: Memory, published: Sequence[PublishedSet], layers: int) -> Self:
        """The authors' own anchors and sets, played as the paper plays them."""
        sets = {p.domain: unjudged(p.skips(layers), FAITHFUL.longest) for p in published}
        missing = sorted(set(memory.labels) - set(sets))
        if missing:
            raise InvalidRequest(
                f"The anchors name {', '.join(missing)} and the skip sets do not. Use the files "
                f"of one model."
            )
        return cls(FAITHFUL, DomainSets(memory, sets))

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) to (3)."""
        labelled = label_prompts(lab, prompts, self.config.pooling)
        parts = split_prompts(labelled)
        memory = learn_memory(lab, parts, self.config)
        lab.answer(parts.every)
        sets: dict[str, JudgedSet] = {}
        curves: dict[str, tuple[tuple[float, float], ...]] = {}
        ended: dict[str, str] = {}
        began = perf_counter()
        for name, own, budget in self._tasks(lab, parts, began):
            starts = _starts(sets)
            hunt = search_task(
                f"searching a skip set for {name}", lab, own, self.config, starts, budget
            )
            sets[name], record = find_set(lab, own, hunt)
            curves[name], ended[name] = record.best_so_far(), record.ended
        learnt = DomainSets(memory, sets, curves, ended, lab.shape, lab.facts)
        return replace(self, found=learnt, lookup=None)

    def _tasks(
        self, lab: Lab, parts: PromptSplit, began: float
    ) -> Iterator[tuple[str, PromptSplit, Budget]]:
        """Searches in order with their share of what is left of the time."""
        config = self.config
        domains = list(dict.fromkeys(prompt.domain for prompt in parts.search))
        if config.mixed:
            budget = Budget(config.evaluations, MIXED_SHARE * config.seconds, config.patience)
            yield MIXED, enough(parts, lab, config.evaluations), budget
        for done, domain in enumerate(domains):
            left = max(config.seconds - (perf_counter() - began), 0.0) / (len(domains) - done)
            yield (
                domain,
                parts.of(domain),
                Budget(config.domain_evaluations, left, config.patience),
            )

    def select(self, context: Context) -> DraftPlan:
        """Equation (4) once, then the set found or one that it falls back to."""
        if self._playing is None:
            self._playing = self._begin(context)
        return self._playing.plan(context)

    def _begin(self, context: Context) -> FallbackPlanner:
        sets = self.required(context.shape).sets
        named = _named(sets, self.look_up(context))
        return FallbackPlanner([sets[name] for name in named], self.config.rules())

    def observe(self, outcome: Outcome) -> None:
        """Learn how the set does."""
        if self._playing is not None:
            self._playing.observe(outcome)

    def figures(self) -> dict[str, Any]:
        """Of all sets and searches, and how well held-out prompts found their domain."""
        if self.found is None:
            return {}
        found = self.found
        ended = {"ended": dict(found.ended)}
        return all_figures(found.sets, found.curves) | self.memory_figures() | ended


def label_prompts(lab: Lab, prompts: Sequence[Prompt], pooling: str) -> tuple[Prompt, ...]:
    """Prompts with a domain each; where none has one, clusters of their vectors stand in."""
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


def _named(sets: Mapping[str, JudgedSet], match: Match | None) -> tuple[str, ...]:
    """Names of the sets to play, the first one first; without a match nothing is known."""
    fallback = (MIXED,) if MIXED in sets else ()
    if match is None:
        return fallback or (max(sets, key=lambda name: sets[name].speed),)
    if fallback and not match.known:
        return fallback
    return match.label, *fallback


def _starts(sets: Mapping[str, JudgedSet]) -> tuple[SkipSet, ...]:
    return tuple(dict.fromkeys(judged.skips for judged in sets.values()))
