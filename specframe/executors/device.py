"""The device that was asked for, or why there is none."""

from __future__ import annotations

import torch

from specframe.errors import InvalidRequest

__all__ = ["require_device"]


def require_device(device: str) -> torch.device:
    """Refuse what is neither cpu nor cuda, or is not here, before anything is loaded."""
    if device not in ("cpu", "cuda"):
        raise InvalidRequest(f"The device must be cpu or cuda. Got {device!r} instead.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidRequest(
            f"The device 'cuda' was asked for, and torch {torch.__version__} finds none here. "
            f"Install a torch with CUDA, or use --device cpu."
        )
    return torch.device(device)
