"""Strategies, one file or folder each; names are loaded on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specframe.strategies.admg import Admg
    from specframe.strategies.auto import Auto
    from specframe.strategies.autoregressive import Autoregressive
    from specframe.strategies.cas.strategy import Cas
    from specframe.strategies.cascade import Cascade
    from specframe.strategies.clasp import ClaSp
    from specframe.strategies.conflayers.strategy import ConfLayers
    from specframe.strategies.del_exit import Del
    from specframe.strategies.draft_model import DraftModel
    from specframe.strategies.fixed import FixedSkips
    from specframe.strategies.kangaroo.strategy import Kangaroo
    from specframe.strategies.knap_knn.strategy import KnapKnn
    from specframe.strategies.knapspec.strategy import KnapSpec
    from specframe.strategies.knn_ssd import KnnSsd
    from specframe.strategies.layerskip import LayerSkip
    from specframe.strategies.low_bit import LowBit
    from specframe.strategies.oracle import Oracle
    from specframe.strategies.prompt_lookup import PromptLookup
    from specframe.strategies.random_skip import RandomSkip
    from specframe.strategies.specbound import SpecBound
    from specframe.strategies.static_bo import StaticBO
    from specframe.strategies.suffix import Suffix
    from specframe.strategies.swift.strategy import Swift
    from specframe.strategies.uniform_skip import UniformSkip

__all__ = [
    "Admg",
    "Auto",
    "Autoregressive",
    "Cas",
    "Cascade",
    "ClaSp",
    "ConfLayers",
    "Del",
    "DraftModel",
    "FixedSkips",
    "Kangaroo",
    "KnapKnn",
    "KnapSpec",
    "KnnSsd",
    "LayerSkip",
    "LowBit",
    "Oracle",
    "PromptLookup",
    "RandomSkip",
    "SpecBound",
    "StaticBO",
    "Suffix",
    "Swift",
    "UniformSkip",
]

_HOMES = {
    "Admg": "admg",
    "Auto": "auto",
    "Autoregressive": "autoregressive",
    "Cas": "cas.strategy",
    "Cascade": "cascade",
    "ClaSp": "clasp",
    "ConfLayers": "conflayers.strategy",
    "Del": "del_exit",
    "DraftModel": "draft_model",
    "FixedSkips": "fixed",
    "Kangaroo": "kangaroo.strategy",
    "KnapKnn": "knap_knn.strategy",
    "KnapSpec": "knapspec.strategy",
    "KnnSsd": "knn_ssd",
    "LayerSkip": "layerskip",
    "LowBit": "low_bit",
    "Oracle": "oracle",
    "PromptLookup": "prompt_lookup",
    "RandomSkip": "random_skip",
    "SpecBound": "specbound",
    "StaticBO": "static_bo",
    "Suffix": "suffix",
    "Swift": "swift.strategy",
    "UniformSkip": "uniform_skip",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
