"""A model ready to be measured: its executor, tokenizer, prices and facts in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from specframe.calibration.lab import ModelLab, Tell, ends_of, model_facts
from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.costs.measure import measured_profile
from specframe.costs.model import CostModel
from specframe.doors.loading import load
from specframe.executors.device import require_device
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.types import ModelShape

__all__ = ["Rig"]


@dataclass(frozen=True)
class Rig:
    """Everything that measuring and calibrating need of one model on this machine."""

    name: str
    model: Any
    tokenizer: Any  # None for planted models
    executor: Executor
    costs: CostModel
    ends: frozenset[int]  # tokens after which its answers end
    facts: Mapping[str, str]  # of the model, for fingerprints of calibrations

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | None = None,
        strict: bool = False,
        costs: CostModel | None = None,
        tell: Tell | None = None,
        **kwargs: Any,
    ) -> Self:
        """A model by name, folder or hub id; other arguments go to `from_pretrained`.

        Without `costs`, prices are those of the kept profile, or are measured now and kept.
        """
        loaded = load(name, **kwargs)
        if device is not None:
            loaded.model.to(require_device(device))
        return cls.of(
            loaded.model, loaded.tokenizer, name=name, strict=strict, costs=costs, tell=tell
        )

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any = None,
        *,
        name: str = "",
        strict: bool = False,
        costs: CostModel | None = None,
        tell: Tell | None = None,
    ) -> Self:
        """A model that is loaded already."""
        executor = load_executor(model, strict=strict)
        if costs is None:
            progress = None if tell is None else lambda done, of: tell("pricing", done, of)
            costs = measured_profile(model, executor, progress=progress).costs
        return cls(
            name or str(getattr(model.config, "_name_or_path", "")) or type(model).__name__,
            model,
            tokenizer,
            executor,
            costs,
            ends_of(model),
            model_facts(model, executor),
        )

    @property
    def shape(self) -> ModelShape:
        """The model's."""
        return self.executor.shape

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.executor.device

    def priced(self, costs: CostModel) -> Self:
        """The same model at other prices."""
        return replace(self, costs=costs)

    def lab(
        self,
        *,
        new_tokens: int = 64,
        sampled: bool = False,
        facts: Mapping[str, str] | None = None,
        tell: Tell | None = None,
        notes: Path | None = None,
    ) -> ModelLab:
        """What strategies calibrate with; `facts` are added to the model's own."""
        return ModelLab(
            self.executor,
            self.costs,
            new_tokens=new_tokens,
            ends=self.ends,
            sampled=sampled,
            facts={**self.facts, **(facts or {})},
            tell=tell,
            notes=notes,
        )

    def strategy(
        self, named: str, preset: str = "best", options: Mapping[str, str] | None = None
    ) -> LayerSelector:
        """A strategy for this model, by its registered name or a calibrated folder."""
        return strategy_from(named, self.shape, preset, options)
