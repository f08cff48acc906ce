"""One vector per prompt, from the residual stream at any depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.contract.pooling import Pooling
from specframe.errors import InvalidRequest
from specframe.executors.executor import Executor
from specframe.executors.filling import fill_cache

__all__ = ["prompt_vectors"]


def prompt_vectors(
    executor: Executor,
    prompts: Sequence[Sequence[int]],
    depth: int | None = None,
    pooling: Pooling = Pooling("mean"),
) -> Tensor:
    """Pooled stream [prompts, H] after `depth` sublayers, 0..2L (None: after the last)."""
    last = executor.shape.sublayers
    depth = last if depth is None else depth
    if not 0 <= depth <= last:
        raise InvalidRequest(
            f"A stream exists after 0 to {last} sublayers. Got depth {depth} instead."
        )
    return torch.stack([_vector(executor, prompt, depth, pooling) for prompt in prompts])


def _vector(executor: Executor, prompt: Sequence[int], depth: int, pooling: Pooling) -> Tensor:
    if not prompt:
        raise InvalidRequest("A prompt without tokens has no vector. Pass at least one token.")
    cache = executor.new_cache(len(prompt))
    kept: list[Tensor] = []
    for _, passed in fill_cache(executor, cache, prompt, stop=depth):
        kept.append(passed.hidden[0])
        if pooling.rows is not None:  # keep what is pooled alone, so that long prompts fit
            kept = [torch.cat(kept)[-pooling.rows :]]
    return pooling.of(torch.cat(kept))
