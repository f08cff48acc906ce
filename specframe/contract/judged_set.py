"""A skip set with its measured acceptance and predicted speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from specframe.types import Estimate, SkipSet

__all__ = ["JudgedSet"]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A skip set and its acceptance rate on prompts that took no part in finding it."""

    skips: SkipSet
    acceptance: Estimate  # of the first drafted token, on prompts not used in the search
    draft: int  # best draft length at the interval's lower end; 0: drafting does not pay
    speed: float  # predicted speed-up over autoregressive decoding, at the lower end
    step_ratio: float  # cost of a draft step and of verification, in autoregressive steps,
    verify_ratio: float  # on the machine that calibrated
    context: int  # context length in tokens for which the costs were computed
    promised: float  # acceptance on the prompts used in the search
    tried: int  # sets that were compared
    warnings: tuple[str, ...] = ()
    low_bit_bytes: int = 0  # memory of its low-bit copies, on the machine that calibrated

    def figures(self) -> dict[str, Any]:
        """Figures for the user, as plain data."""
        return {
            "acceptance": self.acceptance.value,
            "acceptance_low": self.acceptance.low,
            "acceptance_high": self.acceptance.high,
            "tokens": self.acceptance.count,
            "promised": self.promised,
            "tried": self.tried,
            "draft": self.draft,
            "speed": self.speed,
            "low_bit_bytes": self.low_bit_bytes,
            "attention": list(self.skips.attention),
            "mlp": list(self.skips.mlp),
        }
