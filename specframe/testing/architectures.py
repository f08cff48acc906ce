"""A tiny random model of every family, created from the config classes of transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

VOCABULARY = 61
POSITIONS = 256
WINDOW = 8
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "experts_implementation": "eager"}
KINDS = ["sliding_attention", "full_attention"] * 2
ROTARY = {"rope_type": "default", "rope_theta": 10_000.0}


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A config class, a model class and what differs from the common shape."""

    family: str  # FamilyConfig and FamilyForCausalLM in transformers
    settings: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()  # common settings that the family does not have
    model: str = ""
    config: str = ""


_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 4,
    "n_head": 4,
    "n_positions": POSITIONS,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

_RECIPES = {
    "llama": _Recipe("Llama"),
    "mistral": _Recipe("Mistral", {"sliding_window": WINDOW}),
    "qwen2": _Recipe(
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    ),
    "qwen3": _Recipe("Qwen3", {"head_dim": 16}),
    "smollm3": _Recipe("SmolLM3", {"no_rope_layer_interval": 2}),
    "granite": _Recipe(
        "Granite",
        {
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 1.7,
            "attention_multiplier": 0.3,
        },
    ),
    "gemma2": _Recipe(
        "Gemma2",
        {
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": WINDOW,
            "layer_types": KINDS,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 9.0,
            "attn_implementation": "eager",
        },
    ),
    "gemma3": _Recipe(
        "Gemma3",
        {
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": WINDOW,
            "layer_types": KINDS,
            "rope_parameters": {
                "sliding_attention": ROTARY,
                "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
            },
        },
        config="Gemma3TextConfig",
    ),
    "olmo2": _Recipe("Olmo2"),
    "gpt2": _Recipe("GPT2", _GPT2, tuple(SHAPE), model="GPT2LMHeadModel"),
    "gpt_neox": _Recipe("GPTNeoX", {"use_parallel_residual": True}, ("num_key_value_heads",)),
    "gpt_neox_sequential": _Recipe(
        "GPTNeoX", {"use_parallel_residual": False}, ("num_key_value_heads",)
    ),
    "phi": _Recipe("Phi", {"partial_rotary_factor": 0.5}),
    "phi3": _Recipe("Phi3", {"sliding_window": WINDOW}),
    "cohere": _Recipe("Cohere", {"logit_scale": 0.4, "use_qk_norm": True}),
    "opt": _Recipe(
        "OPT",
        {"ffn_dim": 48, "word_embed_proj_dim": 32},
        ("intermediate_size", "num_key_value_heads"),
    ),
    "mixtral": _Recipe("Mixtral", {**EXPERTS, "num_local_experts": 4, "sliding_window": WINDOW}),
    "qwen3_moe": _Recipe(
        "Qwen3Moe",
        {**EXPERTS, "num_experts": 4, "moe_intermediate_size": 24, "mlp_only_layers": [1]},
    ),
    "gemma": _Recipe("Gemma", {"head_dim": 8}),
    "olmo": _Recipe("Olmo", {"clip_qkv": 2.0}),
    "stablelm_parallel": _Recipe("StableLm", {"use_parallel_residual": True}),
    "starcoder2": _Recipe("Starcoder2", {"sliding_window": WINDOW}),
    "cohere2": _Recipe("Cohere2", {"sliding_window": WINDOW, "layer_types": KINDS}),
    "glm4": _Recipe("Glm4", {"head_dim": 8}),
    "qwen2_moe": _Recipe(
        "Qwen2Moe",
        {
            **EXPERTS,
            "num_experts": 4,
            "moe_intermediate_size": 24,
            "shared_expert_intermediate_size": 24,
        },
    ),
    "mamba": _Recipe(
        "Mamba",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        tuple(SHAPE),
    ),
    "jamba": _Recipe(
        "Jamba",
        {
            "num_experts": 2,
            "mamba_d_state": 4,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "use_mamba_kernels": False,
        },
    ),
    "t5": _Recipe(
        "T5",
        {"vocab_size": VOCABULARY, "d_model": 32, "d_ff": 48, "num_layers": 2, "num_heads": 4},
        tuple(SHAPE),
        model="T5ForConditionalGeneration",
    ),
    "opt_post_norm": _Recipe(
        "OPT",
        {"ffn_dim": 48, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
        ("intermediate_size", "num_key_value_heads"),
    ),
    "bloom": _Recipe("Bloom", {"n_head": 4, "n_layer": 2}, tuple(set(SHAPE) - {"vocab_size"})),
}

FUSED = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite")
MODULE = tuple(
    "gemma2 gemma3 olmo2 gpt2 gpt_neox gpt_neox_sequential phi phi3 cohere opt mixtral "
    "qwen3_moe".split()
)
STRUCTURE = tuple("gemma olmo stablelm_parallel starcoder2 cohere2 glm4 qwen2_moe".split())
REFUSED = ("mamba", "jamba", "t5", "opt_post_norm", "bloom")


def tiny_model(
    name: str, dtype: torch.dtype = torch.float64, seed: int = 0, **settings: Any
) -> Any:
    """A model with a few thousand random weights; norms and biases are random too.

    `name` is one of `FUSED`, `MODULE`, `STRUCTURE` (not in the layout table) or `REFUSED`;
    `settings` go to its config.
    """
    recipe = _RECIPES[name]
    common = {key: value for key, value in SHAPE.items() if key not in recipe.without}
    config_class = getattr(transformers, recipe.config or f"{recipe.family}Config")
    config = config_class(**(common | recipe.settings | settings))
    model = getattr(transformers, recipe.model or f"{recipe.family}ForCausalLM")(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        _draw(parameter.data, generator)
    return model.to(dtype).eval()


def save_tiny_model(name: str, folder: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save a tiny model for `from_pretrained`."""
    tiny_model(name, dtype).save_pretrained(str(folder))
    return Path(folder)


def _draw(weights: torch.Tensor, generator: torch.Generator) -> None:
    """Matrices large enough to separate the logits, norm weights around 1, biases around 0."""
    noise = torch.randn(weights.shape, generator=generator).to(weights.dtype)
    if weights.ndim >= 2:
        weights.copy_(noise * 1.5 / weights.shape[-1] ** 0.5)
    else:
        weights.add_(noise * 0.2)
