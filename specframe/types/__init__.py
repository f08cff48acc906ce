"""Frozen values shared by all modules."""

from specframe.types.given import Estimate, ModelShape, Prompt
from specframe.types.rounds import Draft, Outcome, Verdict
from specframe.types.rules import (
    EXACT_ROWS,
    LONGEST_CHAIN,
    LONGEST_DRAFT,
    DraftPlan,
    ExitRule,
    GainRule,
    StopRule,
    TreeRule,
)
from specframe.types.skip_set import LOW_BITS, SkipSet
from specframe.types.walks import Pass, Step

__all__ = [
    "EXACT_ROWS",
    "LONGEST_CHAIN",
    "LONGEST_DRAFT",
    "LOW_BITS",
    "Draft",
    "DraftPlan",
    "Estimate",
    "ExitRule",
    "GainRule",
    "ModelShape",
    "Outcome",
    "Pass",
    "Prompt",
    "SkipSet",
    "Step",
    "StopRule",
    "TreeRule",
    "Verdict",
]
