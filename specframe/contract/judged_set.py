"""A skip set with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from specframe.types import Estimate, SkipSet

__all__ = ["JudgedSet"]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A skip set and its acceptance rate on prompts that took no part in finding it."""

    skips: SkipSet
    acceptance: Estimate  # first drafted token, on prompts that decided nothing
    draft: int  # best draft length at the lower end; 0 says that drafting does not pay
    speed: float  # predicted at the lower end, over autoregressive decoding
    step_ratio: float  # seconds of a draft step and of verification, in autoregressive steps,
    verify_ratio: float  # on the machine of the calibration
    context: int  # tokens, at which all this was priced
    promised: float  # acceptance on the prompts of the search
    tried: int  # sets that were compared
    warnings: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """For people to read."""
        return {
            "acceptance": self.acceptance.value,
            "acceptance_low": self.acceptance.low,
            "acceptance_high": self.acceptance.high,
            "tokens": self.acceptance.count,
            "promised": self.promised,
            "tried": self.tried,
            "draft": self.draft,
            "speed": self.speed,
            "attention": list(self.skips.attention),
            "mlp": list(self.skips.mlp),
        }
