"""Low-bit copies of fused sublayers and of the head, each with its bytes."""

from __future__ import annotations

from dataclasses import replace

from specframe.executors.fused.fusible import FusedLayer, Linear
from specframe.executors.low_bit import LowBitLinear, lower

__all__ = ["lower_attention", "lower_head", "lower_mlp"]


def lower_attention(layer: FusedLayer, bits: int) -> tuple[FusedLayer, int]:
    """The layer with its attention's products on low-bit weights."""
    qkv, output = lower_head(layer.qkv, bits)[0], lower_head(layer.output, bits)[0]
    return replace(layer, qkv=qkv, output=output), qkv.bytes + output.bytes


def lower_mlp(layer: FusedLayer, bits: int) -> tuple[FusedLayer, int]:
    """The layer with its MLP's products on low-bit weights."""
    gate_up, down = lower_head(layer.gate_up, bits)[0], lower_head(layer.down, bits)[0]
    return replace(layer, gate_up=gate_up, down=down), gate_up.bytes + down.bytes


def lower_head(head: Linear, bits: int) -> tuple[LowBitLinear, int]:
    """The head on low-bit weights."""
    assert not isinstance(head, LowBitLinear)
    lowered = lower(head.weight, head.bias, bits)
    return lowered, lowered.bytes
