"""The 6-layer testbed at the prices of a large model: small enough to try every skip set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from specframe.calibration.lab import ModelLab, model_facts
from specframe.core.engine import Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.costs.model import CostModel
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation, continue_prompts
from specframe.prompts.suites import BenchPrompt, digest, prompts_from, refuse_overlap
from specframe.studies.worlds.every_plan import EveryPlan
from specframe.studies.worlds.prices import kept_prices, spread_over
from specframe.types import Prompt

__all__ = ["SmallWorld", "law_of", "small_world"]

LONGEST = 16  # drafted tokens at most
LOOKED_AT = 4  # test prompts of each domain on which presets were set: never judged on


@dataclass(frozen=True, slots=True)
class SmallWorld:
    """Model, prices, and prompts of the test and of the validation split."""

    executor: Executor
    costs: CostModel
    tests: tuple[BenchPrompt, ...]
    calibrating: tuple[Prompt, ...]
    limits: Limits
    facts: dict[str, str]

    @property
    def domains(self) -> list[str]:
        """In the prompts' order."""
        return list(dict.fromkeys(prompt.domain for prompt in self.tests))

    def lab(self, notes: Path | None = None) -> ModelLab:
        """A lab over the model at these prices, sampling as the tests do."""
        return ModelLab(
            self.executor,
            self.costs,
            new_tokens=self.limits.max_new_tokens,
            sampled=True,
            facts=self.facts,
            notes=notes,
        )

    def answer(self, prompt: BenchPrompt) -> Continuation:
        """What the target says, the same whenever it is asked."""
        (text,) = continue_prompts(
            self.executor,
            [prompt.tokens],
            self.limits.max_new_tokens,
            law_of(prompt),
        )
        return text

    def every_plan(self, prompt: BenchPrompt) -> EveryPlan:
        """All skip sets at all draft lengths on the answer to a test prompt."""
        text = self.answer(prompt)
        (chances,) = AcceptanceEstimator(self.executor, [text], law_of(prompt)).every_set()
        shares: NDArray[np.float64] = chances.double().mean(1).numpy()
        tokens = len(text.tokens) - text.prompt_length
        return EveryPlan.of(shares, tokens, self.costs, text.prompt_length + tokens / 2, LONGEST)


def small_world(tests: int, calibrating: int, new_tokens: int, profile: str = "") -> SmallWorld:
    """So many prompts of each domain from either split; answers run on past their end tokens.

    Half of this little model's answers are a few words long, too short to tell plans apart.
    """
    from specframe import testbed

    model, tokenizer = testbed.load_tiny()
    executor = load_executor(model)
    asked = [
        prompt
        for prompt in prompts_from("testbed", tokenizer, per_domain=LOOKED_AT + tests)
        if int(prompt.name.rpartition("/")[2]) >= LOOKED_AT
    ]
    seen = prompts_from("testbed", tokenizer, per_domain=calibrating, split="validation")
    refuse_overlap(asked, [digest(prompt.tokens) for prompt in seen])
    return SmallWorld(
        executor,
        spread_over(kept_prices(profile), executor.shape.layers),
        tuple(asked),
        tuple(Prompt(prompt.tokens, prompt.domain) for prompt in seen),
        Limits(new_tokens),
        model_facts(model, executor),
    )


def law_of(prompt: BenchPrompt) -> Law:
    """Draws from the target's own law, the same whenever this prompt is answered."""
    seed = int(digest(prompt.tokens), 16) % (1 << 63)
    return Law(choose=seeded_choice(torch.Generator().manual_seed(seed)))
