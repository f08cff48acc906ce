"""Acceptance of all skip sets of a small model at once.

Sets that agree on the first b sublayers share the stream up to there, so all sets form a tree with
2^b branches at depth b: each sublayer runs once per branch instead of once per set.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from specframe.errors import InvalidRequest
from specframe.executors.executor import NO_ROWS, Executor
from specframe.profilers.continuations import Judged
from specframe.types import Step

Judge = Callable[[Tensor], Tensor]

MOST_SUBLAYERS = 16
ATTENTION_ROWS = 512  # walked together; each adds a column that the others do not see
ROWS = 8192


def every_chance(executor: Executor, text: Judged, judge: Judge) -> Tensor:
    """[2^2L, places]: the chance that a first drafted token is accepted; a set's row is its bits.

    `judge` computes it from draft logits [sets, places, V].
    """
    size = executor.shape.sublayers
    if size > MOST_SUBLAYERS:
        raise InvalidRequest(
            f"All skip sets can be tried for up to {MOST_SUBLAYERS} sublayers. The model has "
            f"{size}: take a smaller one."
        )
    walker = _Branches(executor, text)
    streams = walker.embed()
    for sublayer in range(size):
        streams = torch.cat([walker.run(sublayer, streams), streams])  # the second half skips it
    chances = []
    for block in streams.split(max(ROWS // text.places, 1)):
        logits = executor.logits(block.reshape(1, -1, block.shape[-1]))
        chances.append(judge(logits.view(*block.shape[:2], -1)))
    return torch.cat(chances)


class _Branches:
    """Runs one sublayer for many branches over the same places of a continuation."""

    def __init__(self, executor: Executor, text: Judged) -> None:
        self._executor, self._text = executor, text
        self._positions = torch.arange(text.places, device=executor.device) + text.first
        self._tokens = torch.tensor(text.tokens, device=executor.device)[self._positions]

    def embed(self) -> Tensor:
        """The embedded tokens, [1, places, H]."""
        return self._executor.walk(self._step(1), self._text.cache, stop=0, rows=NO_ROWS).hidden

    def run(self, sublayer: int, streams: Tensor) -> Tensor:
        """The streams [m, places, H] after the sublayer."""
        rows = ROWS if sublayer % 2 else ATTENTION_ROWS
        parts = streams.split(max(rows // self._text.places, 1))
        return torch.cat([self._together(sublayer, part) for part in parts])

    def _together(self, sublayer: int, streams: Tensor) -> Tensor:
        passed = self._executor.walk(
            self._step(len(streams), masked=sublayer % 2 == 0),
            self._text.cache,
            start=sublayer,
            stop=sublayer + 1,
            hidden=streams.reshape(1, -1, streams.shape[-1]),
            rows=NO_ROWS,
        )
        return passed.hidden.view(streams.shape)

    def _step(self, count: int, masked: bool = True) -> Step:
        """A step in which every row sees the target before its place, and itself."""
        positions = self._positions.repeat(count)
        visible = int(positions[-1])
        mask = None
        if masked:
            before = torch.arange(visible, device=positions.device) < positions[:, None]
            itself = torch.eye(len(positions), dtype=torch.bool, device=positions.device)
            mask = torch.cat([before, itself], dim=1)
        return Step(self._tokens.repeat(count)[None], positions, None, visible, mask)
