"""Chooses the fastest attention kernel in which a row does not depend on the other rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from specframe.executors.cache import STORAGE_BLOCK
from specframe.executors.fused.attention import additive_mask, attend, attend_fused, open_columns
from specframe.types import ModelShape

__all__ = ["Attend", "quickest_attention"]

Attend = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]

CONTEXTS = (30, 505, 1017)  # the last two are just below the ends of the kernel's column blocks
ROWS = (3, 9)
HEADS = 32  # each is an independent trial; a kernel that fails does so in a few of a hundred


def quickest_attention(shape: ModelShape, dtype: torch.dtype, device: torch.device) -> Attend:
    """torch's fused kernel if its rows are bit-identical in any block; otherwise plain products."""
    if dtype not in (torch.bfloat16, torch.float16):
        return attend  # bit-identity is only promised in half precision, or with `strict`
    group = shape.heads // shape.kv_heads
    threads = torch.get_num_threads()
    agree = _rows_agree(group, shape.head_size, dtype, device, threads)
    return attend_fused if agree else attend


@cache
@torch.inference_mode()
def _rows_agree(
    group: int, head_size: int, dtype: torch.dtype, device: torch.device, threads: int
) -> bool:
    """Whether a row in a pair is bit-identical to the same row in any block, at any position."""
    columns = _whole_blocks(max(CONTEXTS) + max(ROWS)) + STORAGE_BLOCK
    query, keys, values = (
        _random(HEADS, count, head_size).to(device, dtype)
        for count in (max(ROWS) * group, columns, columns)
    )

    def run(first: int, count: int, context: int, more: int = 0) -> Tensor:
        columns = _whole_blocks(context + first + count) + more
        positions = torch.arange(context + first, context + first + count, device=device)
        allowed = open_columns(positions, context + first, columns, None, None)
        part = query[:, first * group : (first + count) * group]
        mask = additive_mask(allowed, group, dtype)
        mixed = attend_fused(part, keys[:, :columns], values[:, :columns], mask, head_size**-0.5)
        return mixed.reshape(HEADS, count, -1)

    for context in CONTEXTS:
        for rows in ROWS:
            whole = run(0, rows, context)
            for first in (0, rows // 2):
                wanted = whole[:, first : first + 2]
                for more in (0, STORAGE_BLOCK):  # more closed columns
                    if not torch.equal(run(first, 2, context, more), wanted):
                        return False
    return True


def _whole_blocks(columns: int) -> int:
    return -(-columns // STORAGE_BLOCK) * STORAGE_BLOCK


def _random(*size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(sum(size)))
