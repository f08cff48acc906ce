"""Calibrations that are stored in a study's run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from specframe.calibration.run import calibrate_and_keep, kept_calibration
from specframe.contract.lab import Lab
from specframe.contract.selector import LayerSelector
from specframe.storage.whole_folder import one_at_a_time
from specframe.types import Prompt

__all__ = ["UNHURRIED", "kept_or_calibrated"]

UNHURRIED = 1e9  # seconds: searches end after their evaluations, so all machines agree


def kept_or_calibrated(
    strategy: LayerSelector,
    lab: Lab,
    prompts: Sequence[Prompt],
    folder: Path,
    tell: Callable[[], None],
) -> LayerSelector:
    """The calibration in the folder, or a new one, which is stored there; `tell` is called before.

    Studies that run at the same time wait for the one that calibrates.
    """
    with one_at_a_time(folder):
        found = kept_calibration(folder, lab.shape)
        if found is None:
            tell()
            found = calibrate_and_keep(strategy, lab, prompts, folder)
    return found.strategy
