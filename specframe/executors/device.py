"""Checks the requested device, number of threads and dtype."""

from __future__ import annotations

import os

import torch

from specframe.errors import InvalidRequest

__all__ = ["DTYPES", "compute_with", "require_device", "require_dtype"]

DTYPES = {name: getattr(torch, name) for name in ("bfloat16", "float16", "float32")}


def require_device(device: str) -> torch.device:
    """Raise before anything is loaded if the device is not cpu or cuda, or not available."""
    if device not in ("cpu", "cuda"):
        raise InvalidRequest(f"The device must be cpu or cuda. Got {device!r} instead.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidRequest(
            f"The device 'cuda' was requested, but torch {torch.__version__} finds none here. "
            f"Install a torch with CUDA, or use --device cpu."
        )
    return torch.device(device)


def require_dtype(name: str) -> torch.dtype | None:
    """The dtype of this name; None for auto, which keeps the dtype that the weights have."""
    if name != "auto" and name not in DTYPES:
        raise InvalidRequest(
            f"The dtype must be auto, {' or '.join(DTYPES)}. Got {name!r} instead."
        )
    return DTYPES.get(name)


def compute_with(threads: int | None) -> None:
    """Set the number of threads that torch uses; None leaves it as it is."""
    most = os.cpu_count() or 1
    if threads is None:
        return
    if not 1 <= threads <= most:
        raise InvalidRequest(
            f"The number of threads must be between 1 and {most}, the processors of this machine. "
            f"Got {threads} instead."
        )
    torch.set_num_threads(threads)
