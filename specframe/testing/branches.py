"""Runs all branches of a program whose only randomness is `choose(probabilities) -> index`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from specframe.core.sampling import Choose

Result = TypeVar("Result")
Outcome = TypeVar("Outcome", bound=Hashable)


@dataclass(slots=True)
class _Event:
    """One choice: its distribution, and the possible results from the current one on."""

    chances: list[float]
    left: list[int]


def walk_branches(run: Callable[[Choose], Result]) -> Iterator[tuple[Result, float]]:
    """Run once for each branch; yields its result and its probability.

    Depth first: a branch replays the choices of the one before it, up to the last event that has
    an alternative left. `run` must depend only on the values that `choose` returns.
    """
    events: list[_Event] = []
    while True:
        position = 0
        probability = 1.0

        def choose(probabilities: Tensor) -> int:
            nonlocal position, probability
            chances: list[float] = probabilities.tolist()
            if position == len(events):
                possible = [index for index, chance in enumerate(chances) if chance > 0.0]
                events.append(_Event(chances, possible))
            event = events[position]
            if event.chances != chances:
                raise AssertionError(
                    f"event {position} of a replayed branch had the distribution {event.chances} "
                    f"and now has {chances}: `run` depends on more than `choose`"
                )
            position += 1
            probability *= chances[event.left[0]]
            return event.left[0]

        result = run(choose)
        yield result, probability
        while events and len(events[-1].left) == 1:
            events.pop()
        if not events:
            return
        del events[-1].left[0]


def exact_law(run: Callable[[Choose], Outcome]) -> dict[Outcome, float]:
    """The exact distribution of a program's result, summed over its branches."""
    distribution: dict[Outcome, float] = defaultdict(float)
    for result, probability in walk_branches(run):
        distribution[result] += probability
    return dict(distribution)
