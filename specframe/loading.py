"""Models by name: the embedded one, planted ones, and everything the library can load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    if name in PLANTED:
        return Loaded(_planted(PLANTED[name]), None)
    with _without_weights_bar():
        if name == "testbed":
            from specframe import testbed

            return Loaded(*testbed.load())
        return _from_library(name, kwargs)


@contextmanager
def _without_weights_bar() -> Iterator[None]:
    """The library's bar over weights flashes by and tears other output; downloads keep theirs."""
    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    shown, downloads = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


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
