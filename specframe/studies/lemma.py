"""Lemma 4.1 of KnapSpec, checked in numbers: when does cosine guarantee the same next token?

Cha et al. 2026, https://arxiv.org/abs/2602.20217. With head rows w_j, the target's head input x,
its top token i and margin xi = <w_i, x> - max over j != i of <w_j, x>:

    cos(x, x') >= 1 - xi^2 / (2 |x|^2 max over j of |w_i - w_j|^2)    and |x'| = |x|
    imply that x' has the same top token.

Without a bias in the head, the norm of x' does not change its top token, so x' can be scaled to the
norm of x. The condition is sufficient, not necessary; `check_lemma` measures the share of positions
that meet it, and how well the cosine ranks agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LemmaCheck", "check_lemma", "least_cosines"]

BLOCK = 64  # rows whose distances to all tokens are computed together


@dataclass(frozen=True, slots=True)
class LemmaCheck:
    """Shares of positions. `broken` must be 0: agreement is guaranteed there."""

    positions: int
    agrees: float  # same top token
    promised: float  # the bound holds
    broken: float  # the bound holds and the tokens differ
    beyond: float  # tokens agree although the bound does not hold
    ranking: float  # area under the ROC curve of the cosine for agreement; 0.5 is no signal
    least_cosine: float  # median of the bound


def least_cosines(head: Tensor, inputs: Tensor) -> Tensor:
    """The bound [R] for head inputs [R, H] and head rows [V, H]."""
    logits = inputs @ head.T
    best = logits.topk(2, dim=-1)
    margins = best.values[:, 0] - best.values[:, 1]
    farthest = torch.cat(
        [torch.cdist(head[top], head).amax(-1) for top in best.indices[:, 0].split(BLOCK)]
    )
    least: Tensor = 1.0 - margins**2 / (2.0 * inputs.norm(dim=-1) ** 2 * farthest**2)
    return least


def check_lemma(head: Tensor, target: Tensor, draft: Tensor) -> LemmaCheck:
    """Head inputs, i.e. final states after the final norm, of target and draft: [R, H] each."""
    head, target, draft = head.double(), target.double(), draft.double()
    bound = least_cosines(head, target)
    cosines = torch.cosine_similarity(target, draft, dim=-1)
    agrees = (target @ head.T).argmax(-1) == (draft @ head.T).argmax(-1)
    promised = cosines >= bound
    return LemmaCheck(
        positions=len(target),
        agrees=_share(agrees),
        promised=_share(promised),
        broken=_share(promised & ~agrees),
        beyond=_share(agrees & ~promised),
        ranking=_ranking(cosines, agrees),
        least_cosine=float(bound.median()),
    )


def _share(holds: Tensor) -> float:
    return float(holds.double().mean())


def _ranking(cosines: Tensor, agrees: Tensor) -> float:
    """Area under the curve; ties count half."""
    yes, no = cosines[agrees], cosines[~agrees]
    if not len(yes) or not len(no):
        return 0.5
    higher = (yes[:, None] > no).double() + 0.5 * (yes[:, None] == no).double()
    return float(higher.mean())
