"""Tiny models of every family, with random weights everywhere: norms and biases too."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from transformers import (
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from specframe.executors.executor import Executor
from specframe.executors.load import load_executor

CLASSES: dict[str, tuple[Any, Any]] = {
    "granite": (GraniteConfig, GraniteForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM),
}
FAMILIES = tuple(CLASSES)
WINDOWED = ("mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True, slots=True)
class Tiny:
    """The properties in which tiny models differ."""

    family: str = "llama"
    layers: int = 2
    hidden: int = 16
    heads: int = 2
    kv_heads: int = 1
    vocabulary: int = 23
    positions: int = 160
    tied: bool = False
    biases: bool = False
    window: int | None = None
    sharpness: float = 3.0  # of the head: how far the top token stands out
    dtype: torch.dtype = torch.float64
    seed: int = 0


def tiny_model(tiny: Tiny) -> Any:
    """A new model, not shared with any other test."""
    config_class, model_class = CLASSES[tiny.family]
    config = config_class(
        hidden_size=tiny.hidden,
        intermediate_size=tiny.hidden + 8,
        num_hidden_layers=tiny.layers,
        num_attention_heads=tiny.heads,
        num_key_value_heads=tiny.kv_heads,
        vocab_size=tiny.vocabulary,
        max_position_embeddings=tiny.positions,
        tie_word_embeddings=tiny.tied,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        **_traits(tiny),
    )
    model = model_class(config)
    _randomise(model, tiny)
    return model.to(tiny.dtype).eval()


@cache
def tiny_executor(tiny: Tiny = Tiny(), strict: bool = False) -> Executor:
    """An executor that tests share, since they leave it as it was."""
    return load_executor(tiny_model(tiny), strict=strict)


def _traits(tiny: Tiny) -> dict[str, Any]:
    traits: dict[str, Any] = {}
    if tiny.family in ("llama", "qwen3", "granite", "smollm3"):
        traits["attention_bias"] = tiny.biases
    if tiny.family in ("llama", "granite", "smollm3"):
        traits["mlp_bias"] = tiny.biases
    if tiny.family in ("qwen3", "mistral"):
        traits["head_dim"] = tiny.hidden // tiny.heads + 2  # not hidden / heads
    if tiny.family == "mistral":
        traits["sliding_window"] = tiny.window
    if tiny.family in ("qwen2", "qwen3", "smollm3") and tiny.window is not None:
        traits |= {"use_sliding_window": True, "sliding_window": tiny.window}
    if tiny.family in ("qwen2", "qwen3"):
        traits["max_window_layers"] = tiny.layers // 2
    if tiny.family == "smollm3":
        traits["no_rope_layer_interval"] = 2
    if tiny.family == "granite":
        traits |= {"embedding_multiplier": 1.7, "residual_multiplier": 0.6}
        traits |= {"logits_scaling": 0.8, "attention_multiplier": 0.3}
    return traits


def _randomise(model: Any, tiny: Tiny) -> None:
    generator = torch.Generator().manual_seed(tiny.seed)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            drawn = 1.0 + 0.3 * drawn
        elif name.endswith("bias"):
            drawn = 0.3 * drawn
        elif "lm_head" in name or (tiny.tied and "embed_tokens" in name):
            drawn = drawn * tiny.sharpness * tiny.hidden**-0.5
        elif "embed_tokens" not in name:
            drawn = drawn * 1.5 * tiny.hidden**-0.5
        parameter.data.copy_(drawn)
