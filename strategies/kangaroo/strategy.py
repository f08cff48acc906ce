"""Kangaroo: a shallow trunk and a small trained adapter draft; drafts end when the adapter doubts.

Liu, Tang, Liu, Ni, Tang, Han, Wang 2024, https://arxiv.org/abs/2404.18911. Numbers in the code:

    (1) trunk = layers 0..l-1 of the model, l = 2; verification runs the others only
    (2) adapter = norm, attention with its own keys and values, residual, norm; the model's head
    (3) the adapter minimises the soft cross-entropy to the target's law
    (4) a draft ends after 6 tokens, or after one less likely than eta = 0.6

Differs from the paper, preset `faithful`: the second norm of (2) is a learnt gain before the
model's own final norm; the adapter is trained on the target's own answers to the prompts given,
AdamW at a rate that suits small models, in minutes instead of a day; drafts are chains; sampling is
exact, by rejection against the law that was drawn from.

Differs from the paper, preset `best`: l is an eighth of the layers; (4) becomes the expected gain
of one more token, priced with adapter, head and prefix reuse at the context of the moment, and
nothing is drafted where that does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from specframe.contract.lab import Lab
from specframe.contract.options import require_at_least
from specframe.contract.planner import Context, DraftHead
from specframe.contract.selector import Traits
from specframe.contract.stopping import ExpectedGain, FixedStop, StopPolicy
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.kangaroo.adapter import (
    Adapter,
    Lesson,
    TrainingRules,
    agreement,
    train_adapter,
)
from specframe.strategies.shared.planners.calibrated import CalibratedStrategy
from specframe.strategies.shared.planners.fallback import REPRICE
from specframe.types import DraftPlan, Estimate, ModelShape, Outcome, Prompt, SkipSet, StopRule

__all__ = ["Kangaroo", "KangarooConfig", "Trained"]

FEWEST = 3
HELD_OUT = 8  # every so-manieth prompt judges what the others taught
NEVER = 1e-6  # least price of a step, where noise says less


@dataclass(frozen=True)
class KangarooConfig:
    """Trunk, training and double early exit; `layers` 0 is an eighth of the model's."""

    layers: int = 0
    stop: str = "gain"
    longest: int = 12
    confidence: float = 0.6
    epochs: int = 20
    seconds: float = 240.0  # of training, besides the target's answers
    rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if self.stop not in ("gain", "confidence"):
            raise InvalidConfig.of(owner, "stop", "gain or confidence", self.stop)
        if self.layers < 0:
            raise InvalidConfig.of(owner, "layers", "at least 0", self.layers)
        require_at_least(self, longest=1, epochs=1)
        for name in ("seconds", "rate"):
            if getattr(self, name) <= 0.0:
                raise InvalidConfig.of(owner, name, "above 0", getattr(self, name))
        StopRule(self.longest, self.confidence)

    def trunk(self, layers: int) -> int:
        """Equation (1) for a model of so many layers."""
        return self.layers or max(1, round(layers / 8))


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter, and how often it and the bare exit were right on prompts it never saw."""

    adapter: Adapter
    acceptance: Estimate
    bare: Estimate
    shape: ModelShape
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What an artefact holds."""

    config: KangarooConfig
    found: Trained


@dataclass
class Kangaroo(CalibratedStrategy):
    """A shallow trunk of the model and a trained adapter draft."""

    config: KangarooConfig = field(default_factory=KangarooConfig)
    found: Trained | None = None

    name = "kangaroo"
    record = _Saved
    traits = Traits(
        "a shallow trunk and a trained adapter",
        training_free=False,
        separable=False,
        calibrated=True,
        split="train",
        prompts=60,
    )
    presets: ClassVar[Mapping[str, KangarooConfig]] = {
        "best": KangarooConfig(),
        "faithful": KangarooConfig(layers=2, stop="confidence", longest=6),
    }

    def __post_init__(self) -> None:
        self._policy: StopPolicy | None = None
        self._pays = True
        self._priced = 0

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> Self:
        """The trunk must be shallower than the model."""
        found = super().configured(shape, preset, **options)
        if found.config.trunk(shape.layers) >= shape.layers:
            raise InvalidConfig.of(
                "KangarooConfig", "layers", f"below the model's {shape.layers}", found.config.layers
            )
        return found

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equation (3) on most of the prompts, judged on the others."""
        if len(prompts) < FEWEST:
            raise InvalidRequest(
                f"Training needs at least {FEWEST} prompts, so that one can be kept to judge by. "
                f"Got {len(prompts)}."
            )
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
            TrainingRules(config.epochs, config.seconds, rate=config.rate, seed=config.seed),
            lambda done, of: lab.tell("training the adapter", done, of),
        )
        trained, bare = (_share(lab, chosen, held) for chosen in (adapter, None))
        return replace(self, found=Trained(adapter, trained, bare, lab.shape, lab.facts))

    def head(self, shape: ModelShape) -> DraftHead | None:
        """Equation (2)."""
        found: Trained = self.required(shape)
        return found.adapter

    def select(self, context: Context) -> DraftPlan:
        """Equation (4), or what stands in for it."""
        trained, layers = self.required(context.shape), context.shape.layers
        if self._policy is None or context.length > REPRICE * self._priced:
            self._price(context, trained)
        if not self._pays:
            return DraftPlan(SkipSet.none(layers), StopRule(0), capture=False)
        assert self._policy is not None
        skips = SkipSet.after(layers, trained.adapter.depth // 2)
        return DraftPlan(skips, self._policy.rule(), capture=False, headed=True)

    def observe(self, outcome: Outcome) -> None:
        """Which confidences stood."""
        if self._policy is not None and outcome.drafted:
            self._policy.observe(outcome)

    def figures(self) -> dict[str, Any]:
        """Acceptance on prompts that taught nothing, beside that of the bare exit."""
        if self.found is None:
            return {}
        trained = self.found
        found = {"acceptance": trained.acceptance.value, "bare_exit": trained.bare.value}
        warnings = []
        if trained.acceptance.value <= trained.bare.value:
            warnings.append(
                "The adapter is right no more often than the bare exit. Train on more prompts, or "
                "longer: --per-domain, --set seconds=..."
            )
        note = (
            f"acceptance on unseen prompts {trained.acceptance.value:.3f}, of the bare exit "
            f"{trained.bare.value:.3f}, after {trained.adapter.depth // 2} layers"
        )
        return found | {
            "notes": [note],
            "layers": trained.adapter.depth // 2,
            "tokens": trained.acceptance.count,
            "warnings": warnings,
        }

    def _price(self, context: Context, trained: Trained) -> None:
        """Whether drafting pays at this context, and what a step costs; what was learnt is kept."""
        self._priced = context.length
        config, costs, n = self.config, context.costs, context.length - 1
        if config.stop == "confidence":
            self._policy = FixedStop(StopRule(config.longest, confidence=config.confidence))
            return
        step, verify = 0.25, 1.1  # in autoregressive steps, where nothing was measured
        if costs is not None:
            skips = SkipSet.after(context.shape.layers, trained.adapter.depth // 2)
            lengths = range(max(config.longest, 2) + 1)
            plans = [DraftPlan(skips, StopRule(d), headed=True) for d in lengths]
            alpha, plain = trained.acceptance.low, costs.autoregressive(n)
            rates = [costs.tokens_per_second(alpha, plan, n) for plan in plans]
            best = max(range(config.longest + 1), key=rates.__getitem__)
            self._pays = best > 0
            step = max((costs.round(plans[2], n) - costs.round(plans[1], n)) / plain, NEVER)
            verify = max(costs.round(plans[max(best, 1)], n) / plain - max(best, 1) * step, 0.0)
        if self._policy is None:
            self._policy = ExpectedGain(step, verify, max_tokens=config.longest)
        else:
            self._policy.reprice(step, verify)


def _lessons(lab: Lab, prompts: Sequence[Prompt], depth: int) -> list[Lesson]:
    """The target's stream over each prompt and its answer; the answer's rows are learnt from."""
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
