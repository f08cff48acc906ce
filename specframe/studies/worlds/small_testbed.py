"""The 6-layer testbed at the prices of a large model: small enough to try every skip set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from specframe.calibration.lab import ModelLab
from specframe.calibration.run import refuse_overlap
from specframe.contract.selector import LayerSelector
from specframe.core.sampling import Law, seeded_choice
from specframe.prediction.priced_rounds import PricedRound, priced_rounds
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import continue_prompts
from specframe.studies.worlds.every_plan import EveryPlan
from specframe.studies.worlds.priced_rig import PricedRig
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.types import Prompt

__all__ = ["SmallTestbed", "small_testbed"]

LONGEST = 16  # drafted tokens at most
LOOKED_AT = 4  # test prompts of each domain on which presets were set: never judged on


@dataclass(frozen=True, slots=True)
class SmallTestbed:
    """A small model at large prices, with prompts of the test and of the validation split.

    Answers are sampled, the same whenever a prompt is answered.
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
        return priced_rounds(self.rig, strategy, prompt, self.new_tokens, _law_of(prompt))

    def every_plan(self, prompt: Prompt) -> EveryPlan:
        """All skip sets at all draft lengths on the target's answer to a test prompt."""
        executor, law = self.rig.executor, _law_of(prompt)
        (text,) = continue_prompts(executor, [prompt.tokens], self.new_tokens, law)
        (chances,) = AcceptanceEstimator(executor, [text], law).every_set()
        shares: NDArray[np.float64] = chances.double().mean(1).numpy()
        tokens = len(text.tokens) - text.prompt_length
        n = text.prompt_length + tokens / 2
        return EveryPlan.of(shares, tokens, self.rig.costs, n, LONGEST)


def small_testbed(tests: int, calibrating: int, new_tokens: int, profile: str = "") -> SmallTestbed:
    """So many prompts of each domain from either split; answers run on past their end tokens.

    Half of this little model's answers are a few words long, too short to tell plans apart.
    """
    from specframe import testbed

    model, tokenizer = testbed.load_tiny()
    rig = PricedRig.of(model, tokenizer, costs=kept_prices(profile)).without_ends()
    asked = [
        prompt
        for prompt in rig.testbed_prompts(LOOKED_AT + tests)
        if int(prompt.name.rpartition("/")[2]) >= LOOKED_AT
    ]
    seen = rig.testbed_prompts(calibrating, split="validation")
    refuse_overlap(asked, [prompt.digest for prompt in seen])
    costs = spread_over(rig.costs, rig.shape.layers)
    return SmallTestbed(rig.priced(costs), tuple(asked), tuple(seen), new_tokens)


def _law_of(prompt: Prompt) -> Law:
    """Draws from the target's own distribution, the same whenever this prompt is answered."""
    seed = int(prompt.digest, 16) % (1 << 63)
    return Law(choose=seeded_choice(torch.Generator().manual_seed(seed)))
