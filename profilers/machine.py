"""What a measurement is valid for: the executor, the machine and the model's shape."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict

import torch
from torch import nn

from specframe.executors.executor import Executor
from specframe.executors.machine import processor_name
from specframe.types import LOW_BITS

__all__ = ["layer_kinds", "lowerable", "machine_facts"]


def lowerable(executor: Executor) -> tuple[int, ...]:
    """Numbers of bits that the model's weights can be rounded to for drafting."""
    return LOW_BITS if executor.refuses_low() is None else ()


def machine_facts(executor: Executor, kinds: tuple[int, ...]) -> Mapping[str, str]:
    """All facts that must be equal for a price to be valid, as text."""
    shape = " ".join(f"{name}={value}" for name, value in asdict(executor.shape).items())
    return {
        "executor": executor.name
        + (" strict" if executor.strict else "")
        + (" compiled" if executor.compiled else ""),
        "dtype": str(executor.dtype).removeprefix("torch."),
        "device": str(executor.device),
        "processor": processor_name(executor.device),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "shape": shape,
        "states": " ".join(map(str, ("full", *lowerable(executor)))),
        "kinds": hashlib.sha256(repr(kinds).encode()).hexdigest()[:12],
    }


def layer_kinds(model: nn.Module, layers: int) -> tuple[int, ...]:
    """The kind of each layer; equal parameter shapes and sliding windows are one kind."""
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    stack = next((found for found in lists if len(found) == layers), None)
    if stack is None:
        return (0,) * layers
    signatures = [_signature(layer) for layer in stack]
    order = list(dict.fromkeys(signatures))
    return tuple(order.index(signature) for signature in signatures)


def _signature(layer: nn.Module) -> Hashable:
    shapes = tuple((name, tuple(p.shape)) for name, p in layer.named_parameters())
    windows = tuple(m.sliding_window for m in layer.modules() if hasattr(m, "sliding_window"))
    return shapes, windows
