"""Which models the fused executor can run, and how their weights are collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from specframe.executors.added_code import added_code, foreign_forward
from specframe.executors.fused.block import gather
from specframe.executors.fused.weights import FusedLinear, fuse_rows
from specframe.executors.low_bit import LowBitLinear
from specframe.executors.module_tree import named_modules, parameters
from specframe.executors.modules.recognise import module_shape
from specframe.executors.support import is_sharded
from specframe.types import ModelShape

__all__ = [
    "FusedLayer",
    "FusedModel",
    "Linear",
    "addresses",
    "collect",
    "copy_norms",
    "reason_not_fusible",
]

FAMILIES = ("granite", "llama", "mistral", "qwen2", "qwen3", "smollm3")
Linear = FusedLinear | LowBitLinear
STATIC_ROPES = ("default", "linear", "llama3", "yarn")
TOGETHER = {"self_attn": ("q_proj", "k_proj", "v_proj"), "mlp": ("gate_proj", "up_proj")}
LINEARS = {
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}


@dataclass(frozen=True, slots=True)
class FusedLayer:
    """Weights and properties of one layer."""

    attention_norm: Tensor  # [H]
    qkv: Linear
    qk_norm: Tensor | None  # [heads + kv heads, D], weights of the q and k norms
    output: Linear
    mlp_norm: Tensor  # [H]
    gate_up: Linear
    down: Linear
    rotary: bool
    window: int | None  # sliding window in positions


@dataclass(frozen=True, slots=True)
class FusedModel:
    """All weights of a walk, and their addresses, by which moved weights are noticed."""

    shape: ModelShape
    layers: tuple[FusedLayer, ...]
    embedding: Tensor  # [V, H]
    norm: Tensor  # [H]
    head: FusedLinear  # [V, H]
    rotary: nn.Module
    eps: float
    scale: float
    embedding_multiplier: float
    residual_multiplier: float
    logits_divisor: float
    addresses: tuple[int, ...]


def reason_not_fusible(model: Any) -> str | None:
    """The reason why the fused executor cannot run this model, or None if it can."""
    config: Any = model.config
    if config.model_type not in FAMILIES:
        return f"the {config.model_type!r} family is not Llama-shaped"
    if getattr(config, "hidden_act", "silu") not in ("silu", "swish"):
        return f"its MLP uses {config.hidden_act!r}, not a gated SiLU"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope not in STATIC_ROPES:
        return f"its rotary tables ({rope!r}) change with the length of the context"
    if hasattr(model, "hf_device_map") and len(set(model.hf_device_map.values())) > 1:
        return "its layers are spread over several devices"
    if is_sharded(model):
        return "its weights are sharded over several processes"
    named = named_modules(model)
    if reason := added_code(named) or foreign_forward(named) or _foreign_attention(model):
        return reason
    for name, module in _linears(model):
        if type(module) is not nn.Linear:
            return f"{name} is a {type(module).__name__}, not a plain linear layer"
        weight: Any = module._parameters["weight"]
        if type(weight) not in (nn.Parameter, Tensor):  # a parameter of another tensor has its type
            return f"{name} holds its weights as {type(weight).__name__}"
        if not weight.dtype.is_floating_point or weight.device.type == "meta":
            return f"{name} holds {weight.dtype} on {weight.device}"
    for i, layer in enumerate(model.model.layers):
        if _has_mixed_biases(layer):
            return f"layers.{i} has biases on some but not all of the linear layers that are fused"
    return None


def _foreign_attention(model: Any) -> str | None:
    name = str(model.config._attn_implementation)
    function = (
        None if "/" in name else ALL_ATTENTION_FUNCTIONS.get(name)
    )  # "/": a kernel of the hub
    if function is None or function.__module__.startswith("transformers."):
        return None
    return f"its attention {name!r} is not one of transformers' own"


def _has_mixed_biases(layer: Any) -> bool:
    for name, parts in TOGETHER.items():
        owned = layer._modules[name]._modules
        if len({owned[part]._parameters["bias"] is None for part in parts}) > 1:
            return True
    return False


def collect(model: Any) -> FusedModel:
    """Fuse the weights of each layer; the model's parameters become views of the fused ones."""
    config, stack = model.config, model.model
    shape = module_shape(config)
    gather([module for _, module in _linears(model)])
    return FusedModel(
        shape=shape,
        layers=tuple(_layer(layer, config, shape) for layer in stack.layers),
        embedding=stack.embed_tokens.weight.data,
        norm=stack.norm.weight.data,
        head=fuse_rows([model.lm_head]),
        rotary=stack.rotary_emb,
        eps=config.rms_norm_eps,
        scale=stack.layers[0].self_attn.scaling,
        embedding_multiplier=getattr(config, "embedding_multiplier", 1.0),
        residual_multiplier=getattr(config, "residual_multiplier", 1.0),
        logits_divisor=getattr(config, "logits_scaling", 1.0),
        addresses=addresses(model),
    )


def addresses(model: Any) -> tuple[int, ...]:
    """Addresses of the weights; they change if the model is moved or parameters are replaced."""
    return tuple(parameter.data_ptr() for parameter in parameters(model))


def copy_norms(model: Any, fused: FusedModel) -> None:
    """Copy the weights of the q and k norms again, the only ones that are not views."""
    for layer, source in zip(fused.layers, model.model.layers, strict=True):
        if layer.qk_norm is not None:
            gains = _qk_norm(source.self_attn, fused.shape)
            assert gains is not None
            layer.qk_norm.copy_(gains)


def _layer(layer: Any, config: Any, shape: ModelShape) -> FusedLayer:
    attention, mlp = layer.self_attn, layer.mlp
    return FusedLayer(
        attention_norm=layer.input_layernorm.weight.data,
        qkv=fuse_rows([attention.q_proj, attention.k_proj, attention.v_proj]),
        qk_norm=_qk_norm(attention, shape),
        output=fuse_rows([attention.o_proj]),
        mlp_norm=layer.post_attention_layernorm.weight.data,
        gate_up=fuse_rows([mlp.gate_proj, mlp.up_proj]),
        down=fuse_rows([mlp.down_proj]),
        rotary=bool(getattr(attention, "use_rope", True)),
        window=_window(attention, config),
    )


def _qk_norm(attention: Any, shape: ModelShape) -> Tensor | None:
    if not hasattr(attention, "q_norm"):
        return None
    query = attention.q_norm.weight.data.expand(shape.heads, -1)
    key = attention.k_norm.weight.data.expand(shape.kv_heads, -1)
    return torch.cat([query, key])


def _window(attention: Any, config: Any) -> int | None:
    if hasattr(attention, "sliding_window"):
        window: int | None = attention.sliding_window
        return window
    return config.sliding_window if config.model_type == "mistral" else None


def _linears(model: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for i, layer in enumerate(model.model.layers):
        for name, parts in LINEARS.items():
            owned = layer._modules[name]._modules  # attributes of modules are looked up slowly
            found += [(f"layers.{i}.{name}.{part}", owned[part]) for part in parts]
    found.append(("lm_head", model.lm_head))
    return found
