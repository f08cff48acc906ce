"""Greedy drafting in which a step is one call of compiled code."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from ctypes import c_void_p
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor

from specframe.executors.cache import CursorCache
from specframe.executors.executor import Top
from specframe.executors.fused.fusible import Linear
from specframe.executors.fused.native.sublayers import NativeRun, NativeSublayers, NativeTop
from specframe.tensors import top_probability
from specframe.types import LONGEST_DRAFT, DraftPlan, Pass

__all__ = ["DraftParts", "NativeChain"]


@dataclass(frozen=True, slots=True)
class DraftParts:
    """What a draft step of one plan runs."""

    native: NativeSublayers
    run: NativeRun
    head: Linear
    embedding: Tensor  # [V, H]
    rotary: Callable[[], tuple[Tensor, Tensor]]  # cos and sin, [positions, 1, D]
    walk: Callable[[Sequence[int]], Pass]  # of rows before the first step


class NativeChain:
    """See `Chain`."""

    def __init__(
        self, parts: DraftParts, cache: CursorCache, plan: DraftPlan, keep: Collection[int]
    ) -> None:
        self._parts, self._cache = parts, cache
        self._asked = plan.stop.confidence > 0.0 or plan.stop.gain is not None
        self._temperature = plan.stop.temperature
        runs = [at for at in range(plan.skips.size) if at not in plan.skips]
        self._places = {depth: bisect_left(runs, depth) for depth in keep}
        self._addresses = (c_void_p * (len(runs) + 1))()

    def begin(self, rows: Sequence[int]) -> None:
        """See `Chain.begin`."""
        cache, parts = self._cache, self._parts
        *earlier, self._token = rows
        self._earlier = parts.walk(earlier).taps if earlier else {}
        self._start = self._position = cache.length + len(earlier)
        columns = min(self._position + LONGEST_DRAFT, cache.data.shape[3])
        self._frame = parts.native.draft_frame(cache, columns, parts.head)
        places, hidden = sorted(set(self._places.values())), parts.embedding.shape[1]
        kept = parts.embedding.new_empty(len(places), LONGEST_DRAFT, hidden)
        self._copies = dict(zip(places, kept, strict=True))

    @torch.inference_mode()
    def next(self) -> Top:
        """See `Chain.next`."""
        parts, position = self._parts, self._position
        self._cache.reserve(position, 1)
        self._frame.turn(position, *parts.rotary())
        row = _address(parts.embedding, self._token)
        for place, copies in self._copies.items():
            self._addresses[place] = _address(copies, position - self._start)
        top = parts.native.draft_step(parts.run, self._frame, parts.head, row, self._addresses)
        self._position += 1
        self._token = int(top.token)
        return Top(self._token, self._confidence(top), bool(top.finite))

    def _confidence(self, top: NativeTop) -> float:
        if not self._asked:
            return nan
        if self._temperature == 1.0:
            return float(top.probability)
        return float(top_probability(self._frame.logits, self._temperature))

    def states(self, rows: int) -> dict[int, Tensor]:
        """See `Chain.states`."""
        found = {}
        for depth, place in self._places.items():
            copies = self._copies[place][None, : self._position - self._start]
            earlier = [self._earlier[depth]] if self._earlier else []
            found[depth] = torch.cat([*earlier, copies], 1)[:, :rows]
        return found


def _address(rows: Tensor, row: int) -> int:
    return rows.data_ptr() + row * rows.stride(0) * rows.element_size()
