"""What strategies gain at the prices of models too large for this machine, on several devices.

Prices of an 8B, a 32B and a 70B model are composed: one of their layers was measured, and the
others are assumed to cost the same. Those of a 405B model are scaled from the 70B's in proportion
to the weights. The large models generated nothing: the loss of skipping and the acceptance rates
are those of the testbed's model on its own generations; each of its layers represents several. The
figures show only the effect of the prices, not how redundant a large model is.

Strategies are calibrated at the prices of one device and used on every number of devices. The cost
of planning is the price of its walks plus the seconds that it takes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import fmean, harmonic_mean
from typing import Any

from specframe.bench.settings import HEADLINE
from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.costs.sharded import Link
from specframe.errors import InvalidConfig
from specframe.prediction.priced_rounds import PricedRound, priced_rounds
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.domain_strategies import DomainSettings, DomainStrategies
from specframe.studies.worlds.large_models import LARGE, LargeModel, large_model
from specframe.studies.worlds.links import GLOO, link_of
from specframe.studies.worlds.plans_at import plans_at
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.studies.worlds.prices import SHIPPED, kept_prices, spread_over
from specframe.types import DraftPlan, Prompt, SkipSet

__all__ = ["STUDY", "ScaleSettings"]


@dataclass(frozen=True)
class ScaleSettings:
    """KnapSpec's plans at `profiles` (of the package, or folders) and `contexts`.

    Rounds of `strategies` at the prices of `shapes` on each number of `devices`. `link` is the
    price of an all-reduce: `gloo` measures it between two processes here, `LATENCY:SPEED` is in
    microseconds and GB/s. `prompts` and `calibration` are numbers of prompts per domain.
    """

    model: str = "testbed"
    profiles: tuple[str, ...] = SHIPPED
    contexts: tuple[int, ...] = (128, 512, 2048, 8192, 16384, 32768)
    prompts: int = 4
    new_tokens: int = 64
    budget: int = 512  # tokens still to come, over which planning must pay for itself
    shapes: tuple[str, ...] = LARGE
    devices: tuple[int, ...] = (1, 2, 4, 8)
    strategies: tuple[str, ...] = HEADLINE
    link: str = GLOO
    calibration: int = 5
    evaluations: int = 32
    domain_evaluations: int = 12

    def __post_init__(self) -> None:
        if not self.shapes or not set(self.shapes) <= set(LARGE):
            raise InvalidConfig.of("ScaleSettings", "shapes", f"of {', '.join(LARGE)}", self.shapes)
        if not self.devices or not set(self.devices) <= {1, 2, 4, 8}:
            raise InvalidConfig.of("ScaleSettings", "devices", "of 1, 2, 4, 8", self.devices)
        if self.link != GLOO:
            link_of(self.link)
        if not self.profiles:
            raise InvalidConfig.of("ScaleSettings", "profiles", "one or more", self.profiles)
        require_at_least(self, contexts=2, prompts=1, new_tokens=1, budget=1)


def run(settings: ScaleSettings, work: Work) -> Findings:
    """Rows of both parts: plans by profile and context, strategies by shape and devices."""
    planned = _PlansAtPrices(settings, work)
    rows = planned.rows("profile context", product(settings.profiles, settings.contexts))
    by_profile = {
        name: {
            key: [row[key] for row in rows if row["profile"] == name]
            for key in ("speed", "skipped_attention", "skipped_mlp", "draft")
        }
        for name in settings.profiles
    }
    split = _StrategiesAtPrices(settings, work)
    cases = product(settings.shapes, settings.devices, settings.strategies)
    by_shape = _by_shape(split.rows("shape devices strategy", cases))
    simulated = {name: kept_prices(name).simulated for name in settings.profiles}
    simulated |= {name: large_model(name).costs.simulated for name in settings.shapes}
    figures = {
        "contexts": list(settings.contexts),
        **_turned(by_profile),
        "simulated": simulated,
        "all_reduce": dict(split.link_row()),
        **by_shape,
    }
    plans, gains = _answer(by_profile, settings.contexts), _answer_for_large(by_shape, settings)
    return Findings(figures, f"{plans} {gains}")


def _by_shape(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows by shape, number of devices and strategy."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        own = found.setdefault(row["shape"], {}).setdefault(str(row["devices"]), {})
        own[row["strategy"]] = {
            key: value for key, value in row.items() if key not in ("shape", "devices", "strategy")
        }
    return found


def _answer_for_large(by_shape: Mapping[str, Any], settings: ScaleSettings) -> str:
    """The sentences on the largest model on the most devices."""
    name, most = settings.shapes[-1], str(max(settings.devices))
    own = by_shape[name][most]
    gains = ", ".join(f"{strategy} {row['speedup']:.2f}x" for strategy, row in own.items())
    every = [row for shape in by_shape.values() for at in shape.values() for row in at.values()]
    share = max(row["lookup_share"] for row in every)
    some = next(iter(own.values()))
    weights, copies, kept = (
        some[key] / 2**30 for key in ("weight_bytes", "low_bit_bytes", "kv_bytes")
    )
    return (
        f"Simulated for {name} on {most} devices: {gains}, with {weights:.0f} GiB of weights, "
        f"{copies:.0f} GiB of 4-bit copies of all of them and {kept:.0f} GiB of keys and values "
        f"at {max(settings.contexts)} tokens on each. Planning takes at most {share:.1%} of the "
        f"time of any strategy on any of the models."
    )


def _turned(by_profile: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    keys = next(iter(by_profile.values()))
    return {key: {name: own[key] for name, own in by_profile.items()} for key in keys}


def _answer(
    by_profile: Mapping[str, Mapping[str, Sequence[float]]], contexts: Sequence[int]
) -> str:
    ranges = [
        f"{own['speed'][0]:.2f}x to {own['speed'][-1]:.2f}x at the prices of {name} (attention "
        f"skipped: {own['skipped_attention'][0]:.0%} to {own['skipped_attention'][-1]:.0%})"
        for name, own in by_profile.items()
    ]
    return (
        f"From a context of {contexts[0]} to one of {contexts[-1]} tokens, the predicted speed-up "
        f"goes from {', '.join(ranges)}."
    )


class _PlansAtPrices(Measurement[ScaleSettings]):
    def row(self, name: str, context: int) -> Row:
        """Means over the prompts; speeds are weighted by time."""
        prices = kept_prices(name)
        costs = self._costs(name)
        plans = [plans[context] for plans in self._plans(name)]
        layers = costs.layers
        speeds = [
            self._speed(costs, prompt, plan, context)
            for prompt, plan in zip(self._prompts, plans, strict=True)
        ]
        return {
            "speed": harmonic_mean(speeds),
            "skipped_attention": fmean(len(p.skips.attention) / layers for p in plans),
            "skipped_mlp": fmean(len(p.skips.mlp) / layers for p in plans),
            "draft": fmean(p.stop.max_tokens for p in plans),
            "attention_over_mlp": prices.sublayer(0, context) / prices.sublayer(1, context),
            "token_seconds": prices.autoregressive(context),
            "simulated": bool(prices.simulated),
        }

    def _speed(self, costs: CostModel, prompt: Prompt, plan: DraftPlan, context: int) -> float:
        """Measured acceptance at the profile's prices."""
        if plan.stop.max_tokens == 0:
            return 1.0
        return costs.speedup(self._acceptance(prompt.name, plan.skips), plan, context).value

    @remembered
    def _acceptance(self, prompt: str, skips: SkipSet) -> float:
        return self._estimators[prompt].estimate(skips).mean

    @cached_property
    def _rig(self) -> PricedRig:
        return priced_rig(self._settings.model, place=self._work.place)

    @cached_property
    def _prompts(self) -> list[Prompt]:
        return self._rig.study_prompts(self._settings.prompts)

    @cached_property
    def _estimators(self) -> dict[str, AcceptanceEstimator]:
        """By prompt, on the model's own generations."""
        self._work.tell(f"generating for {len(self._prompts)} prompts")
        executor, new = self._rig.executor, self._settings.new_tokens
        return {
            prompt.name: AcceptanceEstimator(
                executor, continue_prompts(executor, [prompt.tokens], new)
            )
            for prompt in self._prompts
        }

    def _costs(self, name: str) -> CostModel:
        return spread_over(kept_prices(name), self._rig.shape.layers)

    @remembered
    def _plans(self, name: str) -> list[dict[int, DraftPlan]]:
        """For each prompt, the plan at each context."""
        rig = self._rig.priced(self._costs(name))
        self._work.tell(f"planning at the prices of {name}")
        strategy = rig.strategy("knapspec", options={"stop": "fixed"})
        contexts, budget = self._settings.contexts, self._settings.budget
        return [
            plans_at(rig, strategy, prompt.tokens, contexts, budget) for prompt in self._prompts
        ]


class _StrategiesAtPrices(Measurement[ScaleSettings]):
    def row(self, shape: str, devices: int, strategy: str) -> Row:
        """Figures over all prompts together."""
        model = self._model(shape)
        costs = model.on(devices, self._link)
        self._work.tell(f"{strategy} at the prices of {shape} on {devices} devices")
        rounds = self._world(shape).rounds(strategy, costs)
        planning = sum(done.select_seconds + done.host_seconds for done in rounds)
        spent = planning + sum(done.seconds for done in rounds)
        drafted = [done.plan.skips for done in rounds if done.drafted]
        context = max(self._settings.contexts)
        alone = model.costs.autoregressive(context) / devices
        return {
            "speedup": sum(done.plain_seconds for done in rounds) / spent,
            "lookup_share": planning / spent,
            "acceptance": _share(sum(d.accepted for d in rounds), sum(d.drafted for d in rounds)),
            "skipped_attention": _share(sum(len(s.attention) for s in drafted), self._of(drafted)),
            "skipped_mlp": _share(sum(len(s.mlp) for s in drafted), self._of(drafted)),
            "token_seconds": costs.autoregressive(context),
            "split_loss": 1.0 - alone / costs.autoregressive(context),
            **model.memory(devices, context),
        }

    @remembered
    def link_row(self) -> Row:
        """The price of an all-reduce."""
        return self._work.row({"link": self._settings.link}, self._measured_link)

    def _measured_link(self) -> Row:
        found = link_of(self._settings.link)
        return {"latency_seconds": found.latency, "seconds_per_byte": found.per_byte}

    @cached_property
    def _link(self) -> Link:
        row = self.link_row()
        return Link(row["latency_seconds"], row["seconds_per_byte"])

    def _of(self, drafted: Sequence[SkipSet]) -> int:
        return len(drafted) * self._rig.shape.layers

    @remembered
    def _model(self, shape: str) -> LargeModel:
        return large_model(shape)

    @cached_property
    def _rig(self) -> PricedRig:
        return priced_rig(self._settings.model, place=self._work.place)

    @remembered
    def _world(self, shape: str) -> _AtLargePrices:
        """Strategies calibrated at the prices of one device."""
        given = self._settings
        settings = DomainSettings(
            given.model,
            shape,
            given.calibration,
            given.evaluations,
            given.domain_evaluations,
            given.prompts,
            given.new_tokens,
        )
        return _AtLargePrices(settings, self._work, self._rig, self._model(shape).costs)


class _AtLargePrices(DomainStrategies):
    """Strategies calibrated at the prices of one large model, named by the setting `profile`."""

    def __init__(
        self, settings: DomainSettings, work: Work, rig: PricedRig, costs: CostModel
    ) -> None:
        super().__init__(settings, work)
        self._given, self._costs = rig, costs

    @cached_property
    def rig(self) -> PricedRig:
        """The small model at the large one's prices."""
        return self._given.priced(spread_over(self._costs, self._given.shape.layers))

    def rounds(self, name: str, costs: CostModel) -> Sequence[PricedRound]:
        """A strategy's rounds on all test prompts, at other prices of the same model."""
        rig = self.rig.priced(spread_over(costs, self.rig.shape.layers))
        new, strategy = self._settings.new_tokens, self._strategy(name)
        every = [priced_rounds(rig, strategy, prompt, new) for prompt in self.test_prompts()]
        return [done for rounds in every for done in rounds]

    def _strategy(self, name: str) -> LayerSelector:
        calibrated = strategy_class(name).traits.calibrated
        return self.calibrated(name) if calibrated else self.rig.strategy(name)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


STUDY = Study(
    "scale",
    "Plans and gains at the prices of large models",
    "How do plans and predicted speed-ups change with the latencies of models of 8B to 405B, on "
    "one device or several?",
    ScaleSettings(),
    ScaleSettings(
        contexts=(128, 2048, 8192, 32768),
        prompts=1,
        new_tokens=48,
        devices=(1, 8),
        calibration=3,
        evaluations=16,
        domain_evaluations=8,
    ),
    run,
    Lines("context", "speed", ("profile",), log_x=True),
    real={
        "shapes": ("8B", "405B"),
        "new_tokens": 32,
        "evaluations": 12,
        "domain_evaluations": 6,
    },
    minutes=6,
    testbed_minutes=4,
)
