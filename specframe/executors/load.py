"""Chooses the executor for a model."""

from __future__ import annotations

from typing import Any

from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.executors.executor import Executor
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.fusible import reason_not_fusible
from specframe.executors.graphs.executor import GraphedExecutor
from specframe.executors.graphs.recorder import CudaRecorder
from specframe.executors.graphs.small import compiled_operations
from specframe.executors.modules.executor import ModuleExecutor
from specframe.executors.support import refusal_of_model

__all__ = ["load_executor"]


def load_executor(model: Any, *, strict: bool = False) -> Executor:
    """The fastest executor that runs this model losslessly."""
    refusal = refusal_of_model(model)
    if refusal is not None:
        raise UnsupportedModel(f"No executor runs this model: {refusal}")
    reason = reason_not_fusible(model)
    if reason is None:
        device = model.lm_head.weight.device
        if device.type == "cuda":
            small = compiled_operations(device)
            return GraphedExecutor(model, CudaRecorder(device), strict, small)
        return FusedExecutor(model, strict=strict)
    if strict:
        raise InvalidRequest(
            f"strict=True pads the products of the fused executor, which cannot run this model: "
            f"{reason}. Leave strict out; the exactness statement then says what is promised."
        )
    return ModuleExecutor(model)
