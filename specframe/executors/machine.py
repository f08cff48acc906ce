"""The processor that computes here, by name."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import torch

__all__ = ["arithmetic_settings", "cpu_name", "processor_name"]

# variables by which torch's mathematical libraries choose their kernels
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)


def processor_name(device: torch.device) -> str:
    """A GPU's own name, or the CPU's name with its number of logical cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    models = _listed()
    return f"{models[0]} x{len(models)}" if models else _platform_name()


def arithmetic_settings() -> tuple[object, ...]:
    """The version of torch and all of its settings that may change the bits of a result."""
    products, attention = torch.backends.cuda.matmul, torch.backends.cuda
    return (
        torch.__version__,
        torch.version.cuda,
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
        torch.backends.mkldnn.enabled,
        torch.backends.mkldnn.deterministic,
        torch.backends.cudnn.allow_tf32,
        products.allow_tf32,
        products.allow_bf16_reduced_precision_reduction,
        products.allow_fp16_reduced_precision_reduction,
        attention.flash_sdp_enabled(),
        attention.mem_efficient_sdp_enabled(),
        attention.math_sdp_enabled(),
        attention.cudnn_sdp_enabled(),
        attention.fp16_bf16_reduction_math_sdp_allowed(),
        platform.machine(),
        torch.backends.cpu.get_cpu_capability(),
        tuple(os.environ.get(name) for name in VARIABLES),
    )


def cpu_name() -> str:
    """The CPU's name."""
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
