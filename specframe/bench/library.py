"""Contenders that use transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from specframe.bench.contenders import Asked, LibraryContender
from specframe.bench.summary import LIBRARY
from specframe.bench.timing import in_turns, median
from specframe.calibration.lab import ModelLab
from specframe.doors.loading import load
from specframe.rig import Rig
from specframe.storage.user_cache import read_json, write_json
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = [
    "ASSISTED",
    "EARLY_EXIT",
    "LOOKUP",
    "faster_library",
    "library_assisted",
    "library_drafting",
]

ASSISTED = "transformers-assisted"
EARLY_EXIT, LOOKUP = "transformers-early-exit", "transformers-prompt-lookup"
LOOKUP_TOKENS = 10
SEARCHED = 6  # prompts that choose the early exit
Tell = Callable[[str], None]


def faster_library(model: Any, trial: Prompt, kept: Path, tell: Tell) -> LibraryContender:
    """transformers with the faster of its two caches; the choice is kept in the run's folder."""
    caches = {"dynamic": {}, "static": {"cache_implementation": "static"}}
    ways = {name: LibraryContender(LIBRARY, model, extra) for name, extra in caches.items()}
    if (chosen := read_json(kept)) in ways:
        return ways[chosen]
    tell("choosing the faster cache of transformers")
    trials = {name: partial(_decode_seconds, way, trial) for name, way in ways.items()}
    seconds = in_turns(trials, turns=3)
    faster = min(ways, key=lambda name: median(seconds[name]))
    write_json(kept, faster)
    return ways[faster]


def _decode_seconds(way: LibraryContender, trial: Prompt) -> float:
    return way.answer(trial.tokens, Asked(16)).decode_seconds


def library_drafting(
    rig: Rig, lab: ModelLab, prompts: Sequence[Prompt], tell: Tell
) -> list[LibraryContender]:
    """Prompt lookup, and early exit with the best exit and length on these prompts."""
    lookup = LibraryContender(LOOKUP, rig.model, {"prompt_lookup_num_tokens": LOOKUP_TOKENS})
    if rig.executor.name == "module":
        # transformers exits early by changing the config, which many of its models ignore
        tell(f"leaving {EARLY_EXIT} out: transformers cannot exit early from this family")
        return [lookup]
    exit_layer, length = _best_exit(lab, prompts)
    early = {
        "assistant_early_exit": exit_layer,
        "num_assistant_tokens": length,
        "num_assistant_tokens_schedule": "constant",
    }
    return [lookup, LibraryContender(EARLY_EXIT, rig.model, early)]


def library_assisted(rig: Rig, assistant: str) -> LibraryContender:
    """Assisted generation with this model, as transformers sets it up."""
    model = load(assistant).model.to(rig.device)
    name = f"{ASSISTED}+model={assistant}"
    return LibraryContender(name, rig.model, {"assistant_model": model})


def _best_exit(lab: ModelLab, prompts: Sequence[Prompt]) -> tuple[int, int]:
    """Exit layer and draft length (at least 1) with the most predicted tokens per second."""
    layers = lab.shape.layers
    exits = sorted({max(1, round(layers * share / 8)) for share in range(1, 8)})
    sets = [SkipSet.after(layers, exit_layer) for exit_layer in exits]
    chosen = prompts[:: max(1, len(prompts) // SEARCHED)]
    n = sum(len(prompt.tokens) for prompt in chosen) / len(chosen)
    best = (0.0, exits[0], 1)
    for exit_layer, skips, estimate in zip(exits, sets, lab.acceptance(sets, chosen), strict=True):
        length = max(1, lab.costs.best_draft_length(estimate.value, skips, n))
        speed = lab.costs.speedup(estimate.value, DraftPlan(skips, StopRule(length)), n).value
        best = max(best, (speed, exit_layer, length))
    return best[1], best[2]
