"""Searching skip sets by fitting losses that add up and solving the knapsack they make.

Where losses can be guessed, nested sets of those guessed lightest come first; else random sets, so
that every sublayer is measured with and without the others. Then the losses are fitted to all
measurements, the sets that they propose are measured, and so on: at the current prices, at every
weight, and with the losses jittered, since a fit that is only tested on its own proposals does not
correct itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from specframe.contract.lab import Lab
from specframe.costs.rates import RoundPrices, as_matrix
from specframe.strategies.shared.judging.additive import (
    AdditiveModel,
    Fitted,
    fit_losses,
    link_through,
)
from specframe.strategies.shared.searching.knapsack import Knapsack, suffix_table
from specframe.strategies.shared.searching.resolve import resolve, whole_weights
from specframe.strategies.shared.searching.search import Proposals, Scripted
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


class KnapsackSearch(Scripted):
    """Proposes the knapsack solutions of a model that is fitted to what was measured.

    `measured` gives the acceptance of a set that was proposed; `expected` are losses known from
    other domains. `guess` gives losses up to a factor, and is called when the search begins.
    """

    def __init__(
        self,
        prices: RoundPrices,
        measured: Callable[[SkipSet], Estimate],
        *,
        explored: int = 0,
        seed: int = 0,
        starts: Sequence[SkipSet] = (),
        expected: Floats | None = None,
        guess: Callable[[], Floats] | None = None,
    ) -> None:
        super().__init__(starts)
        self._guess = guess
        self._prices, self._measured, self._expected = prices, measured, expected
        self._explored, self._seed = explored, seed
        self._size = len(prices.kind)

    def propose(self) -> Proposals:
        """Until no jitter brings a set that was not measured yet."""
        random = np.random.default_rng(self._seed)
        yield from self._all_starts()
        if self._guess is None:
            yield from self._random_sets(random, self._explored)
        else:
            yield from self._guessed(self._guess())
        while True:
            in_full = [s for s in self._known if not s.low_bits] or [SkipSet(self._size)]
            fitted = fit_measured(in_full, self._measured, self._expected)
            fresh = [s for s in self._solutions(fitted, random) if s not in self._known]
            if not fresh:
                many = self._random_sets(random, A_TURN * self._size)
                fresh = [s for s in many if s not in self._known]
            if not fresh:
                return
            for skips in fresh[:A_TURN]:  # noqa: UP028 - a list cannot be sent values
                yield skips

    def _guessed(self, losses: Floats) -> Proposals:
        """Nested sets, light sublayers first; their acceptance gives the factor of the guess."""
        factors = []
        for skips in nested_by_loss(losses):
            _ = yield skips
            lost = -np.log(max(self._measured(skips).value, FEWEST))
            factors.append(lost / max(float(losses[list(skips)].sum()), FEWEST))
        self._expected = float(np.median(factors)) * losses

    def _random_sets(self, random: np.random.Generator, count: int) -> Proposals:
        """Of any size that may pay, with any members."""
        for _ in range(max(count, 1)):
            share = random.uniform(LIGHTEST, HEAVIEST)
            members = random.permutation(self._size)[: max(round(share * self._size), 1)]
            yield SkipSet(self._size, sum(1 << int(b) for b in members))

    def _solutions(self, fitted: Fitted, random: np.random.Generator) -> Iterator[SkipSet]:
        yield from self._best(fitted)
        for _ in range(A_TURN // 3):
            yield from self._jittered(fitted, random)
        yield from frontier(fitted.losses, self._prices, A_TURN)
        for _ in range(A_TURN):
            yield from self._jittered(fitted, random)

    def _jittered(self, fitted: Fitted, random: np.random.Generator) -> Iterator[SkipSet]:
        noise = np.exp(JITTER * random.standard_normal(self._size))
        losses = (fitted.losses + FEWEST) * noise
        return self._best(Fitted(losses, fitted.floor))

    def _best(self, fitted: Fitted) -> Iterator[SkipSet]:
        found = resolve(_as_model(fitted), (), self._prices).skips
        if found is not None:
            yield found


def guessed_losses(lab: Lab, prompts: Sequence[Prompt]) -> Floats:
    """How much each sublayer changes the target's stream, in the mean over its own answers.

    One walk a prompt instead of one a set and prompt.
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
    sets: Sequence[SkipSet], measured: Callable[[SkipSet], Estimate], expected: Floats | None = None
) -> Fitted:
    """Losses behind the acceptances of measured sets."""
    estimates = [measured(skips) for skips in sets]
    return fit_losses(
        as_matrix(sets, sets[0].size),
        np.array([estimate.value for estimate in estimates]),
        np.array([max(estimate.count, 1) for estimate in estimates], dtype=np.float64),
        expected,
    )


def frontier(losses: Floats, prices: RoundPrices, count: int) -> list[SkipSet]:
    """Solutions of least loss at evenly spaced weights, from light to heavy."""
    weights, _ = whole_weights(prices.sublayer_seconds, parts=2, heaviest=8)
    table = suffix_table(Knapsack(weights, tuple(losses.tolist())))
    total = sum(weights)
    found = []
    for share in np.linspace(LIGHTEST, HEAVIEST + 0.1, count):
        enough = table.losses[0, int(share * total) :]
        weight = int(share * total) + int(enough.argmin())
        found.append(SkipSet(len(weights), table.bits(0, weight)))
    return list(dict.fromkeys(found))


def _as_model(fitted: Fitted) -> AdditiveModel:
    """The fit's own link, as knots."""
    losses = np.linspace(0.0, 4.0, 33)
    alphas = fitted.alphas(losses).tolist()
    return AdditiveModel(tuple(fitted.losses.tolist()), link_through(losses.tolist(), alphas))
