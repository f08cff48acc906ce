"""The operations of a recorded walk between its products, each compiled into one kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.executors.compiling import compiled, compiles

__all__ = ["SmallOperations", "compiled_operations", "plain_operations"]


@dataclass(frozen=True, slots=True)
class SmallOperations:
    """Functions without side effects. A row's result does not depend on other rows."""

    norm: Callable[[Tensor, Tensor, float], Tensor]  # rows [R, H], gain [H], epsilon
    gate: Callable[[Tensor], Tensor]  # [R, 2 x intermediate] -> [R, intermediate]
    turn: Callable[..., tuple[Tensor, Tensor]]  # see `turn`
    top: Callable[[Tensor], tuple[Tensor, Tensor]]  # see `top`
    confident: Callable[[Tensor, Tensor], Tensor]  # see `confident`


def norm(rows: Tensor, gain: Tensor, eps: float) -> Tensor:
    """RMSNorm."""
    return F.rms_norm(rows, rows.shape[-1:], gain, eps)


def gate(gate_up: Tensor) -> Tensor:
    """SiLU of the left half times the right half."""
    left, right = gate_up.chunk(2, dim=-1)
    return F.silu(left) * right


def turn(
    fused: Tensor,  # [R, heads + 2 x kv heads, D]
    cos: Tensor,  # [R, 1, D]
    sin: Tensor,  # [R, 1, D], with the minus sign of rotate-half
    gain: Tensor | None,  # [heads + kv heads, D], of the norms of queries and keys
    eps: float,
    heads: int,
    kv_heads: int,
) -> tuple[Tensor, Tensor]:
    """Queries [kv heads, R x group, D] and what the cache gets, [2 x kv heads, R, D]."""
    count, head_size = fused.shape[0], fused.shape[-1]
    turned, values = fused.split([heads + kv_heads, kv_heads], dim=1)
    if gain is not None:
        turned = F.rms_norm(turned, (head_size,), None, eps) * gain
    turned = turned * cos + turned.roll(head_size // 2, -1) * sin
    query, keys = turned.split([heads, kv_heads], dim=1)
    grouped = query.reshape(count, kv_heads, heads // kv_heads, head_size).transpose(0, 1)
    own = torch.cat([keys, values], dim=1).transpose(0, 1)
    return grouped.reshape(kv_heads, -1, head_size), own


def top(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The top token of each row [R] and its score in float32, NaN or infinite if any score is."""
    best = logits.argmax(-1)
    return best, logits.gather(-1, best[:, None])[:, 0].float()


def split_top(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The same in reductions that a compiler divides among many blocks."""
    best = logits.amax(-1, keepdim=True)
    column = torch.arange(logits.shape[-1], device=logits.device)
    first = torch.where(logits == best, column, logits.shape[-1] - 1).amin(-1)
    return first, best[:, 0].float()


def confident(logits: Tensor, score: Tensor) -> Tensor:
    """The probability [R] of the token with this score."""
    return torch.exp(score - logits.float().logsumexp(-1))


PARTS: tuple[Callable[..., Any], ...] = (norm, gate, turn, split_top, confident)


def plain_operations() -> SmallOperations:
    """Each in operations of torch."""
    return SmallOperations(norm, gate, turn, top, confident)


def compiled_operations(device: torch.device) -> SmallOperations | None:
    """Each compiled; None where the device has no compiler."""
    if not compiles(device):
        return None
    return SmallOperations(*(compiled(part, device) for part in PARTS))
