"""Low-bit copies of a model's sublayers, made when a draft first needs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import Tensor

from specframe.executors.kept_rounding import kept_rounding
from specframe.executors.module_tree import parameters
from specframe.executors.rounding import Rounded, Rounding

__all__ = ["HEAD", "LowBitCopies", "weight_bytes"]

HEAD = "head"  # the part whose copy is of the LM head; a sublayer's is its number

Copy = TypeVar("Copy")
SAMPLED = 61  # weights of each parameter that are compared to notice a change


class LowBitCopies:
    """Keeps one copy for each part of the model and number of bits.

    Copies are out of date once a weight has changed. Outputs would still be the model's own, since
    nothing is verified with copies, but fewer drafted tokens would be accepted.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: dict[tuple[Hashable, int], Any] = {}
        self._sample: tuple[Tensor, ...] = ()  # some weights of the model when copies were made
        self._rounding: Rounding | None = None
        self.bytes = 0  # memory of all copies
        self.seconds = 0.0  # spent on making copies
        self.generation = 0  # how often copies were forgotten

    def get(self, part: Hashable, bits: int, make: Callable[[], tuple[Copy, int]]) -> Copy:
        """The copy of this part; `make` returns a new one and its bytes."""
        if not self._kept:
            self._sample = _sample(self._model)
        found = self._kept.get((part, bits))
        if found is None:
            earlier, began = self.seconds, perf_counter()
            found, size = make()  # may make another copy that it needs
            self._kept[part, bits] = found
            self.bytes += size
            self.seconds = earlier + perf_counter() - began
        copy: Copy = found
        return copy

    def rounding(self, weight: Tensor, bits: int) -> Rounded:
        """The codes of a weight: those stored for this model's inputs, else the nearest."""
        if self._rounding is None:
            self._rounding = kept_rounding(self._model)
        return self._rounding(weight, bits)

    def drop(self) -> None:
        """Forget all copies, and how weights are rounded."""
        self._kept.clear()
        self._rounding = None
        self._sample, self.bytes = (), 0
        self.generation += 1

    def drop_stale(self) -> bool:
        """Forget all copies if weights were moved or changed; returns whether they were."""
        stale = bool(self._kept) and not _same(self._sample, _sample(self._model))
        if stale:
            self.drop()
        return stale


def weight_bytes(model: Any) -> int:
    """Memory of the model's weights, shared ones counted once: what copies are compared with."""
    distinct = {p.data_ptr(): p for p in model.parameters()}
    return sum(p.numel() * p.element_size() for p in distinct.values())


@torch.no_grad()
def _sample(model: Any) -> tuple[Tensor, ...]:
    """Some weights of every parameter, evenly spaced, in one tensor for each device and dtype."""
    some: dict[tuple[torch.device, torch.dtype], list[Tensor]] = defaultdict(list)
    for parameter in parameters(model):
        some[parameter.device, parameter.dtype].append(_spaced(parameter))
    return tuple(map(torch.cat, some.values()))


def _spaced(weights: Tensor) -> Tensor:
    apart = max(weights.numel() // SAMPLED, 1)
    if not weights.is_contiguous():
        return weights.reshape(-1)[::apart]
    count = -(-weights.numel() // apart)
    return weights.as_strided((count,), (apart,))  # one operation, and there are hundreds of these


def _same(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    return len(left) == len(right) and all(
        one.device == other.device
        and one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one, other)
        for one, other in zip(left, right, strict=True)
    )
