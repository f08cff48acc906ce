"""The best single skip set for its prompts: a baseline for all strategies that choose one.

No paper. All 2^2L sets are measured for models of up to 12 sublayers; a local search runs for half
an hour on larger models. The set is chosen, judged and drafted with as in
`static_bo`: the figure that is kept comes from prompts that decided nothing, so it is free of
selection bias.

Preset `faithful` searches by wall clock, with drafts that end by confidence; preset `best` by
predicted speed, which is reproducible and allows hundreds of times more sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from specframe.contract.selector import Traits
from specframe.strategies.shared.planners.one_set import OneSet
from specframe.strategies.shared.searching.offline import OfflineConfig

__all__ = ["Oracle"]

BEST = OfflineConfig(search="exhaustive", evaluations=100_000, seconds=1_800.0)
CLOCKED = replace(BEST, objective="clock", stop="confidence", prompts=8, check=0)


@dataclass(frozen=True)
class Oracle(OneSet):
    """The best single skip set: all of them measured, or a long local search."""

    config: OfflineConfig = BEST

    name = "oracle"
    presets: ClassVar[Mapping[str, OfflineConfig]] = {"best": BEST, "faithful": CLOCKED}
    traits = Traits(
        "the best single skip set, whatever finding it costs",
        precision_aware=True,
        search="exhaustive, or long and local",
        calibrated=True,
    )
