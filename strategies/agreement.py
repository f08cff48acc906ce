"""How often drafts would stand: the head's answer to draft states against the target's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.selector import Probe

__all__ = ["Agreement", "compare_heads"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of each branch with the target over the same rows.

    `greedy` is the share of rows with the same top token, its steps are 1 / rows; `overlap` is the
    mean of sum min(p, q), the chance that a drawn token stands.
    """

    greedy: tuple[float, ...]
    overlap: tuple[float, ...]
    rows: int


def compare_heads(probe: Probe, drafts: Tensor, target: Tensor) -> Agreement:
    """Final states [branches, R, H] of drafts and [R, H] of the target through norm and head."""
    branches, rows, hidden = drafts.shape
    joined = torch.cat([target, drafts.reshape(branches * rows, hidden)])
    logits = probe.logits(joined[None])[0].view(1 + branches, rows, -1)
    top = logits.argmax(-1)
    exact = logits if logits.dtype == torch.float64 else logits.float()
    laws = torch.softmax(exact, dim=-1)
    shared = torch.minimum(laws[1:], laws[:1]).sum(-1)
    return Agreement(
        greedy=tuple((top[1:] == top[:1]).double().mean(-1).tolist()),
        overlap=tuple(shared.double().mean(-1).tolist()),
        rows=rows,
    )
