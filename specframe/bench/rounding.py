"""Fits the 4-bit weights of the compared model to its inputs if that is quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specframe.calibration.rounding import BITS, has_rounding
from specframe.executors.low_bit_copies import weight_bytes
from specframe.rig import Rig
from specframe.types import Prompt

__all__ = ["round_if_quick"]

QUICK = 600_000_000  # bytes of weights that are rounded within a minute
FEWEST = 12  # prompts; fewer do not determine second moments well enough


def round_if_quick(rig: Rig, prompts: Sequence[Prompt], tell: Callable[[str], None]) -> str:
    """How this model's 4-bit weights are rounded: "inputs" or "nearest"; done once per model."""
    if has_rounding(rig.model):
        return "inputs"
    if not rig.costs.facts or len(prompts) < FEWEST:  # prices were not measured: a test, or a plan
        return "nearest"
    context = sum(len(prompt.tokens) for prompt in prompts) // len(prompts)
    if BITS not in rig.costs.quicker_widths(context):
        return "nearest"
    if weight_bytes(rig.model) > QUICK:
        tell(
            f"4-bit weights are rounded to the nearest values. Fitted ones may give better drafts: "
            f"specframe round --model {rig.name}"
        )
        return "nearest"
    tell("fitting 4-bit weights to the inputs of the model, once per model")
    return "inputs" if rig.fit_rounding(prompts).kept else "nearest"
