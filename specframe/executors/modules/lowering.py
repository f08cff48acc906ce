"""Low-bit copies of modules: the same code over linear layers with rounded weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from specframe.executors.low_bit import LowBitLinear, lower
from specframe.executors.modules.layout import Layer
from specframe.executors.rounding import Rounding
from specframe.executors.support import is_sharded

__all__ = ["is_linear", "lower_module", "lower_sublayer", "reason_not_lowered", "weight_of"]


class _LowBitModule(nn.Module):
    """A linear layer of a copy."""

    def __init__(self, linear: LowBitLinear) -> None:
        super().__init__()
        self._linear = linear

    def forward(self, rows: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        flat = self._linear(rows.flatten(0, -2))
        return flat.view(*rows.shape[:-1], -1)


def reason_not_lowered(model: Any) -> str | None:
    """Why no low-bit copy can be made, or None."""
    if getattr(model, "is_quantized", False) or getattr(model, "quantization_method", None):
        return "its weights are quantised already"
    if getattr(model, "hf_device_map", None) and len(set(model.hf_device_map.values())) > 1:
        return "its layers are spread over several devices"
    if is_sharded(model):
        return "its weights are sharded over several processes"
    if not any(is_linear(module) for module in model.modules()):
        return "it has no plain linear layers"
    return None


def lower_sublayer(layer: Layer, mlp: bool, bits: int, rounding: Rounding) -> tuple[Layer, int]:
    """The layer with one of its sublayers on low-bit weights, and the bytes of the copy."""
    if not mlp:
        attention, size = lower_module(layer.attention, bits, rounding)
        return replace(layer, attention=attention), size
    lowered = [lower_module(part, bits, rounding) for part in layer.mlp]
    return replace(layer, mlp=tuple(part for part, _ in lowered)), sum(n for _, n in lowered)


def lower_module(module: Any, bits: int, rounding: Rounding) -> tuple[Any, int]:
    """A copy whose linear layers have rounded weights; everything else is shared with the model."""
    if is_linear(module):
        linear = lower(weight_of(module), module.bias, bits, rounding)
        return _LowBitModule(linear), linear.bytes
    if not any(is_linear(inner) for inner in module.modules()):
        return module, 0
    copied, size = copy.copy(module), 0
    copied._modules = dict(module._modules)
    for name, child in module.named_children():
        copied._modules[name], more = lower_module(child, bits, rounding)
        size += more
    return copied, size


def is_linear(module: Any) -> bool:
    """Whether it is a plain linear layer.

    A subclass may compute something else, and a hook may move the weights.
    """
    if type(module) not in (nn.Linear, Conv1D) or hasattr(module, "_hf_hook"):
        return False
    weight: Tensor = module.weight
    return weight.is_floating_point() and weight.device.type != "meta"


def weight_of(module: Any) -> Tensor:
    """[out, in] of a linear layer."""
    weight: Tensor = module.weight
    return weight.t() if type(module) is Conv1D else weight
