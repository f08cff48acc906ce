"""Fitting losses and solving for the set needs fewer measurements than climbing to it."""

import numpy as np
import pytest
from doubles.written_lab import WrittenLab, plain_costs, small_shape

from specframe.costs.rates import RoundPrices, SetMatrix, expected_token_grid
from specframe.strategies.shared.judging.additive import Fitted
from specframe.strategies.shared.searching.knapsack_search import (
    KnapsackSearch,
    frontier,
    guessed_losses,
)
from specframe.strategies.shared.searching.search import Budget, run_search
from specframe.strategies.shared.searching.searchers import LocalSearch
from specframe.types import Estimate, Prompt, SkipSet

LAYERS, TOKENS = 24, 500
PRICES = RoundPrices.at(plain_costs(LAYERS), 50, range(1, 13))


def world(seed):
    """Losses of a model of many layers: a few sublayers matter, most hardly do."""
    losses = np.exp(np.random.default_rng(seed).normal(-5.5, 1.5, 2 * LAYERS)).clip(0.0, 0.6)
    losses[[0, 1, -1]] = 0.6
    return losses


def measured(losses, skips):
    share = float(np.prod(1.0 - losses[list(skips)])) if skips.bits else 1.0
    drawn = np.random.default_rng(skips.bits % 2**32).binomial(TOKENS, share)
    return Estimate.of_share(float(drawn), TOKENS)


def speed(skips, alpha):
    rates = expected_token_grid(np.array([alpha]), PRICES.lengths)
    seconds = PRICES.seconds(SetMatrix.of([skips], 2 * LAYERS))
    return float((rates / seconds).max() * PRICES.autoregressive)


def best_after(losses, searcher, evaluations):
    record = run_search(
        lambda skips: speed(skips, measured(losses, skips).value), searcher, Budget(evaluations)
    )
    return record.best.value


@pytest.mark.parametrize("seed", range(2))
def test_sixty_measurements_find_what_climbing_needs_twice_as_many_for(seed):
    losses = world(seed)
    fits = KnapsackSearch(PRICES, lambda skips: measured(losses, skips), explored=16)
    solved = best_after(losses, fits, 60)
    climb = LocalSearch(2 * LAYERS, seed=1)
    assert solved > 1.3 * best_after(losses, climb, 60)
    assert solved > 0.95 * best_after(losses, LocalSearch(2 * LAYERS, seed=1), 120)


def guessing(losses, guess):
    return KnapsackSearch(PRICES, lambda skips: measured(losses, skips), guess=lambda: guess)


@pytest.mark.parametrize("seed", range(2))
def test_a_guess_up_to_a_factor_saves_most_measurements(seed):
    losses = world(seed)
    blind = KnapsackSearch(PRICES, lambda skips: measured(losses, skips), explored=16)
    assert best_after(losses, guessing(losses, 30.0 * losses**0.8), 16) > 0.95 * best_after(
        losses, blind, 60
    )


def test_a_wrong_guess_is_corrected():
    losses = world(0)
    wrong = losses.max() - losses + 1e-3
    found = best_after(losses, guessing(losses, wrong), 120)
    assert found > 0.9 * best_after(losses, LocalSearch(2 * LAYERS, seed=1), 120)


def test_guessed_losses_are_how_much_sublayers_change_the_stream():
    shape = small_shape(2)
    lab = WrittenLab(shape, {"a": [0.1, 0.4, 0.0, 0.2]}, plain_costs(2))
    found = guessed_losses(lab, [Prompt((0, 1), "a"), Prompt((0, 2), "a")])
    assert found == pytest.approx(1.0 - np.cos([0.1, 0.4, 0.0, 0.2]), abs=1e-6)


def test_the_frontier_grows_in_weight_and_takes_the_cheapest_losses_first():
    losses = world(0)
    sets = frontier(Fitted(losses), PRICES, 6)
    sizes = [len(skips) for skips in sets]
    assert sizes == sorted(sizes)
    lightest = set(np.argsort(losses)[: sizes[0]].tolist())
    assert set(sets[0]) == lightest
    assert all(isinstance(skips, SkipSet) for skips in sets)
