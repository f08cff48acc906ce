"""Loads models by name: built-in and fetched ones, and all that transformers can load."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from specframe.errors import InvalidRequest
from specframe.fetching.bars import without_weights_bar
from specframe.fetching.catalogue import CATALOGUE
from specframe.types import ModelShape

__all__ = [
    "MADE_HERE",
    "PLANTED",
    "Loaded",
    "load",
    "load_model",
    "loading",
    "located",
    "require_name",
]

# shapes of models with planted acceptance: random weights, so only speeds are meaningful
PLANTED = {
    "planted-19M": ModelShape(24, 256, 4096, 8, 2, 32, 704, 2048),
    "planted-1.1B": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 2048),
    "planted-1.1B-32k": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 33024),
}
MADE_HERE = ("testbed", "testbed-core", *PLANTED)
# arguments that say where files come from: they hold for model and tokenizer
SOURCE = ("revision", "token", "cache_dir", "local_files_only", "trust_remote_code")


class Loaded(NamedTuple):
    """A model and its tokenizer; planted models have none."""

    model: Any
    tokenizer: Any


def load(name: str | Path, **kwargs: Any) -> Loaded:
    """`testbed`, its core, a name in `PLANTED`, a fetched model, a folder, a GGUF file or a hub id.

    Further arguments go to `from_pretrained` of transformers; weights keep the dtype they have.
    """
    name = str(name)
    if name not in MADE_HERE:
        place = located(name)
        loaded = Loaded(load_model(place, **kwargs), _tokenizer(place, kwargs))
        if place != name:
            loaded.model.config.name_or_path = name  # not the folder in the cache
        return loaded
    dtype = kwargs.pop("dtype", "auto")
    if kwargs:
        raise InvalidRequest(
            f"{name!r} is made here and takes no arguments. Got {', '.join(sorted(kwargs))}; leave "
            f"them out, or name a folder or a hub id."
        )
    from specframe.executors.device import require_dtype

    model, tokenizer = _made(name)
    dtype = require_dtype(dtype) if isinstance(dtype, str) else dtype
    return Loaded(model if dtype is None else model.to(dtype), tokenizer)


def _made(name: str) -> Loaded:
    if name in PLANTED:
        return Loaded(_planted(PLANTED[name]), None)
    from specframe import testbed

    with without_weights_bar():
        return Loaded(*(testbed.load() if name == "testbed" else testbed.load_core()))


def require_name(name: str) -> None:
    """Refuse a misspelt name of a known model, before it is looked up on the hub."""
    if name in (*MADE_HERE, *CATALOGUE) or exists(name):
        return
    if near := difflib.get_close_matches(name, (*MADE_HERE, *CATALOGUE), n=1, cutoff=0.8):
        raise InvalidRequest(f"No model {name!r} is known here. Did you mean {near[0]!r}?")


def exists(name: str) -> bool:
    """Whether there is a file or a folder of this name."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def located(name: str) -> str:
    """The folder of a fetched model or of a converted GGUF file; any other name unchanged.

    A GGUF file is converted on first use.
    """
    require_name(name)
    from specframe.fetching.kept import fetched, folder_of_file

    if name in CATALOGUE:
        return str(fetched(name))
    if name.lower().endswith(".gguf"):
        return str(folder_of_file(Path(name)))
    return name


def load_model(name: str, **kwargs: Any) -> Any:
    """A transformers model by folder or hub id, without its tokenizer."""
    from transformers import AutoModelForCausalLM

    given = {"dtype": "auto", **kwargs, "output_loading_info": True}
    with without_weights_bar(), loading(name):
        model, about = AutoModelForCausalLM.from_pretrained(name, **given)
    missing = sorted(about["missing_keys"])  # transformers draws these at random
    if missing:
        raise InvalidRequest(
            f"The files of {name!r} lack {len(missing)} of the model's weights, {missing[0]!r} "
            f"first. Complete them, or correct config.json."
        )
    return model.eval()


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Raise any error of loading a model as `InvalidRequest`."""
    try:
        yield
    except Exception as error:  # reading damaged files may raise anything
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise InvalidRequest(
            f"No model {name!r} can be loaded: {reason}. Name testbed, "
            f"{', '.join((*CATALOGUE, *PLANTED))}, a folder with a model, a .gguf file, or a hub "
            f"id."
        ) from error


def _tokenizer(name: str, kwargs: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    source = {key: kwargs[key] for key in SOURCE if key in kwargs}
    with loading(name):
        return AutoTokenizer.from_pretrained(name, **source)


def _planted(shape: ModelShape) -> Any:
    import torch

    from specframe.testing.planted import falling_noise, planted_llama

    return planted_llama(shape, falling_noise(shape.layers), dtype=torch.bfloat16)
