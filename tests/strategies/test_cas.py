"""CAS-Spec: what a step is worth, which level is chosen, and what each part learns."""

from dataclasses import replace

import pytest
from doubles.contexts import plain_context
from doubles.planted_labs import keeps_tokens, planted_executor, planted_prompts
from doubles.strategies_worlds import prices, world

from specframe.costs.rates import RoundPrices
from specframe.strategies.cas.levels import LevelConfig, LevelSearch
from specframe.strategies.cas.paper import CasConfig, Level, evenly_skipped, worth
from specframe.strategies.cas.strategy import Cas
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.testing import planted_llama
from specframe.types import Draft, GainRule, ModelShape, Outcome, SkipSet, StopRule

LAYERS = 6
SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
COSTS = prices(LAYERS, row=0.002)
NEW, REPEATING = [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 1, 2, 3]


def context(tokens, number=30, **more):
    given = {"tokens": tokens, "round": number, "costs": COSTS, "budget": 100}
    return replace(plain_context(SHAPE), **{**given, **more})


def heard(planner, tokens, accepted, copied=0):
    """A round whose draft is these tokens, `copied` of them copied."""
    count = len(tokens)
    draft = Draft(tuple(tokens), tuple(range(-1, count - 1)), (0.9,) * count, copied=copied)
    emitted = (*tokens[:accepted], 60)
    planner.observe(Outcome(planner.plan(context(NEW)), draft, accepted, emitted))


# the paper's quantities


def test_worth_is_the_tokens_of_the_best_step_over_its_cost():
    a, c, bottom = 0.8, 0.3, (0.4, 0.05)
    found = []
    for k in range(1, 6):
        tokens = a * (1 - a**k) / (1 - a) + a**k * bottom[0]
        found.append(tokens / (c * k + bottom[1]))
    assert worth(a, c, bottom, 5) == pytest.approx(max(found))
    assert worth(a, c, bottom, 1) == pytest.approx(found[0])
    assert worth(1.0, 0.5, (0.0, 0.0), 3) == pytest.approx(2.0)


def test_longer_steps_are_worth_more_where_the_bottom_is_dear():
    assert worth(0.9, 0.1, (0.0, 0.5), 5) > worth(0.9, 0.1, (0.0, 0.5), 1)


def test_acceptance_moves_to_the_share_of_the_last_twenty_decided_tokens():
    level = Level(0.5)
    level.observe(4, 2)  # the fourth token was not decided
    assert level.a == pytest.approx(0.7 * 0.5 + 0.3 * 2 / 3)
    before = level.a
    level.observe(3, 3)
    assert level.a == pytest.approx(0.7 * before + 0.3 * 5 / 6)
    before = level.a
    level.observe(0, 0)
    assert level.a == before
    for _ in range(20):
        level.observe(1, 0)
    assert level._recent.count(True) == 0


@pytest.mark.parametrize(
    ("layers", "share", "skipped"),
    [(7, 0.4, (1, 3, 5)), (12, 0.5, (1, 3, 5, 6, 8, 10)), (2, 0.4, ()), (1, 0.6, ())],
)
def test_levels_skip_layers_at_even_distances_between_the_ends(layers, share, skipped):
    found = evenly_skipped(layers, share)
    assert (found.attention, found.mlp) == (skipped, skipped)


# preset `faithful`


def test_the_first_rounds_take_the_levels_in_turn():
    planner = Cas(CasConfig(warm=5)).start(SHAPE)
    sets = [planner.plan(context(NEW, number)).skips for number in range(5)]
    light, heavy = evenly_skipped(LAYERS, 0.4), evenly_skipped(LAYERS, 0.6)
    assert sets == [light, heavy, light, heavy, light]


@pytest.mark.parametrize("good", [0, 1])
def test_the_level_of_most_worth_drafts(good):
    """One level is always accepted and the other never; the accepted one drafts."""
    planner = Cas(CasConfig(warm=20)).start(SHAPE)
    for number in range(20):
        planner.plan(context(NEW, number))
        planner._drafting = number % 2
        heard_level = planner._levels[number % 2]
        heard_level.observe(4, 4 if number % 2 == good else 0)
    plan = planner.plan(context(NEW))
    alone, n = COSTS.autoregressive(6), 6
    values = []
    for level, share in zip(planner._levels, (0.4, 0.6), strict=True):
        c = COSTS.draft_step(evenly_skipped(LAYERS, share), n) / alone
        row = (COSTS.verify(2, n) - COSTS.verify(1, n)) / alone
        values.append(worth(level.a, c, (planner._bottom.a, row), 5))
    assert values.index(max(values)) == good
    assert plan.skips == evenly_skipped(LAYERS, (0.4, 0.6)[good])


def test_a_match_is_copied_before_the_level_drafts():
    planner = Cas(CasConfig()).start(SHAPE)
    plan = planner.plan(context(REPEATING))
    assert plan.copied == (4, 5, 1, 2, 3, 4, 5, 1, 2, 3)
    assert plan.stop == StopRule(20, gain=GainRule(0.3))
    assert plan.skips == planner.plan(context(NEW)).skips
    assert planner.plan(context(NEW)).tree.widest == 3


def test_the_bottom_and_the_level_learn_from_their_own_tokens():
    planner = Cas(CasConfig(warm=0)).start(SHAPE)
    planner.plan(context(NEW))
    level = planner._levels[planner._drafting]
    heard(planner, (1, 2, 3, 4), accepted=3, copied=2)
    assert list(planner._bottom._recent) == [True, True]
    assert list(level._recent) == [True, False]
    heard(planner, (1, 2, 3, 4), accepted=1, copied=2)
    assert list(planner._bottom._recent) == [True, True, True, False]
    assert list(level._recent) == [True, False]


@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_no_token_changes(preset):
    prompts = planted_prompts(each=2)
    strategy = Cas(Cas.presets[preset])
    assert keeps_tokens(planted_executor("llama"), strategy, prompts, 40)


# preset `best`


def test_levels_are_nested_and_judged_by_their_own_drafts():
    found = world(planted_llama(SHAPE, dict.fromkeys(range(12), 0.4)))
    search = LevelSearch(LevelConfig(shares=(0.25, 0.5)))
    at = found.context(costs=COSTS)
    sets, alphas = search.run(at, found.references(6), RoundPrices.at(COSTS, 24, (1,)))
    assert [len(skips) for skips in sets] == [3, 6]
    assert set(sets[0]) < set(sets[1])
    assert not {0, 1, 10, 11} & set(sets[1])
    judge = RowJudge(found.probe, found.tokens[-6:], found.references(6)[12])
    assert alphas.tolist() == [judge.agreement(skips).overlap[0] for skips in sets]
    seconds = 2 * COSTS.walk(24, 6, logits=12)
    assert search.seconds(at, 6) == pytest.approx(seconds)


def test_best_copies_where_that_pays_and_else_drafts_by_the_best_level():
    silent = {i: 0.0 if 2 <= i < 8 else 1.0 for i in range(12)}
    found = world(planted_llama(SHAPE, silent), tokens=[*REPEATING, *REPEATING, 9, 8, 7])
    planner = Cas().start(SHAPE)
    plan = planner.plan(found.context(costs=COSTS, budget=1000))
    assert not plan.copied
    assert set(plan.skips) <= set(range(2, 8))
    assert len(plan.skips) >= 4
    copying = planner.plan(found.context(costs=COSTS, budget=1000, tokens=[*found.tokens, 1, 2, 3]))
    assert copying.copied[:3] == (9, 8, 7)


def test_nothing_is_drafted_where_no_level_pays():
    found = world(planted_llama(SHAPE, dict.fromkeys(range(12), 4.0)))
    costly = prices(LAYERS, row=1.0)  # a verified row costs as much as a pass
    plan = Cas().start(SHAPE).plan(found.context(costs=costly))
    assert (plan.stop.max_tokens, plan.skips) == (0, SkipSet.none(LAYERS))
