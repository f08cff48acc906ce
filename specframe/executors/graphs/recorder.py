"""Turns a computation over fixed buffers into one that can be replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from specframe.types import SkipSet

__all__ = [
    "CudaRecorder",
    "End",
    "Outputs",
    "Recorder",
    "Recording",
    "ReplayRecorder",
    "WalkKey",
    "goes_narrow",
]


# what a walk ends with: the stream, logits, the top token of each row, or its own next row
End = Literal["stream", "logits", "tops", "next"]


@dataclass(frozen=True, slots=True)
class WalkKey:
    """What a recorded walk is made for."""

    storage: int  # id
    columns: int
    skips: SkipSet
    start: int
    stop: int
    taps: tuple[int, ...]
    resumed: bool  # from a given stream
    end: End
    confident: bool = False  # whether a chained walk gives the probability of its token
    narrow: bool = False  # whether only one row runs after the prefix, see `goes_narrow`


def goes_narrow(skips: SkipSet, rows: int) -> bool:
    """Whether a walk runs one row instead of 16 from where draft and target differ.

    Products of 4-bit weights take longer for more rows, and no promise depends on their bits.
    """
    return rows == 1 and skips.low_bits == 4


@dataclass(frozen=True, slots=True)
class Outputs:
    """The results of a recorded walk; a replay overwrites them."""

    hidden: Tensor  # [rows, H]
    logits: Tensor | None = None  # [rows, V]
    tops: Tensor | None = None  # [rows, 2] float64, the top token and its score
    taps: dict[int, Tensor] = field(default_factory=dict)  # depth -> [rows, H]


Compute = Callable[[], Outputs]


class Recording(Protocol):
    """A computation that can be repeated."""

    @property
    def outputs(self) -> Outputs:
        """The results of the last replay."""
        ...

    def replay(self) -> None:
        """Compute again from the current input buffers."""
        ...


class Recorder(Protocol):
    """Records computations that read and write only buffers at fixed addresses."""

    def serves(self, device: torch.device) -> bool:
        """Whether it can record on this device; a model may be moved."""
        ...

    def record(self, compute: Compute) -> Recording:
        """Record without computing: outputs are undefined until the first replay."""
        ...


class CudaRecorder:
    """Captures CUDA graphs on a separate stream; they share one pool of memory.

    `torch.cuda.graph` would empty the cache of the allocator at each capture.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = torch.cuda.Stream(device)
        self._pool: Any = torch.cuda.graph_pool_handle()

    def serves(self, device: torch.device) -> bool:
        """See `Recorder.serves`."""
        return device.type == "cuda" and self._device.index in (None, device.index)

    def record(self, compute: Compute) -> Recording:
        """See `Recorder.record`. The computation must have run once before, to load its code."""
        here: Any = torch.cuda.current_stream(self._device)
        graph: Any = torch.cuda.CUDAGraph()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                outputs = compute()
            finally:
                graph.capture_end()
        here.wait_stream(self._stream)
        return _CudaRecording(graph, compute, outputs)


@dataclass(frozen=True, slots=True)
class _CudaRecording:
    graph: Any
    compute: Compute  # holds the tensors that the graph knows by address only
    outputs: Outputs

    def replay(self) -> None:
        self.graph.replay()


class ReplayRecorder:
    """Computes again at each replay, into the same outputs; for devices without graphs."""

    def serves(self, device: torch.device) -> bool:
        """True: it only computes."""
        return True

    def record(self, compute: Compute) -> Recording:
        """See `Recorder.record`."""
        return _Repeated(compute)


class _Repeated:
    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._outputs: Outputs | None = None

    @property
    def outputs(self) -> Outputs:
        assert self._outputs is not None
        return self._outputs

    def replay(self) -> None:
        found = self._compute()
        if self._outputs is None:
            self._outputs = Outputs(
                *map(_copied, (found.hidden, found.logits, found.tops, found.taps))
            )
            return
        for kept, new in zip(_tensors(self._outputs), _tensors(found), strict=True):
            kept.copy_(new)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {depth: tap.clone() for depth, tap in value.items()}
    return None if value is None else value.clone()


def _tensors(outputs: Outputs) -> list[Tensor]:
    found = (outputs.hidden, outputs.logits, outputs.tops, *outputs.taps.values())
    return [tensor for tensor in found if tensor is not None]
