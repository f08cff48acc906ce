"""Models that no executor can run losslessly, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from specframe.executors.module_tree import parameters

__all__ = ["Refusal", "is_sharded", "refusal_of_attention", "refusal_of_config", "refusal_of_model"]

ATTENTIONS = ("eager", "sdpa")  # these take a mask of any pattern
LAYER_KINDS = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a model cannot be run, and the remedy."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}."


def is_sharded(model: Any) -> bool:
    """Whether other processes have parts of the model's weights."""
    return any(hasattr(parameter, "device_mesh") for parameter in parameters(model))


def refusal_of_config(config: Any, model_class: Any) -> Refusal | None:
    """The reason that the config shows; `model_class` is that of transformers, or None."""
    text = config.get_text_config(decoder=True)
    return next(_config_refusals(config, text, model_class), None)


def refusal_of_model(model: Any) -> Refusal | None:
    """The same, including reasons that only a loaded model shows."""
    found = refusal_of_config(model.config, type(model))
    return found if found is not None else next(_model_refusals(model), None)


def refusal_of_attention(model: Any) -> Refusal | None:
    """The reason if the loaded attention modules do not accept the masks that trees need."""
    attention = model.config.get_text_config(decoder=True)._attn_implementation
    if attention in ATTENTIONS:
        return None
    return Refusal(
        f"attention {attention!r} does not accept arbitrary masks",
        "Load the model with attn_implementation='sdpa', or 'eager' where sdpa is not offered",
    )


def _config_refusals(config: Any, text: Any, model_class: Any) -> Iterator[Refusal]:
    family = repr(config.model_type)
    if config.is_encoder_decoder:
        yield Refusal(
            f"the {family} family is an encoder-decoder, whose decoder also reads an encoder",
            "Use a decoder-only model, or transformers' own generate",
        )
    if model_class is None:
        yield Refusal(
            f"transformers has no causal language model for the {family} family",
            "Use a model that AutoModelForCausalLM can load",
        )
    kinds = _unknown_kinds(text)
    if getattr(model_class, "_is_stateful", False) or kinds:
        what = f" (layers of kind {', '.join(kinds)})" if kinds else ""
        yield Refusal(
            f"the {family} family keeps a recurrent or hybrid state{what}, which cannot be rolled "
            f"back when a drafted token is rejected",
            "Use a model whose every layer is full or sliding attention",
        )
    if text.model_type == "opt" and not text.do_layer_norm_before:
        yield Refusal(
            "this OPT model normalises the residual stream itself (post-LN), so no sublayer of "
            "it can be skipped alone",
            "Use an OPT model with do_layer_norm_before=True, i.e. any size but 350m",
        )
    for name, what in (
        ("add_cross_attention", "it has cross-attention"),
        ("use_bidirectional_attention", "its attention looks ahead"),
        ("num_kv_shared_layers", "its layers share keys and values, so none can be skipped alone"),
        ("kv_sharing_modes", "its layers share keys and values, so none can be skipped alone"),
    ):
        if getattr(text, name, None):
            yield Refusal(f"{what} ({name}={getattr(text, name)!r})", "Use transformers' generate")


def _unknown_kinds(text: Any) -> list[str]:
    """Kinds of layer whose state is not a KV cache with one entry per position."""
    kinds = set(getattr(text, "layer_types", None) or ())
    return sorted(kinds - set(LAYER_KINDS))


def _model_refusals(model: Any) -> Iterator[Refusal]:
    if model.get_output_embeddings() is None:
        yield Refusal(
            f"{type(model).__name__} has no language-model head",
            "Load the model with AutoModelForCausalLM",
        )
    cache = getattr(model.generation_config, "cache_implementation", None)
    if cache == "quantized":
        yield Refusal(
            "its generation config asks for a quantised KV cache, in which rounding depends on how "
            "many positions are stored together",
            "Set model.generation_config.cache_implementation = None",
        )
    if _is_empty(model):
        yield Refusal("its weights are on the meta device", "Load the weights before use")


def _is_empty(model: Any) -> bool:
    """Whether weights are missing that no hook loads when their module is called."""
    plain = [module for module in model.modules() if not hasattr(module, "_hf_hook")]
    own = (parameter for module in plain for parameter in module.parameters(recurse=False))
    return any(parameter.device.type == "meta" for parameter in own)
