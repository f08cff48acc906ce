"""Low-bit self-drafting: the whole model on low-bit weights drafts for itself in full precision.

The simplest self-draft there is, with nothing to search or calibrate; of this kind are ML-SpecQD
(https://arxiv.org/abs/2503.13565, MXFP4 drafts for bf16) and the drafts of IPEX-LLM. Numbers in the
code:

    (1) candidates: all sublayers on weights of each width, with the LM head or without it, where
        the machine's prices make a draft step quicker than in full
    (2) each is taken to be accepted nearly always, and then as often as it is observed
    (3) the candidate of most expected tokens per second drafts; drafting nothing is among them
    (4) a draft ends where one more step does not pay

Because of (2), the cheapest weights are tried first and given up if their drafts are rejected. The
method is not from a paper, and both presets are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector, Traits
from specframe.errors import InvalidConfig
from specframe.strategies.shared.planners.candidates import CandidatePlanner, CandidateRules
from specframe.strategies.shared.planners.expected import expected_of_low_bits
from specframe.types import LOW_BITS, DraftPlan, ModelShape

__all__ = ["LowBit", "LowBitConfig"]

EXPECTED = 0.97  # acceptance of first drafted tokens before any was observed


@dataclass(frozen=True)
class LowBitConfig(CandidateRules):
    """`bits` are the widths that may draft."""

    bits: tuple[int, ...] = LOW_BITS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bits or not set(self.bits) <= set(LOW_BITS):
            wanted = f"some of {', '.join(map(str, LOW_BITS))}"
            raise InvalidConfig.of("LowBitConfig", "bits", wanted, self.bits)


@dataclass(frozen=True)
class LowBit(LayerSelector):
    """Drafts with every sublayer on low-bit weights, and skips nothing."""

    config: LowBitConfig = field(default_factory=LowBitConfig)

    traits = Traits(
        "the whole model on low-bit weights, of the width that pays most",
        separable=False,
        adaptive=True,
        context_aware=True,
        precision_aware=True,
        search="prices of each width",
    )
    presets: ClassVar[Mapping[str, LowBitConfig]] = {
        "best": LowBitConfig(),
        "faithful": LowBitConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        """A planner that tries the cheapest weights first."""
        return _LowBitPlanner(self.config)


class _LowBitPlanner(CandidatePlanner):
    def __init__(self, config: LowBitConfig) -> None:
        super().__init__(config)
        self._bits = config.bits

    def plan(self, context: Context) -> DraftPlan:
        """Equations (1) to (3)."""
        if self.empty:
            quicker = context.costs.quicker_widths(context.length - 1)
            widths = [bits for bits in quicker if bits in self._bits]
            lowered, _ = expected_of_low_bits(context.shape, widths)
            self.consider(lowered, [EXPECTED] * len(lowered), context)
        return super().plan(context)
