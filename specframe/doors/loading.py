"""Models by name: the testbed's, planted ones, and everything that transformers can load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from specframe.errors import InvalidRequest
from specframe.types import ModelShape

__all__ = ["PLANTED", "Loaded", "load", "load_model", "loading"]

# shapes of models with planted acceptance: speeds are real, the text is not
PLANTED = {
    "planted-19M": ModelShape(24, 256, 4096, 8, 2, 32, 704, 2048),
    "planted-1.1B": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 2048),
    "planted-1.1B-32k": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 33024),
}
# what says where files come from, and so holds for the tokenizer as for the model
SOURCE = ("revision", "token", "cache_dir", "local_files_only", "trust_remote_code")


class Loaded(NamedTuple):
    """A model and its tokenizer; planted models have none."""

    model: Any
    tokenizer: Any


def load(name: str, **kwargs: Any) -> Loaded:
    """`testbed`, a name in `PLANTED`, a folder or a hub id.

    Further arguments go to `from_pretrained` of transformers; weights keep the dtype they have.
    """
    if name != "testbed" and name not in PLANTED:
        return Loaded(load_model(name, **kwargs), _tokenizer(name, kwargs))
    if kwargs:
        raise InvalidRequest(
            f"{name!r} is made here and takes no arguments. Got {', '.join(sorted(kwargs))}; leave "
            f"them out, or name a folder or a hub id."
        )
    if name in PLANTED:
        return Loaded(_planted(PLANTED[name]), None)
    from specframe import testbed

    with _without_weights_bar():
        return Loaded(*testbed.load())


def load_model(name: str, **kwargs: Any) -> Any:
    """A transformers model by folder or hub id, without its tokenizer."""
    from transformers import AutoModelForCausalLM

    with _without_weights_bar(), loading(name):
        model = AutoModelForCausalLM.from_pretrained(name, **{"dtype": "auto", **kwargs})
    return model.eval()


@contextmanager
def loading(name: str) -> Iterator[None]:
    """An error of transformers about a model that cannot be loaded, as one of ours."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidRequest(
            f"No model {name!r} can be loaded: {reason}. Name testbed, {', '.join(PLANTED)}, a "
            f"folder with a model, or a hub id."
        ) from error


def _tokenizer(name: str, kwargs: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    source = {key: kwargs[key] for key in SOURCE if key in kwargs}
    with loading(name):
        return AutoTokenizer.from_pretrained(name, **source)


@contextmanager
def _without_weights_bar() -> Iterator[None]:
    """Without the progress bar over weights, which breaks other output; downloads keep theirs."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
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
