"""The machine and its software."""

from __future__ import annotations

import sys
from typing import Any

import torch


def environment(device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0]}
    import transformers

    found["transformers"] = transformers.__version__
    found["specframe"] = _version()
    if device.type != "cuda":
        return {**found, "device": "cpu", "copy_gb_s": None}
    properties = torch.cuda.get_device_properties(device)
    source = torch.empty(1 << 30, dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    target.copy_(source)
    start.record()
    for _ in range(5):
        target.copy_(source)
    end.record()
    torch.cuda.synchronize()
    size = 5 * 2 * source.numel() * 4
    return {
        **found,
        "device": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": properties.total_memory / 2**30,
        "cuda": torch.version.cuda,
        "cublas_cudnn": [torch.backends.cudnn.version()],
        "copy_gb_s": size / start.elapsed_time(end) / 1e6,
    }


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("specframe")
    except PackageNotFoundError:
        return "from a checkout"
