"""Acceptance rules: which drafted tokens are accepted, and which bonus token follows them.

Greedy: a drafted token is accepted if it is the target's own choice. Sampled: rejection sampling
with a residual distribution (Leviathan et al. 2023, Chen et al. 2023); siblings are drawn without
replacement and tried in drawing order. Emitted tokens follow the target's distribution, whatever
the draft was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

import torch
from torch import Tensor

from specframe.core.sampling import Choose
from specframe.types import Draft, Verdict

__all__ = ["NO_TOKEN", "acceptance", "residual", "verify_greedy", "verify_sampled", "without"]

Chances = Tensor | Mapping[int, float]  # by token
Pair = tuple[Chances, Chances | None]  # the target's and the draft's

UNREAD: Mapping[int, Pair] = {}
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
    read, possible = _read(draft, laws)
    path: list[int] = []
    parent = -1
    while True:
        node, target = _accept_child(draft, parent, laws[parent + 1], choose, read)
        if node < 0:
            return Verdict(tuple(path), choose(target) if possible[parent + 1] else NO_TOKEN)
        path.append(node)
        parent = node


def _read(draft: Draft, laws: Tensor) -> tuple[Mapping[int, Pair], list[bool]]:
    """Each first child's chances in target and draft, and whether a row allows any token.

    All are read at once, since every read waits for the device.
    """
    first: dict[int, int] = {}  # child by parent
    for child, parent in enumerate(draft.parents):
        first.setdefault(parent, child)
    drawn, nothing = draft.laws or {}, laws.new_zeros(())
    tokens = [(parent, draft.tokens[child]) for parent, child in first.items()]
    p = [laws[parent + 1, token] for parent, token in tokens]
    q = [drawn[parent][token] if parent in drawn else nothing for parent, token in tokens]
    found = torch.cat([torch.stack([*p, *q, nothing]), laws[:, 0]]).tolist()
    read = {
        first[parent]: ({token: target}, {token: own} if parent in drawn else None)
        for (parent, token), target, own in zip(tokens, found, found[len(p) :], strict=False)
    }
    return read, [not isnan(value) for value in found[-len(laws) :]]  # a softmax over nothing


def _accept_child(
    draft: Draft, parent: int, p: Tensor, choose: Choose, read: Mapping[int, Pair] = UNREAD
) -> tuple[int, Tensor]:
    """The accepted child and p, or -1 and the distribution to draw the bonus token from."""
    q = draft.laws[parent] if draft.laws is not None and parent in draft.laws else None
    for child in draft.children(parent):
        token = draft.tokens[child]
        chance = acceptance(*read.get(child, (p, q)), token)
        if chance >= 1.0 or (chance > 0.0 and _event(chance, p, choose)):
            return child, p
        p = residual(p, q, token)
        q = without(q, token) if q is not None else None
    return -1, p


def acceptance(p: Chances, q: Chances | None, token: int) -> float:
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
    return _normalised(rest, p)


def without(q: Tensor, token: int) -> Tensor:
    """q without this token, normalised."""
    rest = q.clone()
    rest[token] = 0.0
    return _normalised(rest, rest)


def _normalised(rest: Tensor, otherwise: Tensor) -> Tensor:
    """The distribution, or `otherwise` if nothing is left; no value is read from the device."""
    mass = rest.sum()
    return torch.where(mass > 0.0, rest / mass, otherwise)


def _event(chance: float, like: Tensor, choose: Choose) -> bool:
    return choose(torch.tensor([chance, 1.0 - chance], dtype=like.dtype, device=like.device)) == 0
