"""SpecBound: the annealed rule and its bounds, and the exit that `best` chooses."""

from dataclasses import replace

import pytest
from doubles.planted_labs import own_tokens, planted_prompts
from doubles.strategies import Started
from doubles.strategies_worlds import prices, world
from doubles.written_lab import plain_costs

from specframe.contract.naming import strategy_from
from specframe.contract.selector import Needs
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.load import load_executor
from specframe.strategies.specbound import BoundConfig, PricedExits, SpecBound
from specframe.testing import planted_llama
from specframe.types import ExitRule, ModelShape, SkipSet, StopRule

LAYERS = 8
SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)


def planted(silent):
    """Layers from `silent` on add nothing, so that leaving there loses nothing."""
    noise = {i: 1.0 if i < 2 * silent else 0.0 for i in range(2 * LAYERS)}
    return planted_llama(SHAPE, noise)


def test_the_bounds_and_the_exits_are_in_the_plan():
    plan = BoundConfig(2.0, 0.6, deepest=0.75, longest=5, spread=3).plan(LAYERS)
    assert (plan.skips, plan.stop) == (SkipSet.after(LAYERS, 6), StopRule(5, 0.6))
    assert plan.exits == ExitRule((2, 4), annealing=2.0)
    assert BoundConfig(deepest=1.0).plan(2).skips == SkipSet.after(2, 1)
    assert BoundConfig().plan(1).stop.max_tokens == 0


@pytest.mark.parametrize("silent", [2, 4])
def test_tokens_exit_before_silent_layers_and_do_not_change(silent):
    executor = load_executor(planted(silent))
    prompt = planted_prompts(each=1)[0]
    strategy = SpecBound(BoundConfig(confidence=0.02))
    rounds = list(Engine(executor, strategy, Law(), Limits(60)).rounds(prompt.tokens))
    assert [t for done in rounds for t in done.tokens] == own_tokens(executor, prompt, 60)
    accepted = sum(done.outcome.accepted for done in rounds[1:])
    drafted = sum(done.outcome.drafted for done in rounds[1:])
    assert accepted > 20
    assert (accepted > 0.9 * drafted) == (silent == 2)  # the first exit comes after two layers


@pytest.mark.parametrize("silent", [2, 6])
def test_best_finds_the_planted_exit_and_anneals_by_its_depth(silent):
    executor, prompt = load_executor(planted(silent)), planted_prompts(each=1)[0]
    strategy = strategy_from("specbound", SHAPE, "best", {"annealing": "3"})
    engine = Engine(executor, strategy, Law(), Limits(80), plain_costs(LAYERS))
    rounds = list(engine.rounds(prompt.tokens))
    assert [t for done in rounds for t in done.tokens] == own_tokens(executor, prompt, 80)
    late = [done.outcome for done in rounds[4:]]
    assert {outcome.plan.skips for outcome in late} == {SkipSet.after(LAYERS, silent)}
    (temperature,) = {outcome.plan.stop.temperature for outcome in late}
    assert temperature == pytest.approx(1.0 + 3.0 * (1.0 - silent / LAYERS))
    assert sum(outcome.accepted for outcome in late) > 20


def test_nothing_is_drafted_where_no_exit_pays():
    found = world(planted(8))
    plan = SpecBound().start(SHAPE).plan(found.context(costs=prices(LAYERS, head=3.0)))
    assert plan.stop.max_tokens == 0


def test_it_is_judged_again_when_the_text_changes():
    """On states that verification computed."""
    strategy = Started(SpecBound(PricedExits(interval=8, review=1, drift=0.05, hoped_speedup=2.0)))
    executor, prompt = load_executor(planted(6)), planted_prompts(each=1)[0]
    engine = Engine(executor, strategy, Law(), Limits(100), plain_costs(LAYERS))
    rounds = engine.rounds(prompt.tokens)
    next(rounds), next(rounds)
    planner = strategy.planners[0]._inner
    first = planner._planned_at
    assert first
    planner._promised *= 2.0  # as if it had been much faster
    for _ in rounds:
        pass
    assert planner._planned_at > first


def test_needs_are_states_of_a_few_rows():
    assert SpecBound(BoundConfig()).needs == Needs(prices=False)
    assert SpecBound(replace(PricedExits(), rows=5)).needs.prompt_rows == 5
