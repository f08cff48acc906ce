"""The processor that computes here, by name."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch

__all__ = ["cpu_name", "processor_name"]


def processor_name(device: torch.device) -> str:
    """Of a device: a GPU's own name, or the CPU's with its number of logical cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    models = _listed()
    return f"{models[0]} x{len(models)}" if models else _platform_name()


def cpu_name() -> str:
    """Of the CPU alone."""
    models = _listed()
    return models[0] if models else _platform_name()


@cache
def _listed() -> tuple[str, ...]:
    """Linux' own name of each logical core; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    return tuple(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def _platform_name() -> str:
    return platform.processor() or platform.node()
