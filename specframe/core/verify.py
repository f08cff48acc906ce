"""Acceptance rules: which drafted tokens stand, and which token verification itself yields.

Greedy: a drafted token stands while it is the target's own choice. Sampled: rejection with
residual (Leviathan et al. 2023, Chen et al. 2023); siblings without replacement in the order
drawn. The emitted law is the target's, whatever the draft was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.core.sampling import Choose
from specframe.types import Draft, Verdict

__all__ = ["acceptance", "residual", "verify_greedy", "verify_sampled", "without"]


def verify_greedy(draft: Draft, decided: Sequence[int]) -> Verdict:
    """`decided[i]` is the target's token after node i - 1 (node -1: the last emitted token)."""
    path: list[int] = []
    node = -1
    while True:
        token = decided[node + 1]
        standing = [child for child in draft.children(node) if draft.tokens[child] == token]
        if not standing:
            return Verdict(tuple(path), token)
        node = standing[0]
        path.append(node)


def verify_sampled(draft: Draft, laws: Tensor, choose: Choose) -> Verdict:
    """`laws` [1 + nodes, V] are the target's, row i after node i - 1."""
    path: list[int] = []
    node = -1
    while True:
        node, target = _accept_child(draft, node, laws[node + 1], choose)
        if node < 0:
            return Verdict(tuple(path), choose(target))
        path.append(node)


def _accept_child(draft: Draft, parent: int, p: Tensor, choose: Choose) -> tuple[int, Tensor]:
    """The accepted child, or -1 with the law that remains to draw from."""
    q = draft.laws[parent] if draft.laws is not None and parent in draft.laws else None
    for child in draft.children(parent):
        token = draft.tokens[child]
        chance = acceptance(p, q, token)
        if chance >= 1.0 or (chance > 0.0 and _event(chance, p, choose)):
            return child, p
        p = residual(p, q, token)
        q = without(q, token) if q is not None else None
    return -1, p


def acceptance(p: Tensor, q: Tensor | None, token: int) -> float:
    """Chance that a candidate drawn from q (None: always this candidate) stands under p."""
    target = float(p[token])
    return target if q is None else min(1.0, target / float(q[token]))


def residual(p: Tensor, q: Tensor | None, token: int) -> Tensor:
    """The law to go on with after a rejection: the normalised positive part of p - q.

    Where that part vanishes p equals q and rejection has no chance; rounding can still lead here,
    and then p itself is right.
    """
    if q is None:
        rest = p.clone()
        rest[token] = 0.0
    else:
        rest = (p - q).clamp_(min=0.0)
    mass = rest.sum()
    return rest / mass if mass > 0.0 else p


def without(q: Tensor, token: int) -> Tensor:
    """q given that this token is not drawn again."""
    rest = q.clone()
    rest[token] = 0.0
    mass = rest.sum()
    return rest / mass if mass > 0.0 else rest


def _event(chance: float, like: Tensor, choose: Choose) -> bool:
    return choose(torch.tensor([chance, 1.0 - chance], dtype=like.dtype, device=like.device)) == 0
