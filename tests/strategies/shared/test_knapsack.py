"""Three solvers of one problem, and the table that knows every prefix."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import InvalidConfig
from specframe.strategies.shared.searching.knapsack import (
    BruteForce,
    DynamicProgram,
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


@given(knapsacks(), st.integers(0, 20))
def test_the_dynamic_program_finds_what_trying_everything_finds(problem, saved):
    expected = BruteForce().solve(problem, saved)
    found = DynamicProgram().solve(problem, saved)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.loss == pytest.approx(expected.loss)
        assert found.weight >= saved
        assert problem.allows(found.skips)


def assert_the_integer_program_agrees(problem, saved):
    expected = DynamicProgram().solve(problem, saved)
    found = IntegerProgram().solve(problem, saved)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.loss == pytest.approx(expected.loss, abs=1e-6)
        assert found.weight >= saved
        assert problem.allows(found.skips)


@pytest.mark.parametrize("seed", range(12))
def test_the_integer_program_agrees_on_whole_models(seed):
    rng = np.random.default_rng(seed)
    size = 2 * int(rng.integers(2, 13))
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


@given(knapsacks())
def test_the_frontier_holds_each_exact_weight_once_at_its_least_loss(problem):
    frontier = DynamicProgram().frontier(problem)
    assert len({s.weight for s in frontier}) == len(frontier)
    for solution in frontier:
        assert problem.allows(solution.skips)
        assert solution.loss == pytest.approx(problem.loss(solution.skips))
    least: dict[int, float] = {}
    for bits in range(1 << problem.size):
        one = problem.solution(bits)
        if problem.allows(one.skips):
            least[one.weight] = min(one.loss, least.get(one.weight, np.inf))
    assert {s.weight: s.loss for s in frontier} == pytest.approx(least)


@given(knapsacks())
def test_every_row_of_the_suffix_table_is_the_problem_with_its_prefix_protected(problem):
    free = Knapsack(problem.weights, problem.losses, problem.protected)
    table = suffix_table(free)
    for first in range(problem.size + 1):
        protected = free.protected | frozenset(range(first))
        frontier = DynamicProgram().frontier(Knapsack(free.weights, free.losses, protected))
        reached = np.flatnonzero(np.isfinite(table.losses[first]))
        assert [s.weight for s in frontier] == list(reached)
        for solution in frontier:
            assert table.losses[first, solution.weight] == pytest.approx(solution.loss)
            bits = table.bits(first, solution.weight)
            assert free.solution(bits).weight == solution.weight
            assert free.solution(bits).loss == pytest.approx(solution.loss)
            assert SkipSet(free.size, bits).prefix >= min(first, free.size)


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


def test_trying_everything_is_refused_for_a_model_of_many_layers():
    with pytest.raises(InvalidConfig, match="at most 20 sublayers"):
        BruteForce().solve(Knapsack((1,) * 40, (0.0,) * 40), 1)
