"""Searching skip sets by fitting losses that add up and solving the knapsack they make.

Where losses can be guessed, nested sets of those guessed lightest come first; else random sets, so
that every sublayer is measured with and without the others. Then the losses are fitted to all
measurements, the sets that they propose are measured, and so on: at the current prices, at every
weight, and with the losses jittered, since a fit that is only tested on its own proposals does not
correct itself.

Where low-bit weights are quicker, a set with everything on low-bit weights shows the mean loss of a
sublayer. Losses are fitted for the width with the best expected speed, together with those of
skipping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from specframe.contract.lab import Lab
from specframe.costs.rates import RoundPrices, as_matrix
from specframe.strategies.shared.judging.additive import (
    AdditiveModel,
    Fitted,
    LowLosses,
    fit_losses,
    link_through,
)
from specframe.strategies.shared.searching.copy_room import CopyRoom
from specframe.strategies.shared.searching.knapsack import suffix_table
from specframe.strategies.shared.searching.resolve import Items, Resolved, resolve
from specframe.strategies.shared.searching.search import Proposals, Scripted
from specframe.strategies.shared.searching.searchers import in_other_precisions
from specframe.strategies.shared.searching.within_memory import resolve_within
from specframe.strategies.shared.streams.stream_change import nested_sets, stream_change
from specframe.types import Estimate, Prompt, SkipSet

__all__ = ["KnapsackSearch", "fit_measured", "frontier", "guessed_losses", "nested_by_loss"]

Floats = NDArray[np.float64]
LIGHTEST, HEAVIEST = 0.15, 0.75  # shares of the sublayers that random sets skip
NESTED = 8  # sets that a guess is tried on
MOST_NESTED = 0.85  # share of the sublayers that the largest of them skips
A_TURN = 6  # sets measured between two fits
JITTER = 0.35  # of log losses
FEWEST = 1e-3  # loss that jitter can move
LEAST_LOW = 1e-4  # the same of a sublayer on low-bit weights
GAP = 0.005  # of the speed within a memory: fitted losses are not more exact than that
LOWERED = 4  # sets with half of the sublayers on low-bit weights


class KnapsackSearch(Scripted):
    """Proposes the knapsack solutions of a model that is fitted to what was measured.

    `measured` gives the acceptance of a set that was proposed; `expected` are losses known from
    other domains. `guess` gives losses up to a factor, and is called when the search begins. With
    `widths`, sublayers may also run on low-bit weights of one of them, within the `room`.
    """

    def __init__(
        self,
        prices: RoundPrices,
        measured: Callable[[SkipSet], Estimate],
        *,
        explored: int = 0,
        seed: int = 0,
        starts: Sequence[SkipSet] = (),
        expected: Fitted | None = None,
        guess: Callable[[], Floats] | None = None,
        widths: Sequence[int] = (),
        room: CopyRoom | None = None,
    ) -> None:
        super().__init__(starts)
        self._guess = guess
        self._prices, self._measured = prices, measured
        self.expected = expected  # the prior of the fits: given, or guessed by the search
        self._explored, self._seed = explored, seed
        self._size = len(prices.kind)
        self._widths, self._room = widths, room if room is not None and room.limited else None

    def propose(self) -> Proposals:
        """Until jitter gives no set that was not measured yet."""
        random = np.random.default_rng(self._seed)
        yield from self._each(self._starts)
        if self._guess is None:
            yield from self._random_sets(random, self._explored)
        else:
            yield from self._guessed(self._guess())
        if self._widths:
            yield from self._low_sets(random)
        while True:
            fitted = self._fitted()
            fresh = [s for s in self._solutions(fitted, random) if s not in self._known]
            if not fresh:
                many = self._random_sets(random, A_TURN * self._size)
                fresh = [s for s in many if s not in self._known]
            if not fresh:
                return
            yield from self._each(fresh[:A_TURN])

    def _fitted(self) -> Fitted:
        allowed = [skips for skips, value in self._known.items() if value > -inf]
        return fit_measured(allowed or [SkipSet(self._size)], self._measured, self.expected)

    def _guessed(self, losses: Floats) -> Proposals:
        """Nested sets, light sublayers first; their acceptance gives the factor of the guess."""
        factors = []
        for skips in nested_by_loss(losses):
            _ = yield skips
            lost = -np.log(max(self._measured(skips).value, FEWEST))
            factors.append(lost / max(float(losses[list(skips)].sum()), FEWEST))
        self.expected = Fitted(float(np.median(factors)) * losses)

    def _low_sets(self, random: np.random.Generator) -> Proposals:
        """Everything on low-bit weights of each width; then some sets of the one to be fitted."""
        for lowered in in_other_precisions(SkipSet(self._size), self._widths):
            _ = yield lowered
        if self.expected is None or self.expected.low is None:
            fitted = self._fitted()
            each = [replace(fitted, low=self._low_in_the_mean(bits)) for bits in self._widths]
            self.expected = max(each, key=lambda one: self._resolved(one).choice.fastest)
        low = self.expected.low
        assert low is not None
        for number in range(LOWERED):
            members = random.permutation(self._size)[: self._size // 2].tolist()
            yield SkipSet(self._size).lower(low.bits, members, head=bool(number % 2))

    def _low_in_the_mean(self, bits: int) -> LowLosses:
        """Equal losses of all sublayers on low-bit weights, and that of the head."""
        everything = SkipSet(self._size).lower(bits, head=False)
        lost = -np.log(max(self._measured(everything).value, FEWEST))
        with_head = self._measured(everything.lower(bits)).value
        head = max(-np.log(max(with_head, FEWEST)) - lost, 0.0)
        return LowLosses(bits, (float(lost) / self._size,) * self._size, float(head))

    def _random_sets(self, random: np.random.Generator, count: int) -> Proposals:
        """Of any size that may pay, with any members."""
        for _ in range(max(count, 1)):
            share = random.uniform(LIGHTEST, HEAVIEST)
            members = random.permutation(self._size)[: max(round(share * self._size), 1)]
            yield SkipSet(self._size, sum(1 << int(b) for b in members))

    def _solutions(self, fitted: Fitted, random: np.random.Generator) -> Iterator[SkipSet]:
        yield from self._best(fitted, GAP)
        for _ in range(A_TURN // 3):
            yield from self._jittered(fitted, random)
        yield from frontier(fitted, self._prices, A_TURN)
        for _ in range(A_TURN):
            yield from self._jittered(fitted, random)

    def _jittered(self, fitted: Fitted, random: np.random.Generator) -> Iterator[SkipSet]:
        noise = np.exp(JITTER * random.standard_normal(self._size))
        losses, low = (fitted.losses + FEWEST) * noise, fitted.low
        if low is not None:
            noise = np.exp(JITTER * random.standard_normal(self._size))
            moved = (np.array(low.losses) + LEAST_LOW) * noise
            low = replace(low, losses=tuple(moved.tolist()))
        return self._best(Fitted(losses, fitted.floor, low))

    def _best(self, fitted: Fitted, gap: float = inf) -> Iterator[SkipSet]:
        found = self._resolved(fitted, gap).skips
        if found is not None:
            yield found

    def _resolved(self, fitted: Fitted, gap: float = inf) -> Resolved:
        if self._room is None:
            return resolve(_as_model(fitted), (), self._prices)
        return resolve_within(_as_model(fitted), self._prices, self._room, gap=gap)


def guessed_losses(lab: Lab, prompts: Sequence[Prompt]) -> Floats:
    """How much each sublayer changes the target's stream: the mean over its own continuations.

    It takes one walk a prompt instead of one for each set and prompt.
    """
    size = lab.shape.sublayers
    changes = [stream_change(lab.states(prompt, range(size + 1)), size) for prompt in prompts]
    found: Floats = np.mean(changes, axis=0)
    return found


def nested_by_loss(losses: Floats) -> list[SkipSet]:
    """Sets of growing size, the sublayers that lose least first."""
    order = np.argsort(losses, kind="stable").tolist()
    return nested_sets(order, len(order), np.linspace(LIGHTEST, MOST_NESTED, NESTED).tolist())


def fit_measured(
    sets: Sequence[SkipSet],
    measured: Callable[[SkipSet], Estimate],
    expected: Fitted | None = None,
) -> Fitted:
    """Losses behind the acceptances of measured sets, by those that `expected` has a width for.

    Sets on weights of other widths say nothing of these losses and are left out.
    """
    low = None if expected is None else expected.low
    bits = (0,) if low is None else (0, low.bits)
    alike = [skips for skips in sets if skips.low_bits in bits] or [SkipSet(sets[0].size)]
    estimates = [measured(skips) for skips in alike]
    shares = np.array([estimate.value for estimate in estimates])
    counts = np.array([max(estimate.count, 1) for estimate in estimates], dtype=np.float64)
    changed = as_matrix(alike, alike[0].size)
    if expected is None or low is None:
        return fit_losses(changed, shares, counts, None if expected is None else expected.losses)
    lowered = as_matrix([skips.low for skips in alike], alike[0].size)
    heads = np.array([[skips.low_head] for skips in alike])
    prior = np.concatenate([expected.losses, low.losses, [low.head]])
    fitted = fit_losses(np.hstack([changed, lowered, heads]), shares, counts, prior)
    skipped, *found = np.split(fitted.losses, [alike[0].size])
    losses = tuple(found[0].tolist())
    return Fitted(skipped, fitted.floor, LowLosses(low.bits, losses[:-1], losses[-1]))


def frontier(fitted: Fitted, prices: RoundPrices, count: int) -> list[SkipSet]:
    """Solutions of least loss at evenly spaced weights, from light to heavy."""
    items = Items.of(_as_model(fitted), prices)
    table, total = suffix_table(items.problem), sum(items.problem.weights)
    found = []
    for share in np.linspace(LIGHTEST, HEAVIEST + 0.1, count):
        enough = table.losses[0, int(share * total) :]
        weight = int(share * total) + int(enough.argmin())
        found.append(items.lowered(table.skips(0, weight), items.heads[-1]))
    return list(dict.fromkeys(found))


def _as_model(fitted: Fitted) -> AdditiveModel:
    """The fit's own link, as knots."""
    losses = np.linspace(0.0, 4.0, 33)
    alphas = fitted.alphas(losses).tolist()
    links = link_through(losses.tolist(), alphas)
    return AdditiveModel(tuple(fitted.losses.tolist()), links, fitted.low)
