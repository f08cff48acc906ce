"""Models whose weights are yet to be written, made at once in any size."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["blank_model"]


def blank_model(kind: type, config: Any, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A Llama-like model of the library; its memory is set aside and holds nothing yet."""
    with torch.device("meta"):
        model = kind(config)
    model = model.to(dtype).to_empty(device=device).eval()
    model.tie_weights()
    # buffers are set aside, too, and those of the rotary table are no weights
    rotary = model.model.rotary_emb
    for name, buffer in type(rotary)(config=model.config).named_buffers():
        setattr(rotary, name, buffer.to(device))
    return model
