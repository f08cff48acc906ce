"""Checks the requested device."""

from __future__ import annotations

import torch

from specframe.errors import InvalidRequest

__all__ = ["require_device"]


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
