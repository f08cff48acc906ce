"""A strategy that learns one skip set: small enough to see through, and kept as real ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

from specframe.contract import registry
from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.judged_set import JudgedSet
from specframe.contract.selector import LayerSelector, Traits
from specframe.storage.artefacts import load_artefact, save_artefact
from specframe.types import DraftPlan, ModelShape, Prompt, SkipSet, StopRule

KIND = f"{__name__}:LearnsOneSet"  # a name by which the registry finds the class


def register(monkeypatch):
    """What is not registered is not loaded from a folder."""
    known = registry._entries()
    entries = {**known, KIND: EntryPoint(KIND, KIND, registry.GROUP)}
    monkeypatch.setattr(registry, "_entries", lambda: entries)


@dataclass(frozen=True)
class Config:
    draft: int = 4
    seconds: float = 1.0


@dataclass(frozen=True)
class LearnsOneSet(LayerSelector):
    """Skips the sublayers that are accepted at least nine times in ten when skipped alone."""

    config: Config = Config()
    found: JudgedSet | None = None

    traits = Traits("learns one set", calibrated=True, prompts=4)
    presets: ClassVar = {"best": Config()}

    def calibrate(self, lab, prompts: Sequence[Prompt]) -> LearnsOneSet:
        nothing = SkipSet.none(lab.shape.layers)
        alone = [nothing.flip(i) for i in range(nothing.size)]
        shares = lab.acceptance(alone, prompts)
        good = [i for i, share in enumerate(shares) if share.value > 0.9]
        skips = SkipSet.from_sublayers(lab.shape.layers, good)
        (judged,) = lab.acceptance([skips], prompts)
        set_of = JudgedSet(
            skips, judged, self.config.draft, 1.5, 0.5, 1.0, 9, judged.value, len(alone), ("few",)
        )
        return replace(self, found=set_of)

    def skip_sets(self):
        return {} if self.found is None else {"mixed": self.found}

    def notes(self):
        return ("A set was learnt.",)

    def save(self, folder: str | Path) -> None:
        save_artefact(Path(folder), self, kind=KIND, fingerprint={})

    @classmethod
    def load(cls, folder: str | Path) -> LearnsOneSet:
        return load_artefact(Path(folder), cls, kind=KIND, fingerprint={}, remedy="Learn again.")

    def start(self, shape: ModelShape) -> ConstantPlanner:
        skips = SkipSet.none(shape.layers) if self.found is None else self.found.skips
        return ConstantPlanner(DraftPlan(skips, StopRule(self.config.draft)))
