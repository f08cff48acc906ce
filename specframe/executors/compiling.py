"""Small functions as one kernel each, where Triton can compile for the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch

__all__ = ["compiled", "compiles"]


@cache
def compiles(device: torch.device) -> bool:
    """Whether functions can be compiled for this device; tried once."""
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    try:
        torch.compile(_double, dynamic=False)(torch.zeros(16, device=device))
    except Exception as error:  # noqa: BLE001 - a compiler fails in many ways
        warnings.warn(f"Triton cannot compile here, so walks are slower: {error}", stacklevel=2)
        return False
    return True


def compiled(
    function: Callable[..., Any], device: torch.device, *, any_shape: bool = False
) -> Callable[..., Any]:
    """The function, compiled if possible: once for each shape, or once for any shape."""
    if not compiles(device):
        return function
    made: Callable[..., Any] = torch.compile(function, dynamic=any_shape)
    return made


def _double(value: torch.Tensor) -> torch.Tensor:
    return value + value
