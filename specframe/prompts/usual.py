"""Which prompts a model is asked where none are named."""

from __future__ import annotations

from specframe.doors.loading import PLANTED

__all__ = ["EVERYDAY", "RANDOM", "TESTBED", "opening_line", "usual_prompts"]

EVERYDAY, RANDOM, TESTBED = "everyday", "random", "testbed"


def usual_prompts(model: str) -> str:
    """The testbed has its own, planted models get random tokens, all others everyday prompts."""
    if model in PLANTED:
        return RANDOM
    return TESTBED if model == TESTBED else EVERYDAY


def opening_line(model: str, named: str | None) -> str | None:
    """What a command says first: the prompts, where a model got everyday ones by default."""
    if named is not None or usual_prompts(model) != EVERYDAY:
        return None
    return (
        f"Prompts: {EVERYDAY} (English, they come with specframe), since none were named for "
        f"{model}."
    )
