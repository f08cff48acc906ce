"""Two answers in turns, since memory is faster in some seconds than in others."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.contenders import Answer, Asked, StrategyContender

__all__ = ["in_turns"]

SLOW = 0.004  # seconds a token: a model that takes longer does not stay in the caches
TURN = 0.05  # seconds, of a model that may; turns of 0.02 take drafts of the testbed 3 % less time


def in_turns(
    one: StrategyContender,
    other: StrategyContender,
    prompt: Sequence[int],
    asked: Asked,
    other_begins: bool = False,
) -> tuple[Answer, Answer]:
    """Their answers; whichever has fewer tokens goes on for a turn, of a large model a round."""
    turn = 0.0 if other.costs.autoregressive(len(prompt)) >= SLOW else TURN
    pair = one.begin(prompt, asked), other.begin(prompt, asked)
    order = pair[::-1] if other_begins else pair
    while going := [begun for begun in order if not begun.ended]:
        min(going, key=lambda begun: begun.tokens).go_on(turn)
    return pair[0].answer(), pair[1].answer()
