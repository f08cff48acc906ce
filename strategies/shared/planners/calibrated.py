"""A strategy that drafts with what calibration found, saves it, and refuses to start without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from specframe.contract.selector import LayerSelector
from specframe.errors import CalibrationMismatch, InvalidRequest
from specframe.storage.artefacts import load_artefact, save_artefact
from specframe.types import ModelShape

__all__ = ["CalibratedStrategy"]


@dataclass(frozen=True)
class CalibratedStrategy(LayerSelector):
    """A configuration and what calibration found, with its model's `shape` and `facts`."""

    config: Any
    found: Any = None

    name: ClassVar[str]  # as registered

    @classmethod
    def remedy(cls) -> str:
        """What to do where there is no fitting calibration."""
        return f"Run `specframe calibrate {cls.name}` for this model."

    def required(self, shape: ModelShape) -> Any:
        """What was found; refused where there is nothing, or for a model of another shape."""
        if self.found is None:
            raise InvalidRequest(f"{self.name} is not calibrated yet. {self.remedy()}")
        made_for = self.found.shape  # None: not made for any one model
        if made_for is not None and made_for != shape:
            raise CalibrationMismatch(
                f"This strategy was calibrated for {_facts(made_for)}; the model has "
                f"{_facts(shape)}. {self.remedy()}"
            )
        return self.found

    def made_for(self, shape: ModelShape, facts: Mapping[str, str]) -> Self:
        """The same for this model alone: it is refused for another, as a calibration of it is."""
        return replace(self, found=replace(self.found, shape=shape, facts=dict(facts)))

    def save(self, folder: str | Path) -> None:
        """Write configuration and what was found."""
        if self.found is None:
            raise InvalidRequest(f"{self.name} has nothing to save yet. {self.remedy()}")
        save_artefact(Path(folder), self, kind=self.name, fingerprint=self.found.facts)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote."""
        return load_artefact(Path(folder), cls, kind=cls.name, fingerprint={}, remedy=cls.remedy())


def _facts(shape: ModelShape) -> str:
    return f"{shape.layers} layers x {shape.hidden}, vocabulary {shape.vocabulary}"
