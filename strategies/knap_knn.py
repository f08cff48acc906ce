"""KnapSpec x KNN-SSD: the domain of the prompt says what skipping loses, the context what it saves.

No paper. KNN-SSD (https://arxiv.org/abs/2505.16162) looks up a skip set by domain and ignores
context length; KnapSpec (https://arxiv.org/abs/2602.20217) weighs sublayers by their latency at the
current context and learns each prompt from nothing. Here a domain keeps losses instead of a set,
and the set is solved for when it is needed. Numbers in the code:

    (1) offline, for each domain: losses that add up, fitted to measured sets (`knapsack_search`)
    (2) the link from losses to acceptance, and some measured sets, from unseen prompts, lower ends
    (3) after the prompt: its domain, by the nearest anchors (`lookup`)
    (4) the knapsack at the prices of the context, and again at each boundary (`resolve`)

It differs from the two methods that it combines: from KNN-SSD, (1) replaces the search of one set;
from KnapSpec, values are learnt offline and nothing is run while generating. Observed acceptance
moves (2) in log-odds, and the knapsack is solved again for text that is easier or harder than that
of the calibration. Where low-bit weights are quicker, (1) also fits what sublayers and head lose on
those, and (4) has three choices a sublayer; with `memory`, copies of all domains keep that limit.
Preset `faithful` takes both papers' constants: one neighbour and no gate, half of the weight at
most, drafts of 10 that end under probability 0.7, and nothing learnt while generating.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.options import (
    require_at_least,
    require_draft_length,
    require_in,
    require_known,
)
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, Planner
from specframe.contract.selector import Traits
from specframe.contract.stopping import USUAL, ExpectedGain, FixedStop, StopPolicy
from specframe.costs.model import CostModel
from specframe.costs.rates import RoundPrices, nearest
from specframe.errors import InvalidConfig
from specframe.strategies.shared.domains.domain_models import DomainModel, learn_models
from specframe.strategies.shared.domains.labels import label_prompts, require_labels
from specframe.strategies.shared.domains.looking_up import LookingUp
from specframe.strategies.shared.domains.lookup import (
    DomainConfig,
    Lookup,
    Match,
    Memory,
    learn_memory,
    require_each,
)
from specframe.strategies.shared.judging.prompt_split import MIXED, split_prompts
from specframe.strategies.shared.planners.prospects import JudgedProspect
from specframe.strategies.shared.searching.copy_room import CopyRoom, in_bytes
from specframe.strategies.shared.searching.resolve import KnownSet, Resolved, resolve
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt, SkipSet, StopRule

__all__ = ["FAITHFUL", "KnapKnn", "KnapKnnConfig", "Learnt", "Solver"]

FINEST = 64  # parts and ratios of weights: the program's table grows with both
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
NEVER = 1e-12
FELT = 0.25  # of the boundary: smaller changes of attention's price leave the solution as it is
STEP = 0.2  # of acceptance in log-odds, between two solutions
MOST_KEPT = 256  # solutions of a domain
PRIOR = 16.0  # observed rounds that the calibrated acceptance weighs as much as


@dataclass(frozen=True)
class KnapKnnConfig(DomainConfig):
    """How domains are learnt, how a prompt finds its own, and how its knapsack is solved.

    The knapsack is solved again when the context has changed by a share of `boundary` and
    attention's price with it, and every `review` rounds for observed acceptance (0: never).
    """

    seconds: float = 120.0  # of searching
    evaluations: int = 240  # sets measured for all domains together
    domain_evaluations: int = 160  # and for each
    memory: int | str = ""  # bytes of all low-bit copies together, or a size such as 200MB
    searched: int = 0  # prompts of each domain that are searched on; 0: half of them
    seed: int = 1
    most_skipped: float = 1.0  # share of the weight
    protected: int = 0  # layers at either end that are never skipped
    parts: int = 2  # whole weights of the cheapest sublayer
    heaviest: int = 8  # how many times that the most expensive one may weigh
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.7
    boundary: float = 0.1
    review: int = 8
    rest: int = 64  # rounds without drafting before it is tried again

    def __post_init__(self) -> None:
        DomainConfig.__post_init__(self)
        require_known(self, stop=("gain", "confidence", "fixed"))
        require_at_least(self, evaluations=1, domain_evaluations=1, parts=1, heaviest=1)
        require_draft_length(self, "longest")
        require_at_least(self, seconds=0, searched=0, protected=0, review=0, rest=0)
        require_in(self, "(0, 1]", "most_skipped")
        require_in(self, "[0, 1]", "confidence")
        in_bytes("KnapKnnConfig", "memory", self.memory)
        for name in ("parts", "heaviest"):
            if getattr(self, name) > FINEST:
                wanted = f"at most {FINEST}"
                raise InvalidConfig.of("KnapKnnConfig", name, wanted, getattr(self, name))
        if self.boundary <= 0.0:
            raise InvalidConfig.of("KnapKnnConfig", "boundary", "above 0", self.boundary)


FAITHFUL = KnapKnnConfig(
    neighbours=1,
    margin=0.0,
    centred=False,
    gate=0.0,
    most_skipped=0.5,
    protected=1,
    parts=1,
    heaviest=5,
    stop="confidence",
    longest=10,
    review=0,
)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What calibration found: where domains lie, and each one's model."""

    memory: Memory
    models: Mapping[str, DomainModel]  # by domain; MIXED is for prompts of none
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_each("Learnt", "models", (*self.memory.labels, MIXED), self.models)


class Solver:
    """Equation (4) for one sequence: solved when a boundary was crossed, else as before."""

    def __init__(
        self, domain: DomainModel, config: KnapKnnConfig, kept: dict[Hashable, Resolved]
    ) -> None:
        """`kept` are solutions of this domain, which are the same in every sequence."""
        self._config, self._model, self._kept = config, domain.model, kept
        published = config.most_skipped < 1.0  # which trusts the losses
        known = () if published else domain.sets
        self._known = tuple(KnownSet(one.skips, one.acceptance.low) for one in known)
        self._doubt = 0.0 if published else domain.error
        self._prices: RoundPrices | None = None
        self._context = 0
        self._attention = 1.0  # against an MLP, at that context
        self._shift = 0.0
        self.solved: Resolved | None = None
        self.solutions = 0

    def at(self, context: Context, shift: float) -> Resolved:
        """The set for this context, with acceptances moved by `shift` in log-odds."""
        n = context.length - 1
        if self.solved is not None and shift == self._shift and not self._crossed(context):
            return self.solved
        if self._prices is None or self._crossed(context):
            lengths = [d for d in LENGTHS if d <= self._config.longest]
            self._prices, self._context = RoundPrices.near(context.costs, n, lengths), n
            self._attention = _attention_price(context.costs, n)
        self._shift, self.solutions = shift, self.solutions + 1
        key = context.costs, nearest(self._context), shift
        if key not in self._kept:
            if len(self._kept) == MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._solve(self._prices, context.shape, shift)
        self.solved = self._kept[key]
        return self.solved

    def _solve(self, prices: RoundPrices, shape: ModelShape, shift: float) -> Resolved:
        config, size = self._config, shape.sublayers
        ends = min(config.protected, (shape.layers - 1) // 2) * 2
        return resolve(
            self._model,
            self._known,
            prices,
            protected=frozenset([*range(ends), *range(size - ends, size)]),
            most_skipped=config.most_skipped,
            parts=config.parts,
            heaviest=config.heaviest,
            shift=shift,
            doubt=self._doubt,
        )

    @property
    def prices(self) -> RoundPrices:
        """Those of the last solution."""
        assert self._prices is not None
        return self._prices

    def _crossed(self, context: Context) -> bool:
        """Whether the context moved, and the price of attention with it."""
        boundary, n = self._config.boundary, context.length - 1
        if abs(n - self._context) <= boundary * max(self._context, 64):
            return False
        moved = _attention_price(context.costs, n) / self._attention - 1.0
        return abs(moved) > FELT * boundary


def _attention_price(costs: CostModel, n: int) -> float:
    """Seconds of attention over those of an MLP, first layer."""
    return max(costs.sublayer(0, n), NEVER) / max(costs.sublayer(1, n), NEVER)


class _Experience:
    """Observed acceptance of first drafted tokens against the calibrated one, in log-odds."""

    def __init__(self) -> None:
        self._shift = 0.0
        self._accepted = self._seen = self._promised = 0.0

    @property
    def shift(self) -> float:
        """In steps that make a difference: the same solutions serve again."""
        return STEP * round(self._shift / STEP)

    def add(self, accepted: bool, promised: float) -> None:
        """A round's first drafted token, which no stop rule has selected."""
        self._accepted += accepted
        self._seen += 1.0
        self._promised += promised

    def learn(self) -> None:
        """Move the shift by the rounds since the last time."""
        if not self._seen:
            return
        promised = min(max(self._promised / self._seen, 0.01), 0.99)
        found = (self._accepted + PRIOR * promised) / (self._seen + PRIOR)
        found = min(max(found, 0.01), 0.99)
        self._shift += log(found / (1 - found)) - log(promised / (1 - promised))
        self._accepted = self._seen = self._promised = 0.0

    def forget_half(self) -> None:
        """After a rest, since the text may have changed."""
        self._shift /= 2


class KnapsackPlanner(Planner):
    """Drafts with the knapsack solution of the prompt's domain at the current context."""

    def __init__(
        self,
        lookup: Lookup,
        models: Mapping[str, DomainModel],
        config: KnapKnnConfig,
        kept: Mapping[str, dict[Hashable, Resolved]],
    ) -> None:
        self._lookup, self._models, self._config = lookup, models, config
        self._kept = kept  # solutions by domain
        self.match: Match | None = None  # what the look-up found
        self.solver: Solver | None = None
        self._experience = _Experience()
        self._solved: Resolved | None = None  # the solution that is drafted with
        self._policy: StopPolicy | None = None  # and its stop rule
        self._rounds = self._resting = 0

    def plan(self, context: Context) -> DraftPlan:
        """Equation (3) once, equation (4) where a boundary was crossed."""
        if self.solver is None:
            self.match = self._lookup.of_prompt(context)
            label = self.match.label if self.match is not None and self.match.known else MIXED
            self.solver = Solver(self._models[label], self._config, self._kept[label])
        if self._resting:
            return draft_nothing(context.shape.layers)
        solved = self.solver.at(context, self._experience.shift)
        if solved.skips is None:
            self._solved = self._policy = None
            best = solved.choice.best_speedup
            return draft_nothing(context.shape.layers, declined=best)
        if solved is not self._solved or self._policy is None:
            self._policy = self._stop(solved, solved.skips, self.solver.prices)
            self._solved = solved
        return DraftPlan(solved.skips, self._policy.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Learn how acceptance compares with the calibration's; rest where nothing pays."""
        if self._resting:
            self._rest()
            return
        if self._policy is not None and outcome.drafted:
            self._policy.observe(outcome)
        if self.solver is None or self.solver.solved is None or not self._config.review:
            return
        if self.solver.solved.skips is None:
            self._resting = self._config.rest
        if not outcome.drafted:
            return
        self._experience.add(outcome.accepted > 0, self.solver.solved.alpha)
        self._rounds += 1
        if self._rounds % self._config.review == 0:
            self._experience.learn()

    def _rest(self) -> None:
        self._resting -= 1
        if not self._resting:
            self._experience.forget_half()

    def _stop(self, solved: Resolved, skips: SkipSet, prices: RoundPrices) -> StopPolicy:
        """The stop rule of a new solution; where the set is the same, what was learnt is kept."""
        config, before = self._config, self._policy
        if config.stop == "confidence":
            return FixedStop(StopRule(config.longest, confidence=config.confidence))
        if config.stop == "fixed":
            return FixedStop(StopRule(solved.choice.draft_length))
        step, rest = prices.of([skips]).in_steps(0)
        if before is not None and self._solved is not None and self._solved.skips == skips:
            before.reprice(step, rest)
            return before
        accepted = solved.alpha if skips.low_bits else USUAL
        return ExpectedGain(step, rest, max_tokens=config.longest, accepted=accepted)


@dataclass(frozen=True)
class KnapKnn(LookingUp):
    """What skipping loses by the prompt's domain, what it saves by the context: a knapsack."""

    config: KnapKnnConfig = field(default_factory=KnapKnnConfig)
    found: Learnt | None = None
    kept: Mapping[str, dict[Hashable, Resolved]] = field(init=False, compare=False, repr=False)

    name = "knap-knn"
    traits = Traits(
        "a domain's losses looked up, the knapsack solved at the current context",
        adaptive=True,
        context_aware=True,
        domain_aware=True,
        precision_aware=True,
        search="knapsack over fitted losses per domain",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, KnapKnnConfig]] = {"best": KnapKnnConfig(), "faithful": FAITHFUL}

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "kept", defaultdict(dict))

    def fresh(self) -> Self:
        """With the same look-up, without the solutions that were found so far."""
        found = copy(self)
        object.__setattr__(found, "kept", defaultdict(dict))
        return found

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough of each domain, and a domain for each prompt or for none."""
        require_labels(prompts)
        split_prompts(prompts)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) and (2)."""
        config = self.config
        split = split_prompts(label_prompts(lab, prompts, config.pooling))
        memory = learn_memory(lab, split, config)
        room = CopyRoom(lab.costs, in_bytes("KnapKnnConfig", "memory", config.memory))
        models = learn_models(
            lab,
            split.searching(config.searched),
            seconds=config.seconds,
            evaluations=(config.evaluations, config.domain_evaluations),
            longest=config.longest,
            seed=config.seed,
            room=room if config.most_skipped == 1.0 else None,  # no paper lowers anything
        )
        return replace(self, found=Learnt(memory, models, lab.shape, lab.facts))

    def start(self, shape: ModelShape) -> KnapsackPlanner:
        """A planner that looks up the domain and solves its knapsack."""
        models = self.required(shape).models
        return KnapsackPlanner(self.lookup, models, self.config, self.kept)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of all domains' best sets, where observed acceptance counts."""
        if not self.config.review:
            return None
        models = self.required(shape).models.values()
        return JudgedProspect([model.judged for model in models], self.config.longest)

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """Each domain's best set at the calibration's context."""
        models = {} if self.found is None else self.found.models
        return {name: model.judged for name, model in models.items()}

    def figures(self) -> Mapping[str, Any]:
        """Of the searches, of the look-up, and of each domain's model."""
        if self.found is None:
            return {}
        models = self.found.models
        return {
            "best_so_far": {name: [list(p) for p in one.curve] for name, one in models.items()},
            **self.memory_figures(),
            "models": {name: model.figures() for name, model in models.items()},
        }
