"""How much each sublayer turns the residual stream: a first guess at what skipping it would lose.

It is a local sign: what later sublayers make of the difference is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.types import SkipSet

LEAST_SECONDS = 1e-12


def read_one_stream(states: Mapping[int, Tensor], size: int) -> bool:
    """Whether attention and MLP of each layer both read the layer's input.

    There is no stream between them then, so neither can be judged alone.
    """
    return all(torch.equal(states[depth], states[depth + 1]) for depth in range(0, size, 2))


def stream_change(states: Mapping[int, Tensor], size: int) -> list[float]:
    """[2L] 1 - cosine of the stream before and after each sublayer, mean over rows.

    `states` hold all depths, [R, H] each. Sublayers that read one stream get their layer's change.
    """
    width = 2 if read_one_stream(states, size) else 1
    stream = torch.stack([states[depth] for depth in range(0, size + 1, width)]).float()
    cosines = F.cosine_similarity(stream[:-1], stream[1:], dim=-1).mean(-1)
    return [1.0 - cosine for cosine in cosines.tolist() for _ in range(width)]


def least_loss_first(
    changes: Sequence[float], seconds: Sequence[float], among: Iterable[int]
) -> list[int]:
    """Sublayers by how little they change the stream for each second that they cost."""
    return sorted(among, key=lambda b: changes[b] / max(seconds[b], LEAST_SECONDS))


def nested_sets(order: Sequence[int], size: int, shares: Sequence[float]) -> list[SkipSet]:
    """The first sublayers of an order, a set for each share of all 2L."""
    counts = dict.fromkeys(min(round(share * size), len(order)) for share in shares)
    return [SkipSet.from_sublayers(size // 2, order[:count]) for count in counts if count]
