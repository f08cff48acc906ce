"""4-bit weights of the model that is compared, rounded for its inputs where that is quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specframe.calibration.rounding import BITS, has_rounding
from specframe.executors.low_bit_copies import weight_bytes
from specframe.rig import Rig
from specframe.types import Prompt

__all__ = ["round_if_quick"]

QUICK = 600_000_000  # bytes of weights that are rounded within a minute
FEWEST = 12  # prompts: from fewer, second moments say too little


def round_if_quick(rig: Rig, prompts: Sequence[Prompt], tell: Callable[[str], None]) -> str:
    """How this model's 4-bit weights are rounded: "inputs" or "nearest"; done once a model."""
    if has_rounding(rig.model):
        return "inputs"
    if not rig.costs.facts or len(prompts) < FEWEST:  # prices were not measured: a test, or a plan
        return "nearest"
    context = sum(len(prompt.tokens) for prompt in prompts) // len(prompts)
    if BITS not in rig.costs.quicker_widths(context):
        return "nearest"
    if weight_bytes(rig.model) > QUICK:
        tell(
            f"4-bit weights are rounded to the nearest values. specframe round --model {rig.name} "
            f"may make drafts with them better"
        )
        return "nearest"
    tell("rounding 4-bit weights for what the model reads, once a model")
    return "inputs" if rig.fit_rounding(prompts).kept else "nearest"
