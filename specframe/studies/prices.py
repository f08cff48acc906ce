"""Prices that are the same on every machine: a profile that was measured once and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from specframe.artefacts import load_artefact
from specframe.cost_tables import Table
from specframe.costs import CostModel
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.store import KIND

__all__ = ["KEPT", "kept_prices", "spread_over"]

KEPT = Path(__file__).parent / "profiles" / "planted-1.1B"
REMEDY = "Name a folder that `specframe profile --out` wrote."


def kept_prices(folder: str = "") -> CostModel:
    """Of the profile in this folder; of the 1.1B shape that comes with the package if empty."""
    path = Path(folder) if folder else KEPT
    profile = load_artefact(path, LatencyProfile, kind=KIND, fingerprint={}, remedy=REMEDY)
    return profile.costs


def spread_over(costs: CostModel, layers: int) -> CostModel:
    """The same model with another number of equal layers, which together cost what they did."""
    factor = costs.layers / layers
    name = costs.facts.get("shape", "a model")
    return replace(
        costs,
        kinds=(0,) * layers,
        attention=(_times(costs.attention[0], factor),),
        mlp=(_times(costs.mlp[0], factor),),
        simulated=f"the seconds of {costs.layers} layers spread over {layers} ({name})",
    )


def _times(table: Table, factor: float) -> Table:
    lines = tuple(tuple(seconds * factor for seconds in line) for line in table.seconds)
    return replace(table, seconds=lines)
