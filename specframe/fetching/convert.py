"""Converts a GGUF file to a folder that transformers loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.fetching.bars import without_weights_bar
from specframe.fetching.gguf_file import GgufFacts, read_facts
from specframe.storage.user_cache import writing
from specframe.storage.whole_folder import scratch

__all__ = ["convert"]

# llama.cpp's names of a rule that transformers does not know: each digit is separate, the rest as
# in GPT-2; with GPT-2's rule, two spaces before a digit give other tokens than in training
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r")


def convert(path: Path, folder: Path) -> GgufFacts:
    """Dequantise the file's weights and write them with the tokenizer to `folder`."""
    facts = read_facts(path)
    with scratch(folder / ".source") as place, without_weights_bar(), _refusals(path, facts):
        alone = place / "model.gguf"  # alone: transformers would read files next to it
        alone.symlink_to(path.resolve())
        tokenizer = _tokenizer(place, alone, facts)
        model = _model(place, alone, facts)
    tokenizer.model_max_length = getattr(
        model.config, "max_position_embeddings", tokenizer.model_max_length
    )
    with writing(folder), without_weights_bar():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):  # they are written with other permissions
            shutil.copymode(folder / "config.json", weights)
    return facts


def _model(place: Path, file: Path, facts: GgufFacts) -> Any:
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        str(place),
        gguf_file=str(file),
        dtype=facts.dtype,
        quantization_config=GgufConfig(
            dequantize=True
        ),  # otherwise weights stay quantised on some machines
    )
    model.hf_quantizer = None  # from here on it is an ordinary model
    for trace in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, trace):
            delattr(model.config, trace)
    return model


def _tokenizer(place: Path, file: Path, facts: GgufFacts) -> Any:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(place), gguf_file=str(file))
    if facts.split in DIGITS_APART:
        digits = pre_tokenizers.Digits(individual_digits=True)
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    return tokenizer


@contextmanager
def _refusals(path: Path, facts: GgufFacts) -> Iterator[None]:
    """Raise errors of transformers about the file as typed errors."""
    try:
        yield
    except Exception as error:  # readers may raise anything for damaged files
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "not supported" in reason:
            raise UnsupportedModel(
                f"transformers cannot read {path}, whose architecture is {facts.architecture!r}: "
                f"{reason}. Name a folder or a hub id with the model's safetensors."
            ) from error
        raise InvalidRequest(
            f"transformers cannot load {path} ({facts.architecture!r}): {reason}. Name another "
            f"file, or a folder or a hub id with the model's safetensors."
        ) from error
