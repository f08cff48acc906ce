"""Plain greedy decoding by transformers and by our engine, timed by one streamer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from specframe.doors.speculator import SelfSpeculator

__all__ = ["FUSED", "LIBRARY", "DecodeClock", "decode_trials"]

FUSED = "fused"
LIBRARY = ("dynamic", "static")  # caches of transformers


class DecodeClock:
    """A streamer that notes when the first and the last new token arrive.

    The time until the first token is left out, so that only decoding counts.
    """

    def __init__(self, finish: Callable[[], object] = lambda: None) -> None:
        self._finish = finish
        self._puts = 0
        self._first = self._last = 0.0

    def put(self, value: Tensor) -> None:
        """The prompt comes first, then token after token."""
        self._finish()
        self._last = perf_counter()
        if self._puts == 1:
            self._first = self._last
        self._puts += 1

    def end(self) -> None:
        """Nothing is left to do."""

    @property
    def seconds(self) -> float:
        """From the first new token to the last."""
        return self._last - self._first


def decode_trials(
    model: Any, prompt: Sequence[int], tokens: int, finish: Callable[[], object]
) -> dict[str, Callable[[], float]]:
    """By arm: a trial that decodes `tokens` + 1 tokens; its seconds leave out the first."""
    speculator = SelfSpeculator(model)
    ids = torch.tensor([list(prompt)], device=model.device)

    def fused() -> float:
        clock = DecodeClock(finish)
        speculator.generate(prompt, max_new_tokens=tokens + 1, do_sample=False, streamer=clock)
        return clock.seconds

    def library(cache: str | None) -> Callable[[], float]:
        def trial() -> float:
            clock = DecodeClock(finish)
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens + 1,
                do_sample=False,
                streamer=clock,
                cache_implementation=cache,
            )
            return clock.seconds

        return trial

    return {FUSED: fused, "dynamic": library(None), "static": library("static")}
