"""Graphed executors on a CPU, and recorders that show what a real graph would do wrong."""

from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from doubles.tiny import Tiny, tiny_model
from specframe.executors.graphs.executor import GraphedExecutor
from specframe.executors.graphs.recorder import ReplayRecorder

LONG = Tiny(layers=3, positions=700)  # two buckets of columns


def graphed(tiny: Tiny = LONG, recorder: Any = None) -> GraphedExecutor:
    """A new executor, with nothing recorded."""
    return GraphedExecutor(tiny_model(tiny), recorder or ReplayRecorder())


@cache
def shared_graphed(tiny: Tiny = LONG) -> GraphedExecutor:
    """One that tests share; its recordings stay."""
    return graphed(tiny)


class PoisoningRecorder(ReplayRecorder):
    """Fills the outputs with NaN before each replay, and after it those of other recordings."""

    def __init__(self) -> None:
        self._made: list[_Poisoned] = []

    def record(self, compute):
        made = _Poisoned(super().record(compute), self._made)
        self._made.append(made)
        return made


@dataclass(eq=False)
class _Poisoned:
    inner: Any
    every: list
    used: bool = False

    @property
    def outputs(self):
        return self.inner.outputs

    def replay(self):
        for other in self.every:
            other.spoil()
        self.inner.replay()
        self.used = True

    def spoil(self):
        if self.used:
            found = self.outputs
            for tensor in (found.hidden, found.logits, found.tops, *found.taps.values()):
                if tensor is not None:
                    tensor.fill_(float("nan"))


READS = (Tensor.item, Tensor.tolist, Tensor.__int__, Tensor.__float__, Tensor.__bool__)


class Pretending(TorchFunctionMode):
    """Refuses to read a value; indexes and copies in operations that need no CUDA to pretend."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func not in READS, "a value is read"
        if func is Tensor.copy_:
            return args[0].mul_(args[1])  # of the same shape on the same device, like a copy
        if func is not Tensor.__getitem__:
            return func(*args, **(kwargs or {}))
        tensor, index = args
        axis = 0
        for part in index if isinstance(index, tuple) else (index,):
            if part is None:
                tensor = tensor.unsqueeze(axis)
            elif isinstance(part, int):
                tensor = tensor.select(axis, part)
                axis -= 1
            else:
                tensor = torch.ops.aten.slice(tensor, axis, part.start, part.stop)
            axis += 1
        return tensor


def moved(value: Any, move: Any) -> Any:
    """The same dataclass with every tensor replaced."""
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, tuple):
        return tuple(moved(part, move) for part in value)
    if is_dataclass(value):
        parts = {f.name: moved(getattr(value, f.name), move) for f in fields(value)}
        return replace(value, **parts)
    return value


def on_a_pretended_gpu(executor: GraphedExecutor, mode: Any) -> GraphedExecutor:
    """The executor with weights, buffers and rotary tables of no values on device cuda."""

    def move(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")

    with mode, Pretending():
        executor.device = torch.device("cuda")
        executor._model = moved(executor._model, move)
        executor._cos, executor._sin = move(executor._cos), move(executor._sin)
        inputs = executor.inputs
        executor.inputs = type(inputs)(executor.shape, executor.dtype, executor.device)
    return executor
