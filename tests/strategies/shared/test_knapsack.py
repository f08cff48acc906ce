"""The table of every prefix and the integer program, against trying everything."""

import time
from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.errors import InvalidConfig, SolverMissing
from specframe.strategies.shared.searching import integer_program
from specframe.strategies.shared.searching.integer_program import least_loss
from specframe.strategies.shared.searching.knapsack import Knapsack, LowItems, suffix_table

LOSSES = st.integers(-2, 12).map(lambda loss: loss / 4)


@st.composite
def knapsacks(draw):
    """Of two states, or of three."""
    size = 2 * draw(st.integers(1, 3))

    def each(values):
        return tuple(draw(st.lists(values, min_size=size, max_size=size)))

    low = None
    if draw(st.booleans()):
        never = LOSSES | st.just(inf)
        low = LowItems(4, each(st.integers(0, 4)), each(never), each(st.integers(0, 9)))
    protected = frozenset(draw(st.sets(st.integers(0, size - 1), max_size=2)))
    return Knapsack(each(st.integers(1, 5)), each(LOSSES), protected, low)


def every_solution(problem):
    """Of all sets that there are."""
    states = [["full"] for _ in range(problem.size)]
    for sublayer in range(problem.size):
        states[sublayer] += ["skipped"] * (sublayer not in problem.protected)
        low = problem.low
        if low and low.weights[sublayer] > 0 and low.losses[sublayer] < inf:
            states[sublayer].append("low")
    for chosen in product(*states):
        masks = [sum(1 << b for b, s in enumerate(chosen) if s == x) for x in ("skipped", "low")]
        yield problem.solution(problem.set_of(*masks))


@given(knapsacks())
def test_every_cell_of_the_table_loses_least_of_all_sets_with_that_prefix_and_weight(problem):
    table, solutions = suffix_table(problem), list(every_solution(problem))
    for first in range(problem.size + 1):
        least = np.full(table.losses.shape[1], inf)
        for one in solutions:
            if one.skips.prefix >= min(first, problem.size):
                least[one.weight] = min(least[one.weight], one.loss)
        assert table.losses[first] == pytest.approx(least)
        for weight in np.flatnonzero(np.isfinite(least)).tolist():
            found = problem.solution(table.skips(first, weight))
            assert (found.weight, found.loss) == (weight, pytest.approx(least[weight]))
            assert found.skips.prefix >= min(first, problem.size)


def assert_the_program_agrees(problem, saved, memory, first):
    allowed = [
        one.loss
        for one in every_solution(problem)
        if one.weight >= saved and one.bytes <= memory and one.skips.prefix >= first
    ]
    found = least_loss(problem, saved, memory, first)
    assert (found is None) == (not allowed)
    if found is not None:
        assert found.loss == pytest.approx(min(allowed), abs=1e-6)
        assert (found.weight >= saved, found.bytes <= memory) == (True, True)
        assert found.skips.prefix >= first
        assert not problem.protected & set(found.skips)


@settings(max_examples=settings.default.max_examples // 2)
@given(knapsacks(), st.integers(0, 20), st.integers(0, 30), st.integers(0, 2))
def test_the_integer_program_finds_what_trying_everything_finds(problem, saved, memory, first):
    assert_the_program_agrees(problem, saved, memory, first)


def whole_model(seed, size=24):
    rng = np.random.default_rng(seed)
    low = LowItems(
        8,
        tuple(int(w) for w in rng.integers(1, 4, size)),
        tuple(float(x) for x in 0.2 * rng.random(size)),
        tuple(int(x) for x in 1_000_003 * rng.integers(1, 4, size)),
    )
    weights = tuple(int(w) for w in rng.integers(3, 7, size))
    return Knapsack(weights, tuple(float(x) for x in rng.random(size)), frozenset({3, 8}), low)


@pytest.mark.parametrize("seed", range(3))
def test_without_a_limit_the_integer_program_agrees_with_the_table_on_a_whole_model(seed):
    problem = whole_model(seed)
    table = suffix_table(problem)
    saved = sum(problem.weights) // 2
    for first in (0, 5):
        found = least_loss(problem, saved, sum(problem.low.bytes), first)
        assert found.loss == pytest.approx(table.losses[first, saved:].min(), abs=1e-6)


def test_a_limit_costs_loss_and_is_kept_to_the_byte():
    problem = whole_model(0)
    saved, needed = sum(problem.weights) // 3, []
    free = least_loss(problem, saved, sum(problem.low.bytes))
    for memory in (free.bytes, free.bytes - 1, free.bytes // 2, 0):
        found = least_loss(problem, saved, memory)
        assert found.bytes <= memory
        needed.append(found.loss)
    assert needed[0] == pytest.approx(free.loss)
    assert needed == sorted(needed)
    assert needed[-1] > needed[0]


def test_without_a_solver_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(integer_program, "SOLVERS", ())
    with pytest.raises(SolverMissing, match="leave memory out"):
        least_loss(whole_model(0), 1, 0)


def test_a_third_state_never_loses_more():
    problem = whole_model(1)
    three, two = (suffix_table(p).losses[0] for p in (problem, replace(problem, low=None)))
    assert (three[: len(two)] <= two).all()
    assert (three[: len(two)] < two).any()


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
    ],
)
def test_a_knapsack_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(InvalidConfig, match="must be"):
        Knapsack(**arguments)
