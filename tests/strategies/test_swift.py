"""SWIFT as its code runs it, and as it pays."""

from dataclasses import replace

import pytest
import torch
from doubles.contexts import plain_context
from doubles.strategies_worlds import (
    first_token_acceptance,
    outcome,
    prices,
    tokens_and_drafted,
    world,
)

from specframe.contract.selector import Needs
from specframe.doors.speculator import SelfSpeculator
from specframe.strategies.shared.planners.swift_drafts import (
    GREEDY_TREE,
    SAMPLED_TREE,
    every_other_layer,
)
from specframe.strategies.shared.searching.bayesian import BayesianSearch
from specframe.strategies.shared.streams.agreement import RowJudge
from specframe.strategies.shared.streams.stream_change import nested_sets, stream_change
from specframe.strategies.swift import paper
from specframe.strategies.swift.online import StreamConfig
from specframe.strategies.swift.paper import SwiftConfig, matchness
from specframe.strategies.swift.strategy import Swift
from specframe.testing.architectures import tiny_model
from specframe.types import ModelShape, SkipSet, StopRule

SHAPE = ModelShape(6, 32, 61, 4, 2, 8, 48, 256)
PLANTED = frozenset({3, 4, 5, 7, 8})  # these sublayers add nothing
QUICK = SwiftConfig(window=4, bayes_every=3)
DRAWN = replace(QUICK, bayes_every=99)  # no Bayesian suggestions, which take long


# the paper's search


def test_the_first_set_is_every_other_layer_between_the_ends():
    assert every_other_layer(6) == SkipSet.of(6, attention=[1, 3], mlp=[1, 3])
    assert every_other_layer(5) == SkipSet.of(5, attention=[1, 3], mlp=[1, 3])
    assert len(every_other_layer(1)) == len(every_other_layer(2)) == 0


def test_matchness_is_the_share_of_produced_tokens_that_the_set_chooses(planted, after_prompt):
    start = len(after_prompt.tokens)
    prompt = torch.tensor([after_prompt.tokens])
    found = SelfSpeculator(planted).generate(prompt, max_new_tokens=21, do_sample=False)
    text = found.sequences[0].tolist()
    whole = world(planted, tokens=text)
    shares = set()
    for bits in (0b000110111000, 0b001111000100, 0b111000111000, 0b111111111100):
        own = whole.alone(SkipSet(12, bits), 21).logits[0].argmax(-1).tolist()
        share = sum(a == b for a, b in zip(own[:-1], text[start + 1 :], strict=True)) / 20
        assert matchness(after_prompt.probe, text[start:], start, SkipSet(12, bits)) == share
        shares.add(share)
    assert len(shares) > 2
    assert matchness(after_prompt.probe, text[start:], start, SkipSet(12)) == 1.0


def played(context, scores, monkeypatch, config=DRAWN, rounds=40):
    """Plans of some rounds in which the sets tried get these scores, and the sets."""
    tried = []

    def score(probe, tokens, start, skips):
        tried.append(skips)
        return scores[min(len(tried), len(scores)) - 1]

    monkeypatch.setattr("specframe.strategies.swift.paper.matchness", score)
    planner, plans = Swift(config).start(SHAPE), []
    tokens = [*context.tokens, *range(30)]
    for index in range(rounds):
        plans.append(planner.plan(replace(context, round=index, tokens=tokens)))
        planner.observe(outcome(plans[-1]))
    return plans, tried


def test_sets_keep_their_size_and_the_ends(after_prompt, monkeypatch):
    _, tried = played(after_prompt.context(), [0.1], monkeypatch, QUICK, rounds=8)
    assert len(tried) == 8
    assert {len(skips) for skips in tried} == {int(8 * 0.45)}
    assert not set().union(*map(set, tried)) & {0, 1, 10, 11}


def test_a_better_set_takes_over_and_a_worse_one_does_not(after_prompt, monkeypatch):
    plans, tried = played(
        after_prompt.context(), [0.2, 0.5, 0.4, 0.5, 0.6, 0.1], monkeypatch, rounds=12
    )
    expected = [tried[0], tried[1], tried[1], tried[1], tried[4]]
    assert [plan.skips for plan in plans[:5]] == expected
    assert {plan.skips for plan in plans[5:]} == {tried[4]}


@pytest.mark.parametrize(
    ("config", "scores", "count"),
    [
        (DRAWN, [0.2, 0.96], 2),
        (replace(DRAWN, patience=5), [0.2], 7),
        (replace(DRAWN, most_tried=6, patience=99), [0.2], 7),
        (replace(DRAWN, every=4), [0.2], 10),
    ],
)
def test_the_search_ends_by_score_patience_or_number(
    after_prompt, monkeypatch, config, scores, count
):
    assert len(played(after_prompt.context(), scores, monkeypatch, config)[1]) == count


def test_bayesian_suggestions_come_at_the_given_interval(after_prompt, monkeypatch):
    asked = []
    real = BayesianSearch.ask

    def ask(self):
        asked.append(len(self._told))
        return real(self)

    monkeypatch.setattr(BayesianSearch, "ask", ask)
    played(after_prompt.context(), [0.1, 0.3, 0.2], monkeypatch, QUICK, rounds=9)
    assert len(asked) == 3
    assert asked[0] == 2


def test_no_set_is_tried_before_enough_tokens_were_produced(after_prompt, monkeypatch):
    context = after_prompt.context()
    tried = []
    monkeypatch.setattr(paper, "matchness", lambda *a: tried.append(a) or 0.5)
    for produced in range(1, 8):
        tokens = [*context.tokens[: context.prompt_length], *range(produced)]
        Swift(QUICK).start(SHAPE).plan(replace(context, tokens=tokens, round=produced))
        assert len(tried) == max(produced - 5, 0)
    _, tokens, start, _ = tried[0]
    assert (tokens, start) == ([0, 1, 2, 3, 4], context.prompt_length)


def test_trees_are_narrower_where_the_draft_is_sure_and_narrower_when_sampled(after_prompt):
    plan = Swift(SwiftConfig()).start(SHAPE).plan(after_prompt.context())
    assert (plan.stop, plan.tree) == (StopRule(25, confidence=0.8), GREEDY_TREE)
    plan = Swift(SwiftConfig()).start(SHAPE).plan(after_prompt.context(sampled=True))
    assert plan.tree == SAMPLED_TREE


# preset best


@pytest.mark.parametrize("bits", [0b001101000, 0b111110000, 0])
def test_rows_are_judged_as_the_first_token_of_a_draft(after_prompt, bits):
    rows, skips = 10, SkipSet(12, bits)
    judge = RowJudge(
        after_prompt.probe, after_prompt.tokens[-rows:], after_prompt.states[12][-rows:]
    )
    (greedy,) = judge.agreement(skips).greedy
    assert greedy == pytest.approx(first_token_acceptance(after_prompt, skips, rows))


def test_sublayers_that_add_nothing_do_not_change_the_stream(after_prompt):
    turned = stream_change(after_prompt.states, 12)
    assert {b for b, turn in enumerate(turned) if turn < 1e-6} == PLANTED
    order = sorted(range(12), key=turned.__getitem__)
    (half,) = nested_sets(order, 12, [5 / 12])
    assert set(half) == PLANTED


def test_parallel_layers_have_one_stream_change():
    found = world(tiny_model("phi").double())
    turned = stream_change(found.states, found.size)
    assert turned[::2] == turned[1::2]
    assert min(turned) > 0.0


def test_best_finds_the_planted_set_at_once(after_prompt):
    context = after_prompt.context(budget=10_000, costs=prices(6))
    plan = Swift().start(SHAPE).plan(context)
    assert len(set(plan.skips) & PLANTED) >= 4
    assert first_token_acceptance(after_prompt, plan.skips, 20) > 0.9
    assert plan.stop.max_tokens >= 1


def test_trying_takes_no_more_than_its_share(after_prompt):
    costs, walked = prices(6), []

    class Watched:
        committed = after_prompt.probe.committed
        logits = staticmethod(after_prompt.probe.logits)

        def walk(self, step, skips, **more):
            walked.append(costs.walk(len(after_prompt.tokens), step.rows, skips, logits=step.rows))
            return after_prompt.probe.walk(step, skips, **more)

    for budget in (10, 100, 400):
        walked.clear()
        context = after_prompt.context(budget=budget, costs=costs, probe=Watched())
        planner = Swift(StreamConfig(window=8, share=0.05)).start(SHAPE)
        for index in range(30):
            plan = planner.plan(replace(context, round=index))
            planner.observe(outcome(plan))
        allowed = 0.05 * budget * costs.autoregressive(len(after_prompt.tokens))
        assert sum(walked) <= allowed
        assert budget < 100 or sum(walked) > 0.5 * allowed


def test_no_speculation_and_no_further_sets_where_it_does_not_pay(after_prompt):
    costly = prices(6, row=1.0)  # every row of verification costs as much as a token
    planner = Swift().start(SHAPE)
    context = after_prompt.context(budget=10_000, costs=costly)
    for index in range(20):
        plan = planner.plan(replace(context, round=index))
        assert plan.stop.max_tokens == 0
        planner.observe(outcome(plan, emitted=1, accepted=0, drafted=0))


def test_the_search_opens_again_where_the_expected_speed_is_not_reached(after_prompt):
    planner = Swift(StreamConfig(interval=8, share=0.02, patience=1)).start(SHAPE)
    context = after_prompt.context(budget=10_000, costs=prices(6))
    openings = []
    for index in range(40):
        tokens = [*context.tokens, *[0] * index]
        plan = planner.plan(replace(context, round=index, tokens=tokens, states={}))
        openings.append(planner._openings)
        planner.observe(outcome(plan, emitted=1, accepted=0, drafted=min(plan.stop.max_tokens, 1)))
    assert openings[0] == openings[7] == 1
    assert 1 < openings[-1] < 6


# in the engine


def test_sampling_with_trees_runs_to_the_end(planted):
    how = {"do_sample": True, "temperature": 0.8, "top_k": 0, "seed": 3}
    tokens, drafted = tokens_and_drafted(planted, Swift(DRAWN), **how)
    assert len(tokens) == 60
    assert drafted > 20


# configuration


def test_needs_are_the_rows_that_sets_are_scored_on():
    assert Swift(SwiftConfig()).needs == Needs(prices=False)
    assert (Swift().needs.prompt_rows, Swift().needs.window) == (24, 24)


def test_a_context_without_states_gets_a_plan_and_no_walk():
    context = plain_context(SHAPE)
    assert Swift().start(SHAPE).plan(context).stop.max_tokens == 0
    assert Swift(SwiftConfig()).start(SHAPE).plan(context).skips == every_other_layer(6)


def test_nothing_is_tried_on_states_with_a_gap(after_prompt):
    """Rounds that another strategy planned may not have captured states."""
    config = StreamConfig(patience=10_000, share=0.9)
    for captured, tries in ((True, True), (False, False)):
        planner = Swift(config).start(SHAPE)
        context = after_prompt.context(budget=10_000, costs=prices(6))
        plan = planner.plan(context)
        tried = planner._search.tried
        planner.observe(replace(outcome(plan), plan=replace(plan, capture=captured)))
        tokens = [*context.tokens, 1, 2, 3]
        planner.plan(replace(context, tokens=tokens, round=1))
        assert (planner._search.tried > tried) == tries
