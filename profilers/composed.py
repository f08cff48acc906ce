"""Profiles of models too large for this machine, composed from one measured layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from specframe.costs.model import CostModel
from specframe.executors.blank import blank_model
from specframe.types import ModelShape

__all__ = ["COMPOSED", "ComposedShape", "compose", "one_layer_model"]

FILLED = 0.01


@dataclass(frozen=True, slots=True)
class ComposedShape:
    """A published shape and the family its layers belong to."""

    family: str  # llama or qwen3
    shape: ModelShape


COMPOSED: Mapping[str, ComposedShape] = MappingProxyType(
    {
        "llama-3.1-8B": ComposedShape(
            "llama", ModelShape(32, 4096, 128256, 32, 8, 128, 14336, 131072)
        ),
        "llama-3.1-70B": ComposedShape(
            "llama", ModelShape(80, 8192, 128256, 64, 8, 128, 28672, 131072)
        ),
        "llama-3.1-405B": ComposedShape(
            "llama", ModelShape(126, 16384, 128256, 128, 8, 128, 53248, 131072)
        ),
        "qwen3-32B": ComposedShape("qwen3", ModelShape(64, 5120, 151936, 64, 8, 128, 25600, 40960)),
    }
)


def one_layer_model(composed: ComposedShape, dtype: torch.dtype, device: torch.device) -> Any:
    """A model of this shape with one layer; all weights have the same constant value."""
    shape = composed.shape
    settings: dict[str, Any] = {
        "num_hidden_layers": 1,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "tie_word_embeddings": True,  # halves the memory; looking up a row costs the same
    }
    if composed.family == "qwen3":
        model = blank_model(Qwen3ForCausalLM, Qwen3Config(**settings), dtype, device)
    else:
        model = blank_model(LlamaForCausalLM, LlamaConfig(**settings), dtype, device)
    for parameter in model.parameters():
        parameter.data.fill_(FILLED)
    return model


def compose(costs: CostModel, layers: int, name: str) -> CostModel:
    """Prices of a model whose layers are all like the measured one."""
    if costs.layers != 1:
        raise ValueError(f"one measured layer is composed, not {costs.layers}")
    low = " Low-bit sublayers and head were measured alike." if costs.low else ""
    return replace(
        costs,
        kinds=(0,) * layers,
        simulated=(
            f"{name}: embedding, head and one of {layers} layers were measured with constant "
            f"weights; the others are taken to cost the same. Nothing was generated.{low}"
        ),
    )
