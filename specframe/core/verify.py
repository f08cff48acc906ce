"""Acceptance rules: which drafted tokens are accepted, and which bonus token follows them.

Greedy: a drafted token is accepted if it is the target's own choice. Sampled: rejection sampling
with a residual distribution (Leviathan et al. 2023, Chen et al. 2023); siblings are drawn without
replacement and tried in drawing order. Emitted tokens follow the target's distribution, whatever
the draft was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specframe.core.sampling import Choose
from specframe.types import Draft, Verdict

__all__ = ["NO_TOKEN", "acceptance", "residual", "verify_greedy", "verify_sampled", "without"]


NO_TOKEN = -1  # the bonus where processors exclude every token, as they may after an end token


def verify_greedy(draft: Draft, decided: Sequence[int]) -> Verdict:
    """`decided[i]` is the target's token after node i - 1 (node -1: the last emitted token)."""
    path: list[int] = []
    node = -1
    while True:
        token = decided[node + 1]
        matching = [child for child in draft.children(node) if draft.tokens[child] == token]
        if not matching:
            return Verdict(tuple(path), token)
        node = matching[0]
        path.append(node)


def verify_sampled(draft: Draft, laws: Tensor, choose: Choose) -> Verdict:
    """`laws` [1 + nodes, V] are the target's distributions; row i follows node i - 1."""
    path: list[int] = []
    node = -1
    while True:
        node, target = _accept_child(draft, node, laws[node + 1], choose)
        if node < 0:
            nothing = bool(target[0].isnan())  # a softmax over nothing
            return Verdict(tuple(path), NO_TOKEN if nothing else choose(target))
        path.append(node)


def _accept_child(draft: Draft, parent: int, p: Tensor, choose: Choose) -> tuple[int, Tensor]:
    """The accepted child and p, or -1 and the distribution to draw the bonus token from."""
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
    """Probability of accepting a candidate drawn from q (None: not drawn but certain) under p."""
    target = float(p[token])
    return target if q is None else min(1.0, target / float(q[token]))


def residual(p: Tensor, q: Tensor | None, token: int) -> Tensor:
    """The distribution to use after a rejection: the normalised positive part of p - q.

    If that part is zero, p equals q and a rejection has probability 0. Rounding can still lead
    here, and then p itself is correct.
    """
    if q is None:
        rest = p.clone()
        rest[token] = 0.0
    else:
        rest = (p - q).clamp_(min=0.0)
    mass = rest.sum()
    return rest / mass if mass > 0.0 else p


def without(q: Tensor, token: int) -> Tensor:
    """q without this token, normalised."""
    rest = q.clone()
    rest[token] = 0.0
    mass = rest.sum()
    return rest / mass if mass > 0.0 else rest


def _event(chance: float, like: Tensor, choose: Choose) -> bool:
    return choose(torch.tensor([chance, 1.0 - chance], dtype=like.dtype, device=like.device)) == 0
