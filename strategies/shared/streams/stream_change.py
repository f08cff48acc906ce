"""How much each sublayer turns the residual stream: a first guess at what skipping it would lose.

A local sign: it knows nothing of what later sublayers make of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.types import SkipSet

__all__ = ["nested_sets", "read_one_stream", "stream_change"]


def read_one_stream(states: Mapping[int, Tensor], size: int) -> bool:
    """Whether attention and MLP of each layer both read the layer's input.

    There is no stream between them then, and nothing can be said of one of them alone.
    """
    return all(torch.equal(states[depth], states[depth + 1]) for depth in range(0, size, 2))


def stream_change(states: Mapping[int, Tensor], size: int) -> list[float]:
    """[2L] 1 - cosine of the stream before and after each sublayer, mean over rows.

    `states` hold all depths, [R, H] each. Sublayers that read one stream get their layer's turn.
    """
    width = 2 if read_one_stream(states, size) else 1
    stream = torch.stack([states[depth] for depth in range(0, size + 1, width)]).float()
    cosines = F.cosine_similarity(stream[:-1], stream[1:], dim=-1).mean(-1)
    return [1.0 - cosine for cosine in cosines.tolist() for _ in range(width)]


def nested_sets(order: Sequence[int], size: int, shares: Sequence[float]) -> list[SkipSet]:
    """The first sublayers of an order, a set for each share of all 2L."""
    counts = dict.fromkeys(min(round(share * size), len(order)) for share in shares)
    return [SkipSet.from_sublayers(size // 2, order[:count]) for count in counts if count]
