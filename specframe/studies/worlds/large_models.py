"""Prices of large models: composed of one measured layer, or scaled from another model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specframe.costs.model import CostModel
from specframe.costs.sharded import ITEM, Link, scaled_to, sharded, weights_of
from specframe.profilers.composed import COMPOSED
from specframe.studies.worlds.prices import kept_prices
from specframe.types import ModelShape

__all__ = ["LARGE", "LargeModel", "large_model"]

COPIED = 4.5 / 8  # bytes of a weight in a 4-bit copy, scales and zeros included
NAMES: Mapping[str, str] = {
    "8B": "llama-3.1-8B",
    "32B": "qwen3-32B",
    "70B": "llama-3.1-70B",
    "405B": "llama-3.1-405B",
}
SCALED_FROM = {"405B": "70B"}
LARGE = tuple(NAMES)


@dataclass(frozen=True, slots=True)
class LargeModel:
    """A published shape and its prices on one device, even if it does not fit there."""

    shape: ModelShape
    costs: CostModel

    def on(self, devices: int, link: Link) -> CostModel:
        """Prices if everything is split over the devices."""
        return sharded(self.costs, self.shape, devices, link)

    def memory(self, devices: int, context: int) -> dict[str, int]:
        """Bytes per device: weights, 4-bit copies of all of them, keys and values."""
        shape, weights = self.shape, weights_of(self.shape)
        copied = weights.total - weights.table  # all but the embedding
        held = 2 * shape.layers * shape.kv_heads * shape.head_size * context * ITEM
        return {
            "weight_bytes": weights.total * ITEM // devices,
            "low_bit_bytes": round(copied * COPIED / devices),
            "kv_bytes": held // devices,
        }


def large_model(name: str) -> LargeModel:
    """One of LARGE."""
    shape = COMPOSED[NAMES[name]].shape
    if name not in SCALED_FROM:
        return LargeModel(shape, kept_prices(NAMES[name]))
    of = NAMES[SCALED_FROM[name]]
    return LargeModel(shape, scaled_to(kept_prices(of), COMPOSED[of].shape, shape))
