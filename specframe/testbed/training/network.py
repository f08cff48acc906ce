"""The training forward pass of a LlamaForCausalLM; dropped sublayers are not computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_SHORT = 256


Sublayer = Callable[[Any, Tensor, Tensor, Tensor], Tensor]  # layer, stream, cos, sin -> update


@dataclass(frozen=True, slots=True)
class Sublayers:
    """The functions of the two sublayers of a layer."""

    attention: Sublayer
    mlp: Sublayer


@dataclass(frozen=True, slots=True)
class Trace:
    """The normed final stream, and the normed streams at the requested exits."""

    final: Tensor  # [B, S, D]
    exits: tuple[Tensor, ...]  # each [B, S, D]


def run_stream(
    model: "LlamaForCausalLM",
    tokens: Tensor,
    kept: Sequence[bool],
    exit_layers: Sequence[int] = (),
    sublayers: Sublayers | None = None,
) -> Trace:
    """Run the kept sublayers over right-padded tokens [B, S]."""
    sublayers = sublayers or plain_sublayers()
    body: Any = model.model
    cos, sin = rotary(body.config, tokens.shape[1])
    stream = F.embedding(tokens, body.embed_tokens.weight)
    exits = []
    for index, layer in enumerate(body.layers):
        if kept[2 * index]:
            stream = stream + sublayers.attention(layer, stream, cos, sin)
        if kept[2 * index + 1]:
            stream = stream + sublayers.mlp(layer, stream, cos, sin)
        if index + 1 in exit_layers:
            exits.append(_norm(stream, body.norm))
    return Trace(_norm(stream, body.norm), tuple(exits))


def score_tokens(model: "LlamaForCausalLM", normed: Tensor) -> Tensor:
    """Logits [..., V] of normed rows through the shared head."""
    return F.linear(normed, model.lm_head.weight).float()


def plain_sublayers() -> Sublayers:
    """Sublayers without compilation."""
    return Sublayers(_attend, _transform)


def compiled_sublayers() -> Sublayers:
    """The same, compiled with fused elementwise operations; needs a C++ compiler."""
    return Sublayers(torch.compile(_attend, dynamic=True), torch.compile(_transform, dynamic=True))


def rotary(config: Any, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [S, H] of the positions, as in the default rotary embedding."""
    width = config.head_dim
    theta = config.rope_parameters["rope_theta"]
    speeds = theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), speeds).repeat(1, 2)
    return angles.cos(), angles.sin()


def _norm(stream: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(stream, (stream.shape[-1],), norm.weight, norm.variance_epsilon)


def _attend(layer: Any, stream: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    attention = layer.self_attn
    batch, length, _ = stream.shape
    width = attention.head_dim
    rows = _norm(stream, layer.input_layernorm)
    query, key, value = (
        F.linear(rows, projection.weight).view(batch, length, -1, width).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    groups = query.shape[1] // key.shape[1]
    query, key = _rotate(query, cos, sin), _rotate(key, cos, sin).repeat_interleave(groups, 1)
    mixed = _mix(query, key, value.repeat_interleave(groups, 1))
    return F.linear(mixed.transpose(1, 2).reshape(batch, length, -1), attention.o_proj.weight)


def _mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    length = query.shape[2]
    if length > _SHORT:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    # up to this length, plain products are faster on a CPU than the flash kernel's backward pass
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (query @ key.mT).float() * query.shape[-1] ** -0.5
    weights: Tensor = scores.masked_fill(future, float("-inf")).softmax(-1).to(query.dtype)
    return weights @ value


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = heads.chunk(2, -1)
    return heads * cos.to(heads.dtype) + torch.cat((-high, low), -1) * sin.to(heads.dtype)


def _transform(layer: Any, stream: Tensor, _cos: Tensor, _sin: Tensor) -> Tensor:
    rows = _norm(stream, layer.post_attention_layernorm)
    gate = F.silu(F.linear(rows, layer.mlp.gate_proj.weight))
    return F.linear(gate * F.linear(rows, layer.mlp.up_proj.weight), layer.mlp.down_proj.weight)
