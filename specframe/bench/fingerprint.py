"""The machine and the versions with which a figure was measured."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from specframe.executors.machine import cpu_name

__all__ = ["fingerprint", "worker_facts"]


def fingerprint(device: torch.device) -> dict[str, Any]:
    """Machine, threads and versions."""
    found: dict[str, Any] = {
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in ("specframe", "torch", "transformers"):
        found[package] = version(package)
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def worker_facts(device: torch.device, name: str = "") -> dict[str, Any]:
    """What a row says about its worker; without a name, `id` is a digest of these facts."""
    found = fingerprint(device)
    kept = {key: found.get(key) for key in ("processor", "threads", "device", "gpu")}
    digest = hashlib.sha256(repr(kept).encode()).hexdigest()[:8]
    return {"id": name or digest, **kept}
