"""ConfLayers: confidence and margins by hand, the moving threshold, and the order of `best`."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.strategies_worlds import outcome, prices

from specframe.contract.selector import Needs
from specframe.costs.rates import RoundPrices
from specframe.strategies.conflayers.paper import (
    ConfLayersConfig,
    confidences,
    margins,
    skipped_at,
)
from specframe.strategies.conflayers.program import ConfidenceSearch, OrderConfig
from specframe.strategies.conflayers.strategy import ConfLayers
from specframe.strategies.shared.planners.swift_drafts import (
    GREEDY_TREE,
    SAMPLED_TREE,
    every_other_layer,
)
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.types import ModelShape, SkipSet, StopRule

LAYERS = 6
SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
PLANTED = (2, 3, 8, 9)  # the second and the fifth layer add nothing
SHORT = ConfLayersConfig(window=8, interval=4)

# the paper's quantities


def test_confidence_is_one_minus_the_entropy_of_the_layers_own_prediction(after_prompt):
    states = after_prompt.references(3)
    found = confidences(after_prompt.probe, states, LAYERS)
    for layer in range(1, LAYERS + 1):
        laws = after_prompt.probe.logits(states[2 * layer][None])[0].softmax(-1).tolist()
        entropies = [-sum(p * math.log(p) for p in law if p > 0.0) for law in laws]
        expected = 1.0 - statistics.fmean(entropies) / math.log(SHAPE.vocabulary)
        assert found[layer - 1] == pytest.approx(expected)
    own = after_prompt.logits[-3:].log_softmax(-1)
    last = 1.0 + float((own.exp() * own).sum(-1).mean()) / math.log(SHAPE.vocabulary)
    assert found[-1] == pytest.approx(last)


def by_the_rule(confident, threshold):
    """Equations (2) to (5), a layer at a time."""
    count = len(confident)
    mean, deviation = statistics.fmean(confident), statistics.pstdev(confident)
    z = [(c - mean) / deviation for c in confident]
    bend = [0.0, *(z[i - 1] - 2 * z[i] + z[i + 1] for i in range(1, count - 1)), 0.0]
    scaled = [(b - min(bend)) / (max(bend) - min(bend)) for b in bend]
    g = [s - statistics.fmean(scaled) + 0.5 for s in scaled]
    skipped = []
    for i in range(1, count - 1):
        width = 2 + math.floor(5 * g[i] * (i + 1) / count)
        near = [z[j] for j in range(count) if j != i and abs(j - i) <= width]
        if z[i] < statistics.fmean(near) - threshold * statistics.pstdev(near):
            skipped.append(i)
    return SkipSet.of(count, skipped, skipped)


@pytest.mark.parametrize("seed", range(6))
def test_margins_decide_as_the_rule_does_at_every_threshold(seed):
    confident = np.random.default_rng(seed).random(9 + seed)
    below = margins(confident)
    sizes = set()
    for threshold in np.linspace(-2.0, 2.0, 41):
        found = skipped_at(below, threshold)
        assert found == by_the_rule(confident.tolist(), threshold)
        sizes.add(len(found))
    assert len(sizes) > 3


def test_a_dip_is_skipped_and_the_ends_never_are():
    below = margins(np.array([0.0, 0.5, 0.1, 0.5, 0.5, 0.0]))
    assert skipped_at(below, 0.5) == SkipSet.of(6, [2], [2])
    assert skipped_at(below, -1e9) == SkipSet.of(6, range(1, 5), range(1, 5))


def test_layers_that_are_equally_sure_have_no_dip():
    assert not skipped_at(margins(np.full(6, 0.3)), -0.5)


# preset `faithful`


def context_of(after_prompt, round_number, **more):
    return after_prompt.context(round=round_number, states=after_prompt.states, **more)


def test_before_there_are_enough_tokens_every_other_layer_is_skipped(after_prompt):
    planner = ConfLayers(SHORT).start(SHAPE)
    few = {depth: rows[-7:] for depth, rows in after_prompt.states.items()}
    plan = planner.plan(after_prompt.context(round=1, states=few))
    assert plan.skips == every_other_layer(LAYERS)
    assert (plan.stop, plan.tree, plan.capture) == (StopRule(25, 0.8), GREEDY_TREE, True)
    sampled = planner.plan(after_prompt.context(round=1, states=few, sampled=True))
    assert sampled.tree == SAMPLED_TREE


def test_the_threshold_falls_until_enough_layers_are_skipped(after_prompt):
    """Every round, by a step of 0.05, on the last W rows."""
    below = margins(confidences(after_prompt.probe, after_prompt.references(8), LAYERS))
    planner = ConfLayers(replace(SHORT, ratio=0.7)).start(SHAPE)
    planner._skips = SkipSet.none(LAYERS)
    planner._threshold = threshold = 2.0
    planned = 0
    for number in range(1, 60):
        plan = planner.plan(context_of(after_prompt, number))
        assert plan.skips == skipped_at(below, threshold)
        planned += 1
        if len(plan.skips.mlp) > int(4 * 0.7):
            break
        threshold -= 0.05
        planner.observe(outcome(plan))
    assert 1 < planned < 59


def test_the_threshold_rises_where_too_many_are_skipped(after_prompt):
    planner = ConfLayers(replace(SHORT, ratio=0.3)).start(SHAPE)
    planner._skips, planner._threshold = SkipSet.none(LAYERS), -1e9
    planner.plan(context_of(after_prompt, 1))
    assert planner._threshold == pytest.approx(-1e9 + 0.05)


@pytest.mark.parametrize(("accepted", "rounds"), [(2, 4), (0, 2)])
def test_later_plans_keep_an_interval_that_failure_halves(after_prompt, accepted, rounds):
    planner = ConfLayers(replace(SHORT, ratio=0.3)).start(SHAPE)
    plans = []
    for number in range(1, 12):
        before = planner._plans
        plan = planner.plan(context_of(after_prompt, number))
        plans.append(planner._plans > before)
        planner.observe(outcome(plan, accepted=accepted, drafted=3))
    every = [number for number, planned in enumerate(plans) if planned]
    assert every == list(range(every[0], 11, rounds))


def test_the_search_ends_for_good_once_long_drafts_are_accepted(after_prompt):
    planner = ConfLayers(SHORT).start(SHAPE)
    planner.observe(outcome(planner.plan(context_of(after_prompt, 1)), accepted=6, drafted=6))
    plan = planner.plan(context_of(after_prompt, 2))
    assert not plan.capture
    for number in range(3, 20):
        planner.observe(outcome(plan, accepted=0, drafted=6))
        assert planner.plan(context_of(after_prompt, number)).skips == plan.skips
    assert planner._plans == 0


def test_after_the_last_plan_the_set_that_was_accepted_best_drafts(after_prompt):
    planner = ConfLayers(replace(SHORT, most=1, ratio=0.7)).start(SHAPE)
    planner.observe(outcome(planner.plan(after_prompt.context(states={})), accepted=2, drafted=3))
    plan = planner.plan(context_of(after_prompt, 1))
    assert planner._plans == 1
    assert (plan.skips, plan.capture) == (every_other_layer(LAYERS), False)


# preset `best`


def test_sets_follow_the_order_of_margins_and_are_judged_by_their_own_drafts(after_prompt):
    search = ConfidenceSearch(OrderConfig(most_skipped=1.0, finalists=4))
    references = after_prompt.references(8)
    context = after_prompt.context(costs=prices(LAYERS))
    found, alphas = search.run(context, references, RoundPrices.at(context.costs, 24, (1,)))
    below = margins(confidences(after_prompt.probe, references, LAYERS))
    assert [len(skips.mlp) for skips in found] == [1, 2, 3, 4]
    for skips in found:
        kept = [i for i in range(1, LAYERS - 1) if i not in skips.mlp]
        assert skips.mlp == skips.attention
        assert min(below[list(skips.mlp)]) >= max(below[kept], default=-np.inf)
    judge = RowJudge(after_prompt.probe, after_prompt.tokens[-8:], references[12])
    assert alphas.tolist() == [judge.agreement(skips).overlap[0] for skips in found]


def test_a_search_is_priced_by_what_it_runs(after_prompt):
    costs = prices(LAYERS, row=0.0)
    search = ConfidenceSearch(OrderConfig(most_skipped=1.0, finalists=3))
    walk = costs.walk(24, 1) + 1.0
    assert search.seconds(after_prompt.context(costs=costs), 8) == pytest.approx(6 + 3 * walk)


def test_it_is_not_searched_where_that_cannot_pay(after_prompt):
    costs = prices(LAYERS, row=0.001)
    for budget, searches in ((4, False), (4_000, True)):
        planner = ConfLayers().start(SHAPE)
        planner.plan(after_prompt.context(budget=budget, costs=costs))
        assert bool(planner._planned_at) == searches


def test_a_model_of_two_layers_has_nothing_to_skip():
    search = ConfidenceSearch(OrderConfig())
    assert search._counts(2) == search._counts(1) == []
    assert search._counts(3) == [1]


def test_needs_are_the_rows_that_layers_are_scored_on():
    assert ConfLayers(SHORT).needs == Needs(committed=Needs.every, window=8, prices=False)
    assert (ConfLayers().needs.prompt_rows, ConfLayers().needs.window) == (4, 4)


def test_confidence_is_finite_where_the_head_excludes_tokens(after_prompt):
    class Excluding:
        def logits(self, hidden):
            found = after_prompt.probe.logits(hidden).clone()
            found[..., 0] = -torch.inf
            return found

    assert np.isfinite(confidences(Excluding(), after_prompt.references(2), LAYERS)).all()
