"""DEL: shadow statistics by hand, the choice they lead to, and that it is honoured."""

import pytest
import torch
from doubles.planted_labs import own_tokens, planted_prompts
from doubles.strategies import Started
from doubles.strategies_worlds import outcome, prices, world
from doubles.written_lab import plain_costs

from specframe.contract.naming import strategy_from
from specframe.contract.paying import draft_nothing
from specframe.contract.selector import Needs
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import expected_tokens
from specframe.costs.rates import APART
from specframe.executors.load import load_executor
from specframe.strategies.del_exit import FEWEST, REST, ROWS, Del, DelConfig, ShadowCounts
from specframe.testing import planted_llama
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

LAYERS = 4
SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)


def named(preset, **options):
    return strategy_from("del", SHAPE, preset, options)


def planted(silent):
    """Layers from `silent` on add nothing, so that leaving there loses nothing."""
    noise = {i: 1.0 if i < 2 * silent else 0.0 for i in range(2 * LAYERS)}
    return planted_llama(SHAPE, noise)


def test_statistics_by_hand():
    counts = ShadowCounts.none(2)
    counts = counts.add(
        torch.tensor([[True, False], [False, False]]), torch.tensor([[0.8, 0.4], [0.3, 0.5]]), 0.5
    )
    counts = counts.add(torch.tensor([[True], [False]]), torch.tensor([[0.6], [0.2]]), 0.5)
    assert counts.matches.tolist() == pytest.approx([1.5, 0.0])
    assert counts.misses.tolist() == pytest.approx([0.5, 2.0])
    assert counts.alphas() == pytest.approx([0.75, 0.0])
    assert counts.threshold(0) == pytest.approx(((0.4 + 0.6) / 1.5 + 0.2 / 0.5) / 2)
    assert counts.threshold(1) == 0.0  # the second exit has had no match


def test_what_was_never_seen_has_no_acceptance():
    assert ShadowCounts.none(3).alphas() == [0.0, 0.0, 0.0]


def with_counts(config, matches, misses):
    planner = Del(config).start(SHAPE)
    planner._counts = ShadowCounts(
        torch.tensor(matches), torch.tensor(misses), torch.zeros(3), torch.zeros(3)
    )
    return planner


def test_faithful_takes_the_most_tokens_a_layer():
    alphas = (0.5, 0.8, 0.95)
    rates = {
        (e, g): expected_tokens(alpha, g) / (LAYERS + g * e)
        for e, alpha in zip((1, 2, 3), alphas, strict=True)
        for g in range(18)
    }
    exit_layer, drafted = max(rates, key=rates.get)
    planner = with_counts(DelConfig(priced=False), alphas, [1.0 - a for a in alphas])
    context = world(planted(2)).context(round=5, costs=plain_costs(LAYERS), prompt_states={})
    plan = planner.plan(context)
    assert (plan.skips.prefix // 2, plan.stop.max_tokens) == (exit_layer, drafted)


def test_best_takes_the_most_tokens_a_second():
    alphas, costs = (0.5, 0.8, 0.95), prices(LAYERS, head=0.3)
    found = world(planted(2))
    n = round(len(found.tokens) / APART) * APART
    shadows = costs.head.at(n, 4 * ROWS)  # of three exits and the end
    rates = {
        (e, g): expected_tokens(alpha, g)
        / (costs.round(DraftPlan(SkipSet.after(LAYERS, e), StopRule(g)), n) + (shadows if g else 0))
        for e, alpha in zip((1, 2, 3), alphas, strict=True)
        for g in range(18)
    }
    exit_layer, drafted = max(rates, key=rates.get)
    planner = with_counts(DelConfig(), alphas, [1.0 - a for a in alphas])
    plan = planner.plan(found.context(round=5, costs=costs, prompt_states={}))
    assert (plan.skips.prefix // 2, plan.stop.max_tokens) == (exit_layer, drafted)


def test_exits_are_not_watched_for_a_while_where_nothing_pays():
    planner = with_counts(DelConfig(), (0.0, 0.05, 0.1), (1.0, 0.95, 0.9))
    found, costs = world(planted(2)), prices(LAYERS, head=3.0)
    for _ in range(2):
        plan = planner.plan(found.context(round=5, costs=costs, prompt_states={}))
        assert (plan.capture, plan.stop.max_tokens) == (True, 0)
        planner.observe(outcome(plan, 0, 0))
        for _ in range(REST):
            plan = planner.plan(found.context(round=5, costs=costs, prompt_states={}))
            assert plan == draft_nothing(LAYERS)
            planner.observe(outcome(plan, 0, 0))


def test_the_measured_time_of_watching_counts():
    planner = with_counts(DelConfig(), (0.5, 0.8, 0.95), (0.5, 0.2, 0.05))
    found, costs = world(planted(2)), prices(LAYERS, head=0.3)
    context = found.context(round=5, costs=costs, prompt_states={})
    for _ in range(1 + FEWEST):
        plan = planner.plan(context)
        assert plan.stop.max_tokens
        planner.observe(outcome(plan, seconds=100.0 * costs.autoregressive(20)))
    assert not planner.plan(context).stop.max_tokens


def test_nothing_is_drafted_where_no_length_pays():
    planner = with_counts(DelConfig(priced=False), [0.0, 0.05, 0.1], [1.0, 0.95, 0.9])
    plan = planner.plan(world(planted(2)).context(round=5, prompt_states={}))
    assert plan.stop.max_tokens == 0


def test_the_paper_begins_with_one_token_from_the_first_exit():
    plan = named("faithful").start(SHAPE).plan(world(planted(2)).context())
    assert plan == DraftPlan(SkipSet.after(LAYERS, 1), StopRule(1))


@pytest.mark.parametrize("silent", [1, 3])
@pytest.mark.parametrize("preset", ["best", "faithful"])
def test_the_planted_exit_is_found_and_changes_no_token(preset, silent):
    executor = load_executor(planted(silent))
    strategy = named(preset)
    prompt = planted_prompts(each=1)[0]
    engine = Engine(executor, strategy, Law(), Limits(80), plain_costs(LAYERS))
    rounds = list(engine.rounds(prompt.tokens))
    assert [t for done in rounds for t in done.tokens] == own_tokens(executor, prompt, 80)
    late = [done.outcome for done in rounds[4:]]
    assert {outcome.plan.skips.prefix // 2 for outcome in late} == {silent}
    assert sum(outcome.accepted for outcome in late) > 20


def test_only_committed_rows_are_counted():
    """After any rounds the counts are those of a full walk over what was committed."""
    noise = {i: 1.0 if i < 4 else 0.35 for i in range(2 * LAYERS)}
    executor = load_executor(planted_llama(SHAPE, noise))
    strategy = Started(Del(DelConfig(memory=1.0)))
    prompt = planted_prompts(each=1)[0]
    rounds = list(Engine(executor, strategy, Law(), Limits(30)).rounds(prompt.tokens))
    assert any(done.outcome.accepted < done.outcome.drafted for done in rounds[1:])
    emitted = [t for done in rounds for t in done.tokens]
    counted = len(prompt.tokens) + len(emitted) - 1 - len(rounds[-1].tokens)
    counts = strategy.planners[0]._counts
    assert (counts.matches + counts.misses).tolist() == [counted] * (LAYERS - 1)


def test_exits_are_spread_over_a_deep_model():
    deep = ModelShape(24, 8, 32, 2, 1, 4, 16, 256)
    spread = strategy_from("del", deep)
    assert spread.config.exits == (5, 10, 14, 19)
    assert spread.needs.committed == (10, 20, 28, 38, -1)
    few = strategy_from("del", deep, "best", {"spread": "2"})
    assert few.config.exits == (8, 16)
    given = strategy_from("del", deep, "best", {"exits": "4,5"})
    assert given.config.exits == (4, 5)
    assert strategy_from("del", deep, "faithful").needs.committed == Needs.every
    assert named("best").config.exits == (1, 2, 3)
