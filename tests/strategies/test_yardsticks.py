"""Random and uniform skipping: what a choice of layers is compared with."""

from itertools import pairwise

import pytest
from doubles.contexts import plain_context
from doubles.strategies_worlds import outcome, prices

from specframe.contract.naming import strategy_from
from specframe.strategies.random_skip import RandomSkip
from specframe.strategies.shared.planners.blind import BlindConfig
from specframe.strategies.uniform_skip import UniformSkip
from specframe.types import ModelShape, StopRule

SHAPE = ModelShape(8, 32, 61, 4, 2, 8, 48, 256)
BLIND = ("random-skip", "uniform-skip")


# random and uniform


def test_a_random_set_is_the_share_of_the_inner_sublayers_by_its_seed():
    sets = [RandomSkip(BlindConfig(share=0.5, seed=seed)).skips(12) for seed in range(40)]
    assert {len(skips) for skips in sets} == {10}
    assert not set().union(*map(set, sets)) & {0, 1, 22, 23}
    assert set().union(*map(set, sets)) == set(range(2, 22))
    assert len(set(sets)) == 40
    assert RandomSkip(BlindConfig(share=0.5, seed=3)).skips(12) == sets[3]


@pytest.mark.parametrize("layers", [3, 8, 24, 33])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_uniform_layers_are_whole_inner_and_evenly_spread(layers, share):
    skips = UniformSkip(BlindConfig(share=share)).skips(layers)
    chosen = skips.attention
    assert skips.mlp == chosen
    assert len(chosen) == round(share * (layers - 2))
    assert all(0 < layer < layers - 1 for layer in chosen)
    gaps = {after - before for before, after in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("name", BLIND)
def test_too_few_layers_leave_nothing_to_skip_and_nothing_is_drafted(name):
    shape = ModelShape(2, 32, 61, 4, 2, 8, 48, 256)
    plan = strategy_from(name, shape).start(shape).plan(plain_context(shape))
    assert (len(plan.skips), plan.stop.max_tokens) == (0, 0)


@pytest.mark.parametrize("name", BLIND)
def test_faithful_always_drafts_and_best_stops_where_drafts_are_rejected(name):
    context = plain_context(SHAPE, costs=prices(8, row=0.001))
    faithful = strategy_from(name, SHAPE, "faithful").start(SHAPE)
    best = strategy_from(name, SHAPE, "best", {"guess": "0.95"}).start(SHAPE)
    for _ in range(40):
        plan = faithful.plan(context)
        assert plan.stop == StopRule(8, confidence=0.6)
        faithful.observe(outcome(plan, 0, 3))
    first = best.plan(context)
    assert (first.skips, first.stop.max_tokens > 0) == (plan.skips, True)
    for _ in range(40):
        plan = best.plan(context)
        best.observe(outcome(plan, 0, min(plan.stop.max_tokens, 3)))
    assert plan.stop.max_tokens == 0
