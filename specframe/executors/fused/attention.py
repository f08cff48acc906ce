"""Attention of a few rows whose result does not depend on how many rows are computed together.

Two plain products with a softmax between them: in bf16 on CPU, a row computed alone is then
bit-identical to the same row in a block. torch's fused kernel is faster but does not promise that;
it is used where a check finds that it holds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right

__all__ = [
    "additive_mask",
    "attend",
    "attend_beside",
    "attend_fused",
    "attend_in_blocks",
    "attend_prompt",
    "open_columns",
]

LEAST_FOR_PRODUCTS = 8  # lines of queries; with fewer, half-precision products round differently
LEAST_FOR_KERNEL = 4


def open_columns(
    positions: Tensor, visible: int, columns: int, mask: Tensor | None, window: int | None
) -> Tensor:
    """Which of `columns` cache columns each row may read, [S, columns] bool.

    Rows use columns visible, visible + 1, ...; without a mask, each row reads up to its own column.
    A given mask covers the last columns before visible + S. A window hides columns that are
    `window` or more positions back; a committed column's position equals its number.
    """
    rows = positions.shape[0]
    column = torch.arange(columns, device=positions.device)
    if mask is None:
        row = torch.arange(rows, device=positions.device)
        allowed = column <= (row + visible)[:, None]
    else:
        allowed = (column < visible + rows).expand(rows, columns).clone()
        end = visible + rows
        allowed[:, end - mask.shape[1] : end] = mask
    if window is not None:
        where = column.clone()
        where[visible : visible + rows] = positions
        allowed &= where > (positions - window)[:, None]
    return allowed


def additive_mask(allowed: Tensor, group: int, dtype: torch.dtype) -> Tensor:
    """0 for visible columns and -inf for others; one line per row and query head of a group."""
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    mask.masked_fill_(~allowed, float("-inf"))
    return mask.repeat_interleave(group, 0)  # [S x group, columns]


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """[kv heads, S x group, D] queries over [kv heads, C, D] keys and values."""
    count = query.shape[1]
    query, mask = _at_least(LEAST_FOR_PRODUCTS, query, mask)
    scores = _products(query, keys.transpose(-1, -2))
    return _products(_weights(scores, mask, scale), values)[:, :count]


def attend_fused(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Like `attend`, in one kernel."""
    count = query.shape[1]
    query, mask = _at_least(LEAST_FOR_KERNEL, query, mask)
    mixed = F.scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=mask[None, None],
        scale=scale,
    )
    return mixed.squeeze(0)[:, :count]


def attend_in_blocks(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float, block: int
) -> Tensor:
    """Like `attend`, in products of a fixed shape: hidden blocks on the right add exact zeros."""
    products = [_products(query, part.transpose(-1, -2)) for part in keys.split(block, dim=1)]
    weights = _weights(torch.cat(products, dim=-1), mask, scale)
    parts = map(_products, weights.split(block, dim=-1), values.split(block, dim=1))
    return torch.stack(list(parts)).sum(0)


def attend_beside(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    own_keys: Tensor,
    own_values: Tensor,
    mask: Tensor,
    scale: float,
) -> Tensor:
    """Like `attend`, over cache columns followed by columns that are not in the cache."""
    cached = values.shape[1]
    products = [_products(query, part.transpose(-1, -2)) for part in (keys, own_keys)]
    weights = _weights(torch.cat(products, dim=-1), mask, scale)
    left = _products(weights[..., :cached], values)
    return left + _products(weights[..., cached:], own_values)


def attend_prompt(
    query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None, scale: float
) -> Tensor:
    """Many rows at once, [heads, S, D] queries, in memory linear in the length of the prompt.

    Without a mask, attention is causal: the last row sees all columns.
    """
    earlier = values.shape[1] - query.shape[1]
    if allowed is None and earlier:
        allowed = causal_lower_right(query.shape[1], values.shape[1])
    return F.scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=allowed,
        is_causal=allowed is None,
        scale=scale,
        enable_gqa=query.shape[0] != values.shape[0],
    ).squeeze(0)


def _at_least(least: int, query: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and mask padded with the first line: fewer lines would round differently."""
    missing = least - query.shape[1]
    if missing <= 0 or query.dtype in (torch.float32, torch.float64):
        return query, mask
    query = torch.cat([query, query[:, :1].expand(-1, missing, -1)], dim=1)
    return query, torch.cat([mask, mask[:1].expand(missing, -1)])


def _products(left: Tensor, right: Tensor) -> Tensor:
    """torch.bmm without copying `right`, which is a part of the cache."""
    if left.is_cpu and left.dtype in (torch.bfloat16, torch.float16):
        # oneDNN's bmm makes its arguments contiguous first; a single head already is
        return torch.stack(list(map(torch.mm, left.unbind(0), right.unbind(0))))
    return torch.bmm(left, right)


def _weights(products: Tensor, mask: Tensor, scale: float) -> Tensor:
    scores = torch.add(mask, products, alpha=scale)
    return torch.softmax(scores, dim=-1)  # sums in float32 whatever the dtype of the scores
