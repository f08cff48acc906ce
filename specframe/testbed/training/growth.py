"""Growing depth: new layers between core layers start as copies whose output is zero."""

from typing import TYPE_CHECKING

import torch

from specframe.testbed.training.copying import implant_copying
from specframe.testbed.training.recipe import Recipe, llama_config

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


def new_model(recipe: Recipe) -> "LlamaForCausalLM":
    """The core model with random weights and the induction circuit."""
    model = _build(recipe, recipe.core_layers)
    implant_copying(recipe, model)
    return model


def empty_model(recipe: Recipe, grown: bool) -> "LlamaForCausalLM":
    """A model of the right shape, to load weights into."""
    return _build(recipe, recipe.layers if grown else recipe.core_layers)


@torch.no_grad()
def grow(recipe: Recipe, core: "LlamaForCausalLM") -> "LlamaForCausalLM":
    """The model at full depth; it computes the same function as the core it came from."""
    grown = _build(recipe, recipe.layers)
    old, new = core.state_dict(), {}
    for name in grown.state_dict():
        source, copied = _source(recipe, name)
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        new[name] = torch.zeros_like(old[source]) if copied and writes else old[source].clone()
    grown.load_state_dict(new)
    return grown


def grown_name(recipe: Recipe, name: str) -> str:
    """The name of a core model's parameter after growth."""
    if not name.startswith("model.layers."):
        return name
    head, layer, rest = _split(name)
    return f"{head}.{recipe.core_places[layer]}.{rest}"


def _source(recipe: Recipe, name: str) -> tuple[str, bool]:
    if not name.startswith("model.layers."):
        return name, False
    head, layer, rest = _split(name)
    below = max(number for number, place in enumerate(recipe.core_places) if place <= layer)
    return f"{head}.{below}.{rest}", recipe.core_places[below] != layer


def _split(name: str) -> tuple[str, int, str]:
    _, _, layer, rest = name.split(".", 3)
    return "model.layers", int(layer), rest


def _build(recipe: Recipe, layers: int) -> "LlamaForCausalLM":
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return LlamaForCausalLM(llama_config(recipe, layers)).float()
