"""Models by name: the embedded one, planted ones, and everything the library can load."""

from __future__ import annotations

from typing import Any, NamedTuple

from specframe.errors import InvalidRequest
from specframe.types import ModelShape

__all__ = ["PLANTED", "Loaded", "load"]

# shapes of models with planted acceptance: speeds are real, the text is not
PLANTED = {
    "planted-19M": ModelShape(24, 256, 4096, 8, 2, 32, 704, 2048),
    "planted-1.1B": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 2048),
    "planted-1.1B-32k": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 33024),
}


class Loaded(NamedTuple):
    """A model and its tokenizer; planted models have none."""

    model: Any
    tokenizer: Any


def load(name: str, **kwargs: Any) -> Loaded:
    """`testbed`, `planted-19M`, `planted-1.1B`, a folder or a hub id.

    Further arguments go to the library's `from_pretrained`; weights keep the dtype they have.
    """
    if name == "testbed":
        from specframe import testbed

        return Loaded(*testbed.load())
    if name in PLANTED:
        return Loaded(_planted(PLANTED[name]), None)
    return _from_library(name, kwargs)


def _planted(shape: ModelShape) -> Any:
    import torch

    from specframe.testing.planted import falling_noise, planted_llama

    return planted_llama(shape, falling_noise(shape.layers), dtype=torch.bfloat16)


def _from_library(name: str, kwargs: dict[str, Any]) -> Loaded:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(name, **{"dtype": "auto", **kwargs})
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidRequest(
            f"No model {name!r} can be loaded: {reason} Name testbed, {', '.join(PLANTED)}, a "
            f"folder with a model, or a hub id."
        ) from error
    return Loaded(model.eval(), tokenizer)
