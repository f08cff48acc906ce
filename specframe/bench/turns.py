"""Two answers in turns, since memory is faster in some seconds than in others."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.contenders import Answer, Asked, StrategyContender

__all__ = ["in_turns"]

TURN = 0.05  # seconds; shorter turns cool the caches, by 3 % of the testbed's time at 0.02


def in_turns(
    one: StrategyContender,
    other: StrategyContender,
    prompt: Sequence[int],
    asked: Asked,
    other_begins: bool = False,
) -> tuple[Answer, Answer]:
    """Their answers; whichever has fewer tokens goes on for a turn."""
    pair = one.begin(prompt, asked), other.begin(prompt, asked)
    order = pair[::-1] if other_begins else pair
    while going := [begun for begun in order if not begun.ended]:
        min(going, key=lambda begun: begun.tokens).go_on(TURN)
    return pair[0].answer(), pair[1].answer()
