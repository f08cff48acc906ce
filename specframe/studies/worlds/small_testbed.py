"""The 6-layer testbed at the prices of a large model: small enough to try every skip set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from specframe.calibration.lab import ModelLab
from specframe.calibration.run import refuse_overlap
from specframe.contract.selector import LayerSelector
from specframe.core.sampling import Law, seeded_choice
from specframe.executors.device import require_device, require_dtype
from specframe.prediction.check import rank_sublayers
from specframe.prediction.priced_rounds import PricedRound, priced_rounds
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.prompts.usual import TESTBED
from specframe.studies.framework.study import HERE, Place
from specframe.studies.worlds.every_plan import EveryPlan
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.types import Prompt, SkipSet

__all__ = ["RealModel", "SmallTestbed", "real_model", "small_testbed"]

LONGEST = 16  # drafted tokens at most
LOOKED_AT = 4  # test prompts of each domain that presets were chosen on: not used here
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # of a larger model's sublayers, in nested sets
RANKED = 2  # prompts of a domain by which its sublayers are ranked


@dataclass(frozen=True)
class SmallTestbed:
    """A small model at large prices, with prompts of the test and of the validation split.

    Generations are sampled, with the same seed each time for the same prompt.
    """

    rig: PricedRig
    tests: tuple[Prompt, ...]
    calibrating: tuple[Prompt, ...]
    new_tokens: int

    def lab(self, notes: Path | None = None) -> ModelLab:
        """A lab over the model at these prices, sampling as the tests do."""
        return self.rig.lab(new_tokens=self.new_tokens, sampled=True, notes=notes)

    def rounds(self, strategy: LayerSelector, prompt: Prompt) -> list[PricedRound]:
        """The strategy's rounds on a test prompt."""
        return priced_rounds(self.rig, strategy, prompt, self.new_tokens, self._law_of(prompt))

    def _law_of(self, prompt: Prompt) -> Law:
        """Sampling from the target's distribution, with a seed that depends on the prompt only."""
        seed = int(prompt.digest, 16) % (1 << 63)
        return Law(choose=seeded_choice(torch.Generator(self.rig.device).manual_seed(seed)))

    def every_plan(self, prompt: Prompt, used: Collection[int] = ()) -> EveryPlan:
        """All skip sets at all draft lengths on the target's generation for a test prompt.

        A subclass that cannot try all sets tries those `used` by strategies on this prompt.
        """
        return self._plans(prompt, range(1 << self.rig.shape.sublayers))

    def _plans(self, prompt: Prompt, sets: Sequence[int]) -> EveryPlan:
        executor, law = self.rig.executor, self._law_of(prompt)
        (text,) = continue_prompts(executor, [prompt.tokens], self.new_tokens, law, self.rig.ends)
        shares = self._shares(AcceptanceEstimator(executor, [text], law), sets)
        tokens = len(text.tokens) - text.prompt_length
        n = text.prompt_length + tokens / 2
        return EveryPlan.of(sets, shares, tokens, self.rig.costs, n, LONGEST)

    def _shares(self, judge: AcceptanceEstimator, sets: Sequence[int]) -> NDArray[np.float64]:
        (chances,) = judge.every_set()
        shares: NDArray[np.float64] = chances.double().mean(1).cpu().numpy()
        return shares


@dataclass(frozen=True)
class RealModel(SmallTestbed):
    """A model with too many skip sets to try them all.

    It tries nested sets of the least important sublayers, ranked on all domains and on each, and
    the sets that strategies used on the prompt.
    """

    def every_plan(self, prompt: Prompt, used: Collection[int] = ()) -> EveryPlan:
        return self._plans(prompt, tuple(dict.fromkeys([*self._nested, *used])))

    def _shares(self, judge: AcceptanceEstimator, sets: Sequence[int]) -> NDArray[np.float64]:
        size = self.rig.shape.sublayers
        return np.array([judge.estimate(SkipSet(size, bits)).mean for bits in sets])

    @cached_property
    def _nested(self) -> list[int]:
        domains = dict.fromkeys(prompt.domain for prompt in self.calibrating)
        own = [[p for p in self.calibrating if p.domain == domain] for domain in domains]
        layers = self.rig.shape.layers
        found = {0}
        for prompts in (*own, [prompts[0] for prompts in own]):
            tokens = [prompt.tokens for prompt in prompts[:RANKED]]
            order = rank_sublayers(self.rig.executor, tokens, self.new_tokens)
            for share in SHARES:
                members = order[: max(round(share * 2 * layers), 1)]
                found.add(SkipSet.from_sublayers(layers, members).bits)
        return sorted(found)


def small_testbed(
    tests: int, calibrating: int, new_tokens: int, profile: str = "", place: Place = HERE
) -> SmallTestbed:
    """`tests` and `calibrating` are prompts per domain; generations ignore end tokens.

    Half of this small model's generations are a few words long, too short to compare plans.
    """
    from specframe import testbed

    model, tokenizer = testbed.load_tiny()
    device, dtype = require_device(place.device), require_dtype(place.dtype)
    model = model.to(device=device, dtype=dtype or model.dtype)
    costs = kept_prices(profile)
    rig = PricedRig.of(model, tokenizer, name=TESTBED, costs=costs).without_ends()
    test_prompts = [
        prompt
        for prompt in rig.study_prompts(LOOKED_AT + tests)
        if int(prompt.name.rpartition("/")[2]) >= LOOKED_AT
    ]
    seen = rig.study_prompts(calibrating, split="validation")
    refuse_overlap(test_prompts, [prompt.digest for prompt in seen])
    priced = rig.priced(spread_over(costs, rig.shape.layers))
    return SmallTestbed(priced, tuple(test_prompts), tuple(seen), new_tokens)


def real_model(
    name: str,
    tests: int,
    calibrating: int,
    new_tokens: int,
    profile: str = "",
    place: Place = HERE,
) -> RealModel:
    """`tests` and `calibrating` are prompts per domain."""
    rig = priced_rig(name, profile, place)
    test_prompts = rig.study_prompts(tests)
    seen = rig.study_prompts(calibrating, split="validation")
    return RealModel(rig, tuple(test_prompts), tuple(seen), new_tokens)
