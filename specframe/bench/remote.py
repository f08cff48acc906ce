"""Contenders on cluster workers: each worker loads the model by its name; no weights are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specframe.bench.contenders import Contender, LibraryContender, StrategyContender
from specframe.bench.fingerprint import worker_facts
from specframe.bench.station import Station
from specframe.contract.selector import LayerSelector
from specframe.remote_rig import RigPlan, facts_that_count
from specframe.rig import Rig

__all__ = ["StationPlan"]


@dataclass(frozen=True, slots=True)
class StationPlan:
    """Builds a station on a worker, which loads its own copy of the model."""

    rig: RigPlan
    contenders: tuple[tuple[str, str, LayerSelector | Mapping[str, Any]], ...]
    new_tokens: int
    warm_up: tuple[int, ...]

    @classmethod
    def of(cls, station: Station, rig: RigPlan) -> StationPlan:
        """The plan of a station with the same contenders."""
        content = tuple((one.name, one.preset, _without_model(one)) for one in station.contenders)
        return cls(rig, content, station.new_tokens, station.warm_up)

    def __call__(self, worker: str) -> Station:
        """Load the model and price it, unless its prices on this machine are known."""
        rig = self.rig.loaded()
        made = [_rebuilt(rig, *contender) for contender in self.contenders]
        facts = worker_facts(rig.device, worker)
        return Station(made, self.new_tokens, self.warm_up, facts, facts_that_count(rig))


def _without_model(contender: Contender) -> LayerSelector | Mapping[str, Any]:
    """The contender without its model: a strategy, or arguments of `generate`."""
    if isinstance(contender, LibraryContender):
        return dict(contender.arguments)
    assert isinstance(contender, StrategyContender)
    return contender.speculator.strategy


def _rebuilt(
    rig: Rig, name: str, preset: str, content: LayerSelector | Mapping[str, Any]
) -> Contender:
    if isinstance(content, LayerSelector):
        return StrategyContender(name, preset, rig.speculator(content), rig.costs)
    return LibraryContender(name, rig.model, content, preset)
