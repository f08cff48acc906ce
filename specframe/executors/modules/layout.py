"""Names of the parts of decoders: a small table of layer layouts and the families that use them.

A sublayer maps the residual stream x to x + r * after(part(before(x))); `before` and `after` are
norms, each of which may be missing. In a parallel layer, both parts read the layer's input.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

__all__ = ["Layer", "Layout", "Stack", "candidates", "parts_of", "taken_apart"]


@dataclass(frozen=True, slots=True)
class LayerNames:
    """Attribute names in a decoder layer; the modules of an MLP are called in order."""

    title: str
    attention: str
    mlp: tuple[str, ...]
    before_attention: str | None = None
    after_attention: str | None = None
    before_mlp: str | None = None
    after_mlp: str | None = None
    parallel: bool = False

    @property
    def used(self) -> frozenset[str]:
        """All children that a walk calls."""
        norms = (self.before_attention, self.after_attention, self.before_mlp, self.after_mlp)
        return frozenset({self.attention, *self.mlp, *(name for name in norms if name)})


PRE_NORM = LayerNames(
    "pre-norm",
    "self_attn",
    ("mlp",),
    before_attention="input_layernorm",
    before_mlp="post_attention_layernorm",
)
PRE_NORM_VAULT = replace(PRE_NORM, before_mlp="pre_feedforward_layernorm")
PRE_NORM_SPARSE = replace(PRE_NORM, mlp=("block_sparse_moe",))
PRE_NORM_APERTUS = replace(
    PRE_NORM, before_attention="attention_layernorm", before_mlp="feedforward_layernorm"
)
NEOX = replace(PRE_NORM, attention="attention")
GPT2 = LayerNames("pre-norm", "attn", ("mlp",), before_attention="ln_1", before_mlp="ln_2")
OPT = LayerNames(
    "pre-norm",
    "self_attn",
    ("fc1", "activation_fn", "fc2"),
    before_attention="self_attn_layer_norm",
    before_mlp="final_layer_norm",
)
SANDWICH = LayerNames(
    "sandwich norm",
    "self_attn",
    ("mlp",),
    before_attention="input_layernorm",
    after_attention="post_attention_layernorm",
    before_mlp="pre_feedforward_layernorm",
    after_mlp="post_feedforward_layernorm",
)
SANDWICH_GLM = replace(
    SANDWICH,
    after_attention="post_self_attn_layernorm",
    before_mlp="post_attention_layernorm",
    after_mlp="post_mlp_layernorm",
)
NORM_AFTER = replace(
    SANDWICH, title="norm after the sublayer", before_attention=None, before_mlp=None
)
PARALLEL_PRE_NORM = replace(PRE_NORM, title="parallel residual, two norms", parallel=True)
TWO_NORMS = replace(PARALLEL_PRE_NORM, attention="attention")
SHARED_NORM = replace(
    PARALLEL_PRE_NORM, title="parallel residual, one norm", before_mlp="input_layernorm"
)

EVERY = (
    PRE_NORM,
    PRE_NORM_VAULT,
    PRE_NORM_SPARSE,
    PRE_NORM_APERTUS,
    SANDWICH,
    SANDWICH_GLM,
    NORM_AFTER,
    SHARED_NORM,
    PARALLEL_PRE_NORM,
    NEOX,
    TWO_NORMS,
    GPT2,
    OPT,
)

CACHE_ARGUMENTS = ("past_key_values", "layer_past")

FAMILIES = {
    "cohere": SHARED_NORM,
    "gemma2": SANDWICH,
    "gemma3_text": SANDWICH,
    "gpt2": GPT2,
    "granite": PRE_NORM,
    "llama": PRE_NORM,
    "mistral": PRE_NORM,
    "mixtral": PRE_NORM,
    "olmo2": NORM_AFTER,
    "opt": OPT,
    "phi": SHARED_NORM,
    "phi3": PRE_NORM,
    "qwen2": PRE_NORM,
    "qwen3": PRE_NORM,
    "qwen3_moe": PRE_NORM,
    "smollm3": PRE_NORM,
}


@dataclass(frozen=True, slots=True)
class Layer:
    """The modules of one layer."""

    attention: Any
    cache_argument: str  # name of the cache among the arguments of its forward method
    mlp: tuple[Any, ...]
    before_attention: Any
    after_attention: Any
    before_mlp: Any
    after_mlp: Any
    parallel: bool
    window: int | None  # sliding window in positions
    kind: str | None  # selects the rotary table, if a model has several


@dataclass(frozen=True, slots=True)
class Stack:
    """The modules around the layers, and the constant factors of the family."""

    embed: Any
    positions: Any  # learned position embeddings, or None
    positions_take_mask: bool
    project_in: Any
    layers: Any
    norm: Any
    project_out: Any
    rotary: Any
    rotary_takes_kind: bool  # one rotary table for each kind of layer
    head: Any
    embedding_multiplier: float
    residual_multiplier: float
    logits_multiplier: float
    logits_divisor: float
    logits_cap: float | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A model's parts in the order in which they run."""

    title: str
    in_table: bool  # otherwise recognised by structure and checked with a probe
    stack: Stack
    layers: tuple[Layer, ...]


def parts_of(layout: Layout) -> Iterator[nn.Module]:
    """The modules that walks call."""
    owners: tuple[Any, ...] = (layout.stack, *layout.layers)
    for owner in owners:
        for name in owner.__dataclass_fields__:
            part = getattr(owner, name)
            for module in part if isinstance(part, tuple) else (part,):
                if isinstance(module, nn.Module) and module is not layout.stack.layers:
                    yield module


def taken_apart(model: Any, layout: Layout) -> Iterator[tuple[str, nn.Module]]:
    """The modules, with their names, whose parts walks call instead of the modules themselves."""
    called = {id(inner) for part in parts_of(layout) for inner in part.modules()}
    return ((name, part) for name, part in model.named_modules() if id(part) not in called)


def _family_names(config: Any) -> LayerNames | None:
    """The layer layout of a family in the table, or None."""
    if config.model_type == "gpt_neox":
        return TWO_NORMS if config.use_parallel_residual else NEOX
    return FAMILIES.get(config.model_type)


def candidates(model: Any) -> Iterator[Layout]:
    """Possible layouts of the model: that of the table, else all that cover every parameter."""
    config = model.config.get_text_config(decoder=True)
    stack = _stack(model, config)
    if stack is None:
        return
    # a wrapper around a text model may process its logits further, so it is probed
    known = _family_names(config) if config is model.config else None
    for names in EVERY if known is None else (known,):
        if all(_fits(layer, names) for layer in stack.layers):
            layers = tuple(_layer(layer, i, names, config) for i, layer in enumerate(stack.layers))
            yield Layout(names.title, known is not None, stack, layers)


def _stack(model: Any, config: Any) -> Stack | None:
    inner = model.base_model
    if inner is model:
        return None
    for name in ("decoder", "language_model"):
        inner = getattr(inner, name, inner)
    layers = _first(inner, "layers", "h")
    head = model.get_output_embeddings()
    if not isinstance(layers, nn.ModuleList) or head is None:
        return None
    positions = _first(inner, "wpe", "embed_positions")
    rotary = _first(inner, "rotary_emb")
    stack = Stack(
        embed=inner.get_input_embeddings(),
        positions=positions,
        positions_take_mask=_takes(positions, "attention_mask"),
        project_in=_first(inner, "project_in"),
        layers=layers,
        norm=_first(inner, "norm", "ln_f", "final_layer_norm", "final_layernorm"),
        project_out=_first(inner, "project_out"),
        rotary=rotary,
        rotary_takes_kind=_takes(rotary, "layer_type"),
        head=head,
        embedding_multiplier=float(getattr(config, "embedding_multiplier", 1.0)),
        residual_multiplier=float(getattr(config, "residual_multiplier", 1.0)),
        logits_multiplier=float(getattr(model, "logit_scale", 1.0)),
        logits_divisor=float(getattr(config, "logits_scaling", 1.0)),
        logits_cap=getattr(config, "final_logit_softcapping", None),
    )
    called = [getattr(stack, name) for name in Stack.__dataclass_fields__]
    return stack if _all_called(inner, called) else None


def _first(module: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(module, name, None))), None)


def _takes(module: Any, argument: str) -> bool:
    # hooks replace forward on the instance; the class keeps the original signature
    return module is not None and argument in inspect.signature(type(module).forward).parameters


def _all_called(module: nn.Module, called: list[Any]) -> bool:
    """Whether every parameter of the module belongs to a part that a walk calls."""
    if any(True for _ in module.parameters(recurse=False)):
        return False
    rest = [child for child in module.children() if not any(child is part for part in called)]
    return not any(True for child in rest for _ in child.parameters())


def _fits(layer: Any, names: LayerNames) -> bool:
    if any(getattr(layer, name, None) is None for name in names.used):
        return False
    if _cache_argument(getattr(layer, names.attention)) is None:
        return False
    return _all_called(layer, [getattr(layer, name) for name in names.used])


def _cache_argument(attention: Any) -> str | None:
    return next((name for name in CACHE_ARGUMENTS if _takes(attention, name)), None)


def _layer(layer: Any, index: int, names: LayerNames, config: Any) -> Layer:
    def part(name: str | None) -> Any:
        return None if name is None else getattr(layer, name)

    kinds = getattr(config, "layer_types", None)
    kind = None if kinds is None else kinds[index]
    return Layer(
        attention=part(names.attention),
        cache_argument=_cache_argument(part(names.attention)) or "past_key_values",
        mlp=tuple(part(name) for name in names.mlp),
        before_attention=part(names.before_attention),
        after_attention=part(names.after_attention),
        before_mlp=part(names.before_mlp),
        after_mlp=part(names.after_mlp),
        parallel=names.parallel,
        window=_window(part(names.attention), kind, config),
        kind=kind,
    )


def _window(attention: Any, kind: str | None, config: Any) -> int | None:
    window: int | None = getattr(config, "sliding_window", None)
    if kind is not None:
        return window if kind == "sliding_attention" else None
    return getattr(attention, "sliding_window", window)
