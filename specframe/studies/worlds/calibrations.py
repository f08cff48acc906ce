"""Calibrations that a study's run keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.storage.artefacts import MANIFEST
from specframe.types import ModelShape

__all__ = ["UNHURRIED", "kept_or"]

UNHURRIED = 1e9  # seconds: searches end by their evaluations, so that all machines agree


def kept_or(kept: Path, shape: ModelShape, calibrate: Callable[[], LayerSelector]) -> LayerSelector:
    """What the folder keeps, else what calibrating gives, which it keeps from then on."""
    if not (kept / MANIFEST).exists():
        calibrate().save(kept)
    return strategy_from(str(kept), shape)
