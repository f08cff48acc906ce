"""Searches that need no model of the objective: every set, random, local, annealing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from specframe.strategies.shared.searching.search import Proposals, Scripted
from specframe.types import SkipSet

__all__ = ["Annealing", "EverySet", "LocalSearch", "RandomSearch", "in_other_precisions"]

WORSE = 6  # nested sets end after a sixth of the sublayers without a better one

Climb = Generator[SkipSet, float, SkipSet]  # a script that returns the set where it ends


class EverySet(Scripted):
    """All sets, the empty one first."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def propose(self) -> Proposals:
        yield from self._each([SkipSet(self._size, bits) for bits in range(1 << self._size)])


class RandomSearch(Scripted):
    """Sets of a random size with random members, after the starts."""

    def __init__(self, size: int, seed: int = 0, starts: Sequence[SkipSet] = ()) -> None:
        super().__init__(starts)
        self._size, self._seed = size, seed

    def propose(self) -> Proposals:
        """The script; it does not end."""
        yield from self._each(self._starts)
        chance = random.Random(self._seed)
        while True:
            members = chance.sample(range(self._size), chance.randint(1, self._size))
            yield _set_of(self._size, members)


class LocalSearch(Scripted):
    """Climbs from the best of many starts by flips and exchanges, then from disturbed optima.

    Without starts, sublayers are ranked by what skipping each alone is worth, and the nested sets
    along that ranking are the starts. With `widths`, sublayers may also run on low-bit weights with
    one of these numbers of bits, the same for all sublayers of a set. `nested` are starts that only
    name what to skip: they run in the precision that is best where nothing is skipped.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        starts: Sequence[SkipSet] = (),
        shake: float = 0.12,
        widths: Sequence[int] = (),
        nested: Sequence[SkipSet] = (),
    ) -> None:
        super().__init__(starts)
        self._size, self._seed, self._widths = size, seed, tuple(widths)
        self._given_nested = tuple(nested)
        self._shaken = max(2, round(shake * size))

    def propose(self) -> Proposals:
        """The script; it does not end."""
        chance = random.Random(self._seed)
        yield from self._each(self._starts)
        yield SkipSet(self._size)
        yield from self._each(tuple(in_other_precisions(SkipSet(self._size), self._widths)))
        if self._given_nested:
            yield from self._nested_in_best_precision()
        elif not self._starts and len(self._known) < self._size:
            yield from self._nested()
        top = self._best_known()
        assert top is not None
        top = yield from self._climb(top, chance)
        while True:
            shaken = top
            for sublayer in chance.sample(range(self._size), self._shaken):
                shaken = shaken.flip(sublayer)
            yield shaken
            reached = yield from self._climb(shaken, chance)
            if self._known[reached] > self._known[top]:
                top = reached

    def _nested_in_best_precision(self) -> Proposals:
        nothing = SkipSet(self._size)
        best = max(
            (nothing, *in_other_precisions(nothing, self._widths)), key=self._known.__getitem__
        )
        bits, head = best.low_bits, best.low_head
        yield from self._each([s.lower(bits, head=head) if bits else s for s in self._given_nested])

    def _nested(self) -> Proposals:
        nothing = SkipSet(self._size)
        yield from self._each([nothing.flip(sublayer) for sublayer in range(self._size)])
        order = sorted(range(self._size), key=lambda i: -self._known[nothing.flip(i)])
        worse, best = 0, float("-inf")
        self._coming = [_set_of(self._size, order[:count]) for count in range(2, self._size)]
        for skips in self._coming:
            value = yield skips
            worse = 0 if value > best else worse + 1
            best = max(best, value)
            if worse > self._size // WORSE:
                return

    def _climb(self, top: SkipSet, chance: random.Random) -> Climb:
        """Take the first better neighbour until there is none; returns the set where it ends."""
        known, improved = self._known, True
        while improved:
            improved, highest = False, known[top]
            self._coming = _Neighbourhood(top, chance.getstate(), self._widths)
            for neighbour in _neighbours(top, chance, self._widths):
                value = known.get(neighbour)
                if value is None:
                    value = yield neighbour
                if value > highest:
                    top, improved = neighbour, True
                    break
        return top


class Annealing(Scripted):
    """Random flips and exchanges; a worse set is taken with a chance that cools down.

    Temperatures are in units of the objective. It ends after `steps` proposals.
    """

    def __init__(
        self,
        size: int,
        steps: int,
        seed: int = 0,
        starts: Sequence[SkipSet] = (),
        hot: float = 0.05,
        cold: float = 0.001,
    ) -> None:
        super().__init__(starts)
        self._size, self._steps, self._seed = size, steps, seed
        self._hot, self._cold = hot, cold

    def propose(self) -> Proposals:
        """From the best start, `steps` times."""
        chance = random.Random(self._seed)
        yield from self._each(self._starts)
        yield SkipSet(self._size)
        here = self._best_known()
        assert here is not None
        for step in range(self._steps):
            heat = self._hot * (self._cold / self._hot) ** (step / max(self._steps - 1, 1))
            there = _random_neighbour(here, chance)
            value = yield there
            loss = self._known[here] - value
            if loss <= 0.0 or chance.random() < math.exp(-loss / heat):
                here = there


def in_other_precisions(skips: SkipSet, widths: Sequence[int]) -> Iterator[SkipSet]:
    """The same skipped sublayers; others in full, or low-bit with a low-bit head or a full one."""
    lowered = [skips.lower(bits, head=head) for bits in widths for head in (True, False)]
    yield from (other for other in (*lowered, skips.full) if other != skips)


def _neighbours(
    skips: SkipSet, chance: random.Random, widths: Sequence[int] = ()
) -> Iterator[SkipSet]:
    """Other precisions, each sublayer in another state in random order, then random exchanges."""
    yield from in_other_precisions(skips, widths)
    inside, outside = list(skips), list(skips.kept)
    changes: list[tuple[Callable[[SkipSet, int], SkipSet], int]]
    changes = [(SkipSet.flip, sublayer) for sublayer in (*inside, *outside)]
    if skips.low_bits:
        changes += [(SkipSet.run_low, i) for i in range(skips.size) if not skips.low >> i & 1]
        changes += [(_run_in_full, i) for i in skips.lowered]
    chance.shuffle(changes)
    for change, sublayer in changes:
        yield change(skips, sublayer)
    if inside and outside:
        for _ in range(skips.size):
            yield _exchange(skips, inside, outside, chance)


def _run_in_full(skips: SkipSet, lowered: int) -> SkipSet:
    return skips.flip(lowered).flip(lowered)


@dataclass(frozen=True, slots=True)
class _Neighbourhood:
    """The neighbours that `_neighbours` will draw, computed only when they are needed."""

    skips: SkipSet
    state: tuple[Any, ...]  # of the chance that will draw them
    widths: Sequence[int]

    def __iter__(self) -> Iterator[SkipSet]:
        chance = random.Random()
        chance.setstate(self.state)
        return _neighbours(self.skips, chance, self.widths)


def _exchange(
    skips: SkipSet, inside: Sequence[int], outside: Sequence[int], chance: random.Random
) -> SkipSet:
    brought_back = chance.choice(inside)
    changed = skips.flip(brought_back).flip(chance.choice(outside))
    return changed.run_low(brought_back) if changed.low_bits else changed


def _random_neighbour(skips: SkipSet, chance: random.Random) -> SkipSet:
    inside, outside = list(skips), list(skips.kept)
    if inside and outside and chance.random() < 0.5:
        return _exchange(skips, inside, outside, chance)
    return skips.flip(chance.randrange(skips.size))


def _set_of(size: int, members: Sequence[int]) -> SkipSet:
    return SkipSet.from_sublayers(size // 2, members)
