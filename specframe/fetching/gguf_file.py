"""Metadata of a GGUF file: architecture, tensor types, and how text is split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest

__all__ = ["GgufFacts", "read_facts", "require_extra"]

EXTRA = ("gguf", "accelerate")  # transformers needs both to read such a file
PLAIN = ("F32", "F16", "BF16")  # tensor types that are not quantised


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """Metadata that the conversion and the model card use."""

    architecture: str
    name: str | None
    kinds: Mapping[str, int]  # tensor type -> number of tensors
    split: str | None  # llama.cpp's name for how the tokenizer splits text

    @property
    def quantised(self) -> str:
        """The quantised tensor types, most frequent first."""
        found = [kind for kind, _ in Counter(self.kinds).most_common() if kind not in PLAIN]
        return ", ".join(f"{kind}{_bits(kind)}" for kind in found)

    @property
    def dtype(self) -> str:
        """The dtype after conversion: bfloat16 for quantised weights, otherwise unchanged."""
        if self.quantised or "BF16" in self.kinds:
            return "bfloat16"
        return "float16" if "F16" in self.kinds else "float32"

    @property
    def described(self) -> str:
        """The tensor types with their numbers, most frequent first."""
        return ", ".join(f"{number} {kind}" for kind, number in Counter(self.kinds).most_common())


def require_extra(what: str) -> None:
    """Raise if the packages that read GGUF files are not installed."""
    missing = [package for package in EXTRA if find_spec(package) is None]
    if missing:
        raise InvalidRequest(
            f"{what} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            f"not installed. Install with `pip install 'specframe[gguf]'`."
        )


def read_facts(path: Path) -> GgufFacts:
    """Read the file's metadata; its weights are not read."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        architecture = _text(reader, "general.architecture")
        kinds = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    except Exception as error:  # of the file system, numpy, struct or the reader
        raise InvalidRequest(
            f"{path} cannot be read as a GGUF file: {_first_line(error)}. Download it again, or "
            f"name another file."
        ) from error
    if architecture is None or not kinds:
        raise InvalidRequest(
            f"{path} holds no model: it has no architecture or no tensors. Name another file."
        )
    name, split = _text(reader, "general.name"), _text(reader, "tokenizer.ggml.pre")
    return GgufFacts(architecture, name, dict(kinds), split)


def _bits(kind: str) -> str:
    """Bits per value, from names such as `Q4_1` or `IQ2_XS`."""
    found = re.match(r"[A-Z]*(\d+)_", kind)
    return f": {found[1]} bits" if found else ""


def _text(reader: Any, key: str) -> str | None:
    field = reader.get_field(key)
    return None if field is None else str(field.contents())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
