"""specframe: faster generation by self-speculative decoding, without changing a token.

Names are loaded on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specframe.contract.drafting_options import WithDrafting
    from specframe.contract.planner import Context, DraftHead, Planner
    from specframe.contract.registry import strategy_class, strategy_names
    from specframe.contract.selector import LayerSelector, Needs, Traits
    from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain, FixedStop
    from specframe.core.stats import GenerationStats
    from specframe.costs.model import CostModel
    from specframe.doors.custom_generate import custom_generate
    from specframe.doors.loading import load
    from specframe.doors.speculator import SelfSpeculator, SpeculativeOutput, generate
    from specframe.errors import SpecframeError
    from specframe.rig import Rig
    from specframe.types import DraftPlan, ModelShape, Outcome, Prompt, SkipSet, StopRule, TreeRule

__all__ = [
    "AdaptiveThreshold",
    "Context",
    "CostModel",
    "DraftHead",
    "DraftPlan",
    "ExpectedGain",
    "FixedStop",
    "GenerationStats",
    "LayerSelector",
    "ModelShape",
    "Needs",
    "Outcome",
    "Planner",
    "Prompt",
    "Rig",
    "SelfSpeculator",
    "SkipSet",
    "SpecframeError",
    "SpeculativeOutput",
    "StopRule",
    "Traits",
    "TreeRule",
    "WithDrafting",
    "custom_generate",
    "generate",
    "load",
    "strategy_class",
    "strategy_names",
]

_HOMES = {
    "AdaptiveThreshold": "contract.stopping",
    "Context": "contract.planner",
    "CostModel": "costs.model",
    "DraftHead": "contract.planner",
    "DraftPlan": "types",
    "ExpectedGain": "contract.stopping",
    "FixedStop": "contract.stopping",
    "GenerationStats": "core.stats",
    "LayerSelector": "contract.selector",
    "ModelShape": "types",
    "Needs": "contract.selector",
    "Outcome": "types",
    "Planner": "contract.planner",
    "Prompt": "types",
    "Rig": "rig",
    "WithDrafting": "contract.drafting_options",
    "SelfSpeculator": "doors.speculator",
    "SkipSet": "types",
    "SpecframeError": "errors",
    "SpeculativeOutput": "doors.speculator",
    "StopRule": "types",
    "Traits": "contract.selector",
    "TreeRule": "types",
    "custom_generate": "doors.custom_generate",
    "generate": "doors.speculator",
    "load": "doors.loading",
    "strategy_class": "contract.registry",
    "strategy_names": "contract.registry",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # costs more than all else here

        return version("specframe")
    if name not in _HOMES:
        raise AttributeError(f"module 'specframe' has no attribute {name!r}")
    return getattr(import_module(f"specframe.{_HOMES[name]}"), name)
