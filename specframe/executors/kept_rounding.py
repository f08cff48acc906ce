"""Weights rounded for a model's inputs, stored in the user's cache.

They are found by a weight's content: a weight that has changed since is rounded again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specframe.errors import ArtefactError
from specframe.executors.rounding import Rounded, Rounding, round_in_groups
from specframe.storage.user_cache import cache_folder, writing

__all__ = ["KeptRounding", "keep_rounding", "kept_rounding", "parameters_digest", "rounding_file"]

SAMPLED = 64  # values of each parameter by which models are distinguished
PARTS = ("codes", "scales", "zeros")


class KeptRounding:
    """The stored codes of a weight, or else its nearest codes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = _names(path)

    def __call__(self, weight: Tensor, bits: int) -> Rounded:
        """See `Rounding`."""
        name = f"{bits}.{_digest(weight)}"
        return (
            self._kept(name, bits, weight.device)
            if name in self._names
            else round_in_groups(weight, bits)
        )

    def _kept(self, name: str, bits: int, device: torch.device) -> Rounded:
        with _reading(self._path) as file:
            pairs, scales, zeros = (file.get_tensor(f"{name}.{part}").to(device) for part in PARTS)
        codes = torch.stack([pairs & 15, pairs >> 4], -1).flatten(1)
        return Rounded(codes, scales.float(), zeros.float(), bits)


def kept_rounding(model: Any) -> Rounding:
    """How this model's weights are rounded: with stored codes, else to the nearest."""
    path = rounding_file(model)
    return KeptRounding(path) if path.is_file() else round_in_groups


def rounding_file(model: Any) -> Path:
    """The file with the codes of a model with these weights."""
    return cache_folder() / "rounded" / f"{parameters_digest(model)}.safetensors"


def keep_rounding(model: Any, rounded: Sequence[tuple[Tensor, Rounded]]) -> Path:
    """Keep the 4-bit codes of weights; the file is replaced as a whole."""
    from safetensors.torch import save_file

    path, tensors = rounding_file(model), {}
    for weight, found in rounded:
        name = f"{found.bits}.{_digest(weight)}"
        kept = (found.codes[:, ::2] | found.codes[:, 1::2] << 4, found.scales, found.zeros)
        for part, values in zip(PARTS, kept, strict=True):
            values = values if part == "codes" else values.to(torch.bfloat16)
            tensors[f"{name}.{part}"] = values.contiguous().cpu()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def parameters_digest(model: Any) -> str:
    """A digest of the first values of every parameter, the same on all machines."""
    found = hashlib.sha256()
    for parameter in model.parameters():
        found.update(parameter.detach().flatten()[:SAMPLED].cpu().view(torch.uint8).numpy())
    return found.hexdigest()[:16]


def _digest(weight: Tensor) -> str:
    """Of evenly spaced values, the same in every number format that can hold them."""
    flat = weight.detach().reshape(-1)
    sample = flat[:: max(flat.numel() // SAMPLED, 1)].float().cpu()
    found = hashlib.sha256(str(tuple(weight.shape)).encode())
    found.update(sample.numpy().tobytes())
    return found.hexdigest()[:16]


def _names(path: Path) -> frozenset[str]:
    with _reading(path) as file:
        return frozenset(name.rpartition(".")[0] for name in file.keys())  # noqa: SIM118


def _reading(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise ArtefactError(
            f"{path} cannot be read: {error}. Delete it; `specframe round` will make it again."
        ) from error
