"""The prompts of a benchmark, and those that its strategies are calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specframe.bench.settings import BenchSettings
from specframe.doors.loading import PLANTED
from specframe.errors import InvalidRequest
from specframe.prompts.random import random_prompts
from specframe.prompts.source import has_splits, prompts_from
from specframe.types import Prompt

__all__ = ["benchmark_prompts", "calibration_prompts"]

PLANTED_PROMPT = 128  # tokens of a random prompt
BENCHMARK_SEED = 10_000  # of random benchmark prompts; calibration prompts start at 0


def benchmark_prompts(settings: BenchSettings, tokenizer: Any, vocabulary: int = 0) -> list[Prompt]:
    """Prompts for every contender; `vocabulary` is only needed for random prompts."""
    if settings.model in PLANTED:
        return random_prompts(vocabulary, PLANTED_PROMPT, settings.per_domain, BENCHMARK_SEED)
    prompts = prompts_from(
        settings.source,
        tokenizer,
        domains=settings.domains,
        per_domain=settings.per_domain,
        contexts=settings.contexts,
    )
    if not prompts:
        raise InvalidRequest(f"{settings.source!r} holds no prompts. Name a file that does.")
    return prompts


def calibration_prompts(
    settings: BenchSettings, prompts: Sequence[Prompt], tokenizer: Any, vocabulary: int = 0
) -> list[Prompt]:
    """The validation split if there is one; of a file, prompts that the benchmark does not use."""
    wanted = settings.calibration_prompts
    if settings.model in PLANTED:
        return random_prompts(vocabulary, PLANTED_PROMPT, wanted)
    if has_splits(settings.source):
        return prompts_from(
            settings.source,
            tokenizer,
            domains=settings.domains,
            per_domain=wanted,
            split="validation",
        )
    every = prompts_from(
        settings.source,
        tokenizer,
        domains=settings.domains,
        per_domain=settings.per_domain + wanted,
    )
    taken = {prompt.digest for prompt in prompts}
    return [prompt for prompt in every if prompt.digest not in taken]
