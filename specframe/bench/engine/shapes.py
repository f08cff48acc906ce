"""The measured models: random weights in two sizes, or a model by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from specframe.doors.loading import load
from specframe.errors import InvalidRequest
from specframe.executors.blank import blank_model
from specframe.executors.device import require_dtype
from specframe.executors.fused.fusible import reason_not_fusible
from specframe.executors.modules.recognise import module_shape
from specframe.types import SkipSet

__all__ = [
    "SHAPES",
    "BenchShape",
    "build",
    "named_shape",
    "plant",
    "random_model",
    "shape_of",
    "spread_skips",
    "weight_bytes",
]


LARGE = 500_000_000  # parameters; larger models are measured in fewer turns


@dataclass(frozen=True, slots=True)
class BenchShape:
    """A Llama-shaped model and how long each measurement of it may take.

    `source` is the name of a model with real weights; without it, weights are random.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool
    turns: int  # of single forwards
    blocks: int  # of whole generations
    block_tokens: int
    positions: int = field(default=2048)
    source: str | None = None
    dtype: str = "auto"  # that of the stored weights; random ones are bfloat16


SHAPES = {
    "19M": BenchShape("19M", 24, 256, 8, 2, 704, 4096, True, 21, 7, 64),
    "1.1B": BenchShape("1.1B", 22, 2048, 32, 4, 5632, 32000, False, 7, 5, 24),
}


def named_shape(name: str) -> BenchShape:
    """The shape of this name."""
    if name not in SHAPES:
        raise InvalidRequest(f"no shape named {name!r}. Known: {', '.join(SHAPES)}.")
    return SHAPES[name]


def shape_of(name: str, model: Any) -> BenchShape:
    """The shape of a loaded model that the fused executor can run."""
    reason = reason_not_fusible(model)
    if reason is not None:
        raise InvalidRequest(
            f"bench engine measures the fused executor, which cannot run {name!r}: {reason}. "
            f"`specframe bench --model {name}` measures generation with any supported model."
        )
    found = module_shape(model.config)
    large = model.num_parameters() >= LARGE
    turns, blocks, tokens = (7, 5, 24) if large else (21, 7, 64)
    return BenchShape(
        name,
        found.layers,
        found.hidden,
        found.heads,
        found.kv_heads,
        found.intermediate,
        found.vocabulary,
        model.lm_head.weight is model.model.embed_tokens.weight,
        turns,
        blocks,
        tokens,
        found.positions,
        source=name,
    )


def build(shape: BenchShape, device: torch.device) -> Any:
    """The model of this shape: with the weights of its source, or with random ones."""
    if shape.source is None:
        return random_model(shape, device)
    return load(shape.source, dtype=shape.dtype).model.to(device)


def random_model(shape: BenchShape, device: torch.device, seed: int = 0) -> Any:
    """A Llama of this shape; the weights are drawn where they will stay."""
    from transformers import LlamaConfig, LlamaForCausalLM

    dtype = require_dtype(shape.dtype) or torch.bfloat16
    config = LlamaConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=shape.positions,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        dtype=dtype,
    )
    model = blank_model(LlamaForCausalLM, config, dtype, device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            _fill(parameter, generator)
    return model


def spread_skips(layers: int, share: float) -> SkipSet:
    """About this share of the sublayers, as whole layers evenly spread over the depth."""
    wanted = round(share * 2 * layers)
    whole = wanted // 2
    chosen = [int((k + 0.5) * layers / whole) for k in range(whole)]
    rest = [layer for layer in range(layers) if layer not in chosen][-1:] if wanted % 2 else []
    return SkipSet.of(layers, attention=chosen + rest, mlp=chosen)


def plant(model: Any, skips: SkipSet) -> None:
    """Make these sublayers contribute nothing: every greedy draft without them is accepted."""
    for layer in skips.attention:
        model.model.layers[layer].self_attn.o_proj.weight.data.zero_()
    for layer in skips.mlp:
        model.model.layers[layer].mlp.down_proj.weight.data.zero_()


def weight_bytes(model: Any, *, read_per_token: bool = False) -> int:
    """Bytes of the distinct parameters; those read per token leave out an untied embedding."""
    parameters: dict[int, Tensor] = {p.data_ptr(): p for p in model.parameters()}
    if read_per_token and model.lm_head.weight is not model.model.embed_tokens.weight:
        parameters.pop(model.model.embed_tokens.weight.data_ptr())
    return sum(p.numel() * p.element_size() for p in parameters.values())


def _fill(parameter: Tensor, generator: torch.Generator) -> None:
    if parameter.ndim == 1:
        parameter.fill_(1.0)  # gains of norms
    else:
        parameter.normal_(0.0, 0.02, generator=generator)
