"""Kangaroo: a shallow trunk and a small trained adapter draft; drafts end at unlikely tokens.

Liu, Tang, Liu, Ni, Tang, Han, Wang 2024, https://arxiv.org/abs/2404.18911. Numbers in the code:

    (1) trunk = layers 0..l-1 of the model, l = 2; verification runs the others only
    (2) adapter = norm, attention with its own keys and values, residual, norm; the model's head
    (3) the adapter minimises the soft cross-entropy to the target's distribution
    (4) a draft ends after 6 tokens, or after one less likely than eta = 0.6

Differs from the paper, preset `faithful`: the second norm of (2) is a learnt gain before the
model's own final norm; the adapter is trained on the target's own outputs for the given prompts,
with AdamW at a rate for small models, in minutes instead of a day; drafts are chains; sampling is
exact, by rejection against the distribution that was drawn from.

Differs from the paper, preset `best`: l is an eighth of the layers; (4) becomes the expected gain
of one more token, priced with adapter, head and prefix reuse at the present context length and
corrected by the measured time of drafting, and nothing is drafted where that does not pay at the
acceptance rate of the present text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar, Self

import numpy as np

from specframe.contract.lab import Lab
from specframe.contract.options import (
    require_at_least,
    require_draft_length,
    require_in,
    require_known,
)
from specframe.contract.paying import Prospect, draft_nothing
from specframe.contract.planner import Context, DraftHead, Planner
from specframe.contract.selector import Needs, Traits
from specframe.contract.stopping import ExpectedGain, FixedStop, StopPolicy
from specframe.costs.model import expected_tokens
from specframe.costs.rates import token_seconds
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.kangaroo.adapter import (
    Adapter,
    Lesson,
    TrainingRules,
    agreement,
    train_adapter,
)
from specframe.strategies.kangaroo.overrun import ENOUGH, Overrun
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.strategies.shared.planners.candidates import Beliefs, Repricing
from specframe.strategies.shared.searching.search import Allowance
from specframe.types import DraftPlan, Estimate, ModelShape, Outcome, Prompt, SkipSet, StopRule

__all__ = ["Kangaroo", "KangarooConfig", "Trained"]

FEWEST = 3
HELD_OUT = 8  # one of this many prompts is kept to judge by
NEVER = 1e-6  # least price of a step, for noisy profiles
PRIOR = 8.0  # drafts that the acceptance of calibration is worth, against those of a text
MEMORY = 0.98  # of observed acceptance, a round
REVIEW = 4  # rounds that draft, between two decisions whether drafting pays


@dataclass(frozen=True)
class KangarooConfig:
    """Trunk, training and double early exit; `layers` 0 is an eighth of the model's."""

    layers: int = 0
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    epochs: int = 20
    seconds: float = 240.0  # of answers and training
    rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        require_known(self, stop=("gain", "confidence"))
        require_at_least(self, layers=0, epochs=1)
        require_draft_length(self, "longest")
        if self.seconds <= 0.0:
            raise InvalidConfig.of("KangarooConfig", "seconds", "above 0", self.seconds)
        require_in(self, "(0, 1]", "rate")
        StopRule(self.longest, self.confidence)

    def trunk(self, layers: int) -> int:
        """Equation (1) for a model with this number of layers."""
        return self.layers or max(1, round(layers / 8))


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter, its acceptance and that of the bare exit on unseen prompts."""

    adapter: Adapter
    acceptance: Estimate
    bare: Estimate
    shape: ModelShape
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> int:
        """Layers of the trunk."""
        return self.adapter.depth // 2

    @property
    def skips(self) -> SkipSet:
        """The sublayers that drafts skip."""
        return SkipSet.after(self.shape.layers, self.layers)


class _AdapterProspect(Prospect):
    def __init__(self, trained: Trained, longest: int, overrun: Overrun) -> None:
        self._trained, self._longest, self._overrun = trained, longest, overrun

    def speedup(self, context: Context) -> float:
        """At the best draft length."""
        costs, n, alpha = context.costs, context.length - 1, self._trained.acceptance.high
        seconds = self._overrun.rounds(costs, self._trained.skips, self._longest, n)
        return max(_rates(alpha, seconds)[1:]) * token_seconds(costs, n)

    def seconds_of(self, outcome: Outcome, context: Context) -> float:
        """Drafting counts as much longer than its price as it took in earlier rounds."""
        n = context.length - 1
        return self._overrun.round(context.costs, outcome.plan.skips, outcome.drafted, n)


class KangarooPlanner(Planner):
    """Drafts through the adapter by equation (4), or where that pays."""

    def __init__(self, trained: Trained, config: KangarooConfig, overrun: Overrun) -> None:
        """`overrun` is updated for later sequences; this planner uses a copy of it."""
        self._trained, self._config = trained, config
        self._kept, self._overrun = overrun, replace(overrun)
        self._context: Context | None = None  # of the round that was planned last
        self._caught_up = False  # the first draft also runs the adapter over the prompt
        self._policy: StopPolicy | None = None
        self._repricing = Repricing()
        self._beliefs = Beliefs(np.array([trained.acceptance.low]), PRIOR, MEMORY)
        self._since = 0  # rounds that drafted, since drafting was last found to pay
        self._speed = inf  # of the best draft length, over autoregressive decoding

    def plan(self, context: Context) -> DraftPlan:
        """The trunk's layers, the adapter, and a stop rule."""
        self._context = context
        policy = self._priced(context)
        if self._speed <= 1.0:
            return draft_nothing(context.shape.layers, declined=self._speed)
        return DraftPlan(self._trained.skips, policy.rule(), capture=False, headed=True)

    def observe(self, outcome: Outcome) -> None:
        """Which confidences were accepted, and what drafting really takes."""
        if self._policy is None or self._context is None or not outcome.drafted:
            return
        self._policy.observe(outcome)
        self._beliefs.observe(0, outcome.accepted > 0)
        self._since += 1
        if self._caught_up:
            for overrun in (self._kept, self._overrun):
                overrun.add(outcome, self._context.costs, self._context.length - 1)
            if self._overrun.known == ENOUGH:
                self._repricing = Repricing()
        self._caught_up = True

    def rest(self) -> int:
        """Until prices are looked up again, while drafting does not pay."""
        if self._speed > 1.0 or self._context is None:
            return 0
        return self._repricing.rest(self._context.length) - 1

    def _priced(self, context: Context) -> StopPolicy:
        """The stop rule; priced again every few rounds, and what was learnt is kept."""
        config, grown = self._config, self._repricing.due(context)
        if self._policy is not None and not grown and self._since < REVIEW:
            return self._policy
        self._since = 0
        if config.stop == "confidence":
            self._policy = FixedStop(StopRule(config.longest, confidence=config.confidence))
            return self._policy
        step, verify = self._price(context)
        if self._policy is None:
            self._policy = ExpectedGain(step, verify, max_tokens=config.longest)
        else:
            self._policy.reprice(step, verify)
        return self._policy

    def _price(self, context: Context) -> tuple[float, float]:
        """A draft step and verification in autoregressive steps; also whether drafting pays."""
        costs, n, longest = context.costs, context.length - 1, self._config.longest
        seconds = self._overrun.rounds(costs, self._trained.skips, max(longest, 2), n)
        alpha, plain = float(self._beliefs.alphas()[0]), token_seconds(costs, n)
        rates = _rates(alpha, seconds[: longest + 1])
        best = max(range(longest + 1), key=rates.__getitem__)
        self._speed = max(rates[1:], default=0.0) * plain
        one, two, whole = (seconds[d] for d in (1, 2, max(best, 1)))
        step = max((two - one) / plain, NEVER)
        return step, max(whole / plain - max(best, 1) * step, 0.0)


@dataclass(frozen=True)
class Kangaroo(CalibratedStrategy):
    """A shallow trunk of the model and a trained adapter draft."""

    config: KangarooConfig = field(default_factory=KangarooConfig)
    found: Trained | None = None
    overrun: Overrun = field(init=False, compare=False, repr=False)  # of all sequences

    name = "kangaroo"
    traits = Traits(
        "a shallow trunk and a trained adapter",
        training_free=False,
        separable=False,
        calibrated=True,
        split="train",
        prompts=60,
        official="no, sampling is not implemented",
    )
    presets: ClassVar[Mapping[str, KangarooConfig]] = {
        "best": KangarooConfig(),
        "faithful": KangarooConfig(layers=2, stop="confidence", longest=6),
    }

    @classmethod
    def from_config(cls, config: KangarooConfig, shape: ModelShape) -> Self:
        """The trunk must be shallower than the model."""
        if config.trunk(shape.layers) >= shape.layers:
            raise InvalidConfig.of(
                "KangarooConfig", "layers", f"below the model's {shape.layers}", config.layers
            )
        return cls(config)

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrun", Overrun())

    def fresh(self) -> Self:
        """Without the measured times of drafting."""
        return replace(self)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """Prices where drafts end by expected gain."""
        return Needs(prices=self.config.stop == "gain")

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough to train on and to judge by."""
        if len(prompts) < FEWEST:
            raise InvalidRequest(
                f"Training needs at least {FEWEST} prompts, so that one can be kept to judge by. "
                f"Got {len(prompts)}; give more."
            )

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equation (3) on most of the prompts, judged on the others."""
        self.require_prompts(prompts)
        allowance = Allowance(self.config.seconds)
        lab.answer(prompts)
        depth = 2 * self.config.trunk(lab.shape.layers)
        lessons = _lessons(lab, prompts, depth)
        held = lessons[::HELD_OUT]
        taught = [lesson for i, lesson in enumerate(lessons) if i % HELD_OUT]
        config = self.config
        adapter = train_adapter(
            Adapter.new(lab.shape, depth, config.seed),
            taught,
            lab.read_out,
            TrainingRules(
                config.epochs, max(allowance.left, NEVER), rate=config.rate, seed=config.seed
            ),
            lambda done, of: lab.tell("training the adapter", done, of),
        )
        trained, bare = (_share(lab, chosen, held) for chosen in (adapter, None))
        return replace(self, found=Trained(adapter, trained, bare, lab.shape, lab.facts))

    def start(self, shape: ModelShape) -> KangarooPlanner:
        """A planner that drafts through the adapter."""
        return KangarooPlanner(self.required(shape), self.config, self.overrun)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of the adapter at the upper end of its acceptance, where drafts end by expected gain."""
        if self.config.stop != "gain":
            return None
        return _AdapterProspect(self.required(shape), self.config.longest, self.overrun)

    def head(self, shape: ModelShape) -> DraftHead | None:
        """Equation (2)."""
        found: Trained = self.required(shape)
        return found.adapter

    def warnings(self) -> tuple[str, ...]:
        """Where training has gained nothing."""
        if self.found is None or self.found.acceptance.value > self.found.bare.value:
            return ()
        return (
            "The adapter is accepted no more often than the bare exit. Train on more prompts, or "
            "longer: --per-domain, --set seconds=...",
        )

    def notes(self) -> tuple[str, ...]:
        """Acceptance on prompts that were not trained on, and that of the bare exit."""
        if self.found is None:
            return ()
        return (
            f"acceptance on unseen prompts {self.found.acceptance.value:.3f}, of the bare exit "
            f"{self.found.bare.value:.3f}, after {self.found.layers} layers",
        )

    def figures(self) -> Mapping[str, Any]:
        """Acceptance on prompts that were not trained on, and that of the bare exit."""
        if self.found is None:
            return {}
        return {
            "acceptance": self.found.acceptance.value,
            "bare_exit": self.found.bare.value,
            "layers": self.found.layers,
            "tokens": self.found.acceptance.count,
        }


def _rates(alpha: float, seconds: Sequence[float]) -> list[float]:
    """Tokens a second by the number of drafted tokens."""
    return [expected_tokens(alpha, drafted) / took for drafted, took in enumerate(seconds)]


def _lessons(lab: Lab, prompts: Sequence[Prompt], depth: int) -> list[Lesson]:
    """The target's stream over each prompt and its answer; training uses the answer's rows."""
    last = lab.shape.sublayers
    found = []
    for done, prompt in enumerate(prompts, start=1):
        states = lab.states(prompt, (depth, last))
        found.append(Lesson(states[depth], states[last], len(prompt.tokens) - 1))
        lab.tell("reading answers", done, len(prompts))
    return found


def _share(lab: Lab, adapter: Adapter | None, lessons: Sequence[Lesson]) -> Estimate:
    agreed = [hit for lesson in lessons for hit in agreement(adapter, lesson, lab.read_out)]
    return Estimate.of_share(sum(agreed), len(agreed))
