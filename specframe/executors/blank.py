"""Creates models of any size quickly, without initialising their weights."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["blank_model"]


def blank_model(kind: type, config: Any, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A Llama-like model of transformers with allocated but uninitialised weights."""
    with torch.device("meta"):
        model = kind(config)
    model = model.to(dtype).to_empty(device=device).eval()
    model.tie_weights()
    # buffers are uninitialised too, and those of the rotary table are not weights: compute them
    rotary = model.model.rotary_emb
    for name, buffer in type(rotary)(config=model.config).named_buffers():
        setattr(rotary, name, buffer.to(device))
    return model
