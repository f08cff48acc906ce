"""specframe: faster generation by self-speculative decoding, without changing a token.

Names are loaded on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specframe.door import custom_generate
    from specframe.errors import SpecframeError
    from specframe.loading import load
    from specframe.registry import selector_class, selector_names
    from specframe.selector import Context, DraftHead, LayerSelector, Needs, Traits
    from specframe.speculator import SelfSpeculator, SpeculativeOutput, generate
    from specframe.stats import GenerationStats
    from specframe.stopping import AdaptiveThreshold, ExpectedGain, FixedStop, Planned
    from specframe.types import (
        DraftPlan,
        ModelShape,
        Outcome,
        SkipSet,
        StopRule,
        TreeRule,
    )

__all__ = [
    "AdaptiveThreshold",
    "Context",
    "DraftHead",
    "DraftPlan",
    "ExpectedGain",
    "FixedStop",
    "GenerationStats",
    "LayerSelector",
    "ModelShape",
    "Needs",
    "Outcome",
    "Planned",
    "SelfSpeculator",
    "SkipSet",
    "SpecframeError",
    "SpeculativeOutput",
    "StopRule",
    "Traits",
    "TreeRule",
    "custom_generate",
    "generate",
    "load",
    "selector_class",
    "selector_names",
]

_HOMES = {
    "AdaptiveThreshold": "stopping",
    "Context": "selector",
    "DraftHead": "selector",
    "DraftPlan": "types",
    "ExpectedGain": "stopping",
    "FixedStop": "stopping",
    "GenerationStats": "stats",
    "LayerSelector": "selector",
    "ModelShape": "types",
    "Needs": "selector",
    "Outcome": "types",
    "Planned": "stopping",
    "SelfSpeculator": "speculator",
    "SkipSet": "types",
    "SpecframeError": "errors",
    "SpeculativeOutput": "speculator",
    "StopRule": "types",
    "Traits": "selector",
    "TreeRule": "types",
    "custom_generate": "door",
    "generate": "speculator",
    "load": "loading",
    "selector_class": "registry",
    "selector_names": "registry",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # costs more than all else here

        return version("specframe")
    if name not in _HOMES:
        raise AttributeError(f"module 'specframe' has no attribute {name!r}")
    return getattr(import_module(f"specframe.{_HOMES[name]}"), name)
