"""Low-bit copies of fused sublayers and of the head, each with its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from specframe.executors.fused.fusible import FusedLayer, Linear
from specframe.executors.fused.native.packed import pack
from specframe.executors.fused.weights import FusedLinear
from specframe.executors.low_bit import LowBitLinear, lower
from specframe.executors.rounding import Rounded, Rounding, join_rows

__all__ = ["Lower", "lower_attention", "lower_for", "lower_head", "lower_mlp"]

Lower = Callable[[FusedLinear, int], LowBitLinear]  # a layer and bits


def lower_for(compiled: bool, rounding: Rounding) -> Lower:
    """A function that rounds a layer for the compiled products or for those of torch."""

    def lowered(linear: FusedLinear, bits: int) -> LowBitLinear:
        each = _layer_by_layer(rounding, linear.parts)
        if compiled:
            return pack(linear, bits, each)
        return lower(linear.weight, linear.bias, bits, each)

    return lowered


def _layer_by_layer(rounding: Rounding, parts: tuple[int, ...]) -> Rounding:
    def rounded(weight: Tensor, bits: int) -> Rounded:
        return join_rows([rounding(layer, bits) for layer in weight.split(parts)])

    return rounded


def lower_attention(layer: FusedLayer, bits: int, lower: Lower) -> tuple[FusedLayer, int]:
    """The layer with its attention's products on low-bit weights."""
    (qkv, _), (output, _) = (lower_head(part, bits, lower) for part in (layer.qkv, layer.output))
    return replace(layer, qkv=qkv, output=output), qkv.bytes + output.bytes


def lower_mlp(layer: FusedLayer, bits: int, lower: Lower) -> tuple[FusedLayer, int]:
    """The layer with its MLP's products on low-bit weights."""
    (gate_up, _), (down, _) = (
        lower_head(part, bits, lower) for part in (layer.gate_up, layer.down)
    )
    return replace(layer, gate_up=gate_up, down=down), gate_up.bytes + down.bytes


def lower_head(head: Linear, bits: int, lower: Lower) -> tuple[LowBitLinear, int]:
    """The head on low-bit weights."""
    assert not isinstance(head, LowBitLinear)
    lowered = lower(head, bits)
    return lowered, lowered.bytes
