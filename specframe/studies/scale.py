"""What KnapSpec plans, and what that gains, at the prices of models too large for this machine.

Prices of an 8B, a 32B and a 70B model are composed: one of their layers was measured, the others
are taken to cost the same. Nothing was generated with them: the loss of skipping and the acceptance
rates are those of the testbed's model on its own answers, each of its layers standing for several.
The figures show only the effect of the prices, not how redundant a large model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import fmean, harmonic_mean
from typing import Any

from specframe.contract.options import require_at_least
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.worlds.plans_at import plans_at
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.studies.worlds.prices import SHIPPED, kept_prices, spread_over
from specframe.types import DraftPlan, Prompt, SkipSet

__all__ = ["STUDY", "ScaleSettings"]


@dataclass(frozen=True)
class ScaleSettings:
    """`profiles` that come with the package, or folders; `prompts` of each domain."""

    model: str = "testbed"
    profiles: tuple[str, ...] = SHIPPED
    contexts: tuple[int, ...] = (128, 512, 2048, 8192, 16384, 32768)
    prompts: int = 4
    new_tokens: int = 64
    budget: int = 512  # tokens still to come, over which planning must pay for itself

    def __post_init__(self) -> None:
        if not self.profiles:
            raise InvalidConfig.of("ScaleSettings", "profiles", "one or more", self.profiles)
        require_at_least(self, contexts=2, prompts=1, new_tokens=1, budget=1)


def run(settings: ScaleSettings, work: Work) -> Findings:
    """A row for each profile and context."""
    planned = _PlansAtPrices(settings, work)
    rows = planned.rows("profile context", product(settings.profiles, settings.contexts))
    by_profile = {
        name: {
            key: [row[key] for row in rows if row["profile"] == name]
            for key in ("speed", "skipped_attention", "skipped_mlp", "draft")
        }
        for name in settings.profiles
    }
    simulated = {name: kept_prices(name).simulated for name in settings.profiles}
    figures = {"contexts": list(settings.contexts), **_turned(by_profile), "simulated": simulated}
    return Findings(figures, _answer(by_profile, settings.contexts))


def _turned(by_profile: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    keys = next(iter(by_profile.values()))
    return {key: {name: own[key] for name, own in by_profile.items()} for key in keys}


def _answer(
    by_profile: Mapping[str, Mapping[str, Sequence[float]]], contexts: Sequence[int]
) -> str:
    told = [
        f"{own['speed'][0]:.2f}x to {own['speed'][-1]:.2f}x at the prices of {name} (attention "
        f"skipped: {own['skipped_attention'][0]:.0%} to {own['skipped_attention'][-1]:.0%})"
        for name, own in by_profile.items()
    ]
    return (
        f"From a context of {contexts[0]} to one of {contexts[-1]} tokens, the predicted speed-up "
        f"goes from {', '.join(told)}."
    )


class _PlansAtPrices(Measurement[ScaleSettings]):
    """Plans at each profile's prices."""

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
        """By prompt, on the model's own answers."""
        self._work.tell(f"answering {len(self._prompts)} prompts")
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
        """By prompt: the plan at each context."""
        rig = self._rig.priced(self._costs(name))
        self._work.tell(f"planning at the prices of {name}")
        strategy = rig.strategy("knapspec", options={"stop": "fixed"})
        contexts, budget = self._settings.contexts, self._settings.budget
        return [
            plans_at(rig, strategy, prompt.tokens, contexts, budget) for prompt in self._prompts
        ]


STUDY = Study(
    "scale",
    "Plans and gains at the prices of large models",
    "How do plans and predicted speed-ups change with the latencies of an 8B, a 32B and a 70B "
    "model?",
    ScaleSettings(),
    ScaleSettings(contexts=(128, 2048, 8192, 32768), prompts=1, new_tokens=48),
    run,
    Lines("context", "speed", ("profile",), log_x=True),
    minutes=1,
)
