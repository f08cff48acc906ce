"""The integer program and the table of every prefix, against trying everything."""

import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import InvalidConfig
from specframe.strategies.shared.searching.knapsack import (
    IntegerProgram,
    Knapsack,
    suffix_table,
)
from specframe.types import SkipSet


@st.composite
def knapsacks(draw):
    size = 2 * draw(st.integers(1, 3))
    weights = draw(st.lists(st.integers(1, 5), min_size=size, max_size=size))
    losses = draw(st.lists(st.integers(-2, 12), min_size=size, max_size=size))
    return Knapsack(
        tuple(weights),
        tuple(loss / 4 for loss in losses),
        frozenset(draw(st.sets(st.integers(0, size - 1), max_size=2))),
        draw(st.none() | st.integers(0, 3)),
        draw(st.none() | st.integers(0, 3)),
    )


@cache
def every_set(size):
    """[2^size, size]: all skip sets."""
    return (np.arange(1 << size)[:, None] >> np.arange(size) & 1).astype(bool)


def allowed_sets(problem):
    """Brute force: weights and losses of all skip sets that respect the side constraints."""
    sets = every_set(problem.size)
    allowed = ~sets[:, sorted(problem.protected)].any(axis=1)
    if problem.attention_quota is not None:
        allowed &= sets[:, ::2].sum(axis=1) <= problem.attention_quota
    if problem.longest_run is not None and problem.longest_run < problem.size:
        runs = np.lib.stride_tricks.sliding_window_view(sets, problem.longest_run + 1, axis=1)
        allowed &= ~runs.all(axis=2).any(axis=1)
    sets = sets[allowed]
    return sets @ np.array(problem.weights), sets @ np.array(problem.losses)


def assert_the_integer_program_agrees(problem, saved):
    weights, losses = allowed_sets(problem)
    enough = losses[weights >= saved]
    found = IntegerProgram().solve(problem, saved)
    assert (found is None) == (not len(enough))
    if found is not None:
        assert found.loss == pytest.approx(enough.min(), abs=1e-6)
        assert found.weight >= saved
        assert problem.allows(found.skips)


@given(knapsacks())
def test_allowed_sets_are_those_of_the_side_constraints(problem):
    sets = [SkipSet(problem.size, bits) for bits in range(1 << problem.size)]
    weights, _ = allowed_sets(problem)
    assert len(weights) == sum(map(problem.allows, sets))


@pytest.mark.parametrize("seed", range(12))
def test_the_integer_program_finds_what_trying_everything_finds(seed):
    rng = np.random.default_rng(seed)
    size = 2 * int(rng.integers(2, 9))
    problem = Knapsack(
        tuple(int(w) for w in rng.integers(1, 6, size)),
        tuple(float(x) for x in rng.random(size)),
        frozenset(int(b) for b in rng.integers(0, size, 2)),
        longest_run=[None, 1, 2, 3][seed % 4],
        attention_quota=[None, 1, 4][seed % 3],
    )
    for saved in (sum(problem.weights) // 4, sum(problem.weights) // 2):
        assert_the_integer_program_agrees(problem, saved)


@pytest.mark.slow
@given(knapsacks(), st.integers(0, 20))
def test_the_integer_program_agrees_on_any_small_problem(problem, saved):
    assert_the_integer_program_agrees(problem, saved)


@pytest.mark.parametrize("seed", range(4))
def test_the_integer_program_agrees_with_the_suffix_table_on_a_whole_model(seed):
    rng = np.random.default_rng(seed)
    size = 24
    problem = Knapsack(
        tuple(int(w) for w in rng.integers(1, 6, size)),
        tuple(float(x) for x in rng.random(size)),
        frozenset(int(b) for b in rng.integers(0, size, 2)),
    )
    saved = sum(problem.weights) // 2
    found = IntegerProgram().solve(problem, saved)
    assert found.loss == pytest.approx(suffix_table(problem).losses[0, saved:].min(), abs=1e-6)


@given(knapsacks())
def test_every_row_of_the_suffix_table_is_the_problem_with_its_prefix_protected(problem):
    free = Knapsack(problem.weights, problem.losses, problem.protected)
    table = suffix_table(free)
    for first in range(problem.size + 1):
        protected = free.protected | frozenset(range(first))
        weights, losses = allowed_sets(Knapsack(free.weights, free.losses, protected))
        reached = np.flatnonzero(np.isfinite(table.losses[first]))
        assert sorted(set(weights.tolist())) == list(reached)
        for weight in reached.tolist():
            least = losses[weights == weight].min()
            assert table.losses[first, weight] == pytest.approx(least)
            solution = free.solution(table.bits(first, weight))
            assert (solution.weight, solution.loss) == (weight, pytest.approx(least))
            assert solution.skips.prefix >= min(first, free.size)
            assert free.allows(solution.skips)


def test_the_suffix_table_of_forty_eight_sublayers_takes_under_a_millisecond():
    rng = np.random.default_rng(0)
    problem = Knapsack((5, 4) * 24, tuple(float(x) for x in rng.random(48)))
    seconds = []
    for _ in range(20):
        begun = time.perf_counter()
        suffix_table(problem)
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 1e-3


@pytest.mark.parametrize(
    "arguments",
    [
        {"weights": (1,), "losses": (0.0,)},
        {"weights": (1, 1), "losses": (0.0,)},
        {"weights": (1, 0), "losses": (0.0, 0.0)},
        {"weights": (1, 1), "losses": (0.0, 0.0), "longest_run": -1},
    ],
)
def test_a_knapsack_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(InvalidConfig, match="must be"):
        Knapsack(**arguments)
