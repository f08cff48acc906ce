"""Calibrate a strategy and keep it in a folder, with the prompts that it was calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from specframe.calibration.lab import ModelLab
from specframe.contract.lab import Lab
from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidRequest, shown
from specframe.rig import Rig
from specframe.storage.artefacts import MANIFEST, read_manifest
from specframe.storage.user_cache import read_json, write_json
from specframe.storage.whole_folder import filling
from specframe.types import ModelShape, Prompt

__all__ = [
    "CALIBRATED_ON",
    "NOTES",
    "Calibration",
    "calibrate_and_keep",
    "kept_calibration",
    "refuse_overlap",
    "require_own_folder",
    "resumable_lab",
]

CALIBRATED_ON = "calibrated_on.json"  # digests of the prompts
FACTS = "facts.json"  # seconds of the calibration
NOTES = "measurements.jsonl"  # of an unfinished calibration


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated strategy, its prompts and the time it took."""

    strategy: LayerSelector
    digests: tuple[str, ...]  # of the prompts
    seconds: float | None  # None if unknown


def resumable_lab(
    rig: Rig,
    prompts: Sequence[Prompt],
    folder: Path,
    *,
    new_tokens: int = 64,
    sampled: bool = False,
    make: Callable[..., ModelLab] = ModelLab,
) -> ModelLab:
    """A lab, built by `make`, that keeps its measurements in the folder.

    A calibration on the same prompts that was interrupted is resumed there without measuring twice.
    """
    every = " ".join(prompt.digest for prompt in prompts)
    return rig.lab(
        new_tokens=new_tokens,
        sampled=sampled,
        facts={"prompts": hashlib.sha256(every.encode()).hexdigest()[:16]},
        notes=folder / NOTES,
        make=make,
    )


def calibrate_and_keep(
    strategy: LayerSelector, lab: Lab, prompts: Sequence[Prompt], folder: Path
) -> Calibration:
    """Calibrate, and write the strategy and its prompts' digests to the folder.

    A folder that has a manifest is complete. The measurements of a `resumable_lab` are deleted.
    """
    began = perf_counter()
    calibrated = strategy.calibrate(lab, prompts)
    digests = tuple(prompt.digest for prompt in prompts)
    found = Calibration(calibrated, digests, perf_counter() - began)
    with filling(folder, MANIFEST) as new:
        write_json(new / CALIBRATED_ON, list(found.digests))
        write_json(new / FACTS, {"seconds": found.seconds})
        calibrated.save(new)
    (folder / NOTES).unlink(missing_ok=True)
    return found


def require_own_folder(folder: Path, name: str) -> None:
    """Refuse to write a strategy of this name over something else that was saved in the folder."""
    if not (folder / MANIFEST).exists():
        return
    kind = read_manifest(folder, "Name another folder.").get("kind")
    if kind != name:
        raise InvalidRequest(
            f"{str(folder)!r} holds something else, {shown(kind)}, which a calibration of {name} "
            f"would replace. Name another folder."
        )


def kept_calibration(
    folder: Path,
    shape: ModelShape,
    options: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Calibration | None:
    """The calibration in the folder, with drafting options; None if there is no finished one."""
    if not (folder / MANIFEST).exists():
        return None
    about: Mapping[str, Any] = read_json(folder / FACTS) or {}
    digests = tuple(read_json(folder / CALIBRATED_ON) or ())
    strategy = strategy_from(str(folder), shape, options=options, facts=facts)
    return Calibration(strategy, digests, about.get("seconds"))


def refuse_overlap(asked: Iterable[Prompt], calibrated: Iterable[str]) -> None:
    """Refuse benchmark prompts whose digests are among those calibrated on."""
    seen = set(calibrated)
    both = [prompt.name for prompt in asked if prompt.digest in seen]
    if both:
        raise InvalidRequest(
            f"{len(both)} benchmark prompts were calibrated on, {both[0]!r} first. "
            f"Calibrate on other prompts."
        )
