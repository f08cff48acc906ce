"""Cosine similarity of the residual stream across sublayers, and between draft and target."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.types import SkipSet

__all__ = ["draft_similarity", "streams", "sublayer_similarity"]


def sublayer_similarity(
    executor: Executor, tokens: Sequence[int], last: int | None = None
) -> Tensor:
    """Cosine of each sublayer's input and output, [2L]; mean over the last rows (None: all)."""
    depths = streams(executor, tokens, last=last)
    return torch.stack([_cosine(before, after).mean() for before, after in pairwise(depths)])


def draft_similarity(
    executor: Executor, tokens: Sequence[int], skips: SkipSet, last: int | None = None
) -> Tensor:
    """Cosine of the streams with and without the skip set, after each sublayer: [2L].

    The skipped model runs over the whole text, so it reads its own keys, not the target's.
    """
    target = streams(executor, tokens, last=last)
    draft = streams(executor, tokens, skips, last=last)
    pairs = zip(target[1:], draft[1:], strict=True)
    return torch.stack([_cosine(a, b).mean() for a, b in pairs])


def streams(
    executor: Executor,
    tokens: Sequence[int],
    skips: SkipSet | None = None,
    last: int | None = None,
) -> list[Tensor]:
    """The residual stream [rows, H] at every depth 0..2L, of the last rows (None: all)."""
    depths = range(executor.shape.sublayers + 1)
    cache = executor.new_cache(len(tokens))
    step = chain_step(tokens, 0, executor.device)
    taps = executor.walk(step, cache, skips, taps=depths, rows=NO_ROWS).taps
    return [taps[depth][0, -last if last else None :] for depth in depths]


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return F.cosine_similarity(_exact(a), _exact(b), dim=-1)


def _exact(rows: Tensor) -> Tensor:
    return rows if rows.dtype == torch.float64 else rows.float()
