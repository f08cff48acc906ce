"""KnapSpec as published, and as it pays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.strategies_worlds import first_token_acceptance, outcome, prices, world
from hypothesis import given
from hypothesis import strategies as st

from specframe.costs.model import expected_tokens
from specframe.costs.rates import RoundPrices, SetMatrix
from specframe.strategies.knapspec.paper import (
    PaperConfig,
    PaperDecision,
    SublayerPrices,
    paper_decision,
    tokens_per_time,
)
from specframe.strategies.knapspec.strategy import KnapSpec
from specframe.strategies.shared.planners.chain_search import ChainConfig
from specframe.testing.planted import planted_llama
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

SHAPE = ModelShape(6, 32, 61, 4, 2, 8, 48, 256)
PLANTED = frozenset({3, 4, 5, 7, 8})  # these sublayers add nothing


# the paper's equations


@given(st.floats(0.1, 50.0), st.floats(0.1, 50.0))
def test_the_cheaper_sublayer_weighs_one_and_the_other_its_ratio_up_to_five(attention, mlp):
    weights = SublayerPrices(attention, mlp).weights(5)
    assert min(weights) == 1
    ratio = max(attention, mlp) / min(attention, mlp)
    assert max(weights) == min(round(ratio), 5)


def test_prices_follow_the_context_by_the_profile_s_line(after_prompt):
    costs = prices(6, attention=(1.0, 0.5), mlp=3.0)
    at = SublayerPrices.at(after_prompt.context(costs=costs))
    assert at.attention == pytest.approx(1.0 + 0.5 * len(after_prompt.tokens))
    assert at.mlp == pytest.approx(3.0)


def test_tokens_per_time_by_hand():
    skips = SkipSet.from_sublayers(3, [2, 3, 5])
    found = tokens_per_time(SublayerPrices(2.0, 1.0), skips, 0.5, 3)
    assert found == pytest.approx((1 + 0.5 + 0.25 + 0.125) / (2.0 * (2 * 3 + 3) + 1 * (1 * 3 + 3)))


def test_the_paper_keeps_both_ends_and_half_of_the_weight(after_prompt):
    for seconds in (SublayerPrices(1.0, 1.0), SublayerPrices(3.0, 1.0), SublayerPrices(1.0, 9.0)):
        decision = paper_decision(
            after_prompt.probe, after_prompt.references(5), seconds, PaperConfig()
        )
        attention, mlp = seconds.weights(5)
        for skips in decision.candidates:
            assert not set(skips) & {0, 1, 10, 11}
            weight = attention * len(skips.attention) + mlp * len(skips.mlp)
            assert weight <= (attention + mlp) * 6 // 2


def test_the_choice_is_the_best_of_the_grid_without_the_lightest_candidate(after_prompt):
    seconds = SublayerPrices(1.0, 1.0)
    decision = paper_decision(
        after_prompt.probe, after_prompt.references(6), seconds, PaperConfig()
    )
    grid = {
        (index, drafted): tokens_per_time(
            seconds, decision.candidates[index], decision.alphas[index], drafted
        )
        for index in range(1, len(decision.candidates))
        for drafted in range(18)
    }
    best = max(grid, key=lambda cell: grid[cell])
    assert (decision.chosen, decision.draft_length) == best
    assert decision.tokens_per_time == pytest.approx(grid[best])


def test_planted_sublayers_are_the_paper_s_candidate_of_their_weight(after_prompt):
    decision = paper_decision(
        after_prompt.probe, after_prompt.references(6), SublayerPrices(1.0, 1.0), PaperConfig()
    )
    by_size = {len(skips): set(skips) for skips in decision.candidates}
    assert by_size[len(PLANTED)] == PLANTED
    assert decision.alphas[len(PLANTED)] == 1.0


def test_an_unreachable_similarity_leaves_no_choice(after_prompt):
    references = after_prompt.references(4)
    noisy = {depth: torch.randn_like(rows) for depth, rows in references.items()}
    config = PaperConfig(similarity=1.0)
    decision = paper_decision(after_prompt.probe, noisy, SublayerPrices(1.0, 1.0), config)
    assert decision.chosen is None
    assert isinstance(decision, PaperDecision)


# the paper's schedule


def test_the_paper_keeps_states_for_five_rounds_and_plans_after_them(after_prompt):
    planner = KnapSpec(PaperConfig()).start(SHAPE)
    captured, planned = [], []
    for index in range(70):
        states = after_prompt.references(15) if index else {}
        plan = planner.plan(after_prompt.context(round=index, states=states))
        captured.append(plan.capture)
        planned.append(len(plan.skips) > 0)
        assert plan.stop == StopRule(10, confidence=0.7)
        planner.observe(outcome(plan))
    # round 0 here is the paper's round 1
    assert [i for i, kept in enumerate(captured) if kept] == [*range(1, 6), *range(65, 70)]
    assert planned == [False] * 6 + [True] * 64


def test_the_paper_s_reference_rows_are_those_of_the_kept_rounds(after_prompt, monkeypatch):
    seen = []

    def spy(probe, references, seconds, config):
        seen.append({rows.shape[0] for rows in references.values()})
        return PaperDecision((), (), None)

    monkeypatch.setattr("specframe.strategies.knapspec.paper.paper_decision", spy)
    planner = KnapSpec(PaperConfig()).start(SHAPE)
    for index in range(7):
        plan = planner.plan(after_prompt.context(round=index, states=after_prompt.states))
        planner.observe(outcome(plan, emitted=2))
    assert seen == [{10}]


# prices


@given(st.integers(0, 2**12 - 1), st.floats(0.0, 1.0), st.integers(1, 12), st.integers(0, 900))
def test_prices_as_arrays_are_the_cost_model_s(bits, alpha, drafted, n):
    costs = prices(6, attention=(1.0, 0.01), mlp=2.0, head=3.0)
    skips = SkipSet(12, bits)
    slices = RoundPrices.at(costs, n, range(1, 13))
    seconds = slices.seconds(SetMatrix.of([skips], 12))[0, drafted - 1]
    plan = DraftPlan(skips, StopRule(drafted))
    assert seconds == pytest.approx(costs.round(plan, n))
    choice = slices.of([skips]).choose(np.array([alpha]))
    rates = [expected_tokens(alpha, d) / slices.seconds(SetMatrix.of([skips], 12))[0, d - 1]
             for d in range(1, 13)]  # fmt: skip
    if choice.candidate is None:
        assert max(rates) <= choice.autoregressive * (1 + 1e-6)
    else:
        assert choice.tokens_per_second == pytest.approx(max(rates))
        assert choice.tokens_per_second == pytest.approx(rates[choice.draft_length - 1])


def test_kinds_of_layers_have_different_prices():
    one = prices(4)
    tables = (one.attention[0], prices(1, attention=(7.0, 0.0)).attention[0])
    costs = replace(one, kinds=(0, 1, 0, 1), attention=tables, mlp=(one.mlp[0], one.mlp[0]))
    slices = RoundPrices.at(costs, 10, [1, 4])
    for bits in (0b1, 0b100, 0b11010110):
        skips = SkipSet(8, bits)
        expected = [costs.round(DraftPlan(skips, StopRule(d)), 10) for d in (1, 4)]
        assert slices.seconds(SetMatrix.of([skips], 8))[0] == pytest.approx(expected)


# preset best


def test_best_plans_right_after_the_prompt_and_finds_the_planted_set(after_prompt):
    costs = prices(6)
    plan = KnapSpec().start(SHAPE).plan(after_prompt.context(budget=10_000, costs=costs))
    assert set(plan.skips) >= PLANTED  # and more sublayers, if that is expected to pay
    assert first_token_acceptance(after_prompt, plan.skips, 20) > 0.5
    assert plan.stop.max_tokens >= 1


def test_best_finds_the_planted_set_where_losses_do_not_pay(planted):
    found = world(planted, length=40)
    config = ChainConfig(rows=16, most_skipped=0.42, finalists=24)
    plan = KnapSpec(config).start(SHAPE).plan(found.context(budget=10_000, costs=prices(6)))
    assert set(plan.skips) == PLANTED


def test_a_planning_that_cannot_pay_for_itself_is_not_computed(after_prompt):
    costs = prices(6)
    walks = []

    class Watched:
        committed = after_prompt.probe.committed

        def walk(self, *args, **more):
            walks.append(1)
            return after_prompt.probe.walk(*args, **more)

        logits = staticmethod(after_prompt.probe.logits)

    short = after_prompt.context(budget=4, costs=costs, probe=Watched())
    plan = KnapSpec().start(SHAPE).plan(short)
    assert plan.stop.max_tokens == 0
    assert not walks
    KnapSpec().start(SHAPE).plan(after_prompt.context(budget=5_000, costs=costs, probe=Watched()))
    assert walks


def test_no_speculation_where_it_does_not_pay(after_prompt):
    costly = prices(6, row=1.0)  # every row of verification costs as much as a token
    plan = KnapSpec().start(SHAPE).plan(after_prompt.context(budget=100_000, costs=costly))
    assert plan.stop.max_tokens == 0
    assert not plan.capture


def test_a_set_that_fails_is_replaced_by_a_safer_one_or_none(after_prompt):
    costs = prices(6)
    planner = KnapSpec(ChainConfig(interval=10_000)).start(SHAPE)
    context = after_prompt.context(budget=10_000, costs=costs)
    first = planner.plan(context)
    for index in range(1, 60):
        plan = planner.plan(replace(context, round=index))
        planner.observe(outcome(plan, emitted=1, accepted=0, drafted=min(plan.stop.max_tokens, 2)))
    assert len(plan.skips) < len(first.skips)
    assert plan.stop.max_tokens <= first.stop.max_tokens


def test_drift_of_acceptance_captures_states_and_plans_again(after_prompt):
    costs = prices(6)
    planner = KnapSpec(ChainConfig(interval=30, hoped_speedup=2.0)).start(SHAPE)
    context = after_prompt.context(budget=100_000, costs=costs)
    plan = planner.plan(context)
    assert not plan.capture
    tokens, captured = list(context.tokens), 0
    for index in range(1, 40):
        tokens.append(0)
        plan = planner.plan(
            replace(context, round=index, tokens=tokens, states=after_prompt.references(6))
        )
        captured += plan.capture
        planner.observe(outcome(plan, emitted=1, accepted=0, drafted=min(plan.stop.max_tokens, 2)))
    assert captured >= 2
    assert captured < 30


def test_more_attention_is_skipped_as_the_context_grows():
    """All sublayers of the inner layers matter equally, so only their prices differ."""
    even = planted_llama(SHAPE, dict.fromkeys(range(2, 10), 0.1), dtype=torch.float64)
    after_prompt = world(even, length=40)
    shares = []
    for n in (0, 4_000):
        line = prices(6, attention=(0.2 + 0.01 * n, 0.0), mlp=1.0)
        context = after_prompt.context(budget=100_000, costs=line)
        plan = KnapSpec(ChainConfig(rows=16)).start(SHAPE).plan(context)
        shares.append(len(plan.skips.attention) - len(plan.skips.mlp))
    assert shares[0] < 0 < shares[1]


# configuration


def test_a_fixed_stop_drafts_the_planned_length(after_prompt):
    costs = prices(6)
    context = after_prompt.context(costs=costs)
    fixed = KnapSpec(ChainConfig(stop="fixed")).start(SHAPE).plan(context)
    gain = KnapSpec().start(SHAPE).plan(context)
    assert fixed.skips == gain.skips
    assert fixed.stop == StopRule(fixed.stop.max_tokens)
    assert gain.stop.max_tokens == min(2 * fixed.stop.max_tokens, ChainConfig().longest)


def test_a_line_that_falls_below_zero_still_gives_weights(after_prompt):
    falling = prices(6, attention=(-3.0, 0.1), mlp=0.0)
    at = SublayerPrices.at(after_prompt.context(costs=falling))
    assert min(at.weights(5)) >= 1


def test_what_planning_really_cost_is_that_of_its_own_round(after_prompt):
    """An arm of `auto` plans in round 0 and may draft much later."""
    costs = prices(6)
    planner = KnapSpec().start(SHAPE)
    context = after_prompt.context(budget=10_000, costs=costs)
    planner.plan(context)
    assert planner._billed > 0.0
    later = planner.plan(replace(context, round=8))
    planner.observe(replace(outcome(later), select_seconds=1e-6))
    assert planner._overrun == 1.0


def test_all_layers_but_one_may_be_protected():
    planted = planted_llama(ModelShape(4, 32, 61, 4, 2, 8, 48, 256), {}, dtype=torch.float64)
    context = world(planted).context(budget=10_000, costs=prices(4))
    plan = KnapSpec(ChainConfig(protected=0.45)).start(context.shape).plan(context)
    assert not set(plan.skips) & {0, 1, 6, 7}
