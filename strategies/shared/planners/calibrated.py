"""A strategy that plays what calibration found: keeping it, and refusing where it is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidRequest
from specframe.storage.artefacts import load_artefact, save_artefact
from specframe.strategies.shared.searching.offline import require_shape
from specframe.types import ModelShape

__all__ = ["CalibratedStrategy"]


@dataclass
class CalibratedStrategy(LayerSelector):
    """What was found lies beside the configuration, with its model's `shape` and `facts`."""

    config: Any
    found: Any = None

    name: ClassVar[str]  # as registered
    record: ClassVar[type]  # what an artefact holds: `config` and `found`

    @classmethod
    def remedy(cls) -> str:
        """What to do where there is no fitting calibration."""
        return f"Run `specframe calibrate {cls.name}` for this model."

    def required(self, shape: ModelShape) -> Any:
        """What was found; refused where there is nothing, or for a model of another shape."""
        if self.found is None:
            raise InvalidRequest(f"{self.name} is not calibrated yet. {self.remedy()}")
        require_shape(self.found.shape, shape, self.remedy())
        return self.found

    def spawn(self) -> Self:
        """The same configuration and calibration, nothing learnt."""
        return replace(self)

    def save(self, folder: Path) -> None:
        """Write configuration and what was found."""
        if self.found is None:
            raise InvalidRequest(f"{self.name} has nothing to save yet. {self.remedy()}")
        record = self.record(self.config, self.found)
        save_artefact(folder, record, kind=self.name, fingerprint=self.found.facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        remedy = cls.remedy()
        kept: Any = load_artefact(folder, cls.record, kind=cls.name, fingerprint={}, remedy=remedy)
        return cls(kept.config, kept.found)
