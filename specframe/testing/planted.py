"""Models of any shape whose sublayers have a chosen importance.

Planted models replace real ones in tests and benchmarks that need a known acceptance rate at a
given cost: shapes, dtypes and seconds are real, the text is not. The speed of a planted model says
nothing about the speed on real text.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from specframe.errors import InvalidConfig
from specframe.executors.blank import blank_model
from specframe.types import ModelShape, SkipSet

POOL = 1_000_003  # random numbers, reused for all weights; a prime number, so that no row repeats
PROBE_TOKENS = 48  # tokens on which the sublayers' amplitudes are set
SHARPNESS = 3.0  # standard deviation of the logits
LIFT = 5.0  # standard deviations by which a token's successor is above other tokens
TEMPER = 3.0  # scale of queries and keys, so that attention selects rows instead of averaging them


def planted_llama(
    shape: ModelShape,
    noise: Mapping[int, float],
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    device: torch.device | str = "cpu",
    **config: Any,
) -> LlamaForCausalLM:
    """A Llama of this shape whose sublayer i adds `noise[i]` times the size of the embeddings.

    0.0 adds exactly nothing, so that skipping the sublayer changes no token. Sublayers that are
    not named add 1.0, so that skipping one changes nearly every token. `config` holds further
    arguments of `LlamaConfig`.
    """
    wrong = [i for i, size in noise.items() if not 0 <= i < shape.sublayers or size < 0.0]
    if wrong:
        raise InvalidConfig.of(
            "planted_llama", "noise", "sublayer number -> amplitude of at least 0", dict(noise)
        )
    settings = LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.positions,
        **{"bos_token_id": None, "eos_token_id": None, **config, "tie_word_embeddings": False},
    )
    model: LlamaForCausalLM = blank_model(LlamaForCausalLM, settings, dtype, device)
    model.generation_config.pad_token_id = 0
    _fill(model, seed)
    _lift_successors(model, seed)
    _set_amplitudes(model, [noise.get(i, 1.0) for i in range(shape.sublayers)])
    return model


def planted_order(layers: int, seed: int = 0) -> tuple[int, ...]:
    """The sublayers from the least to the most important one, in random order of depth."""
    order = list(range(2 * layers))
    random.Random(seed).shuffle(order)
    return tuple(order)


def planted_skips(layers: int, share: float, seed: int = 0) -> SkipSet:
    """The least important sublayers; `share` is their share of all sublayers."""
    count = round(share * 2 * layers)
    return SkipSet.from_sublayers(layers, planted_order(layers, seed)[:count])


def falling_noise(layers: int, seed: int = 0) -> dict[int, float]:
    """Amplitudes that increase along `planted_order`.

    With `planted_skips(layers, share)`, the first drafted token is then accepted with a probability
    of about 0.97, 0.90 and 0.75 at shares of 0.40, 0.55 and 0.70.
    """
    order = planted_order(layers, seed)
    size = [_lost(rank / len(order)) for rank in range(len(order) + 1)]
    steps = [math.sqrt(after**2 - before**2) for before, after in pairwise(size)]
    return dict(zip(order, steps, strict=True))


def _lost(share: float) -> float:
    """Size of what the first `share` of the sublayers adds in total, relative to embeddings."""
    return 0.33 * math.exp(6.0 * (share - 0.7))


def _fill(model: Any, seed: int) -> None:
    """Random weights with rows of norm 1: products with a normed stream have about size 1."""
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(seed))
    offset = 0
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.fill_(1.0)
            continue
        gain = _gain(name, parameter)
        _lay_out(parameter.data, pool * gain, offset)
        offset = (offset + 7_919) % POOL


def _gain(name: str, parameter: nn.Parameter) -> float:
    if "embed_tokens" in name:
        return 1.0
    unit = float(parameter.shape[1] ** -0.5)
    if "lm_head" in name:
        return SHARPNESS * unit
    if "q_proj" in name or "k_proj" in name:
        return math.sqrt(TEMPER) * unit
    return unit


def _lift_successors(model: Any, seed: int) -> None:
    """Give each token a likely successor, on one cycle through the vocabulary.

    With a purely random head, gaps between logits are too small for bf16.
    """
    head, embedding = model.lm_head.weight.data, model.model.embed_tokens.weight.data
    cycle = torch.randperm(head.shape[0], generator=torch.Generator().manual_seed(seed))
    head[cycle.roll(-1)] += embedding[cycle] * (2.0 * LIFT * SHARPNESS / head.shape[1])


def _lay_out(weight: Tensor, pool: Tensor, offset: int) -> None:
    """Fill the weight with repeated copies of the pool, which is as fast as copying."""
    flat = weight.view(-1)
    values = torch.cat([pool[offset:], pool[:offset]]).to(weight.device, weight.dtype)
    for start in range(0, flat.numel(), POOL):
        part = flat[start : start + POOL]
        part.copy_(values[: part.numel()])


@torch.no_grad()
def _set_amplitudes(model: Any, amplitudes: Sequence[float]) -> None:
    """Scale each sublayer's last matrix during one pass, so that its output has this size."""
    hooks = []
    for layer, (attention, mlp) in zip(
        model.model.layers, zip(amplitudes[::2], amplitudes[1::2], strict=True), strict=True
    ):
        hooks.append(layer.self_attn.o_proj.register_forward_hook(_scaled_to(attention)))
        hooks.append(layer.mlp.down_proj.register_forward_hook(_scaled_to(mlp)))
    rows = min(PROBE_TOKENS, model.config.max_position_embeddings)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(model.config.vocab_size, (1, rows), generator=generator)
    model(tokens.to(model.device), use_cache=False, logits_to_keep=1)
    for hook in hooks:
        hook.remove()


def _scaled_to(amplitude: float) -> Any:
    def scale(linear: nn.Linear, inputs: Any, output: Tensor) -> Tensor:
        factor = amplitude / max(float(output.float().square().mean().sqrt()), 1e-12)
        linear.weight.mul_(factor)
        return output * factor

    return scale
