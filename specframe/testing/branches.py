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
    """One choice of the current branch."""

    chances: list[float]
    taken: int

    def next(self) -> int | None:
        """The next alternative with a probability above 0."""
        later = range(self.taken + 1, len(self.chances))
        return next((index for index in later if self.chances[index] > 0.0), None)


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
                events.append(_Event(chances, _first(chances)))
            event = events[position]
            if event.chances != chances:
                raise AssertionError(
                    f"event {position} of a replayed branch had the distribution {event.chances} "
                    f"and now has {chances}: `run` depends on more than `choose`"
                )
            position += 1
            probability *= chances[event.taken]
            return event.taken

        result = run(choose)
        yield result, probability
        while events and events[-1].next() is None:
            events.pop()
        if not events:
            return
        following = events[-1].next()
        assert following is not None
        events[-1].taken = following


def exact_law(run: Callable[[Choose], Outcome]) -> dict[Outcome, float]:
    """The exact distribution of a program's result, summed over its branches."""
    distribution: dict[Outcome, float] = defaultdict(float)
    for result, probability in walk_branches(run):
        distribution[result] += probability
    return dict(distribution)


def _first(chances: list[float]) -> int:
    return next(index for index, chance in enumerate(chances) if chance > 0.0)
