"""A model, its prices and its prompts, as `specframe predict` needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from specframe.calibration.lab import ends_of
from specframe.costs.measure import measured_profile
from specframe.doors.loading import PLANTED, load
from specframe.errors import InvalidRequest
from specframe.executors.device import require_device
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.prediction.check import rank_sublayers
from specframe.profilers.latency import LatencyProfile
from specframe.prompts.prediction import file_prompts, random_prompts, suite_prompts
from specframe.testing.planted import planted_skips
from specframe.types import SkipSet

__all__ = ["Setup", "prepare"]

SHARES = (0.2, 0.35, 0.5, 0.65)  # of the sublayers that checked skip sets leave out
PLANTED_SHARES = (0.25, 0.4, 0.55, 0.7)  # where planted models are made to fall
SLOW = 0.03  # seconds a token
RANKED_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a prediction starts from."""

    name: str
    source: str  # testbed, random or a file's name
    executor: Executor
    profile: LatencyProfile
    tokenizer: Any
    ends: frozenset[int]
    count: int | None  # prompts of each length; None leaves it to whoever asks for them
    new_tokens: int

    @property
    def slow(self) -> bool:
        """Whether generations take so long that few of them must do."""
        return self.profile.costs.autoregressive(1) > SLOW

    def prompts(self, context: int, start: int, usual: int) -> list[tuple[int, ...]]:
        """Prompts of about this length; another start gives others."""
        vocabulary, count = self.executor.shape.vocabulary, self.count or usual
        if self.source == "testbed":
            return suite_prompts(self.tokenizer, context, count, start)
        if self.source == "random":
            return random_prompts(vocabulary, context, count, start)
        place = count if start else 0  # a file ends somewhere: the next lines
        return file_prompts(Path(self.source), self.tokenizer, context, count, place)

    def skip_sets(self, context: int) -> list[SkipSet]:
        """The sublayers that matter least at this context: a few shares of them."""
        layers = self.executor.shape.layers
        if self.name in PLANTED:
            return [planted_skips(layers, share) for share in PLANTED_SHARES]
        order = rank_sublayers(self.executor, self.prompts(context, 0, 4)[:4], RANKED_TOKENS)
        return [
            SkipSet.from_sublayers(layers, order[: round(share * 2 * layers)]) for share in SHARES
        ]


def prepare(
    name: str,
    prompts: str | None,
    device: str,
    threads: int | None,
    count: int | None,
    new_tokens: int,
) -> Setup:
    """Load the model and the profile that is kept for it, or measure one."""
    place = require_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    model, tokenizer = load(name)
    model = model.to(place)
    executor = load_executor(model)
    source = prompts or _usual_prompts(name)
    return Setup(
        name,
        source,
        executor,
        measured_profile(model, executor),
        tokenizer,
        ends_of(model),
        count,
        new_tokens,
    )


def _usual_prompts(name: str) -> str:
    if name == "testbed":
        return "testbed"
    if name in PLANTED:
        return "random"
    raise InvalidRequest(
        f"Prompts for {name!r} are not known. Pass --prompts FILE, a text file with a prompt a "
        f"line like those the model will see."
    )
