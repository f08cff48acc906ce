"""The best set within a memory, against the table without one and trying everything with one."""

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest
from doubles.written_lab import plain_costs, with_low_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.costs.rates import RoundPrices
from specframe.strategies.shared.judging.additive import AdditiveModel, LowLosses, link_through
from specframe.strategies.shared.searching import within_memory
from specframe.strategies.shared.searching.copy_room import CopyRoom
from specframe.strategies.shared.searching.resolve import resolve
from specframe.strategies.shared.searching.within_memory import resolve_within
from specframe.types import SkipSet

LAYERS = 2
SIZE = 2 * LAYERS
LINK = link_through([0.05, 0.2, 0.6, 1.2, 2.0], [0.97, 0.85, 0.6, 0.35, 0.1])


def costs_of(layers, share=0.5, sizes=(20, 30, 50)):
    """Whole weights keep the ratios of these prices exactly, so that all solvers see the same."""
    costs = with_low_bits(plain_costs(layers), share)
    attention, mlp, head = sizes
    low = [
        replace(one, attention_bytes=(attention,), mlp_bytes=(mlp,), head_bytes=head)
        for one in costs.low
    ]
    return replace(costs, low=tuple(low))


def model_of(size, seed):
    rng = np.random.default_rng(seed)
    low = LowLosses(
        8, tuple(rng.exponential(0.4 / size, size).tolist()), float(0.05 * rng.random())
    )
    return AdditiveModel(tuple(rng.exponential(5.0 / size, size).tolist()), LINK, low)


def fastest_of_all(model, prices, room):
    """Tokens a second of the best of all sets that fit into the memory."""
    best = 1.0 / prices.autoregressive
    for states in product("fsl", repeat=SIZE):
        skipped = SkipSet.from_sublayers(LAYERS, [b for b, s in enumerate(states) if s == "s"])
        low = [b for b, s in enumerate(states) if s == "l"]
        for head in (False, True):
            skips = skipped.lower(8, low, head) if low or head else skipped
            if room.allows(skips) and not skips.runs_in_full:
                alpha = model.alphas(np.array([model.loss(skips)]))
                best = max(best, prices.of([skips]).rates(alpha).max())
    return float(best)


@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 99), memory=st.integers(0, 160), held=st.sets(st.integers(0, SIZE - 1)))
def test_no_set_that_fits_into_the_memory_is_faster(seed, memory, held):
    costs, model = costs_of(LAYERS), model_of(SIZE, seed)
    room = CopyRoom(costs, memory)
    if held and room.holding(SkipSet(SIZE).lower(8, held, head=False)).left >= 0:
        room = room.holding(SkipSet(SIZE).lower(8, held, head=False))
    prices = RoundPrices.at(costs, 10, range(1, 7))
    found = resolve_within(model, prices, room, stride=1)
    if found.skips is not None:
        assert room.allows(found.skips)
    assert found.choice.tokens_per_second == pytest.approx(fastest_of_all(model, prices, room))


@given(seed=st.integers(0, 999), layers=st.integers(1, 8))
def test_without_a_limit_it_is_the_best_set_of_the_table(seed, layers):
    costs, model = costs_of(layers), model_of(2 * layers, seed)
    prices = RoundPrices.at(costs, 10, range(1, 9))
    wanted, found = resolve(model, (), prices), resolve_within(model, prices, CopyRoom(costs))
    assert found.choice.tokens_per_second == pytest.approx(wanted.choice.tokens_per_second)


def test_more_memory_is_never_slower_and_the_whole_of_a_model_is_solved_in_a_few_programs(
    monkeypatch,
):
    programs = []
    solve = within_memory.least_loss
    monkeypatch.setattr(
        within_memory, "least_loss", lambda *given: programs.append(given) or solve(*given)
    )
    costs, model = costs_of(24), model_of(48, 0)
    prices = RoundPrices.at(costs, 100, range(1, 13))
    memories = (0, 100, 300, 10_000)
    found = [resolve_within(model, prices, CopyRoom(costs, memory)) for memory in memories]
    speeds = [one.choice.speedup for one in found]
    assert speeds == sorted(speeds)
    assert speeds[-1] > speeds[0]
    used = [0 if one.skips is None else costs.low_bytes(one.skips) for one in found]
    assert all(use <= memory for use, memory in zip(used, memories, strict=True))
    assert 0 < len(programs) < 40


def test_a_gap_that_is_allowed_is_kept():
    costs = costs_of(8)
    prices, room = RoundPrices.at(costs, 10, range(1, 9)), CopyRoom(costs, 150)
    for model in (model_of(16, seed) for seed in range(2)):
        best, near = (resolve_within(model, prices, room, gap=gap) for gap in (0.0, 0.03))
        assert best.choice.fastest / 1.03 <= near.choice.fastest <= best.choice.fastest * 1.000001


def test_what_is_not_proven_needs_no_solver(monkeypatch):
    monkeypatch.delattr(within_memory, "least_loss")
    costs = costs_of(8)
    prices = RoundPrices.at(costs, 10, range(1, 9))
    found = resolve_within(model_of(16, 3), prices, CopyRoom(costs, 150), gap=inf)
    assert costs.low_bytes(found.skips) <= 150


def test_slower_low_bit_weights_are_never_chosen():
    costs = costs_of(4, share=2.5)
    prices = RoundPrices.at(costs, 10, range(1, 9))
    for model in (model_of(8, seed) for seed in range(4)):
        for found in (resolve(model, (), prices), resolve_within(model, prices, CopyRoom(costs))):
            assert found.skips is None or not found.skips.low_bits
