"""KnapSpec x KNN-SSD: the domain of the prompt says what skipping loses, the context what it saves.

No paper. KNN-SSD (https://arxiv.org/abs/2505.16162) looks up a skip set by domain and knows
nothing of context length; KnapSpec (https://arxiv.org/abs/2602.20217) weighs sublayers by their
latency at the context of the moment and learns each prompt from nothing. Here a domain keeps losses
instead of a set, and the set is solved for when it is needed. Numbers in the code:

    (1) offline, for each domain: losses that add up, fitted to measured sets (`knapsack_search`)
    (2) the link from losses to acceptance, and some measured sets, from unseen prompts, lower ends
    (3) after the prompt: its domain, by the nearest anchors (`lookup`)
    (4) the knapsack at the prices of the context, and again at each boundary (`resolve`)

Of the two it combines it differs thus: from KNN-SSD, (1) replaces one search of one set; from
KnapSpec, values are learnt offline and nothing is run while generating. Observed acceptance moves
(2) in log-odds, so that a domain that is easier or harder than its calibration is solved again.
Preset `faithful` takes both papers' constants: one neighbour and no gate, half of the weight at
most, drafts of 10 that end under probability 0.7, and nothing learnt while generating.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, ClassVar, Self

from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least
from specframe.contract.planner import Context
from specframe.contract.selector import Traits
from specframe.contract.stopping import ExpectedGain, FixedStop, StopPolicy
from specframe.costs.model import CostModel
from specframe.costs.rates import RoundPrices, unit_costs
from specframe.errors import InvalidConfig
from specframe.strategies.knn_ssd import label_prompts
from specframe.strategies.shared.domains.domain_models import DomainModel, learn_models
from specframe.strategies.shared.domains.looking_up import LookingUp
from specframe.strategies.shared.domains.lookup import DomainConfig, Memory, learn_memory
from specframe.strategies.shared.judging.find_set import MIXED, all_figures, split_prompts
from specframe.strategies.shared.searching.resolve import KnownSet, Resolved, resolve
from specframe.types import DraftPlan, ModelShape, Outcome, Prompt, SkipSet, StopRule

__all__ = ["FAITHFUL", "KnapKnn", "KnapKnnConfig", "Learnt", "Solver"]

STOPS = ("gain", "confidence", "fixed")
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
NEVER = 1e-12
FELT = 0.25  # of the boundary: a price that moved less with the context changes no solution
PRIOR = 16.0  # rounds that a calibrated acceptance is worth against observed ones


@dataclass(frozen=True)
class KnapKnnConfig(DomainConfig):
    """How domains are learnt, how a prompt finds its own, and how its knapsack is solved.

    `boundary` is the change of the context at which the knapsack is solved again, where attention's
    price moved with it; `review` the rounds after which it is for observed acceptance (0: never).
    """

    seconds: float = 120.0  # of searching
    evaluations: int = 240  # sets measured for all domains together
    domain_evaluations: int = 160  # and for each
    seed: int = 1
    most_skipped: float = 1.0  # share of the weight
    protected: int = 0  # layers at either end that are never skipped
    parts: int = 2  # whole weights of the cheapest sublayer
    heaviest: int = 8  # how many times that the dearest may weigh
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.7
    boundary: float = 0.1
    review: int = 8
    rest: int = 64  # rounds without drafting before it is tried again

    def __post_init__(self) -> None:
        DomainConfig.__post_init__(self)
        if self.stop not in STOPS:
            raise InvalidConfig.of("KnapKnnConfig", "stop", " or ".join(STOPS), self.stop)
        require_at_least(self, evaluations=1, domain_evaluations=1, parts=1, heaviest=1, longest=1)
        for name in ("seconds", "protected", "review", "rest"):
            if getattr(self, name) < 0:
                raise InvalidConfig.of("KnapKnnConfig", name, "at least 0", getattr(self, name))
        if not 0.0 < self.most_skipped <= 1.0:
            raise InvalidConfig.of("KnapKnnConfig", "most_skipped", "in (0, 1]", self.most_skipped)
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


@dataclass(frozen=True, slots=True)
class _Saved:
    """What an artefact holds."""

    config: KnapKnnConfig
    found: Learnt


class Solver:
    """Equation (4) for one sequence: solves when a boundary was crossed, else answers at once."""

    def __init__(self, domain: DomainModel, config: KnapKnnConfig) -> None:
        self._config, self._model = config, domain.model
        self._known = tuple(KnownSet(one.skips, one.acceptance.low) for one in domain.sets)
        self._prices: RoundPrices | None = None
        self._context = 0
        self._attention = 1.0  # against an MLP, at that context
        self._shift = 0.0
        self.solved: Resolved | None = None
        self.solutions = 0

    def at(self, context: Context, shift: float) -> Resolved:
        """The set for this context and this experience."""
        n = context.length - 1
        if self.solved is not None and shift == self._shift and not self._crossed(context):
            return self.solved
        if self._prices is None or self._crossed(context):
            costs = context.costs or unit_costs(context.shape.layers)
            lengths = [d for d in LENGTHS if d <= self._config.longest]
            self._prices, self._context = RoundPrices.at(costs, n, lengths), n
            self._attention = _attention_price(costs, n)
        config = self._config
        ends = min(config.protected, (context.shape.layers - 1) // 2) * 2
        size = context.shape.sublayers
        self._shift, self.solutions = shift, self.solutions + 1
        self.solved = resolve(
            self._model,
            self._known if config.most_skipped == 1.0 else (),
            self._prices,
            protected=frozenset([*range(ends), *range(size - ends, size)]),
            most_skipped=config.most_skipped,
            parts=config.parts,
            heaviest=config.heaviest,
            shift=shift,
        )
        return self.solved

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
        if context.costs is None:
            return True
        moved = _attention_price(context.costs, n) / self._attention - 1.0
        return abs(moved) > FELT * boundary


def _attention_price(costs: CostModel, n: int) -> float:
    """Seconds of attention over those of an MLP, first layer."""
    return max(costs.sublayer(0, n), NEVER) / max(costs.sublayer(1, n), NEVER)


class _Experience:
    """What the rounds taught: first drafted tokens that stood, against what was promised."""

    def __init__(self) -> None:
        self.shift = 0.0
        self._stood = self._seen = self._promised = 0.0

    def add(self, stood: bool, promised: float) -> None:
        """A drafted token that no stop rule has picked."""
        self._stood += stood
        self._seen += 1.0
        self._promised += promised

    def learn(self) -> None:
        """Move the shift by what the rounds since the last look say, a little at a time."""
        if not self._seen:
            return
        promised = min(max(self._promised / self._seen, 0.01), 0.99)
        found = (self._stood + PRIOR * promised) / (self._seen + PRIOR)
        found = min(max(found, 0.01), 0.99)
        self.shift += log(found / (1 - found)) - log(promised / (1 - promised))
        self._stood = self._seen = self._promised = 0.0

    def forget_half(self) -> None:
        """After a rest: perhaps the text has changed."""
        self.shift /= 2


@dataclass
class KnapKnn(LookingUp):
    """What skipping loses by the prompt's domain, what it saves by the context: a knapsack."""

    config: KnapKnnConfig = field(default_factory=KnapKnnConfig)
    found: Learnt | None = None

    name = "knap-knn"
    record = _Saved
    traits = Traits(
        "a domain's losses looked up, the knapsack solved at the context of the moment",
        adaptive=True,
        context_aware=True,
        domain_aware=True,
        search="knapsack over fitted losses per domain",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, KnapKnnConfig]] = {"best": KnapKnnConfig(), "faithful": FAITHFUL}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._solver: Solver | None = None
        self._experience = _Experience()
        self._playing: Resolved | None = None
        self._policy: StopPolicy | None = None
        self._rounds = self._resting = 0

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) and (2)."""
        config = self.config
        parts = split_prompts(label_prompts(lab, prompts, config.pooling))
        memory = learn_memory(lab, parts, config)
        models = learn_models(
            lab,
            parts,
            seconds=config.seconds,
            evaluations=(config.evaluations, config.domain_evaluations),
            longest=config.longest,
            seed=config.seed,
        )
        return replace(self, found=Learnt(memory, models, lab.shape, lab.facts), lookup=None)

    def select(self, context: Context) -> DraftPlan:
        """Equation (3) once, equation (4) where a boundary was crossed."""
        if self._solver is None:
            self._solver = self._begin(context)
        if self._resting:
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)
        solved = self._solver.at(context, self._experience.shift)
        if solved.skips is None:
            self._playing = self._policy = None
            return DraftPlan(SkipSet.none(context.shape.layers), StopRule(0), capture=False)
        if solved is not self._playing or self._policy is None:
            self._policy = self._stop(solved, self._policy)
            self._playing = solved
        return DraftPlan(solved.skips, self._policy.rule(), capture=False)

    def observe(self, outcome: Outcome) -> None:
        """Learn how acceptance compares with the calibration's; take a rest where nothing pays."""
        if self._resting:
            self._resting -= 1
            if not self._resting:
                self._experience.forget_half()
            return
        if self._policy is not None and outcome.drafted:
            self._policy.observe(outcome)
        if self._solver is None or self._solver.solved is None or not self.config.review:
            return
        if self._solver.solved.skips is None:
            self._resting = self.config.rest
        if not outcome.drafted:
            return
        self._experience.add(outcome.accepted > 0, self._solver.solved.alpha)
        self._rounds += 1
        if self._rounds % self.config.review == 0:
            self._experience.learn()

    def _begin(self, context: Context) -> Solver:
        models, match = self.required(context.shape).models, self.look_up(context)
        label = match.label if match is not None and match.known else MIXED
        return Solver(models[label], self.config)

    def _stop(self, solved: Resolved, before: StopPolicy | None) -> StopPolicy:
        """The rule of a new solution; where the set goes on, what was learnt is kept."""
        if self.config.stop == "confidence":
            return FixedStop(StopRule(self.config.longest, confidence=self.config.confidence))
        if self.config.stop == "fixed":
            return FixedStop(StopRule(solved.choice.draft_length))
        assert self._solver is not None
        assert solved.skips is not None
        step, rest = self._solver.prices.in_steps(solved.skips)
        if before is not None and self._playing is not None and self._playing.skips == solved.skips:
            before.reprice(step, rest)
            return before
        return ExpectedGain(step, rest, max_tokens=self.config.longest)

    def figures(self) -> dict[str, Any]:
        """Of each domain's best set at the calibration's context, and of its model."""
        if self.found is None:
            return {}
        models = self.found.models
        judged = {name: model.judged for name, model in models.items()}
        curves = {name: model.curve for name, model in models.items()}
        fits = {"models": {name: model.figures() for name, model in models.items()}}
        return all_figures(judged, curves) | self.memory_figures() | fits
