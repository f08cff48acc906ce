"""Any strategy with any stop rule and with trees, from text."""

from functools import cache
from itertools import product

import pytest
from doubles.contexts import plain_context
from doubles.every_strategy import ready
from doubles.strategies import Listening
from doubles.written_lab import plain_costs

from specframe.contract.constant_plan import ConstantPlan
from specframe.contract.drafting_options import WithDrafting, stop_from, tree_from
from specframe.contract.naming import read_named, strategy_from
from specframe.contract.planner import Context
from specframe.contract.registry import strategy_names
from specframe.contract.selector import Needs
from specframe.contract.stopping import AdaptiveThreshold, DepthAnnealed, FixedStop, PricedGain
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing.scene import StrategyScene
from specframe.types import (
    Draft,
    DraftPlan,
    ExitRule,
    ModelShape,
    Outcome,
    SkipSet,
    StopRule,
    TreeRule,
)

LAYERS = 4
SHAPE = ModelShape(LAYERS, 16, 31, 2, 1, 8, 24, 256)
SCENE = StrategyScene(LAYERS)
STOPS = ("length:3", "confidence:5:0.2", "adaptive:4:0.3:0.8", "annealed:4:0.3:2", "gain:5")
TREES = (None, "2-1", "0.5:1-0.1:2-3")
COSTS = plain_costs(LAYERS)
EVEN = CostModel.even(LAYERS)
SKIPS = SkipSet.of(LAYERS, mlp=[2])


def tokens_of(strategy, count=14):
    engine = Engine(SCENE.executor, strategy.fresh(), Law(), Limits(60), COSTS)
    tokens, shapes = [], set()
    for done in engine.rounds(SCENE.tokens[:12]):
        tokens += done.tokens
        draft = None if done.outcome is None else done.outcome.draft
        if draft is not None and draft.tokens and not draft.copied:
            shapes.add(draft.is_chain)
        if len(tokens) >= count:
            break
    return tokens[:count], shapes


@cache
def own_tokens():
    return tokens_of(Autoregressive())[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if place % 2 else [])
        for place, name in enumerate(strategy_names())
    ],
)
def test_every_strategy_drafts_on_low_bit_weights_and_keeps_the_model_s_tokens(name):
    found, _ = tokens_of(WithDrafting(ready(f"{name}:faithful"), bits=4))
    assert found == own_tokens()


@pytest.mark.parametrize("pairs", ["in turn", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", strategy_names())
def test_every_strategy_with_any_stop_rule_and_tree_keeps_the_model_s_tokens(name, pairs):
    """In turn, each strategy meets each tree with a stop rule; strategies share the pairs."""
    inner, shift = ready(f"{name}:faithful"), strategy_names().index(name)
    in_turn = [(STOPS[(at + shift) % len(STOPS)], tree) for at, tree in enumerate(TREES)]
    own_shapes = tokens_of(inner)[1]
    for stop, tree in in_turn if pairs == "in turn" else product(STOPS, TREES):
        wrapped = WithDrafting(inner, stop_from(stop), tree and tree_from(tree))
        found, shapes = tokens_of(wrapped)
        assert found == own_tokens(), (stop, tree)
        if own_shapes and tree == "2-1":
            assert shapes == {False}  # drafts that were not copied each had a sibling


def test_a_tree_takes_the_place_of_exits():
    exits = DraftPlan(SkipSet.after(4, 3), StopRule(4), exits=ExitRule((1,)))
    for tree in (None, TreeRule((2,))):
        planner = WithDrafting(ConstantPlan(exits), tree=tree).start(SHAPE)
        plan = planner.plan(plain_context(SHAPE))
        assert (plan.tree, plan.exits) == (tree, exits.exits if tree is None else None)


# stop rules and trees in text


def test_stop_rules_are_read_with_defaults_for_what_is_left_out():
    assert stop_from("length:3") == FixedStop(StopRule(3))
    assert stop_from("confidence") == FixedStop(StopRule(12, confidence=0.6))
    assert stop_from("confidence:5:0.25") == FixedStop(StopRule(5, confidence=0.25))
    assert stop_from("adaptive:4:0.3:0.8") == AdaptiveThreshold(4, 0.3, 0.8)
    assert stop_from("annealed:4:0.3:2") == DepthAnnealed(4, 0.3, 2.0)
    assert stop_from("gain:7") == PricedGain(7)


def test_trees_are_read_by_depth_or_by_confidence():
    assert tree_from("3-2-1") == TreeRule((3, 2, 1))
    assert tree_from("0.9:1-0.5:2-4") == TreeRule((4,), by_confidence=((0.9, 1), (0.5, 2)))


@pytest.mark.parametrize("text", ["", "often", "length:a", "length:1:2", "gain:-1", "adaptive:3:7"])
def test_a_stop_rule_that_cannot_be_read_is_refused(text):
    with pytest.raises(InvalidConfig, match="must be"):
        stop_from(text)


@pytest.mark.parametrize("text", ["", "x", "2:3", "3-0.5:2", "0-1", "65", "0.5:99-1"])
def test_a_tree_that_cannot_be_read_or_held_is_refused(text):
    with pytest.raises(InvalidConfig, match="must be"):
        tree_from(text)


def test_options_add_a_stop_rule_and_a_tree():
    found = strategy_from("fixed", SHAPE, options={"mlp": "2", "draft_stop": "length:3"})
    inner = FixedSkips(SkipSet.of(LAYERS, mlp=[2]))
    assert found == WithDrafting(inner, FixedStop(StopRule(3)))
    assert strategy_from("fixed", SHAPE, options={"mlp": "2"}) == inner
    assert strategy_from("fixed", SHAPE, options={"draft_tree": "2"}).tree == TreeRule((2,))


def test_a_saved_strategy_takes_drafting_options_and_no_others(tmp_path):
    ready("static-bo:faithful").save(tmp_path / "kept")
    folder = str(tmp_path / "kept")
    found = strategy_from(folder, SHAPE, options={"draft_tree": "2"})
    assert (found.tree, found.inner.found) == (TreeRule((2,)), ready("static-bo:faithful").found)
    with pytest.raises(InvalidRequest, match="evaluations"):
        strategy_from(folder, SHAPE, options={"evaluations": "9"})
    assert read_named(folder + "+draft_tree=2").name == folder


# the priced gain, at the prices of the plan


def context(costs=COSTS):
    shape = SCENE.shape
    return Context(shape, [1, 2], 1, 9, 0, costs, SCENE.play(Autoregressive()).context().probe)


@pytest.mark.parametrize(("costs", "expected"), [(EVEN, 5 / 8), (COSTS, 5.5 / 8.5)])
def test_gain_is_priced_by_the_skip_set_of_the_plan(costs, expected):
    inner = FixedSkips(SkipSet.of(LAYERS, attention=[1, 2], mlp=[2]))
    wrapped = WithDrafting(inner, PricedGain())
    plan = wrapped.start(SHAPE).plan(context(costs))
    assert plan.stop.gain.price == pytest.approx(expected)
    assert wrapped.traits.context_aware
    assert not inner.traits.context_aware


def test_a_priced_gain_learns_and_forgets():
    wrapped = WithDrafting(FixedSkips(SKIPS), PricedGain())
    planner = wrapped.start(SHAPE)
    fresh = planner.plan(context())
    for _ in range(5):
        plan = planner.plan(context())
        planner.observe(Outcome(plan, Draft((1, 2), (-1, 0), (0.9, 0.9)), 0, (3,)))
    assert planner.plan(context()) != fresh
    assert first_plan(wrapped) == fresh


# what the wrapper changes, and what it leaves to the inner strategy


def first_plan(strategy):
    return strategy.start(SHAPE).plan(context())


def test_the_inner_plan_gets_the_stop_rule_and_the_tree():
    inner = FixedSkips(SKIPS, StopRule(6))
    stop, tree = StopRule(2, confidence=0.3), TreeRule((2,))
    assert first_plan(WithDrafting(inner, FixedStop(stop), tree)) == DraftPlan(SKIPS, stop, tree)
    assert first_plan(WithDrafting(inner, tree=tree)) == DraftPlan(SKIPS, StopRule(6), tree)
    assert first_plan(WithDrafting(inner)) == DraftPlan(SKIPS, StopRule(6))


def test_a_plan_that_does_not_draft_is_not_changed():
    plan = first_plan(WithDrafting(Autoregressive(), FixedStop(StopRule(5)), TreeRule((2,))))
    assert (plan.stop.max_tokens, plan.tree) == (0, None)


def test_the_inner_planner_and_the_stop_rule_both_learn():
    inner = Listening(DraftPlan(SKIPS, StopRule(4)), Needs(committed=(-1,), window=3))
    wrapped = WithDrafting(inner, AdaptiveThreshold())
    assert wrapped.needs == inner.needs
    planner = wrapped.start(SHAPE)
    before = planner.plan(context())
    done = Outcome(before, Draft((1, 2), (-1, 0), (0.9, 0.9)), 0, (3,))
    planner.observe(done)
    assert inner.heard == [done]
    assert planner.plan(context()).stop.confidence > before.stop.confidence
    assert first_plan(wrapped) == before
