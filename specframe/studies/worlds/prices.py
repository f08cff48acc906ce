"""Prices that are the same on every machine: profiles that were measured once and stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.store import KIND
from specframe.storage.artefacts import load_artefact

__all__ = ["SHIPPED", "kept_prices", "spread_over"]

PROFILES = Path(__file__).parents[1] / "profiles"
USUAL = "planted-1.1B"
SHIPPED = (USUAL, "llama-3.1-8B", "qwen3-32B", "llama-3.1-70B")  # come with the package
REMEDY = (
    f"Name a folder that `specframe profile --out` wrote, or a profile of the package: "
    f"{', '.join(SHIPPED)}."
)


def kept_prices(profile: str = "") -> CostModel:
    """The prices of a profile: a name in SHIPPED, a folder, or empty for the 1.1B's."""
    name = profile or USUAL
    path = PROFILES / name if name in SHIPPED else Path(name)
    found = load_artefact(path, LatencyProfile, kind=KIND, fingerprint={}, remedy=REMEDY)
    return found.costs


def spread_over(costs: CostModel, layers: int) -> CostModel:
    """Prices of another number of equal layers with the same total."""
    factor = costs.layers / layers
    name = costs.facts.get("shape", "a model")
    spread = f"The seconds of {costs.layers} layers spread over {layers} ({name})."
    return replace(
        costs,
        kinds=(0,) * layers,
        attention=(_times(costs.attention[0], factor),),
        mlp=(_times(costs.mlp[0], factor),),
        low=tuple(_spread_low(low, factor) for low in costs.low),
        simulated=f"{spread} {costs.simulated}".strip(),
    )


def _spread_low(low: LowPrices, factor: float) -> LowPrices:
    return replace(
        low,
        attention=(_times(low.attention[0], factor),),
        mlp=(_times(low.mlp[0], factor),),
        attention_bytes=(round(low.attention_bytes[0] * factor),),
        mlp_bytes=(round(low.mlp_bytes[0] * factor),),
    )


def _times(table: Table, factor: float) -> Table:
    lines = tuple(tuple(seconds * factor for seconds in line) for line in table.seconds)
    return replace(table, seconds=lines)
