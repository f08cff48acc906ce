"""KNN-SSD: one skip set per domain, looked up by the prompt's hidden states.

Song, Xia, Zhang, Leong, Xu, Li, Li 2025, https://arxiv.org/abs/2505.16162. Numbers in the code:

    (1) v = mean over the prompt's positions of the last hidden state
    (2) anchors: k-means of the v of each domain (10 centroids), or of pooled unlabelled prompts
    (3) for each domain z* = argmax of tokens a second, by Bayesian optimisation, as Draft & Verify
    (4) at prefill the domain of the nearest anchor by cosine gives the skip set of the request
    (5) drafts have up to 12 tokens and end after one of probability under 0.8

Differs from the paper, preset `faithful`: (1) is taken before the final norm and brought to
root-mean-square 1 at each position, which is that norm without its learnt gain, since a strategy
sees the residual stream and no weights; the number of clusters of unlabelled prompts is that of the
highest silhouette; (3) differs as in `static_bo`.

Differs from the paper, preset `best`: the mean of the calibration's vectors is subtracted before
(4), k neighbours vote, and after a narrow vote, or where a prompt lies farther from its anchors
than held-out prompts of the domain, the `mixed` set is used, which is searched on all domains; (3)
predicts speed instead of timing it, starts from the mixed set and the other domains' sets, and
keeps a figure from prompts that decided nothing (`shared.judging`); (5) is the expected gain of one
more token; where observed acceptance is too low, a set is left for `mixed`, and `mixed` for no
drafting (`shared.planners.fallback`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least
from specframe.contract.paying import Prospect
from specframe.contract.planner import Context, Planner
from specframe.contract.published import PublishedFiles
from specframe.contract.selector import Needs, Traits
from specframe.errors import InvalidRequest
from specframe.strategies.shared.domains.looking_up import (
    LookingUp,
    label_prompts,
    require_labels,
)
from specframe.strategies.shared.domains.lookup import (
    DomainConfig,
    Lookup,
    Match,
    Memory,
    learn_memory,
    require_each,
)
from specframe.strategies.shared.judging.find_set import (
    PredictedSpeed,
    find_set,
    judge_set,
    typical_context,
)
from specframe.strategies.shared.judging.prompt_split import (
    MIXED,
    MIXED_SHARE,
    PromptSplit,
    split_prompts,
)
from specframe.strategies.shared.planners.fallback import FallbackPlanner, FallbackRules
from specframe.strategies.shared.planners.prospects import JudgedProspect
from specframe.strategies.shared.published import PublishedSet, read_anchors, read_skip_sets
from specframe.strategies.shared.searching.offline import (
    OfflineConfig,
    enough,
    search_task,
    unjudged,
)
from specframe.strategies.shared.searching.search import Allowance
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt

__all__ = ["FAITHFUL", "DomainSets", "KnnSsd", "KnnSsdConfig"]


@dataclass(frozen=True)
class KnnSsdConfig(OfflineConfig, DomainConfig):
    """How sets are searched and drafted with, and how a prompt finds its own.

    `evaluations` are those of the mixed set, `domain_evaluations` those of each domain.
    """

    domain_evaluations: int = 200
    mixed: bool = True

    def __post_init__(self) -> None:
        OfflineConfig.__post_init__(self)
        DomainConfig.__post_init__(self)
        require_at_least(self, domain_evaluations=1)


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


class DomainPlanner(Planner):
    """Drafts with the set of the prompt's domain, which is looked up in the first round."""

    def __init__(self, lookup: Lookup, sets: Mapping[str, JudgedSet], rules: FallbackRules) -> None:
        self._lookup, self._sets, self._rules = lookup, sets, rules
        self._fallback: FallbackPlanner | None = None
        self.match: Match | None = None  # what the look-up found

    def plan(self, context: Context) -> DraftPlan:
        """The domain's set, or what it falls back to."""
        if self._fallback is None:
            self.match = self._lookup.of_prompt(context)
            names = _in_order(self._sets, self.match)
            self._fallback = FallbackPlanner([self._sets[name] for name in names], self._rules)
        return self._fallback.plan(context)

    def observe(self, outcome: Outcome) -> None:
        """Acceptance of the set in use."""
        if self._fallback is not None:
            self._fallback.observe(outcome)


@dataclass(frozen=True)
class KnnSsd(LookingUp):
    """One skip set per domain, chosen once by the nearest anchors of the prompt."""

    config: KnnSsdConfig = field(default_factory=KnnSsdConfig)
    found: DomainSets | None = None

    name = "knn-ssd"
    traits = Traits(
        "one skip set per domain, looked up by the prompt's hidden states",
        domain_aware=True,
        precision_aware=True,
        official="no, sampling is not implemented",
        search="Bayesian optimisation per domain",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, KnnSsdConfig]] = {"best": KnnSsdConfig(), "faithful": FAITHFUL}

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The prompt's last states; prices, unless no plan depends on them."""
        return replace(super().needs, prices=self.config.rules().priced)

    @classmethod
    def from_published(cls, memory: Memory, published: Sequence[PublishedSet], layers: int) -> Self:
        """The authors' own anchors and sets, with the paper's stop rule."""
        sets = {p.domain: unjudged(p.skips(layers), FAITHFUL.longest) for p in published}
        missing = sorted(set(memory.labels) - set(sets))
        if missing:
            raise InvalidRequest(
                f"The anchors name {', '.join(missing)} and the skip sets do not. Use the files "
                f"of one model."
            )
        return cls(FAITHFUL, DomainSets(memory, sets))

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough of each domain, and a domain for each prompt or for none."""
        require_labels(prompts)
        split_prompts(prompts)

    @classmethod
    def imported(cls, files: PublishedFiles, shape: ModelShape, facts: Mapping[str, str]) -> Self:
        """All entries of a skip-set file, with the anchors of their domains."""
        if files.anchors is None or files.labels is None:
            raise InvalidRequest(
                "Skip sets of several domains need anchors, which choose among them. Name the "
                "anchors and their labels, or import one entry as static-bo."
            )
        anchors = read_anchors(files.anchors, files.labels)
        if anchors.vectors.shape[1] != shape.hidden:
            raise InvalidRequest(
                f"The anchors in {files.anchors} have {anchors.vectors.shape[1]} numbers each, and "
                f"the model's hidden size is {shape.hidden}. Use the files of this model."
            )
        sets = read_skip_sets(files.sets, "knn-ssd")
        return cls.from_published(Memory.of(anchors), sets, shape.layers).made_for(shape, facts)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) to (3)."""
        allowance = Allowance(self.config.seconds)
        split = split_prompts(label_prompts(lab, prompts, self.config.pooling))
        memory = learn_memory(lab, split, self.config)
        split = split.searching(self.config.searched)
        lab.answer(split.every)
        sets: dict[str, JudgedSet] = {}
        curves: dict[str, tuple[tuple[float, float], ...]] = {}
        ended: dict[str, str] = {}
        room = self.config.room(lab)
        for name, own, evaluations, share in self._searches(lab, split):
            task = search_task(
                f"searching a skip set for {name}",
                lab,
                own,
                self.config,
                tuple(dict.fromkeys(judged.skips for judged in sets.values())),
                evaluations,
                Allowance(share * allowance.left),
                room,
            )
            sets[name], record = find_set(lab, own, task)
            room = room.holding(sets[name].skips)
            curves[name], ended[name] = record.best_so_far(), record.ended
        if self.config.objective == "cached":
            sets = {name: self._best_of(lab, split, name, sets) for name in sets}
        return replace(self, found=DomainSets(memory, sets, curves, ended, lab.shape, lab.facts))

    def _best_of(
        self, lab: Lab, split: PromptSplit, name: str, sets: Mapping[str, JudgedSet]
    ) -> JudgedSet:
        """The best set of all searches for a domain, compared on its prompts; ties keep its own.

        A search starts from the sets of earlier searches, but does not know those of later ones.
        """
        own = split if name == MIXED else split.of(name)
        longest, n = self.config.longest, typical_context(lab, own.search)
        found = dict.fromkeys((sets[name].skips, *(judged.skips for judged in sets.values())))
        best = max(found, key=PredictedSpeed(lab, own.choose, n, longest))
        if best == sets[name].skips:
            return sets[name]
        return judge_set(lab, best, own, longest, sets[name].tried)

    def _searches(
        self, lab: Lab, split: PromptSplit
    ) -> Iterator[tuple[str, PromptSplit, int, float]]:
        """Each search in order: its name, prompts, evaluations and share of the seconds left."""
        config, domains = self.config, split.domains
        if config.mixed:
            own = enough(split, lab, config.evaluations)
            yield MIXED, own, config.evaluations, MIXED_SHARE
        for done, domain in enumerate(domains):
            share = 1.0 / (len(domains) - done)
            yield domain, split.of(domain), config.domain_evaluations, share

    def start(self, shape: ModelShape) -> DomainPlanner:
        """Equation (4) at the first round, then the set found or one that it falls back to."""
        found: DomainSets = self.required(shape)
        require_each("DomainSets", "sets", found.memory.labels, found.sets)
        return DomainPlanner(self.lookup, found.sets, self.config.rules())

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of all domains' sets, where they may be declined."""
        if not self.config.may_decline:
            return None
        return JudgedProspect(tuple(self.required(shape).sets.values()), self.config.longest)

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """The sets of all domains, and the mixed one."""
        return {} if self.found is None else self.found.sets

    def figures(self) -> Mapping[str, Any]:
        """Of all searches, and how well held-out prompts found their domain."""
        if self.found is None:
            return {}
        curves = {name: [list(p) for p in curve] for name, curve in self.found.curves.items()}
        return {"best_so_far": curves, **self.memory_figures(), "ended": dict(self.found.ended)}


def _in_order(sets: Mapping[str, JudgedSet], match: Match | None) -> tuple[str, ...]:
    """Names of the sets to draft with, in order of use."""
    fallback = (MIXED,) if MIXED in sets else ()
    if match is None:
        return fallback or (max(sets, key=lambda name: sets[name].speed),)
    if fallback and not match.known:
        return fallback
    return match.label, *fallback
