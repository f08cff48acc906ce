"""Measurements of a model on a machine: latency, acceptance and vectors of prompts.

Names are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specframe.profilers.acceptance import Acceptance, AcceptanceEstimator, Trial
    from specframe.profilers.composed import COMPOSED, ComposedShape, compose, one_layer_model
    from specframe.profilers.continuations import Continuation, continue_prompts, text_states
    from specframe.profilers.depth import DepthCorrection, learn_correction
    from specframe.profilers.latency import (
        LatencyGrid,
        LatencyProfile,
        default_grid,
        profile_latency,
    )
    from specframe.profilers.machine import machine_facts
    from specframe.profilers.picture import draw_profile
    from specframe.profilers.replay import Replay, predict_speedup, replay_rounds
    from specframe.profilers.store import find_profile, load_profile, profile_folder, save_profile
    from specframe.profilers.vectors import prompt_vectors

__all__ = [
    "COMPOSED",
    "Acceptance",
    "AcceptanceEstimator",
    "ComposedShape",
    "Continuation",
    "DepthCorrection",
    "LatencyGrid",
    "LatencyProfile",
    "Replay",
    "Trial",
    "compose",
    "continue_prompts",
    "default_grid",
    "draw_profile",
    "find_profile",
    "learn_correction",
    "load_profile",
    "machine_facts",
    "one_layer_model",
    "predict_speedup",
    "profile_folder",
    "profile_latency",
    "prompt_vectors",
    "replay_rounds",
    "save_profile",
    "text_states",
]

_HOMES = {
    "COMPOSED": "composed",
    "Acceptance": "acceptance",
    "AcceptanceEstimator": "acceptance",
    "ComposedShape": "composed",
    "Continuation": "continuations",
    "DepthCorrection": "depth",
    "LatencyGrid": "latency",
    "LatencyProfile": "latency",
    "Replay": "replay",
    "Trial": "acceptance",
    "compose": "composed",
    "continue_prompts": "continuations",
    "default_grid": "latency",
    "draw_profile": "picture",
    "find_profile": "store",
    "learn_correction": "depth",
    "load_profile": "store",
    "machine_facts": "machine",
    "one_layer_model": "composed",
    "predict_speedup": "replay",
    "profile_folder": "store",
    "profile_latency": "latency",
    "prompt_vectors": "vectors",
    "replay_rounds": "replay",
    "save_profile": "store",
    "text_states": "continuations",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
