"""Default prompts of a model."""

from __future__ import annotations

from specframe.doors.loading import PLANTED

__all__ = ["EVERYDAY", "RANDOM", "TESTBED", "opening_line", "usual_prompts"]

EVERYDAY, RANDOM, TESTBED = "everyday", "random", "testbed"


def usual_prompts(model: str) -> str:
    """Testbed prompts for the testbed, random for planted models, everyday for all others."""
    if model in PLANTED:
        return RANDOM
    return TESTBED if model == TESTBED else EVERYDAY


def opening_line(model: str, named: str | None) -> str | None:
    """The first line that a command prints: that it uses everyday prompts by default."""
    if named is not None or usual_prompts(model) != EVERYDAY:
        return None
    return (
        f"Prompts: {EVERYDAY} (English, included in specframe), since none were given for {model}."
    )
